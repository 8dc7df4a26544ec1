/**
 * `/resilience`: what protects this process, for those who operate it, with a key that has the scope `resilience`. It is of all merchants.
 *
 * Orders to a breaker are a person's, hold until the next one, and are told to the other instances where breakers are shared.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { BreakerName } from "../../../domain/resilience/BreakerName.ts"
import type { BreakerHealth } from "../../../domain/resilience/Health.ts"
import { BreakerNotFound, CircuitBreakers } from "../../../orchestration/resilience/CircuitBreakers.ts"
import { Api } from "../Api.ts"
import { Problem, toResponse } from "../Problems.ts"
import { Empty } from "../PaymentJson.ts"
import * as RequestBody from "../RequestBody.ts"
import * as External from "./External.ts"
import * as RateLimits from "./RateLimits.ts"
import type * as ResilienceJson from "./ResilienceJson.ts"

const { isoOf } = External

const breakerOf = (health: BreakerHealth): ResilienceJson.Breaker => ({
  name: health.name,
  state: health.state,
  reason: health.reason,
  changedAt: isoOf(health.changedAt),
  ...(health.retryAt === undefined ? {} : { retryAt: isoOf(health.retryAt) }),
  ...(health.lastFailureAt === undefined ? {} : { lastFailureAt: isoOf(health.lastFailureAt) }),
  healthy: health.healthy,
  score: health.score,
  successCount: health.successCount,
  failureCount: health.failureCount,
  slowCount: health.slowCount,
  failureRate: health.failureRate,
  consecutiveSuccesses: health.consecutiveSuccesses,
  consecutiveFailures: health.consecutiveFailures,
  totalSuccesses: health.totalSuccesses,
  totalFailures: health.totalFailures,
  totalBlocked: health.totalBlocked,
  openCount: health.openCount
})

const breakerNotFound = new Problem({
  code: "breaker_not_found",
  detail: "There is no such circuit breaker; GET /resilience/circuit-breakers lists them."
})

const isBreakerName = Schema.is(BreakerName)

const answered = <R>(effect: Effect.Effect<unknown, Problem, R>) =>
  Effect.catchTag(
    Effect.map(effect, (body) => HttpServerResponse.jsonUnsafe(body)),
    "Problem",
    toResponse
  )

/** An order to a breaker; its body is empty. */
const order = (give: (name: BreakerName) => Effect.Effect<BreakerHealth, BreakerNotFound>, name: string) =>
  answered(
    Effect.gen(function* () {
      yield* RequestBody.decode(Empty)
      if (!isBreakerName(name)) return yield* breakerNotFound
      return breakerOf(yield* Effect.mapError(give(name), () => breakerNotFound))
    })
  )

const idempotencyCounter = "aegispay_idempotency_keys_total"

const idempotencyStats = Effect.map(Metric.snapshot, (metrics) => {
  const countOf = (result: string): number => {
    const found = metrics.find(({ attributes, id }) => id === idempotencyCounter && attributes?.["result"] === result)
    return found?.type === "Counter" ? Number(found.state.count) : 0
  }
  const [fresh, hits, conflicts] = [countOf("new"), countOf("hit"), countOf("conflict")]
  const all = fresh + hits + conflicts
  return { new: fresh, hits, conflicts, hitRatio: all === 0 ? 0 : hits / all }
})

/** The handlers of the management routes. */
export const layer = HttpApiBuilder.group(
  Api,
  "resilience",
  Effect.fnUntraced(function* (handlers) {
    const breakers = Option.getOrUndefined(yield* Effect.serviceOption(CircuitBreakers))
    const notThere = (breaker: BreakerName) => Effect.fail(new BreakerNotFound({ breaker }))
    const { forceClosed = notThere, forceOpen = notThere, reset = notThere } = breakers ?? {}
    const list = breakers === undefined ? Effect.succeed([]) : breakers.list
    const external = yield* External.reader

    return handlers
      .handle("breakers", () => answered(Effect.map(list, (all) => ({ data: all.map(breakerOf) }))))
      .handleRaw("reset", ({ params: { name } }) => order(reset, name))
      .handleRaw("forceOpen", ({ params: { name } }) => order(forceOpen, name))
      .handleRaw("forceClosed", ({ params: { name } }) => order(forceClosed, name))
      .handle("rateLimits", ({ params: { endpoint, key } }) => answered(RateLimits.statusOf({ endpoint, key })))
      .handle("idempotency", () => answered(idempotencyStats))
      .handle("resilienceHealth", () => answered(external))
  })
)
