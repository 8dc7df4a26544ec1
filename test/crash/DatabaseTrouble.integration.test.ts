/**
 * Rules 9 and 16 on a real Postgres in trouble: before the intent is durable nothing is sent; once an outcome is in hand it is kept and
 * stored when the database is back; a commit whose acknowledgement is lost is found, and nobody is charged twice.
 *
 * Broken connections come from a proxy. What needs a full disk or a lost race is raised by a trigger with the server's own code; a
 * statement timeout, a row that is held, a terminated session, a used-up pool and a role without connections are real.
 */
import { assert, describe, it } from "@effect/vitest"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Clock, Deferred, Effect, Fiber, Layer, Option, Redacted, Result, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import { bucketOfPayment, operationOfRequestKey, type PaymentId, uuidOfPayment } from "../../src/domain/payment/Ids.ts"
import * as MemoryGatewayMetrics from "../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { EventStoreError } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as TcpProxy from "../support/TcpProxy.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { chargeRequest, engineOver, key, success, tenant, testGateway } from "../support/TestEngine.ts"

type Sql = PgClient.PgClient

/** What a test does while the gateway works on a charge: the intent is durable, the outcome is not. */
interface Script {
  onSend: (intent: Intent) => Effect.Effect<unknown, unknown>
}

/** The engine behind a proxy, and a client past it. `url` changes how the engine signs on. */
const engineIn = Effect.fnUntraced(function* (
  options: { readonly maxConnections?: number; readonly signOn?: (direct: Sql, url: URL) => Effect.Effect<URL, unknown> } = {}
) {
  const url = yield* TestDatabase.fresh
  const direct = yield* Effect.map(Layer.build(Layer.provideMerge(Migrations.layer, PgClient.layer({ url }))), (context) =>
    Effect.provideContext(PgClient.PgClient, context)
  ).pipe(Effect.flatten)
  const proxy = yield* TcpProxy.start(url)
  const through = new URL(Redacted.value(proxy.url))
  const signedOn = options.signOn === undefined ? through : yield* Effect.orDie(options.signOn(direct, through))
  const script: Script = { onSend: () => Effect.void }
  const gateway = testGateway("a", {
    send: (intent) => Effect.as(Effect.orDie(script.onSend(intent)), success(intent)),
    lookup: (intent) =>
      Effect.sync(() => (gateway.sent.some((sent) => sent.requestKey === intent.requestKey) ? success(intent) : { _tag: "Absent" }))
  })
  const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
    Layer.provideMerge(
      PgClient.layer({ url: Redacted.make(signedOn.toString()), maxConnections: options.maxConnections ?? 4, connectTimeout: "2 seconds" })
    )
  )
  const context = yield* Layer.build(
    Layer.provideMerge(engineOver([gateway], { storeWaitMillis: 300, idempotencyWaitMillis: 200, recoveryOlderThanMillis: 0 }), stores)
  )
  const on = <A, E>(use: (payments: (typeof Payments)["Service"]) => Effect.Effect<A, E>) =>
    Effect.provideContext(Effect.flatMap(Payments, use), context)
  const repository = yield* Effect.provideContext(PaymentRepository, context)
  const client = yield* Effect.provideContext(SqlClient.SqlClient, context)
  const charge = (under: string) => on((payments) => payments.charge(chargeRequest(under)))
  const statusOf = (id: PaymentId) =>
    Effect.map(
      on((payments) => payments.get({ id, tenant })),
      ({ status }) => status
    )
  /** Asks until the payment is what it should become, for half a minute at least. */
  const becomes = Effect.fnUntraced(function* (id: PaymentId, expected: string) {
    for (let tries = 0; tries < 600; tries++) {
      if (Option.getOrUndefined(yield* Effect.option(statusOf(id))) === expected) return
      yield* Effect.sleep(50)
    }
    assert.fail(`it did not become ${expected}`)
  })
  const charges = Effect.map(
    direct<{ readonly count: bigint }>`select count(*) as count from aegispay.events where type = 'OperationSucceeded'`,
    ([row]) => Number(row?.count)
  )
  const keyIsFree = Effect.map(repository.findClaim({ tenant, key: key("k1") }), Option.isNone)
  // One connection is open and ready.
  yield* Effect.orDie(client`select 1`)
  return { becomes, charge, charges, client, direct, gateway, keyIsFree, on, proxy, script, statusOf }
})

/** From now on the next `times` appends of events fail with this code. */
const failNext = (sql: Sql, code: string, times: number) => meetNext(sql, `raise exception 'trouble' using errcode = '${code}'`, times)

/** From now on the next `times` appends of events meet this, counted by a sequence, which no rollback takes back. */
const meetNext = Effect.fnUntraced(function* (sql: Sql, trouble: string, times: number) {
  yield* sql`create sequence if not exists trouble`
  yield* sql`alter sequence trouble restart with 1`
  yield* sql.unsafe(`create or replace function trouble() returns trigger language plpgsql as $$
    begin
      if nextval('trouble') <= ${times} then ${trouble}; end if;
      return null;
    end $$`)
  yield* sql`create or replace trigger trouble before insert on aegispay.commits for each statement execute function trouble()`
})

/** Errors of a server, by what happened to it; all of them have rolled the statement back. */
const codes = {
  "a serialization failure": "40001",
  "a deadlock": "40P01",
  "a full disk": "53100",
  "memory that ran out": "53200",
  "a cancelled statement": "57014",
  "a broken disk": "58030"
} as const

const always = 1_000_000

/** A test of all codes, at once: most of their time is the backoff of commits. */
const each = (name: string, run: (what: string, code: string) => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.live(`${Object.keys(codes).join(", ")}: ${name}`, () =>
    Effect.forEach(Object.entries(codes), ([what, code]) => Effect.scoped(run(what, code)), { concurrency: 3, discard: true })
  )

describe("an intent that meets", () => {
  each("for a moment is stored, and charged once", (what, code) =>
    Effect.gen(function* () {
      const { charge, charges, direct, gateway } = yield* engineIn()
      yield* failNext(direct, code, 1)
      assert.strictEqual((yield* charge("k1")).payment.status, "succeeded", what)
      assert.lengthOf(gateway.sent, 1, what)
      assert.strictEqual(yield* charges, 1, what)
    })
  )

  each("that stays is refused before anything is sent, and its key is free", (what, code) =>
    Effect.gen(function* () {
      const { charge, direct, gateway, keyIsFree } = yield* engineIn()
      yield* failNext(direct, code, always)
      const error = yield* Effect.flip(charge("k1"))
      assert.isTrue(error._tag === "EventStoreError" && error.isRetryable && !error.isAmbiguous, what)
      assert.lengthOf(gateway.sent, 0, what)
      assert.isTrue(yield* keyIsFree, what)
      yield* direct`drop trigger trouble on aegispay.commits`
      assert.strictEqual((yield* charge("k1")).payment.status, "succeeded", what)
      assert.lengthOf(gateway.sent, 1, what)
    })
  )

  it.live("the end of its session in the middle of the transaction is stored by another one, and charged once", () =>
    Effect.gen(function* () {
      const { charge, charges, direct, gateway } = yield* engineIn()
      yield* meetNext(direct, "perform pg_terminate_backend(pg_backend_pid())", 1)
      assert.strictEqual((yield* charge("k1")).payment.status, "succeeded")
      assert.lengthOf(gateway.sent, 1)
      assert.strictEqual(yield* charges, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a statement timeout is repeated, and charged once", () =>
    Effect.gen(function* () {
      const { charge, charges, direct, gateway } = yield* engineIn({
        signOn: (direct, url) => Effect.as(direct.unsafe(`alter database ${url.pathname.slice(1)} set statement_timeout = '500ms'`), url)
      })
      yield* meetNext(direct, "perform pg_sleep(2)", 1)
      assert.strictEqual((yield* charge("k1")).payment.status, "succeeded")
      assert.lengthOf(gateway.sent, 1)
      assert.strictEqual(yield* charges, 1)
      yield* meetNext(direct, "perform pg_sleep(2)", always)
      const error = yield* Effect.flip(charge("k2"))
      assert.isTrue(error._tag === "EventStoreError" && error.isRetryable && !error.isAmbiguous)
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a server that refuses connections is refused before anything is sent", () =>
    Effect.gen(function* () {
      const { charge, gateway, proxy } = yield* engineIn()
      proxy.refuse = true
      proxy.breakAll()
      const error = yield* Effect.flip(charge("k1"))
      assert.isTrue(error._tag === "EventStoreError" && error.isRetryable && !error.isAmbiguous)
      assert.lengthOf(gateway.sent, 0)
      proxy.refuse = false
      assert.strictEqual((yield* charge("k1")).payment.status, "succeeded")
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a lost acknowledgement is found to be stored, and sent once", () =>
    Effect.gen(function* () {
      const { charge, charges, gateway, proxy } = yield* engineIn()
      proxy.loseAnswers = 2
      assert.strictEqual((yield* charge("k1").pipe(Effect.retry({ times: 2 }))).payment.status, "succeeded")
      assert.lengthOf(gateway.sent, 1)
      assert.strictEqual(yield* charges, 1)
    }).pipe(Effect.scoped)
  )
})

describe("an outcome that meets", () => {
  each("is told as processing, never as a success that is not durable, and stored when it is over", (what, code) =>
    Effect.gen(function* () {
      const { becomes, charge, charges, direct, gateway, script } = yield* engineIn()
      script.onSend = () => failNext(direct, code, always)
      const { payment } = yield* charge("k1")
      assert.strictEqual(payment.status, "processing", what)
      assert.strictEqual(yield* charges, 0, what)
      yield* direct`drop trigger trouble on aegispay.commits`
      yield* becomes(payment.id, "succeeded")
      assert.strictEqual(yield* charges, 1, what)
      assert.lengthOf(gateway.sent, 1, what)
    })
  )

  it.live("a server that refuses connections is kept until it is back", () =>
    Effect.gen(function* () {
      const { becomes, charge, gateway, proxy, script } = yield* engineIn()
      script.onSend = () =>
        Effect.sync(() => {
          proxy.refuse = true
          proxy.breakAll()
        })
      const { payment } = yield* charge("k1")
      assert.strictEqual(payment.status, "processing")
      proxy.refuse = false
      yield* becomes(payment.id, "succeeded")
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a lost acknowledgement is stored once", () =>
    Effect.gen(function* () {
      const { becomes, charge, charges, gateway, proxy, script } = yield* engineIn()
      script.onSend = () => Effect.sync(() => void (proxy.loseAnswers = 2))
      const { payment } = yield* charge("k1")
      yield* becomes(payment.id, "succeeded")
      assert.strictEqual(yield* charges, 1)
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a session that is terminated in the middle of its transaction is stored by another one", () =>
    Effect.gen(function* () {
      const { becomes, charge, charges, direct, gateway, script } = yield* engineIn()
      script.onSend = (intent) => holdHead(direct, intent, terminateWaiting(direct))
      const { payment } = yield* charge("k1")
      yield* becomes(payment.id, "succeeded")
      assert.strictEqual(yield* charges, 1)
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a statement timeout is stored when the row is free again", () =>
    Effect.gen(function* () {
      const { becomes, charge, charges, direct, gateway, script } = yield* engineIn({
        signOn: (direct, url) => Effect.as(direct.unsafe(`alter database ${url.pathname.slice(1)} set statement_timeout = '500ms'`), url)
      })
      script.onSend = (intent) => holdHead(direct, intent, Effect.sleep(2_500))
      const { payment } = yield* charge("k1")
      yield* becomes(payment.id, "succeeded")
      assert.strictEqual(yield* charges, 1)
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )
})

describe("connections that run out", () => {
  it.live("a pool in which all are busy: requests wait for one, each key is charged once", () =>
    Effect.gen(function* () {
      const { charge, charges, client, gateway } = yield* engineIn({ maxConnections: 2 })
      yield* Effect.forkScoped(Effect.all([client`select pg_sleep(0.7)`, client`select pg_sleep(0.7)`], { concurrency: 2 }))
      yield* Effect.sleep(50)
      const answers = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `k${index % 10}`),
        (under) => Effect.result(charge(under)),
        { concurrency: "unbounded" }
      )
      assert.isTrue(answers.every((answer) => Result.isSuccess(answer) || answer.failure._tag === "RequestInProgress"))
      assert.lengthOf(gateway.sent, 10)
      assert.strictEqual(yield* charges, 10)
    }).pipe(Effect.scoped)
  )

  it.live("a role that may open no more (53300): refused before anything is sent, and served later", () =>
    Effect.gen(function* () {
      const role = `limited_${crypto.randomUUID().replaceAll("-", "")}`
      const { charge, direct, gateway, proxy } = yield* engineIn({
        signOn: Effect.fnUntraced(function* (direct, url) {
          yield* direct.unsafe(`create role ${role} login password 'limited' connection limit 1`)
          yield* Effect.addFinalizer(() => Effect.ignore(direct.unsafe(`drop owned by ${role}; drop role ${role}`)))
          yield* direct.unsafe(`grant usage on schema aegispay to ${role}`)
          yield* direct.unsafe(`grant select, insert, update, delete on all tables in schema aegispay to ${role}`)
          yield* direct.unsafe(`grant usage on all sequences in schema aegispay to ${role}`)
          url.username = role
          url.password = "limited"
          return url
        }) as (direct: Sql, url: URL) => Effect.Effect<URL, unknown>
      })
      yield* direct.unsafe(`alter role ${role} connection limit 0`)
      proxy.breakAll()
      const error = yield* Effect.flip(charge("k1"))
      assert.isTrue(error._tag === "EventStoreError" && error.isRetryable && !error.isAmbiguous)
      assert.lengthOf(gateway.sent, 0)
      yield* direct.unsafe(`alter role ${role} connection limit 1`)
      assert.strictEqual((yield* charge("k1")).payment.status, "succeeded")
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.scoped)
  )
})

describe("a database that says nothing", () => {
  /** Fails after the limit of a read, and long before a person would give up. */
  const failsInTime = <A, E>(what: string, effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const begunAt = yield* Clock.currentTimeMillis
      const error = yield* Effect.flip(Effect.timeout(effect, 12_000))
      assert.isTrue(error instanceof EventStoreError && error.reason._tag === "Unavailable", what)
      assert.include(String(error), "no answer within 5 s", what)
      assert.isAtLeast((yield* Clock.currentTimeMillis) - begunAt, 4_900, what)
    })

  it.live("keeps no read for ever: a connection that is half open, a pool that stays used up", () =>
    Effect.all(
      [
        Effect.gen(function* () {
          const { charge, gateway, keyIsFree, proxy } = yield* engineIn()
          proxy.swallowAnswers = 1
          yield* failsInTime("the look-up of a key", charge("k1"))
          assert.lengthOf(gateway.sent, 0)
          assert.isTrue(yield* keyIsFree)
          assert.strictEqual((yield* charge("k1")).payment.status, "succeeded")
        }),
        Effect.gen(function* () {
          const { charge, on, proxy, statusOf } = yield* engineIn()
          const { payment } = yield* charge("k1")
          const reads = { recovery: on(({ recover }) => recover()), "a payment": statusOf(payment.id) }
          for (const [what, read] of Object.entries<Effect.Effect<unknown, unknown>>(reads)) {
            proxy.swallowAnswers = 1
            yield* failsInTime(what, read)
            yield* read
          }
        }),
        Effect.gen(function* () {
          const { charge, client, gateway } = yield* engineIn({ maxConnections: 2 })
          const busy = yield* Effect.forkScoped(Effect.all([client`select pg_sleep(7)`, client`select pg_sleep(7)`], { concurrency: 2 }))
          yield* Effect.sleep(50)
          yield* failsInTime("a charge", charge("k1"))
          assert.lengthOf(gateway.sent, 0)
          yield* Fiber.join(busy)
          assert.strictEqual((yield* charge("k1")).payment.status, "succeeded")
        })
      ].map(Effect.scoped),
      { concurrency: "unbounded", discard: true }
    )
  )
})

/** Holds the head row of the intent's payment until `until` has ended; answers once it is held. */
const holdHead = Effect.fnUntraced(function* (sql: Sql, intent: Intent, until: Effect.Effect<unknown, unknown>) {
  const held = yield* Deferred.make<void>()
  const holding = Effect.gen(function* () {
    yield* sql.unsafe("select from aegispay.payments where bucket = $1::int and id = $2::uuid for update", placeOf(intent))
    yield* Deferred.succeed(held, undefined)
    yield* until
  })
  yield* Effect.forkDetach(sql.withTransaction(holding))
  yield* Deferred.await(held)
})

const placeOf = (intent: Intent) => {
  const subject = Option.getOrThrow(Option.fromUndefinedOr(operationOfRequestKey(intent.requestKey)))
  return [bucketOfPayment(subject.payment), uuidOfPayment(subject.payment)]
}

/** Waits for the one session that waits for a lock, and terminates it. */
const terminateWaiting = Effect.fnUntraced(function* (sql: Sql) {
  for (let tries = 0; tries < 200; tries++) {
    const rows = yield* sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`
    if (rows.length > 0) return
    yield* Effect.sleep(10)
  }
  assert.fail("no session waits for a lock")
})
