/**
 * Payments that wait for their gateway, all at once: what each takes of this process meanwhile.
 *
 * The stores are on Postgres, so that the heap holds what is under way and nothing else. The gateway answers nobody until all have been
 * measured; limits and time limits are raised so far that nobody is refused or given up.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { defaults } from "../../../src/services/Settings.ts"
import type * as Database from "../engine/Database.ts"
import * as Engine from "../engine/Engine.ts"
import { type CaseResult, progress, spreadOf } from "../Harness.ts"
import { heapBytes } from "./Heap.ts"
import * as Subject from "../engine/Subject.ts"

/** Payments before the first size is taken: code is compiled, connections are open. */
const warmUpPayments = 2_000
const warmUpConcurrency = 64

const pollEvery = "10 millis"
const anHour = 3_600_000

const megabytes = (bytes: number) => bytes / 2 ** 20
const one = (value: number) => spreadOf([value])

/** Parks that many payments and measures; then all of them have to succeed. */
export const measure = Effect.fnUntraced(function* (server: Database.Server, count: number) {
  const latch = yield* Latch.make(true)
  const gate = { waiting: 0 }
  const gateways = Effect.map(Engine.instantGateways, (all) =>
    all.map((gateway) => ({
      ...Engine.settlingFor(gateway, anHour),
      send: (request: Parameters<typeof gateway.send>[0]) =>
        Effect.suspend(() => {
          gate.waiting++
          return latch.whenOpen(gateway.send(request))
        })
    }))
  )
  const database = yield* server.create
  const engine = yield* Engine.build(Layer.provide(Subject.postgresStores, server.connect(database)), gateways, {
    attemptTimeoutMillis: anHour,
    sendWindowMillis: anHour,
    bulkhead: { concurrency: count, queue: count, maxWaitMillis: anHour },
    breakers: { ...defaults.breakers, settings: { ...defaults.breakers.settings, slowCallMillis: anHour } }
  })
  const warmUp = Array.from({ length: Math.min(count, warmUpPayments) }, () => Engine.chargeOne(engine))
  yield* Effect.all(warmUp, { concurrency: warmUpConcurrency, discard: true })
  const [heapBefore, rssBefore] = [yield* heapBytes, process.memoryUsage().rss]
  yield* latch.close
  gate.waiting = 0
  const charging = yield* Effect.forEach(Array.from({ length: count }), () => Effect.forkChild(Engine.chargeOne(engine)))
  while (gate.waiting < count) yield* Effect.sleep(pollEvery)
  const peak = process.memoryUsage().rss
  const [heap, rss] = [yield* heapBytes, process.memoryUsage().rss]
  yield* progress(`memory: ${count} payments wait for their gateway`)
  yield* latch.open
  yield* Effect.forEach(charging, (fiber) => Fiber.join(fiber), { discard: true })
  const after = yield* heapBytes
  return {
    name: `${count} in flight, Postgres`,
    numbers: {
      "bytes per payment": one((heap - heapBefore) / count),
      "RSS MB": one(megabytes(rss)),
      "RSS MB when all had come": one(megabytes(peak)),
      "RSS MB before": one(megabytes(rssBefore)),
      "heap kept MB": one(megabytes(after - heapBefore))
    }
  } satisfies CaseResult
}, Effect.scoped)
