/**
 * What a caller of a gateway meets under each fault, in the words of the protocol: never more than what is so.
 *
 * `NotSent` only where the gateway is not called. A call that was carried out and whose answer is lost is `Unknown`, as is one that was
 * not carried out and of which the caller could not know that.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Injection } from "../../domain/chaos/Injection.ts"
import type { Declined, NotSent, Outcome, Unknown } from "../../domain/operation/Outcome.ts"
import * as Presets from "../../domain/Presets.ts"
import { gaveUp, type LookupAnswer } from "../../services/Gateway.ts"

/** What a fault is injected into. `carryOut`: the call. `crash`: ends the process. */
interface Faulty<A> {
  readonly carryOut: Effect.Effect<A>
  readonly crash: Effect.Effect<never>
}

/** A request that meets a fault. A latency has its delay drawn. */
export const send = (injection: Injection, { carryOut, crash }: Faulty<Outcome>): Effect.Effect<Outcome> => {
  const executedIf = (executed: boolean): Effect.Effect<unknown> => (executed ? carryOut : Effect.void)
  switch (injection.type) {
    case "network":
      return Effect.succeed(refused)
    case "pool_exhausted":
      return Effect.as(pause(injection.waitMillis ?? Presets.chaos.poolWaitMillis.value), noConnection)
    case "rate_limited":
      return Effect.succeed(limited(injection.retryAfterMillis))
    case "reset":
      return Effect.as(executedIf(injection.executed), connectionLost)
    case "response_lost":
      return Effect.as(carryOut, connectionLost)
    case "corrupt_response":
      return Effect.as(carryOut, unreadable)
    case "timeout":
      return Effect.andThen(executedIf(injection.executed), hang(injection.hangMillis))
    case "server_error":
      return Effect.as(executedIf(injection.executed), serverError(injection))
    case "latency":
      return slowed(injection, carryOut)
    case "crash":
      return Effect.andThen(executedIf(injection.executed), crash)
    default:
      return carryOut
  }
}

/** A question that meets a fault. It has no effect, so all that can be lost is its answer; nothing it answers says what became of the operation. */
export const lookup = (injection: Injection, { carryOut, crash }: Faulty<LookupAnswer>): Effect.Effect<LookupAnswer> => {
  switch (injection.type) {
    case "network":
    case "reset":
    case "response_lost":
      return Effect.succeed(connectionLost)
    case "pool_exhausted":
      return Effect.as(pause(injection.waitMillis ?? Presets.chaos.poolWaitMillis.value), connectionLost)
    case "rate_limited":
      return Effect.succeed(unreadable)
    case "corrupt_response":
      return Effect.succeed(unreadable)
    case "timeout":
      return hang(injection.hangMillis)
    case "server_error":
      return Effect.succeed(serverError(injection))
    case "latency":
      return slowed(injection, carryOut)
    case "crash":
      return crash
    default:
      return carryOut
  }
}

/** How long a latency lasts, once it is drawn. */
export const delayOf = (latency: Extract<Injection, { readonly type: "latency" }>): number => latency.minMillis ?? 0

const pause = (millis: number) => Effect.sleep(Duration.millis(millis))

const slowed = <A>(latency: Extract<Injection, { readonly type: "latency" }>, carryOut: Effect.Effect<A>): Effect.Effect<A> =>
  latency.on === "request"
    ? Effect.andThen(pause(delayOf(latency)), carryOut)
    : Effect.flatMap(carryOut, (answer) => Effect.as(pause(delayOf(latency)), answer))

const hang = (hangMillis = Presets.chaos.hangMillis.value) =>
  Effect.as(pause(hangMillis), gaveUp("timeout", "injected: no answer came in time"))

const refused: NotSent = { _tag: "NotSent", reason: "connection_refused", message: "injected: the connection was refused" }
const noConnection: NotSent = { _tag: "NotSent", reason: "bulkhead_full", message: "injected: no connection of the pool was free" }
const connectionLost: Unknown = gaveUp("connection_lost", "injected: the connection was lost before the answer")
const unreadable: Unknown = gaveUp("unreadable", "injected: the answer cannot be read")

const limited = (retryAfterMillis = Presets.chaos.retryAfterMillis.value): Declined => ({
  _tag: "Declined",
  category: "rate_limited",
  code: "rate_limited",
  message: "injected: the gateway limits the rate of requests",
  retryAfterMillis
})

/** As adapters read it: only a 503 tells when to come back. */
const serverError = ({ retryAfterMillis, status }: Extract<Injection, { readonly type: "server_error" }>): Unknown => {
  const failed = gaveUp("server_error", `injected: the gateway answered ${status}`)
  return status === 503 && retryAfterMillis !== undefined ? { ...failed, retryAfterMillis } : failed
}
