/**
 * A rate limit that two servers share.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Presets from "../../../src/domain/Presets.ts"
import type { RateLimit } from "../../../src/domain/resilience/RateLimit.ts"
import * as MemoryRateLimitStore from "../../../src/layers/memory/resilience/RateLimitStore.ts"
import * as PostgresRateLimitStore from "../../../src/layers/postgres/resilience/RateLimitStore.ts"
import * as RateLimiter from "../../../src/orchestration/resilience/RateLimiter.ts"
import type { Section } from "../Section.ts"

const { initiateBurst, initiateLimit, initiateWindowMillis } = Presets.rateLimits

const limit: RateLimit = {
  name: "demo-initiate",
  scope: "user",
  algorithm: "token_bucket",
  limit: initiateLimit.value,
  windowMillis: initiateWindowMillis.value,
  burst: initiateBurst.value
}

const requests = 40

/**
 * By default a limiter waits 250 ms for its store, and lets requests through when it does not answer. That is no good for showing a limit on a
 * machine that is busy and connects for the first time.
 */
const storeTimeoutMillis = 10_000

export const section: Section = {
  name: "rate-limits",
  title: "Rate limits",
  shows: [
    `A customer asks ${requests} times for a payment, at two servers in turn; the preset is ${limit.limit} a minute and ${limit.burst} more. The servers share their counts`,
    "through Postgres, so a second server is no second budget, and nobody else is affected."
  ],
  sabotage: "every server counts for itself",
  run: Effect.fnUntraced(function* ({ sabotaged, say, ground }) {
    const { database } = yield* ground
    const store = sabotaged
      ? MemoryRateLimitStore.layer
      : Layer.provide(PostgresRateLimitStore.layerWith({ timeoutMillis: storeTimeoutMillis }), database)
    const server = Effect.map(
      Layer.build(Layer.fresh(Layer.provide(RateLimiter.layerWith({ onStoreFailure: "closed" }), store))),
      (context) => Context.get(context, RateLimiter.RateLimiter)
    )
    const servers = [yield* server, yield* server]
    const startedAt = yield* Clock.currentTimeMillis
    const answers = yield* Effect.forEach(
      Array.from({ length: requests }, (_, number) => number),
      (number) => (servers[number % servers.length] ?? servers[0]!).check([limit], ["ada"]),
      { concurrency: 8 }
    )
    const elapsedMillis = (yield* Clock.currentTimeMillis) - startedAt
    const allowed = answers.filter((answer) => answer.allowed).length
    const wait = Math.max(...answers.flatMap(({ standings }) => standings.map(({ retryAfterMillis }) => retryAfterMillis)))
    say(`ada: ${allowed} of ${requests} admitted, ${requests - allowed} refused; the next is worth a try in ${(wait / 1_000).toFixed(1)} s`)
    const other = yield* servers[1]!.check([limit], ["ben"])
    say(`ben: ${other.allowed ? "admitted" : "refused"}, ${other.standings[0]?.remaining} left`)
    // A token comes back every 6 s; on a slow machine one may have.
    const budget = limit.limit + limit.burst
    const back = Math.ceil((elapsedMillis * limit.limit) / limit.windowMillis)
    return [
      {
        name: "both servers together admit the limit and its burst",
        holds: allowed >= budget && allowed <= budget + back,
        detail: `${allowed} admitted, ${budget} are allowed`
      },
      { name: "others are not affected", holds: other.allowed, detail: other.allowed ? "ben was admitted" : "ben was refused" }
    ]
  })
}
