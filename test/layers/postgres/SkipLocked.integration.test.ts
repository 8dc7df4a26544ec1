/**
 * What `skip locked` is for, stepped through with two sessions: while one has taken rows in a transaction that is still open, the other passes
 * them over at once and takes the next ones; a rollback puts them back.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as WebhookInboxLayer from "../../../src/layers/postgres/notify/WebhookInbox.ts"
import type { EventStore } from "../../../src/services/EventStore.ts"
import { WebhookInbox } from "../../../src/services/notify/WebhookInbox.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Layer.merge(Postgres.layer, WebhookInboxLayer.layer)

type Statement = readonly [text: string, parameters: ReadonlyArray<unknown>]

/** A client that keeps what it is asked. */
const recorder = Effect.gen(function* () {
  const sql = yield* SqlClient
  const statements: Array<Statement> = []
  const client: SqlClient = Object.assign((...args: Parameters<SqlClient>) => sql(...args), sql, {
    unsafe: (text: string, parameters: ReadonlyArray<unknown> = []) => {
      statements.push([text, parameters])
      return sql.unsafe(text, parameters)
    },
    withoutTransforms: () => client
  }) as never
  return { client, statements }
})

/**
 * Two sessions over a database. The stores' own statements belong to no transaction of a caller; so the first one makes them as recorded, in
 * a transaction of its own. What the second one does must not wait for the first: these statements have no lock timeout.
 */
const twoSessions = Effect.gen(function* () {
  const url = yield* TestDatabase.fresh
  const one = yield* Layer.build(Migrations.layer.pipe(Layer.provideMerge(PgClient.layer({ url, maxConnections: 3 }))))
  const two = yield* Layer.build(Layer.fresh(stores.pipe(Layer.provideMerge(Layer.fresh(PgClient.layer({ url, maxConnections: 3 }))))))
  const { client, statements } = yield* Effect.provideContext(recorder, one)
  const recording = yield* Layer.build(Layer.fresh(stores.pipe(Layer.provide(Layer.succeed(SqlClient, client)))))
  /** Makes the statement that a program ends with, in a transaction that stays open until it is told to roll back. */
  const takes = <A, E>(
    program: Effect.Effect<A, E, Outbox | WebhookInbox>,
    fill: Effect.Effect<unknown, unknown, EventStore | SqlClient>
  ) =>
    Effect.gen(function* () {
      yield* Effect.provideContext(program, recording)
      const [text, parameters] = statements.at(-1) ?? assert.fail("no statement")
      yield* Effect.provideContext(fill, two)
      return yield* Effect.provideContext(keptOpen(text, parameters), one)
    })
  return { takes, second: <A, E>(program: Effect.Effect<A, E, Outbox | WebhookInbox>) => Effect.provideContext(atOnce(program), two) }
})

type Row = Readonly<Record<string, unknown>>

const keptOpen = Effect.fnUntraced(function* (...[text, parameters]: Statement) {
  const sql = yield* SqlClient
  const answer = yield* Deferred.make<ReadonlyArray<Row>, unknown>()
  const letGo = yield* Deferred.make<void>()
  const body = Effect.andThen(
    Deferred.into(sql.unsafe<Row>(text, parameters), answer),
    Effect.andThen(Deferred.await(letGo), Effect.fail("rolled back"))
  )
  const fiber = yield* Effect.forkScoped(sql.withTransaction(body))
  const rollBack = Effect.andThen(Deferred.succeed(letGo, undefined), Effect.exit(Fiber.join(fiber)))
  return { rows: yield* Deferred.await(answer), rollBack }
})

/** Passing over waits for nobody. What waits here waits for ever: these statements have no lock timeout, and the other session stays. */
const atOnce = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, { duration: "20 seconds", orElse: () => Effect.die(new Error("it waits for the other session")) })

const lease = (owner: string, payments: number) =>
  Effect.map(
    Outbox.use((outbox) => outbox.lease({ owner, payments, ttlMillis: 60_000 })),
    (batches) => batches.map(({ payment }) => payment)
  )

const webhooks = ({ count, state }: { readonly count: number; readonly state: "waiting" | "done" }) =>
  Effect.flatMap(
    SqlClient,
    (sql) => sql`insert into aegispay.webhooks (gateway, event_id, body, received_at, state, due_at, attempts, finished_at)
      select 'a', 'ev_' || n, '\\x7b7d', n, ${state}, n, 0, case ${state} when 'done' then n end from generate_series(1, ${count}::int) n`
  )
const purge = (limit: number) => WebhookInbox.use((inbox) => inbox.purge({ olderThanMillis: 1000, limit }))
const leaseWebhooks = (limit: number) =>
  Effect.map(
    WebhookInbox.use((inbox) => inbox.lease({ limit, ttlMillis: 60_000 })),
    (leased) => leased.map(({ eventId }) => eventId)
  )

describe("two sessions at once", () => {
  it.live("relays: the second passes over the payment that the first is taking, which is there again after its rollback", () =>
    Effect.gen(function* () {
      const { second, takes } = yield* twoSessions
      const ids: Array<PaymentId> = []
      const fill = Effect.forEach([1, 2], () => Effect.map(mustCommit(Payments.firstCommit()), ({ id }) => ids.push(id)))
      const taking = yield* takes(lease("one", 1), fill)
      const [older, newer] = ids
      assert.isDefined(older)
      assert.deepStrictEqual([...new Set(taking.rows.map(({ payment }) => payment))], [uuidOfPayment(older)])
      assert.deepStrictEqual(yield* second(lease("two", 10)), [newer])
      assert.deepStrictEqual(yield* second(lease("two", 10)), [])
      yield* taking.rollBack
      assert.deepStrictEqual(yield* second(lease("two", 10)), [older])
    }).pipe(Effect.scoped)
  )

  it.live("webhooks: the second passes over those that the first is taking, which are there again after its rollback", () =>
    Effect.gen(function* () {
      const { second, takes } = yield* twoSessions
      const taking = yield* takes(leaseWebhooks(2), webhooks({ count: 3, state: "waiting" }))
      assert.sameMembers(
        taking.rows.map((row) => row["event_id"]),
        ["ev_1", "ev_2"]
      )
      assert.deepStrictEqual(yield* second(leaseWebhooks(10)), ["ev_3"])
      assert.deepStrictEqual(yield* second(leaseWebhooks(10)), [])
      yield* taking.rollBack
      assert.sameMembers(yield* second(leaseWebhooks(10)), ["ev_1", "ev_2"])
    }).pipe(Effect.scoped)
  )

  it.live("the purge of processed webhooks leaves those to the other that it is deleting", () =>
    Effect.gen(function* () {
      const { second, takes } = yield* twoSessions
      const deleting = yield* takes(purge(4), webhooks({ count: 10, state: "done" }))
      assert.lengthOf(deleting.rows, 4)
      assert.strictEqual(yield* second(purge(100)), 6)
      yield* deleting.rollBack
      assert.strictEqual(yield* second(purge(100)), 4)
    }).pipe(Effect.scoped)
  )
})
