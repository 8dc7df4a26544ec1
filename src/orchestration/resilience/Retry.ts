/**
 * Trying again: one program for everything that may be tried again, whatever it calls.
 *
 *     Retry.run(rates, { name: "exchange_rates", strategy: Retry.database, classify: (error) => ... })
 *
 * It stops at an error that is permanent, at a breaker that is open or would still be after the wait, after the strategy's last retry, when
 * the budget has no token, and when the next attempt could not start in the time that is left; then the last error is the answer. A wait that
 * the other side asks for (`retryAfterMillis`) is kept in full, or nothing is tried again.
 *
 * What a breaker refused was not sent: it is no retry, in the figures and in the budget.
 *
 * Retry is outside the breaker and the breaker outside the time limit (docs/decisions/0001): what is passed in is one whole attempt with
 * its limit. What succeeds at once costs one frame.
 *
 * **Gotchas**: for money commands use `GatewayCall`, which knows what may be sent again. Here every `Transient` error may.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { delayMillis, type ErrorClass, type RetryStrategy, waitMillis } from "../../domain/resilience/RetryStrategy.ts"
import * as Presets from "../../domain/Presets.ts"
import * as Metrics from "../../services/Metrics.ts"
import * as RetryBudget from "./RetryBudget.ts"

/** How a program is tried again. */
export interface RetryOptions<E> {
  /** Of the service that is called, for metrics: a gateway's or a name in the program, never made of ids. */
  readonly name: string
  readonly strategy: RetryStrategy
  readonly classify: (error: E) => ErrorClass
  /** Shared by all who call the same service. Default: none, every retry of the strategy is made. */
  readonly budget?: RetryBudget.KeptBudget | undefined
  /** Milliseconds in which another attempt may still start, asked for after every failure. Default: no limit. */
  readonly deadline?: Effect.Effect<number> | undefined
  /** Would an attempt that starts after so many milliseconds be refused by an open breaker? Default: that shows when it is made. */
  readonly refusedAfter?: ((waitMillis: number) => Effect.Effect<boolean>) | undefined
}

/** Runs an attempt until it succeeds, or until there is a reason not to try again: then it fails with the last error. */
export const run = <A, E, R>(attempt: Effect.Effect<A, E, R>, options: RetryOptions<E>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    if (options.budget !== undefined) RetryBudget.earn(options.budget)
    return Effect.catchCause(attempt, (cause) => {
      const error = Cause.findErrorOption(cause)
      // Beside a defect an error says nothing.
      return Option.isNone(error) || Cause.hasDies(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.flatMap(again(attempt, error.value, options), Effect.fromResult)
    })
  })

/**
 * Tries again after a first failure, and answers what came of the last attempt that there was a reason to make. For who makes the first
 * attempt by itself, and has earned the budget's share for it.
 */
export const again = Effect.fnUntraced(function* <A, E, R>(
  attempt: Effect.Effect<A, E, R>,
  first: E,
  options: RetryOptions<E>
): Effect.fn.Return<Result.Result<A, E>, never, R> {
  const { name: service } = options
  let error = first
  let sent = 0
  for (let retry = 0; ; retry++) {
    const next = yield* waitOrReason(error, retry, options)
    if (typeof next === "string") {
      yield* counted(service, next, sent)
      return Result.fail(error)
    }
    if (next > 0) yield* Effect.sleep(Duration.millis(next))
    const result = yield* Effect.result(attempt)
    if (result._tag === "Failure" && options.classify(result.failure)._tag === "BreakerOpen") {
      if (options.budget !== undefined) RetryBudget.giveBack(options.budget)
    } else {
      sent++
      yield* Metrics.retryMade(service)
    }
    if (result._tag === "Success") {
      yield* Metrics.retrySucceeded(service)
      return result
    }
    error = result.failure
  }
})

type Reason = "permanent" | Parameters<typeof Metrics.retryExhausted>[0]["reason"]

/** What was refused or failed for good without a retry, or has none by its strategy, is no matter of retries. */
const counted = (service: string, reason: Reason, retries: number): Effect.Effect<void> => {
  if (reason === "permanent") return retries === 0 ? Effect.void : Metrics.retryFailed(service)
  return retries === 0 && (reason === "breaker_open" || reason === "attempts") ? Effect.void : Metrics.retryExhausted({ service, reason })
}

/** How long to wait before the next attempt, or why there is none. Takes the token for it. */
const waitOrReason = Effect.fnUntraced(function* <E>(error: E, retry: number, options: RetryOptions<E>): Effect.fn.Return<number | Reason> {
  const { budget, deadline, strategy } = options
  const is = options.classify(error)
  if (is._tag === "Permanent") return "permanent"
  if (is._tag === "BreakerOpen") return "breaker_open"
  if (retry >= strategy.retries) return "attempts"
  const wait = waitMillis(strategy, { retry, random: yield* Random.next, retryAfterMillis: is.retryAfterMillis })
  if (deadline !== undefined && wait >= (yield* deadline)) return "deadline"
  if (options.refusedAfter !== undefined && (yield* options.refusedAfter(wait))) return "breaker_open"
  return budget !== undefined && !RetryBudget.spend(budget) ? "budget" : wait
})

/** A strategy as a schedule, for what Effect itself repeats. Its output is the delay in milliseconds. */
export const schedule = (strategy: RetryStrategy): Schedule.Schedule<number> =>
  Schedule.fromStep(
    Effect.sync(() => {
      let retry = 0
      return () =>
        Effect.flatMap(Random.next, (random) => {
          if (retry >= strategy.retries) return Cause.done(0)
          const delay = delayMillis(strategy, { retry: retry++, random })
          return Effect.succeed<[number, Duration.Duration]>([delay, Duration.millis(delay)])
        })
    })
  )

type Preset = Readonly<Record<"attempts" | "baseMillis" | "capMillis", Presets.Preset<number>>>

const exponential = ({ attempts, baseMillis, capMillis }: Preset): RetryStrategy => ({
  kind: "exponential",
  retries: attempts.value - 1,
  baseMillis: baseMillis.value,
  factor: Presets.gatewayCall.retryFactor.value,
  capMillis: capMillis.value,
  jitter: Presets.gatewayCall.retryJitter.value
})

/** A payment provider that is not routed around: 3 attempts, 2 s, at most 30 s. */
export const paymentProvider: RetryStrategy = exponential(Presets.retryPaymentProvider)

/** A fraud check: 2 attempts, 1 s, at most 10 s. */
export const fraudDetection: RetryStrategy = exponential(Presets.retryFraudDetection)

/** A database: 3 attempts, 0.5 s, at most 5 s. */
export const database: RetryStrategy = exponential(Presets.retryDatabase)
