/**
 * Declined attempts of cards on a real Postgres: the contract, sharing between instances, a store in trouble, and cleaning up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as Migrations from "../../../../src/layers/postgres/Migrations.ts"
import * as PostgresCardAttempts from "../../../../src/layers/postgres/routing/CardAttempts.ts"
import { CardAttempts, type NewCardAttempt } from "../../../../src/services/routing/CardAttempts.ts"
import { suite } from "../../../contracts/CardAttempts.ts"
import { merchant, newPaymentId, operationNumber } from "../../../support/payments.ts"
import * as TestDatabase from "../../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))

suite("postgres", PostgresCardAttempts.layer.pipe(Layer.provide(database)))

const card = { tenant: merchant, fingerprint: "fp_1" }

/** One more instance on the database, and how to stop it. */
const startWith = Effect.fnUntraced(function* (attemptsLayer: typeof PostgresCardAttempts.layer) {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(Layer.fresh(attemptsLayer), scope)
  return { attempts: Context.get(context, CardAttempts), stop: Scope.close(scope, Exit.void) }
})

const start = startWith(PostgresCardAttempts.layer)

const newAttempt = Effect.fnUntraced(function* (keepMillis = 3_600_000) {
  const now = yield* Clock.currentTimeMillis
  return {
    card,
    payment: newPaymentId(),
    operation: operationNumber(1),
    at: now,
    category: "soft",
    keepUntil: now + keepMillis
  } satisfies NewCardAttempt
})

const until = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (value: A) => boolean) =>
  effect.pipe(Effect.delay(10), Effect.repeat({ until: holds }), Effect.timeout("20 seconds"))

const rows = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly count: number }>`select count(*)::int as count from aegispay.card_attempts`
  return row?.count ?? 0
})

describe("CardAttempts: postgres", () => {
  it.live("another instance sees an attempt within moments, and it survives a restart", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* start, yield* start]
      const attempt = yield* newAttempt()
      yield* one.attempts.record(attempt)
      const seen = yield* until(other.attempts.of(card), (found) => found.length > 0)
      assert.deepStrictEqual(seen, [{ payment: attempt.payment, operation: attempt.operation, at: attempt.at, category: "soft" }])
      yield* one.stop
      yield* other.stop
      const third = yield* start
      assert.deepStrictEqual(yield* third.attempts.of(card), seen)
      yield* third.stop
    }).pipe(Effect.provide(database))
  )

  it.live("the fingerprint itself is not stored", () =>
    Effect.gen(function* () {
      const instance = yield* start
      yield* instance.attempts.record(yield* newAttempt())
      yield* until(rows, (count) => count === 1)
      const sql = yield* SqlClient.SqlClient
      const stored = yield* sql<{ readonly row: string }>`select row_to_json(a)::text as row from aegispay.card_attempts a`
      assert.notInclude(stored[0]?.row, "fp_1")
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )

  it.live("while the store is in trouble nothing waits, attempts are kept, and they are stored once it is back", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const instance = yield* start
      yield* sql`alter table aegispay.card_attempts rename to gone`
      yield* instance.attempts.record(yield* newAttempt())
      const unread = yield* Effect.flip(instance.attempts.of(card))
      assert.strictEqual(unread._tag, "CardAttemptsUnavailable")
      yield* sql`alter table aegispay.gone rename to card_attempts`
      assert.lengthOf(yield* instance.attempts.of(card), 1)
      yield* until(rows, (count) => count === 1)
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )

  it.live("what is not stored is stored at close", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const instance = yield* start
      yield* sql`alter table aegispay.card_attempts rename to gone`
      yield* Effect.replicateEffect(Effect.flatMap(newAttempt(), instance.attempts.record), 3)
      yield* Effect.sleep(50)
      yield* sql`alter table aegispay.gone rename to card_attempts`
      yield* instance.stop
      assert.strictEqual(yield* rows, 3)
    }).pipe(Effect.provide(database))
  )

  it.live("an attempt that was recorded before the question is in the answer, whatever is stored meanwhile", () =>
    Effect.gen(function* () {
      const instance = yield* start
      for (let count = 1; count <= 50; count++) {
        yield* instance.attempts.record(yield* newAttempt())
        assert.lengthOf(yield* instance.attempts.of(card), count)
      }
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )

  it.live("a stored attempt whose time is over is in no answer, deleted or not", () =>
    Effect.gen(function* () {
      const instance = yield* start
      yield* instance.attempts.record(yield* newAttempt(2_000))
      yield* until(rows, (count) => count === 1)
      yield* until(instance.attempts.of(card), (found) => found.length === 0)
      assert.strictEqual(yield* rows, 1)
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )

  it.live("attempts that no cap counts any more are deleted, and only those", () =>
    Effect.gen(function* () {
      const instance = yield* startWith(PostgresCardAttempts.layerWith({ cleanUpMillis: 50 }))
      const kept = yield* newAttempt()
      yield* instance.attempts.record(kept)
      yield* instance.attempts.record(yield* newAttempt(3_000))
      yield* until(rows, (count) => count === 2)
      yield* until(rows, (count) => count === 1)
      assert.deepStrictEqual(
        (yield* instance.attempts.of(card)).map(({ payment }) => payment),
        [kept.payment]
      )
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )

  it.live("inside a host's transaction its connection is asked", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const instance = yield* start
      yield* instance.attempts.record(yield* newAttempt())
      yield* until(rows, (count) => count === 1)
      assert.lengthOf(yield* sql.withTransaction(instance.attempts.of(card)), 1)
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )
})
