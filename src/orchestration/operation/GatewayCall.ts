/**
 * One operation's call to its gateway, in this one place (rule 2; docs/decisions/0001):
 *
 *     bulkhead( retry( permission( pause( breaker( timeout( adapter ) ) ) ) ) )
 *
 * - **bulkhead**: so many calls of this process to one gateway at a time. Whoever finds it full, or waits too long, has sent nothing.
 * - **retry**: the same request under the same key, by the writer of the intent, within its permission: after `NotSent`, or after a lost
 *   answer where the gateway's `replay` is `result` (rule 3). A settled decline is never sent again here, whatever Retry-After it came with:
 *   that takes a new operation. Everything else is for recovery. A retry budget per gateway keeps a dead one from multiplying the load.
 * - **permission**: checked right before every send, by the monotonic clock and by the wall clock (rule 12). No attempt starts that might
 *   still be connecting when the permission ends: what is left has to hold the gateway's `connectLimitMillis`.
 * - **pause**: where the gateway said when to come back (429 or 503 with Retry-After), nothing new of that kind is sent to it before.
 * - **breaker**: one per gateway and kind of operation. Open, nothing is sent, and the retrying ends at once. What was interrupted or not
 *   sent is no failure of the gateway, nor is an issuer's decline.
 * - **timeout**: a call that it ends is `Unknown`.
 *
 * An adapter that breaks its contract, by a defect or by an answer that could not be stored, answers `Unknown`: the operation is
 * looked up, never lost.
 *
 * **Gotchas**: there is no hedging, on purpose. Two requests in flight for one operation make every refusal inconclusive: attempts follow
 * each other, and the next one starts when the one before has ended.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { Operation, Purpose } from "../../domain/operation/Operation.ts"
import { type NotSent, Outcome } from "../../domain/operation/Outcome.ts"
import type { Attempt } from "../../domain/operation/Settle.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import * as BreakerName from "../../domain/resilience/BreakerName.ts"
import * as Health from "../../domain/resilience/Health.ts"
import * as Pause from "../../domain/resilience/Pause.ts"
import type { ErrorClass } from "../../domain/resilience/RetryStrategy.ts"
import * as Attribution from "../../domain/routing/Attribution.ts"
import type { CallCost } from "../../domain/routing/GatewayWindows.ts"
import type { Segment } from "../../domain/routing/Segment.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { type Gateway, gaveUp } from "../../services/Gateway.ts"
import { CallInsideTransaction, HostTransaction } from "../../services/HostTransaction.ts"
import * as Metrics from "../../services/Metrics.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"
import * as Spans from "../observability/Spans.ts"
import { type BreakerOpen, monotonicMillis } from "../resilience/BreakerCalls.ts"
import * as Bulkhead from "../resilience/Bulkhead.ts"
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts"
import { GatewayGuards } from "../resilience/GatewayGuards.ts"
import * as Retry from "../resilience/Retry.ts"
import * as TimeLimit from "../resilience/TimeLimit.ts"
import { databaseTimeAt, elapsedAt, type HeldPermission } from "./Permission.ts"

export { databaseTimeAt, type HeldPermission } from "./Permission.ts"

/** What is sent, where to, and by which permission. */
export interface CallOptions {
  readonly gateway: Gateway
  readonly payment: PaymentId
  readonly operation: Operation
  readonly permission: HeldPermission
  /** Database time after which nothing is sent for the first time (rule 12); `undefined`: no limit. */
  readonly notAfter: number | undefined
  /** Is a request that could not be sent tried again here, or left to another gateway? */
  readonly retryNotSent: boolean
  /** The part of the gateway's traffic that the payment belongs to. */
  readonly segment?: Segment | undefined
  /** What the gateway takes for the charge if it is approved, as far as that is known. */
  readonly fee?: CallCost | undefined
}

/** What the way of a call needs, looked up once. */
interface Way {
  readonly breakers: CircuitBreakers["Service"]
  readonly metrics: GatewayMetrics["Service"]
  readonly pauses: Pause.Pauses
  readonly limit: TimeLimit.TimeLimit
}

/** Calls the gateway and answers every attempt that was made, at least one. Dies inside a host's transaction (rule 15). */
export const call = (options: CallOptions) =>
  Effect.contextWith((context: Context.Context<CircuitBreakers | GatewayGuards | GatewayMetrics | HostTransaction>) =>
    Effect.flatMap(Context.get(context, HostTransaction).isOpen, (inside) =>
      inside ? Effect.die(new CallInsideTransaction({ program: "GatewayCall.call" })) : guarded(options, context)
    )
  )

const guarded = (options: CallOptions, context: Context.Context<CircuitBreakers | GatewayGuards | GatewayMetrics>) => {
  const { gateway, operation, payment } = options
  const { budget, bulkhead, limit, pauses, strategy } = Context.get(context, GatewayGuards).of(gateway.name)
  const way: Way = {
    breakers: Context.get(context, CircuitBreakers),
    metrics: Context.get(context, GatewayMetrics),
    pauses,
    limit
  }
  const urgent = mustNotBeRefused(options)
  const attempts: Array<Attempt> = []
  const left = timeLeft(options, attempts)
  const tried = Retry.run(attemptOnce(options, attempts, way), {
    name: gateway.name,
    strategy,
    classify: ({ outcome }) => classOf(outcome, options),
    budget,
    deadline: left,
    refusedAfter: urgent ? undefined : (waitMillis) => stillOpenAfter(options, way, waitMillis)
  })
  const inside = Bulkhead.within(
    bulkhead,
    {
      urgent,
      maxWaitMillis: urgent ? left : Effect.map(left, (millis) => Math.min(millis, bulkhead.limits.maxWaitMillis)),
      orElse: (refused) => Effect.as(refuse(options, attempts, refused), attempts)
    },
    Effect.as(Effect.ignore(tried), attempts)
  )
  return Spans.within(inside, "GatewayCall.call", {
    kind: "client",
    attributes: () => ({ payment, gateway: gateway.name, kind: operation.intent.kind })
  })
}

/**
 * Cancelling, reversing and closing are not turned away: nobody else can do them, their tries are counted, and after a few a person would
 * have to look. They are few, each for a payment that had its place before. The same holds for a repetition, which has used up a permission.
 */
const mustNotBeRefused = ({ operation, permission }: CallOptions): boolean =>
  permission.index > 0 || putsInOrder.has(operation.intent.purpose)

const putsInOrder: ReadonlySet<Purpose> = new Set(["cancel", "close", "expire", "recover", "reverse"])

const refuse = Effect.fnUntraced(function* (options: CallOptions, attempts: Array<Attempt>, reason: Bulkhead.Refused) {
  const { name } = options.gateway
  yield* Metrics.bulkheadRefused({ gateway: name, reason })
  const message =
    reason === "full"
      ? `as many calls to ${name} are under way and waiting as this process allows`
      : `a call of this process to ${name} did not come to its turn in time`
  const writtenAt = databaseTimeAt(yield* Clock.Clock, options.permission)
  attempts.push({ outcome: { _tag: "NotSent", reason: "bulkhead_full", message }, writtenAt })
})

/** Will the breaker still be open then? A half-open one may have room again. */
const stillOpenAfter = ({ gateway, operation }: CallOptions, { breakers }: Way, waitMillis: number): Effect.Effect<boolean> =>
  Clock.clockWith((clock) => {
    const breaker = breakers.find(gateway.name, operation.intent.kind)
    return Effect.succeed(breaker !== undefined && Health.refuses(Breaker.stateAt(breaker, monotonicMillis(clock) + waitMillis)))
  })

const permanent: ErrorClass = { _tag: "Permanent" }

/** How many milliseconds are left in which an attempt may start and still write its first byte in time; none: 0 or less. */
const timeLeft = (options: CallOptions, attempts: ReadonlyArray<Attempt>): Effect.Effect<number> =>
  Clock.clockWith((clock) => Effect.succeed(startsWithin(options, attempts) - elapsedAt(clock, options.permission).atMostMillis))

/** How long after the permission was granted an attempt may start. */
const startsWithin = (options: CallOptions, attempts: ReadonlyArray<Attempt>): number =>
  writesWithin(options, attempts) - (options.gateway.connectLimitMillis ?? Presets.gatewayCall.connectLimitMillis.value)

/** How long after the permission was granted an attempt may write its first byte. */
const writesWithin = ({ notAfter, permission }: CallOptions, attempts: ReadonlyArray<Attempt>): number => {
  const first = attempts.every(({ outcome }) => outcome._tag === "NotSent")
  return first && notAfter !== undefined
    ? Math.min(permission.sendWindowMillis, notAfter - permission.recordedAt)
    : permission.sendWindowMillis
}

/**
 * May the same request be sent again, under the same key? A gateway that answered 503 and told when to come back is taken at its word; any
 * other 5xx may be stored under the key and be answered for ever.
 */
const classOf = (outcome: Outcome, options: CallOptions): ErrorClass => {
  if (outcome._tag === "NotSent") {
    const { reason, retryAfterMillis } = outcome
    if (reason === "breaker_open") return { _tag: "BreakerOpen" }
    if (reason === "permission_lapsed" || (reason === "local_limit" && retryAfterMillis === undefined)) return permanent
    return options.retryNotSent ? { _tag: "Transient", retryAfterMillis } : permanent
  }
  if (outcome._tag !== "Unknown" || outcome.gatewayReference !== undefined) return permanent
  const { reason, retryAfterMillis } = outcome
  const lost = reason === "timeout" || reason === "connection_lost" || (reason === "server_error" && retryAfterMillis !== undefined)
  return lost && options.operation.intent.protection.replay === "result" ? { _tag: "Transient", retryAfterMillis } : permanent
}

/** One attempt, kept among the others. Fails with it where the gateway has not answered, so that it may be tried again. */
const attemptOnce = (options: CallOptions, attempts: Array<Attempt>, way: Way) => {
  const once = Clock.clockWith((clock) => {
    const { atLeastMillis, atMostMillis } = elapsedAt(clock, options.permission)
    const writtenAt = Math.floor(options.permission.recordedAt + atLeastMillis)
    const lapsed = atMostMillis >= startsWithin(options, attempts)
    let sentAt: bigint | undefined
    const sent = Effect.suspend(() => {
      sentAt = clock.monotonicTimeNanosUnsafe()
      const leftMillis = () => writesWithin(options, attempts) - elapsedAt(clock, options.permission).atMostMillis
      return sendOnce(options, way.limit, leftMillis)
    })
    const held = lapsed ? permissionLapsed : pauseOf(options, attempts, { now: monotonicMillis(clock), pauses: way.pauses })
    return Effect.flatMap(held === undefined ? send(options, way, sent) : Effect.succeed(held), (outcome) => {
      const attempt: Attempt = { outcome, writtenAt }
      attempts.push(attempt)
      const kept = outcome._tag === "NotSent" || outcome._tag === "Unknown" ? Effect.fail(attempt) : Effect.succeed(attempt)
      if (sentAt === undefined) return kept
      const pauseMillis = askedPause(outcome)
      if (pauseMillis !== undefined)
        Pause.begin(way.pauses, options.operation.intent.kind, { millis: pauseMillis, now: monotonicMillis(clock) })
      const durationMillis = Number(clock.monotonicTimeNanosUnsafe() - sentAt) / 1e6
      return Effect.andThen(measured(options, outcome, durationMillis, way), kept)
    })
  })
  return Effect.suspend(() => (attempts.length === 0 ? once : Effect.andThen(CrashPoint.reach("call/between-attempts"), once)))
}

const permissionLapsed: NotSent = {
  _tag: "NotSent",
  reason: "permission_lapsed",
  message: "the permission to send was over before a byte was written"
}

/** How long the gateway asks to be left alone, if it does. */
const askedPause = (outcome: Outcome): number | undefined =>
  (outcome._tag === "Declined" && outcome.category === "rate_limited") || (outcome._tag === "Unknown" && outcome.reason === "server_error")
    ? outcome.retryAfterMillis
    : undefined

/** Is it held back, since the gateway asked for a pause? Not what must not be refused, nor what may have been sent before: that waits itself. */
const pauseOf = (
  options: CallOptions,
  attempts: ReadonlyArray<Attempt>,
  { now, pauses }: { readonly now: number; readonly pauses: Pause.Pauses }
): NotSent | undefined => {
  const left = Pause.leftMillis(pauses, options.operation.intent.kind, now)
  if (left === 0 || mustNotBeRefused(options) || attempts.some(({ outcome }) => outcome._tag !== "NotSent")) return undefined
  const retryAfterMillis = Math.ceil(left)
  const message = `${options.gateway.name} asked for no more requests of this kind for another ${retryAfterMillis} ms`
  return { _tag: "NotSent", reason: "rate_limited", message, retryAfterMillis }
}

/** Through the breaker. What must not be refused is sent past an open one. */
const send = (options: CallOptions, { breakers }: Way, sent: Effect.Effect<Outcome>): Effect.Effect<Outcome> =>
  Effect.catch(breakers.protect(BreakerName.of(options.gateway.name, options.operation.intent.kind), sent, verdictOf), (open) =>
    mustNotBeRefused(options) ? sent : Effect.succeed(stopped(open))
  )

const measured = (
  { fee, gateway, operation, segment }: CallOptions,
  outcome: Outcome,
  durationMillis: number,
  { metrics }: Way
): Effect.Effect<void> => {
  const { kind } = operation.intent
  const approval = Attribution.approvalOf(Attribution.askedOf(operation.intent), outcome)
  return Effect.andThen(
    metrics.record({
      gateway: gateway.name,
      kind,
      verdict: Attribution.verdictOf(outcome),
      durationMillis,
      segment,
      approval,
      cost: approval === "approved" ? fee : undefined
    }),
    Metrics.gatewayCall({ gateway: gateway.name, kind, outcome, durationMillis })
  )
}

/** One request, and its answer or what its absence means. Never fails. */
const sendOnce = (
  { gateway, operation, payment }: CallOptions,
  limit: TimeLimit.TimeLimit,
  leftMillis: () => number
): Effect.Effect<Outcome> => {
  const answered = Effect.suspend(() => gateway.send({ payment, intent: operation.intent, leftMillis })).pipe(
    Effect.map((answer) =>
      isOutcome(answer) ? answer : gaveUp("unreadable", `the adapter of ${gateway.name} gave an answer that is none`)
    ),
    Effect.catchDefect((defect) => Effect.succeed(gaveUp("unreadable", `the adapter of ${gateway.name} failed: ${nameOf(defect)}`)))
  )
  return TimeLimit.within(limit, answered, () => gaveUp("timeout", `no answer within ${limit.millis} ms`))
}

/** What a call says to the breaker. Being asked to slow down is neither a failure nor a sign of health. */
const verdictOf = (exit: Exit.Exit<Outcome>): Breaker.Verdict =>
  Exit.isSuccess(exit) ? verdicts[Attribution.verdictOf(exit.value)] : "failure"

const verdicts = { healthy: "success", failed: "failure", limited: "ignored", ignored: "ignored" } as const

const stopped = ({ message, retryInMillis }: BreakerOpen): NotSent => ({
  _tag: "NotSent",
  reason: "breaker_open",
  message,
  ...(retryInMillis === undefined ? {} : { retryAfterMillis: Math.ceil(retryInMillis) })
})

const isOutcome = Schema.is(Outcome)

const nameOf = (defect: unknown): string => (defect instanceof Error ? defect.name : typeof defect)
