/**
 * Locks on a real Postgres: the contract, and what is particular to a table shared by instances.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import { Lock, LockNotAcquired, LockUnavailable } from "../../../src/services/Lock.ts"
import { suite } from "../../contracts/Lock.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))

suite("postgres", PostgresLock.layer.pipe(Layer.provide(database)))

const everything = PostgresLock.layer.pipe(Layer.provideMerge(database))

describe("Lock: postgres", () => {
  it.live("a token grows over the clean-up of its key's row", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const sql = yield* SqlClient.SqlClient
      const before = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 1_000 })
      yield* lock.release(before)
      yield* sql`delete from aegispay.locks`
      const after = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 1_000 })
      assert.isTrue(after.token > before.token)
    }).pipe(Effect.provide(everything))
  )

  it.live("a lease taken inside a transaction is seen by others at once, and a rollback does not undo it", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const sql = yield* SqlClient.SqlClient
      yield* sql
        .withTransaction(Effect.andThen(lock.acquire({ key: "k", owner: "a", ttlMillis: 60_000 }), Effect.fail("rolled back")))
        .pipe(Effect.flip)
      assert.instanceOf(yield* Effect.flip(lock.acquire({ key: "k", owner: "b", ttlMillis: 60_000 })), LockNotAcquired)
    }).pipe(Effect.provide(everything))
  )

  it.live("trouble of the store is LockUnavailable, not a lock that is held", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const sql = yield* SqlClient.SqlClient
      const lease = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 60_000 })
      yield* sql`alter table aegispay.locks rename to gone`
      const asked = [
        lock.acquire({ key: "k", owner: "b", ttlMillis: 1, waitMillis: 5_000 }),
        lock.release(lease),
        lock.extend(lease, { ttlMillis: 1 })
      ]
      for (const each of asked) assert.instanceOf(yield* Effect.flip(each as Effect.Effect<unknown, unknown>), LockUnavailable)
    }).pipe(Effect.provide(everything))
  )

  it.effect("rows whose lease ended more than an hour ago are deleted, others are kept", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const sql = yield* SqlClient.SqlClient
      for (const key of ["old", "young", "held"]) yield* lock.acquire({ key, owner: "a", ttlMillis: 60_000 })
      yield* sql`update aegispay.locks set expires_at = clock_timestamp() - interval '61 minutes' where key = 'old'`
      yield* sql`update aegispay.locks set expires_at = clock_timestamp() - interval '59 minutes' where key = 'young'`
      yield* TestClock.adjust("10 minutes")
      const keys = Effect.map(sql<{ readonly key: string }>`select key from aegispay.locks order by key`, (rows) =>
        rows.map((row) => row.key)
      )
      const left = yield* Effect.repeat(keys, { until: (keys) => keys.length < 3, times: 1_000 })
      assert.deepStrictEqual(left, ["held", "young"])
    }).pipe(Effect.provide(everything))
  )
})
