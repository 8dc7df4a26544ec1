/**
 * One operation's call to its gateway: `retry( permission( timeout( adapter ) ) )`, in this one place (rule 2).
 *
 * The permission to send is checked right before every send, by the monotonic clock and by the wall clock: the one catches
 * stepped clocks, the other a suspended machine. The time limit is inside the retry; a call that it ends is `Unknown`.
 *
 * What may be sent again here: the same request under the same key, by the writer of the intent, within its permission, after
 * `NotSent`, or after a lost answer where the gateway's `replay` is `result` (rule 3). Everything else is for recovery.
 *
 * An adapter that breaks its contract, by a defect or by an answer that could not be stored, answers `Unknown`: the operation is
 * looked up, never lost.
 *
 * **Gotchas**: never hedge. Two requests in flight for one operation make every refusal inconclusive.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { safetyOf } from "../../domain/operation/Decline.ts"
import type { Operation } from "../../domain/operation/Operation.ts"
import { Outcome } from "../../domain/operation/Outcome.ts"
import type { Attempt } from "../../domain/operation/Settle.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { type Gateway, gaveUp } from "../../services/Gateway.ts"
import { GatewayMetrics, type GatewaySample } from "../../services/routing/GatewayMetrics.ts"
import { CallInsideTransaction, HostTransaction } from "../../services/HostTransaction.ts"
import * as Metrics from "../../services/Metrics.ts"
import { Settings } from "../../services/Settings.ts"
import type { CommitTimes } from "./Journal.ts"

/** A permission to send as its holder knows it. */
export interface HeldPermission {
  /** Which of the operation's permissions it is. */
  readonly index: number
  /** Database time of the commit that granted it. */
  readonly recordedAt: number
  readonly sendWindowMillis: number
  readonly times: CommitTimes
}

interface Elapsed {
  /** At least this long ago the database granted it. */
  readonly atLeastMillis: number
  /** At most this long ago. */
  readonly atMostMillis: number
}

const elapsed = Effect.fnUntraced(function* (permission: HeldPermission) {
  const wall = yield* Clock.currentTimeMillis
  const monotonic = yield* Clock.monotonicTimeNanos
  const since = (wallMillis: number, nanos: bigint) => ({ wall: wall - wallMillis, monotonic: Number(monotonic - nanos) / 1e6 })
  const issued = since(permission.times.issuedWallMillis, permission.times.issuedMonotonicNanos)
  const answered = since(permission.times.answeredWallMillis, permission.times.answeredMonotonicNanos)
  return {
    atLeastMillis: Math.max(0, Math.min(answered.wall, answered.monotonic)),
    atMostMillis: Math.max(issued.wall, issued.monotonic)
  } satisfies Elapsed
})

/** Database time now, never later than it is: for judging what was written after what. */
export const databaseTime = (permission: HeldPermission) =>
  Effect.map(elapsed(permission), ({ atLeastMillis }) => Math.floor(permission.recordedAt + atLeastMillis))

/** Calls the gateway and answers every attempt that was made, at least one. Dies inside a host's transaction (rule 15). */
export const call = Effect.fnUntraced(function* (options: {
  readonly gateway: Gateway
  readonly payment: PaymentId
  readonly operation: Operation
  readonly permission: HeldPermission
  /** Database time after which nothing is sent for the first time (rule 12); `undefined`: no limit. */
  readonly notAfter: number | undefined
  /** Is a request that could not be sent tried again here, or left to another gateway? */
  readonly retryNotSent: boolean
}) {
  const transaction = yield* HostTransaction
  if (yield* transaction.isOpen) return yield* Effect.die(new CallInsideTransaction({ program: "GatewayCall.call" }))
  const settings = yield* Settings
  const attempts: Array<Attempt> = []
  for (let retry = 0; ; retry++) {
    const first = attempts.every(({ outcome }) => outcome._tag === "NotSent")
    const attempt = yield* sendOnce({ ...options, notAfter: first ? options.notAfter : undefined }, settings.attemptTimeoutMillis)
    attempts.push(attempt)
    if (retry >= settings.retries || !mayRetry(attempt.outcome, options)) return attempts
    const delayMillis = yield* backoff(retry, settings)
    const { atMostMillis } = yield* elapsed(options.permission)
    if (atMostMillis + delayMillis >= options.permission.sendWindowMillis) return attempts
    yield* CrashPoint.reach("call/between-attempts")
    yield* Effect.sleep(Duration.millis(delayMillis))
  }
})

const mayRetry = (outcome: Outcome, options: { readonly operation: Operation; readonly retryNotSent: boolean }): boolean => {
  if (outcome._tag === "NotSent") return options.retryNotSent && outcome.reason !== "permission_lapsed"
  return (
    outcome._tag === "Unknown" &&
    outcome.gatewayReference === undefined &&
    options.operation.intent.protection.replay === "result" &&
    (outcome.reason === "timeout" || outcome.reason === "connection_lost")
  )
}

const backoff = (retry: number, settings: { readonly retryBaseMillis: number; readonly retryCapMillis: number }) =>
  Effect.map(Random.next, (random) => {
    const jitter = 1 + Presets.gatewayCall.retryJitter.value * (random * 2 - 1)
    return Math.round(Math.min(settings.retryBaseMillis * Presets.gatewayCall.retryFactor.value ** retry, settings.retryCapMillis) * jitter)
  })

const sendOnce = Effect.fnUntraced(function* (
  options: {
    readonly gateway: Gateway
    readonly payment: PaymentId
    readonly operation: Operation
    readonly permission: HeldPermission
    readonly notAfter: number | undefined
  },
  attemptTimeoutMillis: number
) {
  const { atLeastMillis, atMostMillis } = yield* elapsed(options.permission)
  const writtenAt = Math.floor(options.permission.recordedAt + atLeastMillis)
  const tooLate = options.notAfter !== undefined && options.permission.recordedAt + atMostMillis >= options.notAfter
  if (tooLate || atMostMillis >= options.permission.sendWindowMillis) {
    const outcome: Outcome = {
      _tag: "NotSent",
      reason: "permission_lapsed",
      message: "the permission to send was over before a byte was written"
    }
    return { outcome, writtenAt } satisfies Attempt
  }
  const metrics = yield* GatewayMetrics
  const { gateway, operation } = options
  const [duration, outcome] = yield* Effect.suspend(() => gateway.send({ payment: options.payment, intent: operation.intent })).pipe(
    Effect.map((answer) =>
      isOutcome(answer) ? answer : gaveUp("unreadable", `the adapter of ${gateway.name} gave an answer that is none`)
    ),
    Effect.catchDefect((defect) => Effect.succeed(gaveUp("unreadable", `the adapter of ${gateway.name} failed: ${nameOf(defect)}`))),
    Effect.timeoutOrElse({
      duration: Duration.millis(attemptTimeoutMillis),
      orElse: () => Effect.succeed(gaveUp("timeout", `no answer within ${attemptTimeoutMillis} ms`))
    }),
    Effect.timed
  )
  const durationMillis = Duration.toMillis(duration)
  yield* metrics.record({ gateway: gateway.name, kind: operation.intent.kind, verdict: verdictOf(outcome), durationMillis })
  yield* Metrics.gatewayCall({ gateway: gateway.name, kind: operation.intent.kind, outcome: outcome._tag, durationMillis })
  return { outcome, writtenAt } satisfies Attempt
})

const isOutcome = Schema.is(Outcome)

const nameOf = (defect: unknown): string => (defect instanceof Error ? defect.name : typeof defect)

/** What an outcome says about the gateway: an issuer's decline is no fault of it, nor is what we did not send. */
const verdictOf = (outcome: Outcome): GatewaySample["verdict"] => {
  switch (outcome._tag) {
    case "Succeeded":
    case "Pending":
    case "RequiresAction":
      return "healthy"
    case "Declined":
      return safetyOf[outcome.category].countsAgainstGateway === "yes" ? "failed" : "healthy"
    case "NotSent":
      return outcome.reason === "name_not_resolved" || outcome.reason === "connection_refused" || outcome.reason === "connection_not_made"
        ? "failed"
        : "ignored"
    case "Unknown":
      return outcome.reason === "interrupted" || outcome.reason === "conflict" ? "ignored" : "failed"
  }
}
