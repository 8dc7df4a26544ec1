/**
 * `memory`: payments that wait for their gateway all at once (see `InFlight.ts`); then many payments through the engine on its memory stores
 * in one process, with the heap reported on the way.
 *
 * The gateway keeps nothing, so what grows is the stores (whose growth is their purpose) or the engine (which must not grow). To tell
 * them apart the stores' tables are emptied at the end, then a quarter of the payments is made once more and the tables are emptied again:
 * what the heap has gained in between is what the engine kept. (It does not get back to its very beginning: a heap that was large stays
 * fragmented.) Every size is taken after full collections.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { MemoryStore } from "../../../src/layers/memory/MemoryStore.ts"
import * as Database from "../engine/Database.ts"
import * as Engine from "../engine/Engine.ts"
import { type Options, progress, type Report, spreadOf } from "../Harness.ts"
import { heapBytes } from "./Heap.ts"
import * as InFlight from "./InFlight.ts"

/** Payments before the first size is taken: code is compiled, metrics have their series. */
const warmUpPayments = 2000
const concurrency = 64
const steps = 4

const charge = (engine: Engine.Engine, count: number): Effect.Effect<void> => {
  let left = count
  const loop: Effect.Effect<void> = Effect.gen(function* () {
    while (left > 0) {
      left--
      yield* Engine.chargeOne(engine)
    }
  })
  return Effect.all(
    Array.from({ length: concurrency }, () => loop),
    { concurrency: "unbounded", discard: true }
  )
}

const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MB`
const one = (value: number) => spreadOf([value])

/** Runs the workload. */
export const run = ({ inFlight, payments, walMegabytes }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    // First, while the process is small: memory that a process once had it hardly gives back.
    const parked = yield* Effect.scoped(Effect.flatMap(Database.server({ walMegabytes }), (server) => InFlight.measure(server, inFlight)))
    const engine = yield* Engine.build<MemoryStore>(Engine.memoryStores, Engine.instantGateways)
    const tables = Context.get(engine.context, MemoryStore)
    const empty = (names: ReadonlyArray<keyof typeof tables>) =>
      Effect.sync(() => {
        for (const name of names) {
          const table = tables[name]
          if (Array.isArray(table)) table.length = 0
          else (table as Map<unknown, unknown>).clear()
        }
      })
    const all = Object.keys(tables) as ReadonlyArray<keyof typeof tables>
    yield* charge(engine, warmUpPayments)
    yield* empty(all)
    const baseline = yield* heapBytes
    const sizes = [{ payments: 0, bytes: baseline }]
    for (let step = 1; step <= steps; step++) {
      yield* charge(engine, Math.round((payments * step) / steps) - Math.round((payments * (step - 1)) / steps))
      sizes.push({ payments: Math.round((payments * step) / steps), bytes: yield* heapBytes })
      yield* progress(`memory: ${sizes.at(-1)?.payments} payments, heap ${megabytes(sizes.at(-1)?.bytes ?? 0)}`)
    }
    const inProgress = [...tables.payments.keys()].filter((id) => engine.background.answering(id) !== undefined).length
    const full = sizes.at(-1)?.bytes ?? Number.NaN
    yield* empty(["outbox"])
    const withoutOutbox = yield* heapBytes
    yield* empty(["claims"])
    const withoutClaims = yield* heapBytes
    yield* empty(all)
    const emptied = yield* heapBytes
    yield* progress("memory: a quarter once more, in emptied stores")
    yield* charge(engine, Math.round(payments / steps))
    yield* empty(all)
    const engineGrowth = (yield* heapBytes) - emptied
    const each = (bytes: number) => one(bytes / payments)
    const growth = sizes.slice(1).map(({ bytes }, index) => {
      const before = sizes[index]
      return (bytes - (before?.bytes ?? 0)) / (payments / steps)
    })
    return {
      workload: "memory",
      facts: Object.fromEntries(sizes.map((size) => [`heap at ${size.payments} payments`, megabytes(size.bytes)])),
      cases: [
        parked,
        { name: "heap, all", numbers: { "bytes per payment": each(full - baseline) } },
        { name: "heap, all, by quarter", numbers: { "bytes per payment": spreadOf(growth) } },
        { name: "of it the undelivered outbox", numbers: { "bytes per payment": each(full - withoutOutbox) } },
        { name: "of it the claims", numbers: { "bytes per payment": each(withoutOutbox - withoutClaims) } },
        { name: "of it events and projection", numbers: { "bytes per payment": each(withoutClaims - emptied) } },
        { name: "kept by the engine itself", numbers: { "bytes per payment": one(engineGrowth / Math.round(payments / steps)) } }
      ],
      ratios: [],
      notes: [
        `Heap with emptied stores, above its beginning: ${megabytes(emptied - baseline)}; a quarter more payments changed it by ${(engineGrowth / 1024).toFixed(0)} KB.`,
        `Payments still in progress: ${inProgress}. Outcomes not stored: ${engine.background.unstored()}. Commits: ${engine.commits.committed} of ${warmUpPayments + payments + Math.round(payments / steps)} payments.`
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
