/**
 * Exchange rates from several sources that may all fail: the program behind `FxRates`.
 *
 *     kept and young -> the sources, in their order -> kept, up to 2 h old -> configured -> RateUnavailable
 *
 * A source is asked once for all who wait for the same answer of it, retries outside its breaker and the time limit inside (docs/decisions/0001).
 * What it answers is kept, also for those who come when nobody waits any more.
 *
 * ```ts
 * const rates = Rates.layer({ sources: [yield* HttpRateSource.make({ name: "ecb", url: "https://..." })] }).pipe(
 *   Layer.provide([RateCache.layer, CircuitBreakers.layer({ byName: Rates.breakers([SourceName.make("ecb")]) })])
 * )
 * ```
 *
 * **Gotchas**: a breaker has the settings it was made with, so `breakers` belongs into the options of the registry.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Presets from "../../domain/Presets.ts"
import * as Conversion from "../../domain/rates/Conversion.ts"
import * as Quote from "../../domain/rates/Quote.ts"
import type { Pair } from "../../domain/rates/Rate.ts"
import type { FetchedRates, SourceName } from "../../domain/rates/RateTable.ts"
import { BreakerName } from "../../domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../domain/resilience/BreakerSettings.ts"
import type { ErrorClass, RetryStrategy } from "../../domain/resilience/RetryStrategy.ts"
import * as Metrics from "../../services/Metrics.ts"
import { FxRates, RateUnavailable } from "../../services/rates/FxRates.ts"
import type { RateCache } from "../../services/rates/RateCache.ts"
import { type RateSource, RateSourceFailed } from "../../services/rates/RateSource.ts"
import { BreakerOpen, CircuitBreakers } from "../resilience/CircuitBreakers.ts"
import * as Retry from "../resilience/Retry.ts"
import * as KeptRates from "./KeptRates.ts"
import * as SingleFlight from "./SingleFlight.ts"

/** Where rates come from. Times default to the presets `rates`. */
export interface RatesOptions {
  /** In the order in which they are asked; names differ. */
  readonly sources: ReadonlyArray<RateSource>
  /** Given where nothing else is. Each for its own direction alone. Default: none. */
  readonly conservative?: ReadonlyArray<Quote.ConservativeRate>
  readonly ages?: Partial<Quote.AgeLimits>
  readonly attemptTimeoutMillis?: number
  readonly waitMillis?: number
  /** Between attempts at one source. */
  readonly strategy?: RetryStrategy
}

const presets = Presets.rates

const usual: RetryStrategy = {
  kind: "exponential",
  retries: presets.retries.value,
  baseMillis: presets.retryBaseMillis.value,
  factor: Presets.gatewayCall.retryFactor.value,
  capMillis: presets.retryCapMillis.value,
  jitter: Presets.gatewayCall.retryJitter.value
}

const breakerOf = (source: SourceName): BreakerName => BreakerName.make(`rates-${source}`)

/** The breakers of sources with their settings: 5 failures, or half of at least 5 calls in 30 s, open them for 1 min. */
export const breakers = (sources: ReadonlyArray<SourceName>): Readonly<Record<string, BreakerSettings.BreakerSettings>> =>
  Object.fromEntries(sources.map((source) => [breakerOf(source), BreakerSettings.exchangeRate]))

/** `FxRates` of these sources. */
export const layer = (options: RatesOptions): Layer.Layer<FxRates, never, RateCache | CircuitBreakers> =>
  Layer.effect(FxRates, make(options))

type Problem = RateSourceFailed | BreakerOpen

/** What is asked for: an answer by the key under which it is kept; `anew`: whatever is kept. */
interface Asked {
  readonly key: string
  readonly anew: boolean
}

const make = Effect.fnUntraced(function* (options: RatesOptions) {
  const { attemptTimeoutMillis = presets.attemptTimeoutMillis.value, conservative = [], sources } = options
  const limits = { primaryMillis: presets.primaryMillis.value, emergencyMillis: presets.emergencyMillis.value, ...options.ages }
  const circuitBreakers = yield* CircuitBreakers
  const kept = yield* KeptRates.make
  const flights = yield* SingleFlight.make<FetchedRates, Problem>()

  /** One attempt with its limit, behind the breaker. */
  const attempt = (source: RateSource, pair: Pair) =>
    circuitBreakers.protect(
      breakerOf(source.name),
      Effect.timeoutOrElse(source.fetch(pair), {
        duration: attemptTimeoutMillis,
        orElse: () =>
          Effect.fail(
            new RateSourceFailed({ source: source.name, problem: "timeout", detail: `no answer within ${attemptTimeoutMillis} ms` })
          )
      })
    )

  const fetch = Effect.fn("FxRates.fetch")(function* (source: RateSource, pair: Pair, asked: Asked) {
    // Who came right after an answer was kept finds it here.
    const { anew, key } = asked
    const known = anew ? undefined : yield* kept.read(key)
    if (known !== undefined && Quote.isPrimary(known, yield* Clock.currentTimeMillis, limits)) return known.rates
    const startedAt = yield* Clock.currentTimeMillis
    const table = yield* Retry.run(attempt(source, pair), {
      name: breakerOf(source.name),
      strategy: options.strategy ?? usual,
      classify,
      deadline: Effect.map(Clock.currentTimeMillis, (now) => startedAt + presets.sourceMillis.value - now)
    }).pipe(Effect.tapError((error) => counted(source.name, error)))
    const fetched: FetchedRates = { source: source.name, fetchedAt: yield* Clock.currentTimeMillis, table }
    yield* kept.write(key, fetched)
    yield* Metrics.rateFetched({ source: source.name, result: "succeeded" })
    return fetched
  })

  /** The first source whose answer has the pair; what the others said is left in `problems`. */
  const ask = Effect.fnUntraced(function* (pair: Pair, anew: boolean, problems: Array<string>) {
    for (const source of sources) {
      const key = keyOf(source, pair)
      const result = yield* Effect.result(flights.run(key, fetch(source, pair, { key, anew })))
      if (Result.isFailure(result)) problems.push(textOf(source.name, result.failure))
      else {
        const quote = Quote.ofFetched(result.success, pair, { tier: "primary", now: yield* Clock.currentTimeMillis })
        if (quote !== undefined) return quote
        problems.push(`${source.name}: it has no rate for this pair`)
      }
    }
    return undefined
  })

  const quoteOf = Effect.fnUntraced(function* (pair: Pair, anew: boolean): Effect.fn.Return<Quote.Quote, RateUnavailable> {
    const known: Array<Quote.Known> = []
    for (const source of sources) {
      const entry = yield* kept.read(keyOf(source, pair))
      if (entry === undefined) continue
      const now = yield* Clock.currentTimeMillis
      const quote = !anew && Quote.isPrimary(entry, now, limits) ? Quote.ofFetched(entry.rates, pair, { tier: "primary", now }) : undefined
      if (quote !== undefined) return quote
      known.push(entry)
    }
    const problems: Array<string> = []
    const waitMillis = options.waitMillis ?? presets.waitMillis.value
    const fetched = yield* Effect.timeoutOrElse(ask(pair, anew, problems), {
      duration: waitMillis,
      orElse: () => Effect.sync(() => void problems.push(`no source answered within ${waitMillis} ms`))
    })
    if (fetched !== undefined) return fetched
    const now = yield* Clock.currentTimeMillis
    const instead = Quote.emergency(known, pair, now, limits) ?? Quote.conservative(conservative, pair, now)
    return instead ?? (yield* new RateUnavailable({ ...pair, problems }))
  })

  const counting = Effect.fnUntraced(function* ({ from, to }: Pair, anew: boolean) {
    const pair = { from, to }
    if (from === to) {
      const same = Quote.sameCurrency(pair, yield* Clock.currentTimeMillis)
      yield* Metrics.rateQuoted(same)
      return same
    }
    const given = yield* Effect.tapError(quoteOf(pair, anew), () => Metrics.rateQuoted(undefined))
    yield* Metrics.rateQuoted(given)
    return given
  })

  const quote = Effect.fn("FxRates.quote")((pair: Pair) => counting(pair, false))
  return FxRates.of({
    quote,
    refresh: Effect.fn("FxRates.refresh")((pair: Pair) => counting(pair, true)),
    convert: Effect.fn("FxRates.convert")(function* (money, to, rounding) {
      const given = yield* quote({ from: money.currency, to })
      const converted = Conversion.convert(money, given.rate, rounding)
      // The quote is for this amount's currency: the other refusal cannot be.
      if (Result.isSuccess(converted)) return { money: converted.success, quote: given }
      return yield* converted.failure._tag === "CurrencyMismatch" ? Effect.die(converted.failure) : Effect.fail(converted.failure)
    })
  })
})

/** A source's name has no colon. */
const keyOf = ({ answerOf, name }: RateSource, pair: Pair): string => `${name}:${answerOf(pair)}`

const classify = (error: Problem): ErrorClass => {
  if (error._tag === "BreakerOpen") return { _tag: "BreakerOpen" }
  return error.isRetryable ? { _tag: "Transient", retryAfterMillis: error.retryAfterMillis } : { _tag: "Permanent" }
}

const counted = (source: SourceName, error: Problem): Effect.Effect<void> =>
  Metrics.rateFetched({ source, result: error._tag === "BreakerOpen" ? "breaker_open" : "failed" })

const textOf = (source: SourceName, error: Problem): string =>
  error._tag === "BreakerOpen" ? `${source}: its circuit breaker is open` : error.message
