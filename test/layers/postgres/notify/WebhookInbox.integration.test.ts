/**
 * The inbox of webhooks on Postgres passes the contract, loses nothing with a lost answer, and reads by index.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { GatewayName } from "../../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../../src/layers/postgres/Migrations.ts"
import * as PostgresInbox from "../../../../src/layers/postgres/notify/WebhookInbox.ts"
import { WebhookInbox } from "../../../../src/services/notify/WebhookInbox.ts"
import * as WebhookInboxContract from "../../../contracts/WebhookInbox.ts"
import * as TcpProxy from "../../../support/TcpProxy.ts"
import * as TestDatabase from "../../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))

WebhookInboxContract.suite("Postgres", PostgresInbox.layer.pipe(Layer.provide(database)), { live: true })
WebhookInboxContract.boundSuite("Postgres", PostgresInbox.layerWith({ waitingAtMost: 3 }).pipe(Layer.provide(database)), { live: true })

const gateway = GatewayName.make("sandbox-a")
const body = new TextEncoder().encode("{}")

it.live("a webhook whose acknowledgement is lost on the way from the database is stored once", () =>
  Effect.gen(function* () {
    const proxy = yield* TcpProxy.start(yield* TestDatabase.fresh)
    const client = PgClient.layer({ url: proxy.url, maxConnections: 1 })
    const built = yield* Layer.build(PostgresInbox.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(client)))
    yield* Effect.provideContext(
      Effect.gen(function* () {
        const inbox = yield* WebhookInbox
        proxy.loseAnswers = 1
        assert.strictEqual(yield* inbox.store({ gateway, eventId: "ev_1", body }), "duplicate", "the repetition finds the first")
        assert.strictEqual(proxy.loseAnswers, 0)
        const [leased] = yield* inbox.lease({ limit: 10, ttlMillis: 60_000 })
        proxy.loseAnswers = 1
        assert.isFalse(yield* inbox.done(leased!), "done by the first")
        assert.deepStrictEqual(yield* inbox.summary, { waiting: 0, oldestReceivedAt: undefined, dead: 0 })
      }),
      built
    )
  }).pipe(Effect.scoped)
)

it.live("a webhook is stored synchronously where the default is not, since the gateway will not send it again", () =>
  Effect.gen(function* () {
    const client = PgClient.layer({
      url: yield* TestDatabase.fresh,
      maxConnections: 1,
      startupParameters: { synchronous_commit: "off" }
    })
    const built = yield* Layer.build(PostgresInbox.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(client)))
    yield* Effect.provideContext(
      Effect.gen(function* () {
        const sql = (yield* SqlClient).withoutTransforms()
        const inbox = yield* WebhookInbox
        // A deferred trigger sees what the transaction commits with.
        yield* sql`create table seen (durable text)`
        yield* sql`create function note() returns trigger language plpgsql
          as $$ begin insert into seen values (current_setting('synchronous_commit')); return null; end $$`
        yield* sql`create constraint trigger note after insert or update on aegispay.webhooks
          deferrable initially deferred for each row when (new.state = 'waiting') execute function note()`
        assert.strictEqual(yield* inbox.store({ gateway, eventId: "ev_1", body }), "stored")
        assert.deepStrictEqual(yield* sql`select durable from seen`, [{ durable: "on" }])
        assert.deepStrictEqual(yield* sql`select current_setting('synchronous_commit') as durable`, [{ durable: "off" }])
      }),
      built
    )
  }).pipe(Effect.scoped)
)

layer(PostgresInbox.layer.pipe(Layer.provideMerge(database)), { excludeTestServices: true })(
  "Postgres: 30,000 processed webhooks",
  (it) => {
    it.effect("do not slow down the lease", () =>
      Effect.gen(function* () {
        const sql = (yield* SqlClient).withoutTransforms()
        const inbox = yield* WebhookInbox
        yield* sql`insert into aegispay.webhooks (gateway, event_id, body, received_at, state, due_at, attempts, finished_at)
        select 'sandbox-a', 'old_' || n, '\\x7b7d', n, 'done', n, 1, n from generate_series(1, 30000) n`
        yield* sql`analyze aegispay.webhooks`
        yield* inbox.store({ gateway, eventId: "ev_new", body })
        const plan = yield* sql<Record<string, string>>`explain select w.gateway, w.event_id from aegispay.webhooks w
        where w.state = 'waiting' and w.due_at <= 99999999999999 order by w.due_at limit 10 for update skip locked`
        assert.include(plan.map((row) => row["QUERY PLAN"]).join("\n"), "using webhooks_due")
        const leased = yield* inbox.lease({ limit: 10, ttlMillis: 1000 })
        assert.deepStrictEqual(
          leased.map(({ eventId }) => eventId),
          ["ev_new"]
        )
        assert.strictEqual(yield* inbox.purge({ olderThanMillis: 1000, limit: 1000 }), 1000)
      })
    )
  }
)
