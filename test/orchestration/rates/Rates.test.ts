/**
 * Quotes from sources that fail: which tier answers, what is asked how often, and what nobody waits for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as Quote from "../../../src/domain/rates/Quote.ts"
import * as Conversion from "../../../src/domain/rates/Conversion.ts"
import * as Rate from "../../../src/domain/rates/Rate.ts"
import * as RateTable from "../../../src/domain/rates/RateTable.ts"
import * as MemoryRateCache from "../../../src/layers/memory/rates/RateCache.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import * as Rates from "../../../src/orchestration/rates/Rates.ts"
import * as RatesProbe from "../../../src/orchestration/rates/RatesProbe.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import * as Dependencies from "../../../src/orchestration/resilience/dependency/Dependencies.ts"
import { FxRates } from "../../../src/services/rates/FxRates.ts"
import { RateCache, RateCacheUnavailable } from "../../../src/services/rates/RateCache.ts"
import { type RateSource, RateSourceFailed, type RateSourceProblem } from "../../../src/services/rates/RateSource.ts"
import * as TestMetrics from "../../support/metrics.ts"
import { chargeRequest, engine, testGateway } from "../../support/TestEngine.ts"

const [eur, usd, jpy] = ["EUR", "USD", "JPY"].map((code) => CurrencyCode.make(code)) as [CurrencyCode, CurrencyCode, CurrencyCode]
const pair = { from: eur, to: usd }
const minute = 60_000
const named = (source: string) => RateTable.SourceName.make(source)

/** A source that a test turns on and off. */
interface TestSource extends RateSource {
  calls: number
  rate: string
  /** Milliseconds until it answers. */
  takes: number
  problem: RateSourceProblem | undefined
}

const sourceOf = (name: string, perBase = false): TestSource => {
  const source: TestSource = {
    name: named(name),
    answerOf: ({ from }) => (perBase ? from : ""),
    calls: 0,
    rate: "1.1",
    takes: 100,
    problem: undefined,
    fetch: ({ from }) =>
      Effect.suspend(() => {
        source.calls++
        const { name, problem, rate, takes } = source
        const answer =
          problem === undefined
            ? Effect.succeed(RateTable.make({ base: perBase ? from : eur, decimals: { USD: rate, EUR: "0.9" } }))
            : Effect.fail(new RateSourceFailed({ source: name, problem, detail: `it is ${problem}` }))
        return Effect.delay(answer, takes)
      })
  }
  return source
}

const conservative: Quote.ConservativeRate = { rate: Result.getOrThrow(Rate.parse(pair, "1.01")), since: -86_400_000 }

const layerOf = (
  sources: ReadonlyArray<RateSource>,
  options: Partial<Rates.RatesOptions> & { readonly cache?: Layer.Layer<RateCache> } = {}
) =>
  Rates.layer({ sources, ...options }).pipe(
    Layer.provideMerge(
      Layer.merge(
        options.cache ?? MemoryRateCache.layer,
        CircuitBreakers.layer({ byName: Rates.breakers(sources.map(({ name }) => name)) })
      )
    )
  )

const quote = (of: Rate.Pair = pair) => Effect.flatMap(FxRates, (rates) => rates.quote(of))

/** The result, with as much time as it needs. */
const settled = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(100)
    return yield* Fiber.join(fiber)
  })

const tierAfter = (millis: number) => Effect.andThen(TestClock.adjust(millis), settled(quote()))

describe("tiers", () => {
  it.effect("fetched, kept and sliding, fetched again at 15 min, kept up to 2 h where the source is away, configured after that", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      assert.deepInclude(yield* settled(quote()), { tier: "primary", source: named("a"), ageMillis: 0 })
      for (const minutes of [4, 8, 12]) {
        assert.deepInclude(yield* tierAfter(4 * minute), { tier: "primary", ageMillis: minutes * minute })
      }
      assert.strictEqual(source.calls, 1)
      source.rate = "1.2"
      assert.deepInclude(yield* tierAfter(4 * minute), { tier: "primary", ageMillis: 0 })
      assert.strictEqual(source.calls, 2)
      source.problem = "refused"
      // Not asked for during 6 min: it is not warm any more, and the source is asked in vain.
      const stale = yield* tierAfter(6 * minute)
      assert.deepInclude(stale, { tier: "emergency", source: named("a") })
      assert.strictEqual(Rate.format(stale.rate), "1.2")
      assert.isTrue(stale.ageMillis >= 6 * minute && stale.ageMillis < 7 * minute, String(stale.ageMillis))
      const oldest = yield* tierAfter(113 * minute)
      assert.deepInclude(oldest, { tier: "emergency" })
      assert.isAtMost(oldest.ageMillis, 7_200_000)
      const configured = yield* tierAfter(2 * minute)
      assert.deepInclude(configured, { tier: "conservative", source: named("configuration"), rate: conservative.rate })
      assert.isAtLeast(configured.ageMillis, 86_400_000)
      source.problem = undefined
      assert.deepInclude(yield* tierAfter(2 * minute), { tier: "primary", ageMillis: 0 })
    }).pipe(Effect.provide(layerOf([source], { conservative: [conservative] })))
  })

  it.effect("without a configured rate it is refused, and the refusal says what every source said", () => {
    const [one, two] = [sourceOf("one"), sourceOf("two")]
    one.problem = "outdated"
    two.problem = "refused"
    return Effect.gen(function* () {
      const error = yield* Effect.flip(settled(quote()))
      assert.deepStrictEqual(error.problems, ["one: it is outdated", "two: it is refused"])
      assert.include(error.message, "from EUR to USD")
      one.problem = undefined
      two.problem = undefined
      const missing = yield* Effect.flip(settled(quote({ from: eur, to: jpy })))
      assert.deepStrictEqual(missing.problems, ["one: it has no rate for this pair", "two: it has no rate for this pair"])
    }).pipe(Effect.provide(layerOf([one, two])))
  })

  it.effect("a currency in itself asks nobody", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      assert.deepInclude(yield* quote({ from: eur, to: eur }), { tier: "same_currency", ageMillis: 0 })
      assert.strictEqual(source.calls, 0)
    }).pipe(Effect.provide(layerOf([source])))
  })

  it.effect("of two sources the first that answers is taken, and what the second said is kept as well", () => {
    const [one, two] = [sourceOf("one"), sourceOf("two")]
    one.problem = "unreadable"
    return Effect.gen(function* () {
      assert.deepInclude(yield* settled(quote()), { tier: "primary", source: named("two") })
      assert.deepInclude(yield* tierAfter(minute), { tier: "primary", source: named("two"), ageMillis: minute })
      assert.deepStrictEqual([one.calls, two.calls], [1, 1])
    }).pipe(Effect.provide(layerOf([one, two])))
  })

  it.effect("tiers, ages and fetches are counted", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      yield* settled(quote())
      yield* tierAfter(minute)
      source.problem = "refused"
      yield* tierAfter(10 * minute)
      yield* quote({ from: usd, to: usd })
      yield* Effect.flip(settled(quote({ from: jpy, to: usd })))
      assert.deepStrictEqual(yield* TestMetrics.countsOf("aegispay_rate_quotes_total"), {
        primary: 2,
        emergency: 1,
        same_currency: 1,
        none: 1
      })
      assert.deepStrictEqual(yield* TestMetrics.countsOf("aegispay_rate_fetches_total"), { "succeeded a": 1, "failed a": 2 })
      assert.deepStrictEqual(yield* TestMetrics.countsOf("aegispay_rate_quote_age_milliseconds"), { primary: 2, emergency: 1 })
    }).pipe(Effect.provide(layerOf([source])), TestMetrics.alone)
  })
})

describe("asking", () => {
  it.effect("concurrent misses fetch once, and all have the answer", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      const quotes = yield* settled(
        Effect.all(
          Array.from({ length: 50 }, (_, nth) => Effect.delay(quote(nth % 2 === 0 ? pair : { from: usd, to: eur }), nth)),
          { concurrency: "unbounded" }
        )
      )
      assert.lengthOf(quotes, 50)
      assert.strictEqual(source.calls, 1)
      assert.deepStrictEqual(quotes[1]?.rate, Rate.inverse(quotes[0]!.rate))
    }).pipe(Effect.provide(layerOf([source])))
  })

  it.effect("who read that nothing is kept just before something was finds it, and does not fetch again", () => {
    const source = sourceOf("a")
    // An answer of this cache is as of when it was asked, and takes 100 ms.
    const slow = Layer.effect(
      RateCache,
      Effect.map(RateCache, (cache) => ({ ...cache, read: (key) => Effect.tap(cache.read(key), () => Effect.sleep(100)) }))
    ).pipe(Layer.provide(MemoryRateCache.layer))
    return Effect.gen(function* () {
      // The first one reads twice and fetches, until 300 ms.
      const late = Effect.delay(quote(), 250)
      for (const given of yield* settled(Effect.all([quote(), late], { concurrency: "unbounded" })))
        assert.strictEqual(given.tier, "primary")
      assert.strictEqual(source.calls, 1)
    }).pipe(Effect.provide(layerOf([source], { cache: slow })))
  })

  it.effect("answers of different bases are fetched and kept apart", () => {
    const source = sourceOf("a", true)
    return Effect.gen(function* () {
      yield* settled(Effect.all([quote(pair), quote({ from: usd, to: eur })], { concurrency: "unbounded" }))
      assert.strictEqual(source.calls, 2)
      assert.strictEqual(Rate.format((yield* quote({ from: usd, to: eur })).rate), "0.9")
    }).pipe(Effect.provide(layerOf([source])))
  })

  it.effect("who gives up waiting takes nothing from the others, and what comes is kept", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      const [first, second] = [
        yield* Effect.forkChild(quote(), { startImmediately: true }),
        yield* Effect.forkChild(quote(), { startImmediately: true })
      ]
      yield* TestClock.adjust(50)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust(50)
      assert.deepInclude(yield* Fiber.join(second), { tier: "primary" })
      const third = yield* Effect.forkChild(quote(), { startImmediately: true })
      assert.deepInclude(yield* Fiber.join(third), { tier: "primary" })
      assert.strictEqual(source.calls, 1)
    }).pipe(Effect.provide(layerOf([source])))
  })

  it.effect("what may go better is tried again 3 times, what will not is not", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      for (const [problem, calls] of [
        ["overloaded", 4],
        ["refused", 1]
      ] as const) {
        source.calls = 0
        source.problem = problem
        yield* Effect.flip(settled(quote()))
        assert.strictEqual(source.calls, calls, problem)
        yield* TestClock.adjust(2 * minute)
      }
    }).pipe(Effect.provide(layerOf([source])), Random.withSeed(1))
  })

  it.effect("5 failures open the breaker for 1 min: nobody is asked, and the next source is", () => {
    const [one, two] = [sourceOf("one", true), sourceOf("two", true)]
    one.problem = "overloaded"
    return Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const states = Effect.map(breakers.list, (all) => all.map(({ name, state }) => `${name} ${state}`))
      yield* settled(quote())
      assert.strictEqual(one.calls, 4)
      // Another base is another answer: the fifth failure opens it, and ends the retries.
      yield* settled(quote({ from: usd, to: eur }))
      assert.strictEqual(one.calls, 5)
      assert.deepStrictEqual(yield* states, ["rates-one open", "rates-two closed"])
      yield* settled(quote({ from: jpy, to: eur }))
      assert.strictEqual(one.calls, 5)
      assert.strictEqual(two.calls, 3)
      one.problem = undefined
      yield* TestClock.adjust(6 * minute)
      assert.deepInclude(yield* settled(quote()), { tier: "primary", source: named("one"), ageMillis: 0 })
    }).pipe(Effect.provide(layerOf([one, two])), Random.withSeed(1))
  })

  it.effect("a source that hangs is given up, and asked for no longer than its time", () => {
    const [one, two] = [sourceOf("one"), sourceOf("two")]
    one.takes = 60_000
    return Effect.gen(function* () {
      const [duration, given] = yield* settled(Effect.timed(quote()))
      assert.deepInclude(given, { source: named("two") })
      // Two attempts of 2 s with 200 ms between them; a third would start after 4 s.
      assert.strictEqual(one.calls, 2)
      assert.isTrue(Duration.toMillis(duration) >= 4_200 && Duration.toMillis(duration) < 4_600, String(duration))
    }).pipe(Effect.provide(layerOf([one, two])), Random.withSeed(1))
  })

  it.effect("nobody waits longer than the limit; the sources go on for those who come after", () => {
    const source = sourceOf("a")
    source.takes = 1_500
    return Effect.gen(function* () {
      const waiting = yield* Effect.forkChild(quote(), { startImmediately: true })
      yield* TestClock.adjust(1_000)
      assert.deepInclude(yield* Fiber.join(waiting), { tier: "conservative" })
      yield* TestClock.adjust(500)
      assert.deepInclude(yield* settled(quote()), { tier: "primary" })
      assert.strictEqual(source.calls, 1)
    }).pipe(Effect.provide(layerOf([source], { conservative: [conservative], waitMillis: 1_000 })))
  })
})

describe("a cache that is away", () => {
  const away = Layer.succeed(
    RateCache,
    RateCache.of({
      read: () => Effect.fail(new RateCacheUnavailable({ operation: "read", cause: new Error("away") })),
      write: () => Effect.never
    })
  )

  it.effect("is stood in for by what this process fetched, without sliding", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      yield* settled(quote())
      assert.deepInclude(yield* tierAfter(4 * minute), { tier: "primary" })
      assert.strictEqual(source.calls, 1)
      yield* tierAfter(2 * minute)
      assert.strictEqual(source.calls, 2)
      source.problem = "refused"
      assert.deepInclude(yield* tierAfter(6 * minute), { tier: "emergency" })
    }).pipe(Effect.provide(layerOf([source], { cache: away })))
  })
})

describe("converting", () => {
  it.effect("an amount by a quote, rounded as asked, with the quote", () =>
    Effect.gen(function* () {
      const rates = yield* FxRates
      const money = { currency: eur, minor: 995n }
      const { money: nearest, quote: given } = yield* settled(rates.convert(money, usd))
      assert.deepStrictEqual(nearest, { currency: usd, minor: 1_095n })
      assert.deepInclude(given, { tier: "primary", source: named("a") })
      assert.strictEqual((yield* rates.convert(money, usd, "down")).money.minor, 1_094n)
      assert.strictEqual((yield* Effect.flip(rates.convert({ currency: eur, minor: 10n ** 18n }, usd)))._tag, "AmountOutOfRange")
    }).pipe(Effect.provide(layerOf([sourceOf("a")])))
  )
})

describe("a payment charged in another currency", () => {
  const shown = { currency: eur, minor: 4_990n }

  it.effect("stores its quote in its first event, and the quote is read back from its history", () =>
    Effect.gen(function* () {
      const { money, quote: given } = yield* settled(Effect.flatMap(FxRates, (rates) => rates.convert(shown, usd)))
      const payments = yield* Payments
      const request = chargeRequest("order-1", { amount: money, metadata: { order: "1", ...Quote.toMetadata(given, shown) } })
      const { payment } = yield* payments.charge(request)
      assert.deepInclude(payment, { status: "succeeded", amount: 5_489, currency: usd })
      const [first] = yield* payments.history({ id: payment.id, tenant: request.tenant })
      if (first?.event._tag !== "PaymentInitiated") return assert.fail("the first event is another one")
      const stored = Quote.fromMetadata(first.event.details.metadata)
      assert.deepStrictEqual(stored, { quote: given, exchanged: shown })
      assert.deepStrictEqual(Result.getOrThrow(Conversion.convert(shown, given.rate)), first.event.details.amount)
    }).pipe(Effect.provide(Layer.merge(layerOf([sourceOf("a")]), engine([testGateway("a")]))))
  )
})

describe("rates as a dependency", () => {
  it.effect("are degraded while they are not primary, and asked for past the cache in order to recover", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      const dependencies = yield* Dependencies.Dependencies
      const level = dependencies.level("rates")
      yield* dependencies.register(RatesProbe.make(yield* FxRates, pair))
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* level, "healthy")
      source.problem = "refused"
      // Checks every 30 s keep it warm; at 15 min it is to be fetched again, and at 2 h there is nothing to give.
      yield* TestClock.adjust(17 * minute)
      assert.strictEqual(yield* level, "degraded")
      yield* TestClock.adjust(110 * minute)
      assert.strictEqual(yield* level, "critical")
      const before = source.calls
      source.problem = undefined
      yield* TestClock.adjust(3 * minute)
      assert.isAbove(source.calls, before)
      assert.strictEqual(yield* level, "healthy")
      assert.deepInclude(yield* TestMetrics.countsOf("aegispay_dependency_recoveries_total"), { "rates done": 1 })
    }).pipe(Effect.provide(Layer.merge(layerOf([source]), Dependencies.layer)), TestMetrics.alone)
  })

  it.effect("a refresh asks though what is kept is young, and what it brings is kept", () => {
    const source = sourceOf("a")
    return Effect.gen(function* () {
      const rates = yield* FxRates
      yield* settled(rates.quote(pair))
      source.rate = "1.3"
      assert.strictEqual(Rate.format((yield* settled(rates.refresh(pair))).rate), "1.3")
      assert.strictEqual(Rate.format((yield* rates.quote(pair)).rate), "1.3")
      assert.strictEqual(source.calls, 2)
      source.problem = "refused"
      assert.deepInclude(yield* settled(rates.refresh(pair)), { tier: "emergency" })
      assert.deepInclude(yield* rates.quote(pair), { tier: "primary" })
    }).pipe(Effect.provide(layerOf([source])))
  })
})
