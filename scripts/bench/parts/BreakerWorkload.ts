/**
 * `breaker`: what a circuit breaker adds to a call that succeeds at once, and what a refusal costs, beside cockatiel, opossum and effect's own.
 *
 * Ours and effect's guard an effect inside one fiber, call after call; the aim is 600 ns a call. cockatiel and opossum guard a promise in an
 * async loop, where they belong. Beside each stand the same loop and call without a breaker: what is added is the difference, taken within
 * a round. Metrics are on: ours are read on export, so a call pays nothing for them.
 *
 * The peers are installed with `npm install --prefix scripts/bench/peers`; without them their cases are left out.
 */
import * as Effect from "effect/Effect"
import * as EffectBreaker from "effect/persistence/CircuitBreaker"
import { createRequire } from "node:module"
import * as Breaker from "../../../src/domain/resilience/Breaker.ts"
import { BreakerName } from "../../../src/domain/resilience/BreakerName.ts"
import { gatewayDefault } from "../../../src/domain/resilience/BreakerSettings.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { alternate, type Case, type Options, ratioOf, type Report, resultsOf, type Sample, spreadOf } from "../Harness.ts"

const aimNanos = 600

const name = BreakerName.make("gateway-a.sale")
const refusing = BreakerName.make("gateway-b.sale")

/**
 * How long a part of a measurement is, and how many there are at most. The fastest counts: on a shared machine the others were interrupted; one
 * lasts less than a time slice.
 */
const partSeconds = 0.0015
const maxParts = 200
const partsOf = (seconds: number): number => Math.max(1, Math.min(maxParts, Math.round(seconds / partSeconds)))
const callsPerTurn = 1_000

/** Repeats an effect one after the other in the calling fiber; nanoseconds each, of the fastest part. */
const inFiber = Effect.fnUntraced(function* <E>(seconds: number, one: () => Effect.Effect<unknown, E>) {
  let fastest = Number.POSITIVE_INFINITY
  for (let part = 0; part < partsOf(seconds); part++) {
    const started = performance.now()
    let count = 0
    do {
      for (let call = 0; call < callsPerTurn; call++) yield* one()
      count += callsPerTurn
    } while (performance.now() - started < (seconds * 1000) / partsOf(seconds))
    fastest = Math.min(fastest, ((performance.now() - started) * 1e6) / count)
  }
  return { "ns per call": fastest } satisfies Sample
})

/** The same for a promise in an async loop. */
const inAsync = (seconds: number, one: () => Promise<unknown>): Effect.Effect<Sample> =>
  Effect.promise(async () => {
    let fastest = Number.POSITIVE_INFINITY
    for (let part = 0; part < partsOf(seconds); part++) {
      const started = performance.now()
      let count = 0
      do {
        for (let call = 0; call < callsPerTurn; call++) await one()
        count += callsPerTurn
      } while (performance.now() - started < (seconds * 1000) / partsOf(seconds))
      fastest = Math.min(fastest, ((performance.now() - started) * 1e6) / count)
    }
    return { "ns per call": fastest }
  })

/** The state machine alone, without a fiber. */
const alone = (seconds: number): Effect.Effect<Sample> =>
  Effect.sync(() => {
    const breaker = Breaker.make(gatewayDefault, 0)
    const ended = { verdict: "success", durationMillis: 120 } as const
    let fastest = Number.POSITIVE_INFINITY
    let now = 0
    for (let part = 0; part < partsOf(seconds); part++) {
      const started = performance.now()
      let count = 0
      do {
        for (let call = 0; call < callsPerTurn; call++) {
          const admission = Breaker.tryAcquire(breaker, now)
          if (admission._tag === "Permit") Breaker.report(admission, ended, (now += 0.5))
        }
        count += callsPerTurn
      } while (performance.now() - started < (seconds * 1000) / partsOf(seconds))
      fastest = Math.min(fastest, ((performance.now() - started) * 1e6) / count)
    }
    return { "ns per call": fastest }
  })

/** What of the peers is used. */
interface Peers {
  readonly cockatiel: {
    readonly circuitBreaker: (
      policy: unknown,
      options: object
    ) => { readonly execute: (call: () => Promise<unknown>) => Promise<unknown>; readonly isolate: () => void }
    readonly handleAll: unknown
    readonly SamplingBreaker: new (options: object) => unknown
    readonly ConsecutiveBreaker: new (threshold: number) => unknown
  }
  readonly Opossum: new (
    call: () => Promise<unknown>,
    options: object
  ) => { readonly fire: () => Promise<unknown>; readonly open: () => void; readonly shutdown: () => void }
}

/** opossum is a CommonJS module, cockatiel one of the others. */
const load = async (): Promise<Peers | undefined> => {
  const from = createRequire(new URL("../peers/package.json", import.meta.url))
  try {
    const cockatiel = (await import(from.resolve("cockatiel"))) as Peers["cockatiel"]
    return { cockatiel, Opossum: from("opossum") as Peers["Opossum"] }
  } catch {
    return undefined
  }
}

const call = () => Promise.resolve(1)
const work = Effect.succeed(1)

const peerCases = ({ Opossum, cockatiel }: Peers, seconds: number): ReadonlyArray<Case> => {
  const policy = (breaker: unknown) => cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 60_000, breaker })
  const sampling = policy(new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 60_000 }))
  const consecutive = policy(new cockatiel.ConsecutiveBreaker(5))
  const isolated = policy(new cockatiel.ConsecutiveBreaker(5))
  isolated.isolate()
  const rolling = {
    rollingCountTimeout: 60_000,
    rollingCountBuckets: 10,
    errorThresholdPercentage: 50,
    volumeThreshold: 20,
    resetTimeout: 60_000
  }
  const opossum = (options: object) => new Opossum(call, { ...rolling, ...options })
  const untimed = opossum({ timeout: false })
  const timed = opossum({ timeout: 15_000 })
  const open = opossum({ timeout: false })
  open.open()
  return [
    { name: "cockatiel, sampling", measure: inAsync(seconds, () => sampling.execute(call)) },
    { name: "cockatiel, consecutive", measure: inAsync(seconds, () => consecutive.execute(call)) },
    { name: "opossum", measure: inAsync(seconds, () => untimed.fire()) },
    { name: "opossum, with its timeout", measure: inAsync(seconds, () => timed.fire()) },
    { name: "refused: cockatiel", measure: inAsync(seconds, () => isolated.execute(call).catch(() => undefined)) },
    { name: "refused: opossum", measure: inAsync(seconds, () => open.fire().catch(() => undefined)) }
  ]
}

const ownCases = Effect.fnUntraced(function* (seconds: number) {
  const breakers = yield* CircuitBreakers.CircuitBreakers
  const theirs = yield* EffectBreaker.make({
    tripPolicy: EffectBreaker.rate({ threshold: 0.5, size: 100, minimumCalls: 20 }),
    openDuration: "1 minute"
  })
  yield* Effect.orDie(breakers.forceOpen(refusing))
  const ended = { verdict: "success", durationMillis: 120 } as const
  const acquired = () =>
    Effect.flatMap(breakers.tryAcquire(name), (admission) =>
      admission._tag === "Permit" ? breakers.report(admission, ended) : Effect.void
    )
  return [
    { name: "no breaker, fiber", measure: inFiber(seconds, () => work) },
    { name: "no breaker, async", measure: inAsync(seconds, call) },
    { name: "state machine alone", measure: alone(seconds) },
    { name: "protect", measure: Effect.orDie(inFiber(seconds, () => breakers.protect(name, work))) },
    { name: "tryAcquire and report", measure: inFiber(seconds, acquired) },
    { name: "effect CircuitBreaker", measure: Effect.orDie(inFiber(seconds, () => theirs.execute(work, { key: name }))) },
    { name: "refused: tryAcquire", measure: inFiber(seconds, () => breakers.tryAcquire(refusing)) },
    { name: "refused: protect", measure: inFiber(seconds, () => Effect.ignore(breakers.protect(refusing, work))) }
  ] satisfies ReadonlyArray<Case>
})

/** Runs the workload. */
export const run = ({ only, rounds, seconds }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const peers = yield* Effect.promise(load)
    const cases = [...(yield* ownCases(seconds / 4)), ...(peers === undefined ? [] : peerCases(peers, seconds / 4))].filter(({ name }) =>
      name.includes(only)
    )
    const samples = yield* alternate("breaker", cases, rounds)
    const added = (of: string, bare: string) => {
      const numbers = (name: string) => (samples.get(name) ?? []).map((sample) => sample["ns per call"] ?? Number.NaN)
      const without = numbers(bare)
      return numbers(of).map((value, round) => value - (without[round] ?? Number.NaN))
    }
    const results = resultsOf(samples).map((result) => {
      const bare = /^(cockatiel|opossum|refused: (cockatiel|opossum))/.test(result.name) ? "no breaker, async" : "no breaker, fiber"
      const isCompared = !result.name.startsWith("no breaker") && result.name !== "state machine alone" && samples.has(bare)
      return isCompared ? { ...result, numbers: { ...result.numbers, "added ns": spreadOf(added(result.name, bare)) } } : result
    })
    const pairs = ["effect CircuitBreaker", "cockatiel, sampling", "opossum", "opossum, with its timeout"]
    return {
      workload: "breaker",
      facts: {
        aim: `${aimNanos} ns per guarded call inside a fiber`,
        numbers: `the fastest of ${partsOf(seconds / 4)} parts of each measurement; added ns: less the same call without a breaker, round by round`
      },
      cases: results,
      ratios: pairs
        .filter((over) => samples.has(over) && samples.has("protect"))
        .map((over) => ratioOf(samples, { name: `ns per call: protect / ${over}`, of: "protect", over, number: "ns per call" })),
      notes: peers === undefined ? ["The peers are not installed: npm install --prefix scripts/bench/peers."] : []
    } satisfies Report
  }).pipe(Effect.provide([CircuitBreakers.layer({ names: [name, refusing] }), EffectBreaker.layerStoreMemory()]), Effect.scoped)
