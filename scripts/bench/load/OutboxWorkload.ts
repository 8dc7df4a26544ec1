/**
 * `outbox`: events per second that one drainer takes out of the outbox on Postgres, decoded.
 *
 * Real payments fill the event log once; each measurement begins with all their events undelivered. `relay` is the whole: lease,
 * decode, turn into notifications, hand over to a notifier that takes everything at once, acknowledge. `store` is lease, decode and
 * acknowledge alone.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as Relay from "../../../src/orchestration/notify/Relay.ts"
import type { HostTransaction } from "../../../src/services/HostTransaction.ts"
import { Notifier } from "../../../src/services/notify/Notifier.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import * as Database from "../engine/Database.ts"
import * as Engine from "../engine/Engine.ts"
import { alternate, type Case, type Options, ratioOf, type Report, resultsOf, type Sample } from "../Harness.ts"
import * as Subject from "../engine/Subject.ts"

/** Payments that fill the log, at most: some ten thousand rows are drained in a second. */
const maxPayments = 10_000
const concurrency = 64
/** Payments of one lease, the most there can be. */
const leased = 1_000
const ttlMillis = 60_000

/** Everybody wants notifications, and they arrive at once. */
const instantNotifier = Layer.succeed(Notifier, {
  endpointOf: () => "endpoint",
  deliver: () => Effect.succeed({ _tag: "Delivered" as const })
})

/** Where the outbox is kept as it was when it was full. */
const full = "public.full_outbox"

/** Makes every event undelivered again. */
const refill = Effect.fnUntraced(function* (sql: PgClient.PgClient) {
  yield* sql.unsafe("truncate aegispay.outbox")
  yield* sql.unsafe(`insert into aegispay.outbox select * from ${full}`)
  // Statistics as they are where the table fills slowly.
  yield* sql.unsafe("analyze aegispay.outbox")
}, Effect.orDie)

const relayOnce = Effect.map(Relay.make({ concurrency: leased }), ({ runOnce }) =>
  Effect.map(Effect.orDie(runOnce), ({ delivered }) => delivered)
)

const storeOnce = Effect.map(Outbox, (outbox) =>
  Effect.gen(function* () {
    const batches = yield* outbox.lease({ owner: "benchmark", payments: leased, ttlMillis })
    const acknowledged = yield* Effect.forEach(
      batches,
      ({ events, payment, token }) => outbox.acknowledge({ payment, token, upToVersion: events.at(-1)?.version ?? 0 }),
      { concurrency: "unbounded" }
    )
    if (!acknowledged.every(Boolean)) return yield* Effect.die(new Error("a lease was lost"))
    return batches.reduce((sum, { events }) => sum + events.length, 0)
  }).pipe(Effect.orDie)
)

/** Fills the outbox and drains it to its end. */
const drain = (
  name: string,
  options: {
    readonly server: Database.Server
    readonly database: string
    readonly rows: number
    readonly once: Effect.Effect<Effect.Effect<number, never, HostTransaction>, never, Effect.Services<typeof relayOnce> | Outbox>
  }
): Case => ({
  name,
  measure: Effect.gen(function* () {
    const { database, once, rows, server } = options
    const sql = yield* PgClient.PgClient
    yield* refill(sql)
    const step = yield* once
    const serverCpu = yield* server.backendCpuMillis(database)
    const [started, cpu] = [performance.now(), process.cpuUsage()]
    let drained = 0
    for (;;) {
      const more = yield* step
      if (more === 0) break
      drained += more
    }
    const seconds = (performance.now() - started) / 1000
    const { system, user } = process.cpuUsage(cpu)
    const serverUsed = (yield* server.backendCpuMillis(database)) - serverCpu
    if (drained !== rows) return yield* Effect.die(new Error(`${drained} of ${rows} rows were drained`))
    return {
      "rows/s": rows / seconds,
      "Node CPU us per row": (user + system) / rows,
      "Postgres CPU us per row": (serverUsed * 1000) / rows
    } satisfies Sample
  }).pipe(
    Effect.provide(
      Layer.mergeAll(Subject.postgresStores, MemoryIds.layer, instantNotifier).pipe(
        Layer.provideMerge(options.server.connect(options.database))
      )
    ),
    Effect.scoped
  )
})

/** Fills the event log with payments; answers how many events there are. */
const fill = Effect.fnUntraced(function* (server: Database.Server, database: string, payments: number) {
  const engine = yield* Engine.build(Layer.provide(Subject.postgresStores, server.connect(database)), Engine.instantGateways)
  const all = Array.from({ length: payments }, () => Engine.chargeOne(engine))
  yield* Effect.all(all, { concurrency, discard: true })
  const sql = Context.get(yield* Layer.build(server.connect(database)), PgClient.PgClient)
  yield* Effect.orDie(sql.unsafe(`create table ${full} as table aegispay.outbox`))
  const [row] = yield* Effect.orDie(sql.unsafe<{ readonly count: bigint }>("select count(*) as count from aegispay.events"))
  return Number(row?.count)
}, Effect.scoped)

/** Runs the workload. */
export const run = ({ payments, rounds, walMegabytes }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const server = yield* Database.server({ walMegabytes })
    const database = yield* server.create
    const rows = yield* fill(server, database, Math.min(payments, maxPayments))
    const [relay, store] = ["relay", "store: lease, decode, acknowledge"]
    const samples = yield* alternate(
      "outbox",
      [drain(relay, { server, database, rows, once: relayOnce }), drain(store, { server, database, rows, once: storeOnce })],
      rounds
    )
    return {
      workload: "outbox",
      facts: {
        Postgres: `${server.version}, ${server.settings}`,
        "each measurement": `${rows} events of ${Math.min(payments, maxPayments)} payments, ${leased} payments a lease, one drainer`
      },
      cases: resultsOf(samples),
      ratios: [ratioOf(samples, { name: `rows/s: ${relay} / store`, of: relay, over: store, number: "rows/s" })],
      notes: []
    } satisfies Report
  }).pipe(Effect.scoped)
