/**
 * How commits, look-ups of claims, acknowledgements of deliveries and a rebuild reach their rows: by index, with the plan that a connection
 * keeps, whether it was made while the tables were empty or when they are large.
 */
import { assert, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import { bucketOfPayment, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as PostgresOutbox from "../../../src/layers/postgres/Outbox.ts"
import { arrays, type Form, scalarCount, texts } from "../../../src/layers/postgres/payment/CommitText.ts"
import { commitStatement } from "../../../src/layers/postgres/payment/CommitStatement.ts"
import * as PostgresRepository from "../../../src/layers/postgres/payment/PaymentRepository.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as PostgresProjection from "../../../src/layers/postgres/recovery/Projection.ts"
import { type Commit, EventStore } from "../../../src/services/EventStore.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { Projection } from "../../../src/services/Projection.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layerWith({ maxConnections: 4 })))

const forms = Object.keys(texts) as ReadonlyArray<Form>

/** The plan that a connection keeps for any parameters. */
const keptPlan = Effect.fnUntraced(function* (form: Form) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      const unknown = Array.from({ length: scalarCount + arrays[form].length }, () => "null").join(", ")
      yield* sql.unsafe("set local plan_cache_mode = force_generic_plan")
      yield* sql.unsafe(`prepare kept as ${texts[form]}`)
      const rows = yield* sql.unsafe<Record<string, string>>(`explain execute kept(${unknown})`)
      yield* sql.unsafe("deallocate kept")
      return rows.map((row) => row["QUERY PLAN"]).join("\n")
    })
  )
})

const assertIndexed = Effect.forEach(forms, (form) =>
  Effect.map(keptPlan(form), (plan) => {
    // The table of locks is small.
    assert.notMatch(plan, /Seq Scan on (?!locks)/, `${form}:\n${plan}`)
    // Arrays are joined to one another through a hash, never each row with each.
    assert.notInclude(plan, "Join Filter", `${form}:\n${plan}`)
  })
)

/** 20,000 payments with a commit each, an open operation and a row in the outbox, copies of one that was committed. */
const fill = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { id } = yield* mustCommit(Payments.firstCommit())
  const where = [bucketOfPayment(id), uuidOfPayment(id)]
  yield* sql.unsafe(
    `insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at)
     select n % 65536, gen_random_uuid(), 't' || n % 20, p.version, p.status, p.view, p.created_at + n, p.updated_at + n
     from aegispay.payments p, generate_series(1, 20000) n where p.bucket = $1::int and p.id = $2::uuid`,
    where
  )
  yield* sql.unsafe(
    `insert into aegispay.commits (payment, recorded_at, position, bucket, version, schema_version, event_ids, data)
     select p.id, e.recorded_at, e.position - 4 * row_number() over (), p.bucket, e.version, e.schema_version, e.event_ids, e.data
     from aegispay.commits e, aegispay.payments p where e.bucket = $1::int and e.payment = $2::uuid and p.tenant like 't%'`,
    where
  )
  yield* sql`insert into aegispay.outbox (bucket, payment, first_version, last_version, recorded_at)
    select bucket, id, 1, 3, created_at from aegispay.payments where tenant like 't%'`
  yield* sql`insert into aegispay.claims (bucket, tenant, key, command, operation, fingerprint, payment_bucket, payment, claimed_at)
    select bucket, tenant, id::text, 'charge', 1, 'f', bucket, id, created_at from aegispay.payments where tenant like 't%'`
  yield* sql`insert into aegispay.open_operations (bucket, payment, operation, gateway, account, kind, status, opened_at)
    select bucket, id, 1, 'g', 'a', 'sale', 'processing', created_at from aegispay.payments where tenant like 't%'`
})

layer(stores, { excludeTestServices: true, timeout: "60 seconds" })("Postgres: plans of commits", (it) => {
  it.effect("reach every row by index: without rows, with many that nothing is known of, and analyzed", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* assertIndexed
      yield* fill
      yield* assertIndexed
      yield* sql`analyze`
      yield* assertIndexed
    })
  )

  it.effect("so do acknowledgements, the look-up of a claim and a rebuild, in pages that stay as fast", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const statements = new Map<string, ReadonlyArray<unknown>>()
      const recording: SqlClient.SqlClient = Object.assign((...args: Parameters<SqlClient.SqlClient>) => sql(...args), sql, {
        unsafe: (text: string, parameters: ReadonlyArray<unknown> = []) => {
          statements.set(text, parameters)
          return sql.unsafe(text, parameters)
        },
        withoutTransforms: () => recording
      }) as never
      yield* Effect.gen(function* () {
        const projection = yield* Projection
        const outbox = yield* Outbox
        const repository = yield* PaymentRepository
        // The summary, which counts every row, is made with the layer.
        statements.clear()
        const first = yield* projection.payments({ limit: 100 })
        const second = yield* projection.payments({ limit: 100, cursor: first.nextCursor ?? assert.fail("a second page expected") })
        assert.lengthOf(new Set([...first.data, ...second.data]), 200)
        const commit = Payments.firstCommit()
        const payment = yield* mustCommit(commit)
        assert.isTrue(Option.isSome(yield* repository.findClaim(commit.claim)))
        assert.deepStrictEqual(yield* projection.rebuild(payment.id), [])
        assert.isFalse(yield* outbox.acknowledge({ payment: payment.id, token: 0n, upToVersion: 3 }))
      }).pipe(
        Effect.provide(
          Layer.fresh(Layer.mergeAll(PostgresOutbox.layer, PostgresProjection.layer, PostgresRepository.layer)).pipe(
            Layer.provide(Layer.succeed(SqlClient.SqlClient, recording))
          )
        )
      )
      assert.strictEqual(statements.size, 5, "a page, a claim, a history, a projection, an acknowledgement")
      for (const [text, parameters] of statements) {
        const rows = yield* sql.unsafe<Record<string, string>>(`explain ${text}`, parameters)
        const plan = rows.map((row) => row["QUERY PLAN"]).join("\n")
        assert.notMatch(plan, /Seq Scan on (?!locks)/, plan)
      }
    })
  )
})

const claimOfCommit = (commit: Commit) => commit.claim ?? assert.fail("a claim expected")

it.live("all heads of a group are locked before its claims: two groups cannot each hold what the other waits for", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [claiming, plain] = yield* Effect.forEach([Payments.firstCommit(), Payments.firstCommit()], (first) => mustCommit(first))
    assert.isDefined(claiming)
    assert.isDefined(plain)
    const wanted = Payments.firstCommit()
    const group: ReadonlyArray<Commit> = [
      { ...Payments.commitOf(claiming, [Payments.succeeded()]), claim: claimOfCommit(wanted) },
      Payments.commitOf(plain, [Payments.succeeded()])
    ]
    // Somebody else is about to claim the key, so the group stops at its claim.
    const claimed = yield* Deferred.make<void>()
    const letGo = yield* Deferred.make<void>()
    const other = yield* Effect.forkScoped(
      sql.withTransaction(
        Effect.gen(function* () {
          yield* mustCommit(wanted)
          yield* Deferred.succeed(claimed, undefined)
          yield* Deferred.await(letGo)
        })
      )
    )
    yield* Deferred.await(claimed)
    const { parameters, text } = commitStatement(group, { lockTimeoutMillis: 20_000 })
    const written = yield* Effect.forkScoped(sql.unsafe(text, parameters))
    let held = 0
    for (let tries = 0; tries < 200 && held < 2; tries++) {
      yield* Effect.sleep(10)
      const free = yield* sql`select id from aegispay.payments
        where id in (${uuidOfPayment(claiming.id)}::uuid, ${uuidOfPayment(plain.id)}::uuid) for share skip locked`
      held = 2 - free.length
    }
    assert.strictEqual(held, 2)
    assert.isUndefined(written.pollUnsafe(), "the group waits for the claim")
    yield* Deferred.succeed(letGo, undefined)
    yield* Fiber.join(other)
    assert.lengthOf(yield* Fiber.join(written), 1, "the one whose key was taken leaves nothing")
    assert.lengthOf(yield* (yield* EventStore).read(claiming.id), 3)
    assert.lengthOf(yield* (yield* EventStore).read(plain.id), 4)
  }).pipe(Effect.scoped, Effect.provide(stores))
)
