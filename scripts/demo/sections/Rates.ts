/**
 * Exchange rates while their sources go away one by one.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as Money from "../../../src/domain/Money.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import * as Rate from "../../../src/domain/rates/Rate.ts"
import * as RateCache from "../../../src/layers/memory/rates/RateCache.ts"
import * as GatewayHttpClient from "../../../src/layers/node/GatewayHttpClient.ts"
import * as HttpRateSource from "../../../src/layers/node/HttpRateSource.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import type { RetryStrategy } from "../../../src/domain/resilience/RetryStrategy.ts"
import * as Rates from "../../../src/orchestration/rates/Rates.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { FxRates } from "../../../src/services/rates/FxRates.ts"
import type { Section, Stage } from "../Section.ts"

const [eur, usd] = [CurrencyCode.make("EUR"), CurrencyCode.make("USD")]
const pair = { from: eur, to: usd }
const price = { currency: eur, minor: 4_990n }

const minute = 60_000

/** The defaults. Nobody waits for them: the clock is put forward, so that what a busy machine takes meanwhile is nothing beside them. */
const times = {
  idleMillis: Presets.rates.idleMillis.value,
  primaryMillis: Presets.rates.primaryMillis.value,
  emergencyMillis: Presets.rates.emergencyMillis.value,
  openMillis: BreakerSettings.exchangeRate.openTimeoutMillis
}

const inMinutes = (millis: number): string => `${Math.round(millis / minute)} min`

/** 3 retries, as by default, after a tenth of its times. */
const strategy: RetryStrategy = { kind: "exponential", retries: 3, baseMillis: 20, factor: 2, capMillis: 100, jitter: 0.2 }

const careful = { rate: Result.getOrThrow(Rate.parse(pair, "1.15")), since: Date.UTC(2026, 0, 1) }

export const section: Section = {
  name: "rates",
  title: "Exchange rates falling back",
  shows: [
    "Two sources of rates over HTTP go away one after the other; a price of EUR 49.90 is shown in dollars all the while. A quote says its tier, source and age.",
    `They are kept for ${inMinutes(times.idleMillis)} without use and given in an emergency for ${inMinutes(times.emergencyMillis)}; the clock is put forward here.`
  ],
  sabotage: "old rates are kept for ever",
  run: (stage) =>
    Effect.gen(function* () {
      const { clock, pass } = ahead(yield* Clock.Clock)
      return yield* Effect.provideService(shown(stage, pass), Clock.Clock, clock)
    })
}

/** Shows it. `pass`: time passes. */
const shown = Effect.fnUntraced(function* (stage: Stage, pass: (millis: number) => Effect.Effect<void>) {
  const [one, two] = [yield* source("1.0847"), yield* source("1.0851")]
  const rates = yield* build(stage, [one.url, two.url])
  const seen: Array<string> = []
  const show = Effect.fnUntraced(function* (what: string) {
    const { money, quote } = yield* rates.convert(price, usd)
    seen.push(`${quote.tier} ${quote.source}`)
    const age = quote.tier === "conservative" ? "since 2026-01-01" : `${inMinutes(quote.ageMillis)} old`
    stage.say(`${what.padEnd(34)} ${Money.format(money)}  ${quote.tier} (${quote.source}, ${Rate.format(quote.rate)}, ${age})`)
    return { quote, money }
  })
  yield* Effect.all(
    Array.from({ length: 40 }, () => rates.quote(pair)),
    { concurrency: "unbounded" }
  )
  const fetches = one.requests()
  const first = yield* show(`40 asked at once, ${fetches} request`)
  one.down(true)
  yield* pass(times.idleMillis + minute)
  yield* show("the first source is down")
  two.down(true)
  yield* pass(times.idleMillis + minute)
  const emergency = yield* show("both are down")
  yield* pass(times.emergencyMillis)
  yield* show("both are down, for long")
  one.down(false)
  two.down(false)
  yield* pass(times.openMillis)
  yield* show("both are back")
  const wanted = ["primary one", "primary two", "emergency two", "conservative configuration", "primary one"]
  return [
    { name: "40 callers at once ask a source once", holds: fetches === 1, detail: `${fetches} request` },
    {
      name: "primary, the other source, emergency, conservative, primary again",
      holds: seen.join() === wanted.join(),
      detail: seen.join(", ")
    },
    {
      name: "no rate is older than it may be, and amounts are exact",
      holds: emergency.quote.ageMillis <= times.emergencyMillis && first.money.minor === 5_413n,
      detail: `${inMinutes(emergency.quote.ageMillis)} of ${inMinutes(times.emergencyMillis)}; 49.90 x 1.0847 = 54.12653, charged ${Money.format(first.money)}`
    }
  ]
})

/** A clock that can be put forward. What sleeps, sleeps as long as ever. */
const ahead = (clock: Clock.Clock) => {
  let millis = 0
  const nanos = () => BigInt(millis) * 1_000_000n
  const time = () => clock.currentTimeMillisUnsafe() + millis
  const timeNanos = () => clock.currentTimeNanosUnsafe() + nanos()
  const monotonic = () => clock.monotonicTimeNanosUnsafe() + nanos()
  const own: Partial<Clock.Clock> = {
    currentTimeMillisUnsafe: time,
    currentTimeMillis: Effect.sync(time),
    currentTimeNanosUnsafe: timeNanos,
    currentTimeNanos: Effect.sync(timeNanos),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic)
  }
  return {
    clock: Object.assign(Object.create(clock) as Clock.Clock, own),
    pass: (by: number) => Effect.sync(() => void (millis += by))
  }
}

const build = Effect.fnUntraced(function* ({ sabotaged }: Stage, [one = "", two = ""]: ReadonlyArray<string>) {
  const forEver = 1_000 * times.emergencyMillis
  const { emergencyMillis, idleMillis, openMillis, primaryMillis } = times
  const keepMillis = sabotaged ? forEver : emergencyMillis
  const layer = Layer.unwrap(
    Effect.gen(function* () {
      const sources = [
        yield* HttpRateSource.make({ name: "one", url: one, allowLoopback: true }),
        yield* HttpRateSource.make({ name: "two", url: two, allowLoopback: true })
      ]
      return Rates.layer({ sources, conservative: [careful], ages: { primaryMillis, emergencyMillis: keepMillis }, strategy })
    })
  ).pipe(
    Layer.provide(GatewayHttpClient.layer({ connectLimitMillis: 500 })),
    Layer.provide(RateCache.layerWith({ idleMillis, keepMillis })),
    Layer.provide(
      CircuitBreakers.layer({ settings: { ...BreakerSettings.exchangeRate, openTimeoutMillis: openMillis, successThreshold: 1 } })
    )
  )
  return Context.get(yield* Layer.build(layer), FxRates)
})

/** A source of rates; `down`: it answers 503. */
const source = (rate: string) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly url: string
      readonly requests: () => number
      readonly down: (is: boolean) => void
      readonly close: () => void
    }>((resume) => {
      const state = { requests: 0, isDown: false }
      const server = createServer((_, response) => {
        state.requests++
        response.writeHead(state.isDown ? 503 : 200).end(`{"base":"EUR","rates":{"USD":${rate}}}`)
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/latest`,
            requests: () => state.requests,
            down: (is) => void (state.isDown = is),
            close: () => server.close().closeAllConnections()
          })
        )
      )
    }),
    ({ close }) => Effect.sync(close)
  )
