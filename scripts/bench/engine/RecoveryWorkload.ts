/**
 * `recovery`: payments whose process ended with them in hand, on a real Postgres, recovered by another one.
 *
 * The gateway had executed every second of them and answers without latency: what is measured is the engine and the database, and how
 * much memory the run takes. Then two more recoveries run at once. The run fails where a payment was charged twice or not at all, where one is
 * still open, or where the further recoveries wrote an event or called the gateway.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Succeeded } from "../../../src/domain/operation/Outcome.ts"
import { GatewayReference } from "../../../src/domain/payment/Ids.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresGatewayMetrics from "../../../src/layers/postgres/routing/GatewayMetrics.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { Gateway, LookupAnswer } from "../../../src/services/Gateway.ts"
import { start } from "../../../test/support/TestProcess.ts"
import * as Database from "./Database.ts"
import * as Engine from "./Engine.ts"
import { type Options, progress, type Report, spreadOf } from "../Harness.ts"

/** Payments that one process has in hand when it ends. */
const perCrash = 500
const sampleEvery = "10 millis"
const pageSize = 10_000
const anHour = 3_600_000

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** A PSP's ledger: how often each request was executed, by its key. It does not know a repeated key: sending one again charges again. */
interface Psp {
  readonly executed: Map<string, number>
  readonly calls: () => number
  /** Executes every second request, and answers none. */
  readonly silent: Gateway
  readonly answering: Gateway
}

const succeeded = (intent: Intent): Succeeded => ({
  _tag: "Succeeded",
  gatewayReference: GatewayReference.make(`ch_${intent.requestKey}`),
  amount: intent.amount,
  named: true
})

const pspOf = (gateway: Gateway): Psp => {
  const executed = new Map<string, number>()
  let calls = 0
  const execute = (intent: Intent) => {
    executed.set(intent.requestKey, (executed.get(intent.requestKey) ?? 0) + 1)
    return succeeded(intent)
  }
  return {
    executed,
    calls: () => calls,
    silent: {
      ...Engine.settlingFor(gateway, anHour),
      send: ({ intent }) => Effect.suspend(() => (++calls % 2 === 0 && execute(intent), Effect.never)),
      lookup: () => Effect.never
    },
    answering: {
      ...gateway,
      send: ({ intent }) => Effect.sync(() => (calls++, execute(intent))),
      lookup: ({ intent }) =>
        Effect.sync((): LookupAnswer => (calls++, executed.has(intent.requestKey) ? succeeded(intent) : { _tag: "Absent" }))
    }
  }
}

/** Leaves that many payments in flight: their intents are durable, and the processes that wrote them are gone. */
const leaveInFlight = Effect.fnUntraced(function* (psp: Psp, count: number) {
  for (let left = count; left > 0; left -= perCrash) {
    const expected = psp.calls() + Math.min(left, perCrash)
    const process = yield* start([psp.silent], { attemptTimeoutMillis: anHour })
    const charging = yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: Math.min(left, perCrash) }), () => Effect.ignore(process.payments.charge(Engine.nextRequest())), {
        concurrency: "unbounded",
        discard: true
      })
    )
    while (psp.calls() < expected) yield* Effect.sleep(sampleEvery)
    yield* Effect.provideService(process.crash, References.MinimumLogLevel, "None")
    yield* Fiber.await(charging)
    yield* progress(`recovery: ${count - Math.max(0, left - perCrash)} of ${count} in flight`)
  }
})

interface Sizes {
  readonly heap: number
  readonly rss: number
}

const sizes = (): Sizes => {
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed, rss }
}

/** The heap and RSS in use after a full collection. */
const collected = Effect.gen(function* () {
  yield* Effect.sleep("50 millis")
  collect()
  yield* Effect.sleep("50 millis")
  collect()
  return sizes()
})

/** Runs an effect and answers the largest sizes meanwhile, garbage included. */
const watching = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  let peak = sizes()
  const watch = Effect.forever(
    Effect.andThen(
      Effect.sleep(sampleEvery),
      Effect.sync(() => {
        const now = sizes()
        peak = { heap: Math.max(peak.heap, now.heap), rss: Math.max(peak.rss, now.rss) }
      })
    )
  )
  return { result: yield* Effect.raceFirst(effect, watch), peak }
})

/** Tells the live heap, after a full collection, each time another tenth of the payments is done. */
const liveHeap = (inFlight: number) => {
  const tenth = Math.max(1, Math.ceil(inFlight / 10))
  const live: Array<number> = []
  return {
    live,
    onProgress: ({ scanned }: { readonly scanned: number }) =>
      Effect.sync(() => {
        if (scanned % tenth !== 0) return
        collect()
        live.push(process.memoryUsage().heapUsed)
      })
  }
}

/** Every event there is, as a number and the last position. */
const eventCount = Effect.gen(function* () {
  const store = yield* EventStore
  let after = 0n
  let count = 0
  for (;;) {
    const page = yield* store.readAll({ after, limit: pageSize })
    count += page.length
    after = page.at(-1)?.position ?? after
    if (page.length < pageSize) return `${count} events, the last at ${after}`
  }
})

const mustBe = <A>(what: string, actual: A, expected: A): Effect.Effect<void> =>
  actual === expected ? Effect.void : Effect.die(new Error(`${what}: ${String(expected)} expected, ${String(actual)} found`))

const one = (value: number) => spreadOf([value])
const megabytes = (bytes: number) => bytes / 2 ** 20
const all = { olderThanMillis: 0 }

/** Runs the workload. */
export const run = ({ inFlight, walMegabytes }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const server = yield* Database.server({ walMegabytes })
    const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, PostgresGatewayMetrics.layer, MemoryIds.layer).pipe(
      Layer.provide(server.connect(yield* server.create))
    )
    const [gateway] = yield* Engine.sandboxGateways
    if (gateway === undefined) return yield* Effect.die(new Error("the sandbox has no account"))
    const psp = pspOf(gateway)
    return yield* Effect.gen(function* () {
      yield* leaveInFlight(psp, inFlight)
      const { payments } = yield* start([psp.answering])
      const before = yield* collected
      const cpu = process.cpuUsage()
      const { live, onProgress } = liveHeap(inFlight)
      const { peak, result } = yield* watching(payments.recover({ ...all, onProgress }))
      const { system, user } = process.cpuUsage(cpu)
      const after = yield* collected
      yield* mustBe("recovered", JSON.stringify(result.results), JSON.stringify({ succeeded: inFlight }))
      yield* mustBe("charges at the gateway", psp.executed.size, inFlight)
      yield* mustBe("charged once", [...psp.executed.values()].filter((times) => times === 1).length, inFlight)
      const [events, calls] = [yield* eventCount, psp.calls()]
      const again = yield* Effect.all([payments.recover(all), payments.recover(all)], { concurrency: "unbounded" })
      for (const { scanned } of again) yield* mustBe("open after the recovery", scanned, 0)
      yield* mustBe("after two more recoveries", yield* eventCount, events)
      yield* mustBe("calls of the gateway after two more recoveries", psp.calls(), calls)
      return {
        workload: "recovery",
        facts: {
          Postgres: `${server.version}, ${server.settings}`,
          "payments at a time": String(Presets.recovery.concurrency.value),
          "in flight": `${inFlight}, half of them executed by the gateway, which answers without latency`
        },
        cases: [
          {
            name: "recovery",
            numbers: {
              "payments/s": one(inFlight / (result.durationMillis / 1000)),
              "Node CPU ms": one((user + system) / 1000 / inFlight),
              "live heap growth MB": spreadOf(live.map((bytes) => megabytes(bytes - before.heap))),
              "heap kept MB": one(megabytes(after.heap - before.heap)),
              "peak heap growth MB": one(megabytes(peak.heap - before.heap)),
              "peak RSS growth MB": one(megabytes(peak.rss - before.rss))
            }
          }
        ],
        ratios: [],
        notes: [
          `Two more recoveries at once changed nothing: ${events}, ${psp.executed.size} charges.`,
          "Live: after a full collection at every tenth of the payments; kept: at the end. Both include the gateway's ledger. Peaks: of every 10 ms, garbage included."
        ]
      } satisfies Report
    }).pipe(Effect.provide(stores))
  }).pipe(Effect.scoped, Effect.orDie)
