/**
 * `sketch`: what recording a gateway's call and asking about it cost, beside hdr-histogram-js.
 *
 * The aims are 20 ns for adding to a sketch and 0.6 us for a quantile inside a fiber. Every case sees the same durations, log-normal around
 * 400 ms. hdr-histogram-js (in JavaScript and in WebAssembly, two significant digits, and one, which has bins of our width) is a histogram only; `window` is ours with the rolling hour, verdicts
 * and approvals. What routing reads is measured through the service: ten gateways for one segment, unchanged and with a call recorded
 * at each in between, with a thousand calls recorded and after ten million (`--calls`).
 *
 * The peers are installed with `npm install --prefix scripts/bench/peers`; without them their cases are left out.
 */
import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as GatewayWindow from "../../../src/domain/routing/GatewayWindow.ts"
import * as Segment from "../../../src/domain/routing/Segment.ts"
import * as Sketch from "../../../src/domain/routing/Sketch.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import { alternate, type Case, type Options, progress, ratioOf, type Report, resultsOf, type Sample } from "../Harness.ts"

const aims = { addNanos: 20, quantileMicros: 0.6, decisionMicros: 3 }

/** Log-normal durations from a fixed seed (mulberry32, Box-Muller). */
const durations = ((): Float64Array => {
  let state = 1
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return Float64Array.from({ length: 4096 }, () => Math.max(1, 400 * Math.exp(0.6 * normal())))
})()

/** Something that takes durations and tells quantiles. */
interface Subject {
  readonly add: (durationMillis: number) => void
  readonly quantile: (q: number) => number
}

const sketch = (): Subject => {
  const counts = Sketch.make()
  return { add: (durationMillis) => Sketch.add(counts, Sketch.binOf(durationMillis)), quantile: (q) => Sketch.quantile(counts, q) }
}

const window = (): Subject => {
  const calls = GatewayWindow.make(GatewayWindow.byMinute)
  const sample = { verdict: "healthy" as const, approval: "approved" as const, durationMillis: 0 }
  let now = 1_700_000_000_000
  return {
    add: (durationMillis) => {
      sample.durationMillis = durationMillis
      // A thousand calls a second: the window turns as it does in service.
      GatewayWindow.record(calls, sample, now++)
    },
    quantile: (q) => GatewayWindow.quantile(calls, q, now)
  }
}

/** What of hdr-histogram-js is used. */
interface HdrModule {
  readonly initWebAssembly: () => Promise<void>
  readonly build: (options: object) => {
    readonly recordValue: (value: number) => void
    readonly getValueAtPercentile: (percentile: number) => number
  }
}

const peers = ((): HdrModule | undefined => {
  try {
    return createRequire(new URL("../peers/package.json", import.meta.url))("hdr-histogram-js") as HdrModule
  } catch {
    return undefined
  }
})()

const hdr = ({ build }: HdrModule, useWebAssembly: boolean, digits: number): Subject => {
  const histogram = build({
    useWebAssembly,
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000,
    numberOfSignificantValueDigits: digits
  })
  return {
    add: (durationMillis) => histogram.recordValue(Math.round(durationMillis)),
    quantile: (q) => histogram.getValueAtPercentile(q * 100)
  }
}

/** What was measured is used, so that none of it is optimised away. */
let used = 0

/** How many parts a measurement has. The fastest counts: on a shared machine the others were interrupted more often. */
const parts = 20

const nanosOf = (seconds: number, each: number, work: () => void): number => {
  let fastest = Number.POSITIVE_INFINITY
  for (let part = 0; part < parts; part++) {
    const started = performance.now()
    let count = 0
    do {
      work()
      count += each
    } while (performance.now() - started < (seconds * 1000) / parts)
    fastest = Math.min(fastest, ((performance.now() - started) * 1e6) / count)
  }
  return fastest
}

const exactQuantile = (q: number): number => durations.toSorted()[Math.ceil(q * durations.length) - 1] ?? Number.NaN

const measure = (subject: Subject, seconds: number): Sample => {
  const addNanos = nanosOf(seconds, durations.length, () => {
    for (const duration of durations) subject.add(duration)
  })
  const quantileNanos = nanosOf(seconds / 4, 1000, () => {
    for (let times = 0; times < 1000; times++) used += subject.quantile(0.99)
  })
  const errors = [0.5, 0.95, 0.99].map((q) => Math.abs(subject.quantile(q) / exactQuantile(q) - 1))
  return { "add ns": addNanos, "q99 us": quantileNanos / 1000, "error %": Math.max(...errors) * 100 }
}

const gateways = Array.from({ length: 10 }, (_, index) => GatewayName.make(`gateway-${index}`))
const segment: Segment.Segment = { method: "card", currency: CurrencyCode.make("EUR"), country: "DE" }
const few = 1_000

/** Through the service inside one fiber: calls recorded at ten gateways in turn, and what a decision reads of them. */
const serviceCase = Effect.fnUntraced(function* (recorded: number) {
  const metrics = yield* GatewayMetrics
  const cost = { currency: segment.currency, minor: 25 }
  const sampleAt = (index: number) => ({
    gateway: gateways[index % gateways.length] ?? GatewayName.make("none"),
    kind: "sale" as const,
    verdict: "healthy" as const,
    approval: "approved" as const,
    durationMillis: durations[index % durations.length] ?? 1,
    segment,
    cost
  })
  const samples = Array.from({ length: 10_000 }, (_, index) => sampleAt(index))
  for (let index = 0; index < recorded; index++) yield* metrics.record(samples[index % samples.length] ?? sampleAt(index))
  const recordAt = (index: number) => metrics.record(samples[index % samples.length] ?? sampleAt(index))
  /** Only `one` is measured, not what is made before it. */
  const fastest = Effect.fnUntraced(function* (
    times: number,
    one: (index: number) => Effect.Effect<unknown>,
    before?: Effect.Effect<void>
  ) {
    let least = Number.POSITIVE_INFINITY
    for (let part = 0; part < parts; part++) {
      let millis = 0
      const partStarted = performance.now()
      for (let index = 0; index < times; index++) {
        if (before === undefined) {
          yield* one(index)
          continue
        }
        yield* before
        const started = performance.now()
        yield* one(index)
        millis += performance.now() - started
      }
      least = Math.min(least, before === undefined ? performance.now() - partStarted : millis)
    }
    return (least * 1e6) / times
  })
  const first = gateways[0] ?? GatewayName.make("none")
  const asked = { segment: Segment.code(segment) }
  const read = Effect.clockWith((clock) => {
    const now = clock.currentTimeMillisUnsafe()
    return Effect.sync(() => gateways.map((gateway) => metrics.statsAt(gateway, now, asked)))
  })
  const recordAll = Effect.all(
    gateways.map((_, index) => recordAt(index)),
    { discard: true }
  )
  return Effect.gen(function* () {
    return {
      "record ns": yield* fastest(5_000, recordAt),
      "stats of 1 us": (yield* fastest(5_000, () => metrics.stats(first, segment))) / 1000,
      "stats of 1, changed us": (yield* fastest(1_000, () => metrics.stats(first, segment), recordAll)) / 1000,
      "stats of 10 us": (yield* fastest(2_000, () => read)) / 1000,
      "stats of 10, all changed us": (yield* fastest(1_000, () => read, recordAll)) / 1000
    } satisfies Sample
  })
})

/** Runs the workload. */
export const run = ({ calls: many, rounds, seconds }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const subjects: Array<readonly [string, Subject]> = [
      ["sketch", sketch()],
      ["window", window()]
    ]
    if (peers !== undefined) {
      yield* Effect.promise(() => peers.initWebAssembly())
      subjects.push(
        ["hdr-histogram-js", hdr(peers, false, 2)],
        ["hdr-histogram-js, wasm", hdr(peers, true, 2)],
        ["hdr-histogram-js, wasm, 1 digit", hdr(peers, true, 1)]
      )
    }
    const service = `service, ${few} calls`
    const serviceLater = `service, ${many} calls`
    yield* progress(`sketch: recording ${many} calls`)
    const build = (recorded: number) => serviceCase(recorded).pipe(Effect.provide(MemoryGatewayMetrics.layer, { local: true }))
    const [afterFew, afterMany] = [yield* build(few), yield* build(many)]
    const cases: ReadonlyArray<Case> = [
      ...subjects.map(([name, subject]): Case => ({ name, measure: Effect.sync(() => measure(subject, seconds / 4)) })),
      { name: service, measure: afterFew },
      { name: serviceLater, measure: afterMany }
    ]
    const samples = yield* alternate("sketch", cases, rounds)
    const ratio = (over: string, number: string) => ratioOf(samples, { name: `${number}: sketch / ${over}`, of: "sketch", over, number })
    const compared = subjects.slice(2).flatMap(([name]) => [ratio(name, "add ns"), ratio(name, "q99 us")])
    const flat = ["record ns", "stats of 10 us", "stats of 10, all changed us"].map((number) =>
      ratioOf(samples, { name: `${number}: after ${many} calls / after ${few}`, of: serviceLater, over: service, number })
    )
    return {
      workload: "sketch",
      facts: {
        aims: `add ${aims.addNanos} ns, quantile ${aims.quantileMicros} us, a decision over 10 gateways ${aims.decisionMicros} us`,
        memory: `${Sketch.bytes} bytes a sketch`,
        numbers: `the fastest of ${parts} parts of each measurement; stats and record are those of the service inside one fiber`
      },
      cases: resultsOf(samples),
      ratios: [...compared, ...flat],
      notes: [
        `error: the largest of the relative errors of p50, p95 and p99 of ${durations.length} durations.`,
        ...(peers === undefined ? ["The peers are not installed: npm install --prefix scripts/bench/peers."] : []),
        ...(Number.isFinite(used) ? [] : ["A quantile was not a number."])
      ]
    } satisfies Report
  })
