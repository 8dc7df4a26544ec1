/**
 * `limiter`: what a check of rate limits costs inside a fiber, beside rate-limiter-flexible, limiter and effect's own, and what many keys leave
 * in memory.
 *
 * All ask for one of a thousand keys in turn, and all are allowed, but for the refusals. Ours and effect's run inside one fiber; the
 * peers in an async loop, where they belong. limiter counts one key per object, so it has a thousand objects; its `tryRemoveTokens` is a plain
 * function call. Metrics are on: ours are read on export, so a check pays nothing for them. The aim is 300 ns, at best 150.
 *
 * Memory is measured once, after full collections: of ten times as many distinct keys as `--payments` says, each asked once.
 *
 * The peers are installed with `npm install --prefix scripts/bench/peers`; without them their cases are left out.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as EffectLimiter from "effect/persistence/RateLimiter"
import { createRequire } from "node:module"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Presets from "../../../src/domain/Presets.ts"
import { type Algorithm, algorithms, type RateLimit } from "../../../src/domain/resilience/RateLimit.ts"
import * as Check from "../../../src/domain/resilience/RateLimitCheck.ts"
import * as State from "../../../src/domain/resilience/RateLimitState.ts"
import * as MemoryRateLimitStore from "../../../src/layers/memory/resilience/RateLimitStore.ts"
import * as RateLimiter from "../../../src/orchestration/resilience/RateLimiter.ts"
import { RateLimitStore } from "../../../src/services/resilience/RateLimitStore.ts"
import { alternate, type Case, type Options, progress, ratioOf, type Report, resultsOf, type Sample } from "../Harness.ts"

const aimNanos = 300

const windowMillis = 60_000
/** More than any measurement asks for. */
const plenty = 1_000_000
const limitOf = (algorithm: Algorithm, limit: number): RateLimit => ({
  name: `${algorithm}.${limit}`,
  scope: "ip",
  algorithm,
  limit,
  windowMillis,
  burst: 0
})

const keys = Array.from({ length: 1_000 }, (_, index) => `203.0.${index >> 8}.${index & 255}`)
/** Distinct keys of the measurement of memory for each payment of the options. */
const keysPerPayment = 10

/**
 * How long a part of a measurement is, and how many there are at most. The fastest counts: on a shared machine the others were interrupted; one
 * lasts less than a time slice.
 */
const partSeconds = 0.0015
const maxParts = 200
const partsOf = (seconds: number): number => Math.max(1, Math.min(maxParts, Math.round(seconds / partSeconds)))
const asksPerTurn = 1_000

/** Times parts of a measurement and keeps the fastest, in nanoseconds each. */
const timing = (seconds: number) => {
  let fastest = Number.POSITIVE_INFINITY
  let started = 0
  let count = 0
  return {
    begin: () => {
      started = performance.now()
      count = 0
    },
    /** A turn is over; is the part? */
    isOver: () => {
      count += asksPerTurn
      return performance.now() - started >= (seconds * 1000) / partsOf(seconds)
    },
    end: () => {
      fastest = Math.min(fastest, ((performance.now() - started) * 1e6) / count)
    },
    sample: (): Sample => ({ "ns per check": fastest })
  }
}

/** Asks for one key after the other in the calling fiber. */
const inFiber = Effect.fnUntraced(function* <E>(seconds: number, one: (index: number) => Effect.Effect<unknown, E>) {
  const time = timing(seconds)
  for (let part = 0; part < partsOf(seconds); part++) {
    time.begin()
    do {
      for (let index = 0; index < asksPerTurn; index++) yield* one(index)
    } while (!time.isOver())
    time.end()
  }
  return time.sample()
})

/** The same for a promise in an async loop. */
const inAsync = (seconds: number, one: (index: number) => Promise<unknown>): Effect.Effect<Sample> =>
  Effect.promise(async () => {
    const time = timing(seconds)
    for (let part = 0; part < partsOf(seconds); part++) {
      time.begin()
      do {
        for (let index = 0; index < asksPerTurn; index++) await one(index)
      } while (!time.isOver())
      time.end()
    }
    return time.sample()
  })

/** The same for a plain function. */
const plain = (seconds: number, one: (index: number) => unknown): Effect.Effect<Sample> =>
  Effect.sync(() => {
    const time = timing(seconds)
    for (let part = 0; part < partsOf(seconds); part++) {
      time.begin()
      do {
        for (let index = 0; index < asksPerTurn; index++) one(index)
      } while (!time.isOver())
      time.end()
    }
    return time.sample()
  })

const at = <A>(list: ReadonlyArray<A>, index: number): A => list[index % list.length] as A

const ownCases = Effect.fnUntraced(function* (seconds: number) {
  const limiter = yield* RateLimiter.RateLimiter
  const theirs = yield* EffectLimiter.RateLimiter
  const questions = keys.map((key) => [key])
  const states = keys.map(() => [State.make()])
  const all = algorithms.map((algorithm) => limitOf(algorithm, plenty))
  const ofAll = keys.map((key, index) => [key, `customer-${index}`, "everybody"])
  const bucket = [limitOf("token_bucket", plenty)]
  const used = [limitOf("token_bucket", 1)]
  yield* Effect.orDie(Effect.forEach(questions, (question) => limiter.check(used, question), { discard: true }))
  const effects = (algorithm: "token-bucket" | "fixed-window") =>
    inFiber(seconds, (index) => theirs.consume({ algorithm, key: at(keys, index), limit: plenty, window: windowMillis }))
  let now = 1_700_000_000_000
  return [
    { name: "nothing, fiber", measure: inFiber(seconds, () => Effect.succeed(1)) },
    { name: "nothing, async", measure: inAsync(seconds, () => Promise.resolve(1)) },
    {
      name: "arithmetic alone, token_bucket",
      measure: plain(seconds, (index) => Check.take(bucket, at(states, index), { cost: 1, now: now++ }))
    },
    ...all.map((limit): Case => {
      const limits = [limit]
      return {
        name: `check, ${limit.algorithm}`,
        measure: Effect.orDie(inFiber(seconds, (index) => limiter.check(limits, at(questions, index))))
      }
    }),
    { name: "check, all three at once", measure: Effect.orDie(inFiber(seconds, (index) => limiter.check(all, at(ofAll, index)))) },
    { name: "check, refused", measure: Effect.orDie(inFiber(seconds, (index) => limiter.check(used, at(questions, index)))) },
    { name: "effect RateLimiter, token bucket", measure: Effect.orDie(effects("token-bucket")) },
    { name: "effect RateLimiter, fixed window", measure: Effect.orDie(effects("fixed-window")) }
  ] satisfies ReadonlyArray<Case>
})

/** What of the peers is used. */
interface Peers {
  readonly flexible: {
    readonly RateLimiterMemory: new (options: object) => { readonly consume: (key: string, points: number) => Promise<unknown> }
  }
  readonly limiter: {
    readonly RateLimiter: new (options: object) => {
      readonly removeTokens: (count: number) => Promise<unknown>
      readonly tryRemoveTokens: (count: number) => boolean
    }
  }
}

const load = (): Peers | undefined => {
  const from = createRequire(new URL("../peers/package.json", import.meta.url))
  try {
    return { flexible: from("rate-limiter-flexible") as Peers["flexible"], limiter: from("limiter") as Peers["limiter"] }
  } catch {
    return undefined
  }
}

const peerCases = ({ flexible, limiter }: Peers, seconds: number): ReadonlyArray<Case> => {
  const memory = new flexible.RateLimiterMemory({ points: plenty, duration: windowMillis / 1000 })
  const used = new flexible.RateLimiterMemory({ points: 1, duration: 1_000_000 })
  const buckets = keys.map(() => new limiter.RateLimiter({ tokensPerInterval: plenty, interval: windowMillis }))
  return [
    { name: "rate-limiter-flexible, memory", measure: inAsync(seconds, (index) => memory.consume(at(keys, index), 1)) },
    {
      name: "rate-limiter-flexible, refused",
      measure: inAsync(seconds, (index) => used.consume(at(keys, index), 1).catch(() => undefined))
    },
    { name: "limiter, removeTokens", measure: inAsync(seconds, (index) => at(buckets, index).removeTokens(1)) },
    { name: "limiter, tryRemoveTokens", measure: plain(seconds, (index) => at(buckets, index).tryRemoveTokens(1)) }
  ]
}

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** Collections for one size at the most. */
const maxCollections = 10

/** Bytes in use when another full collection finds nothing more, those outside of the heap included: a store packs its numbers there. */
const bytesInUse: Effect.Effect<number> = Effect.gen(function* () {
  let bytes = Number.POSITIVE_INFINITY
  for (let collections = 0; collections < maxCollections; collections++) {
    yield* Effect.sleep("20 millis")
    collect()
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    if (heapUsed + arrayBuffers >= bytes) return bytes
    bytes = heapUsed + arrayBuffers
  }
  return bytes
})

/** Asks a store of its own once for each of so many distinct keys; answers the store, so that it is not collected, and how long a key took. */
const fill = Effect.fnUntraced(function* (algorithm: Algorithm, count: number) {
  const limits = [limitOf(algorithm, 10)]
  const store = Context.get(yield* Layer.build(Layer.fresh(MemoryRateLimitStore.layer)), RateLimitStore)
  const started = performance.now()
  // A thousand new keys a millisecond: as many as fit have used something of their limit.
  for (let index = 0; index < count; index++) {
    store.takeUnsafe?.({ limits, keys: [`198.51.100.${index}`], cost: 1 }, 1_700_000_000_000 + Math.floor(index / 1_000))
  }
  return { store, nanosEach: ((performance.now() - started) * 1e6) / count }
})

/** The memory that a store holds after so many distinct keys. */
const memoryOf = (algorithm: Algorithm, count: number): Effect.Effect<string> =>
  Effect.gen(function* () {
    const before = yield* bytesInUse
    const { nanosEach, store } = yield* fill(algorithm, count)
    const megabytes = ((yield* bytesInUse) - before) / 2 ** 20
    yield* store.blocked.pipe(Effect.ignore)
    return `${megabytes.toFixed(1)} MB, ${nanosEach.toFixed(0)} ns each`
  }).pipe(Effect.scoped)

const layers = Layer.merge(
  RateLimiter.layer.pipe(Layer.provide(MemoryRateLimitStore.layer)),
  EffectLimiter.layer.pipe(Layer.provide(EffectLimiter.layerStoreMemory))
)

/** Runs the workload. */
export const run = ({ only, payments, rounds, seconds }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const count = payments * keysPerPayment
    const peers = load()
    const heaps: Record<string, string> = {}
    for (const algorithm of algorithms) {
      yield* progress(`limiter: ${count} distinct keys, ${algorithm}`)
      heaps[`memory after ${count} distinct keys, ${algorithm}`] = yield* memoryOf(algorithm, count)
    }
    const cases = [...(yield* ownCases(seconds / 4)), ...(peers === undefined ? [] : peerCases(peers, seconds / 4))].filter(({ name }) =>
      name.includes(only)
    )
    const samples = yield* alternate("limiter", cases, rounds)
    const over = ["rate-limiter-flexible, memory", "limiter, removeTokens", "limiter, tryRemoveTokens", "effect RateLimiter, token bucket"]
    const of = "check, token_bucket"
    return {
      workload: "limiter",
      facts: {
        aim: `${aimNanos} ns per check inside a fiber`,
        numbers: `the fastest of ${partsOf(seconds / 4)} parts of each measurement`,
        "bound of the store": `${Presets.rateLimits.maxKeys.value} keys`,
        ...heaps
      },
      cases: resultsOf(samples),
      ratios: over
        .filter((peer) => samples.has(peer) && samples.has(of))
        .map((peer) => ratioOf(samples, { name: `ns per check: token_bucket / ${peer}`, of, over: peer, number: "ns per check" })),
      notes: peers === undefined ? ["The peers are not installed: npm install --prefix scripts/bench/peers."] : []
    } satisfies Report
  }).pipe(Effect.provide(layers), Effect.scoped)
