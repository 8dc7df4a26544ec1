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
 * - **pause**: where the gateway said when to come back (429 or 503 with Retry-After), nothing new of that kind is sent to it before. What puts
 *   a payment in order waits for it, as far as its permission allows, and is sent.
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
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { Operation, OperationKind, Purpose } from "../../domain/operation/Operation.ts"
import { type NotSent, Outcome } from "../../domain/operation/Outcome.ts"
import type { Attempt } from "../../domain/operation/Settle.ts"
import type { GatewayName, PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import * as Health from "../../domain/resilience/Health.ts"
import * as Pause from "../../domain/resilience/Pause.ts"
import type { ErrorClass, RetryStrategy } from "../../domain/resilience/RetryStrategy.ts"
import * as Attribution from "../../domain/routing/Attribution.ts"
import type { CallCost } from "../../domain/routing/GatewayWindows.ts"
import type { Segment } from "../../domain/routing/Segment.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { type Gateway, gaveUp } from "../../services/Gateway.ts"
import { CallInsideTransaction, HostTransaction } from "../../services/HostTransaction.ts"
import * as Metrics from "../../services/Metrics.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"
import * as Spans from "../observability/Spans.ts"
import type * as BreakerCalls from "../resilience/BreakerCalls.ts"
import { type BreakerOpen, monotonicMillis } from "../resilience/BreakerCalls.ts"
import * as Bulkhead from "../resilience/Bulkhead.ts"
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts"
import { type GatewayGuard, GatewayGuards } from "../resilience/GatewayGuards.ts"
import * as Retry from "../resilience/Retry.ts"
import * as RetryBudget from "../resilience/RetryBudget.ts"
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

type Needs = CircuitBreakers | GatewayGuards | GatewayMetrics

/** Calls the gateway and answers every attempt that was made, at least one. Dies inside a host's transaction (rule 15). */
export const call = (options: CallOptions) =>
  Effect.withFiber<Attempts, never, Needs | HostTransaction>((fiber) => {
    const context = fiber.context as Context.Context<Needs | HostTransaction>
    return Effect.flatMap(Context.get(context, HostTransaction).isOpen, (inside) =>
      inside ? Effect.die(new CallInsideTransaction({ program: "GatewayCall.call" })) : guarded(new UnderWay(options, context), context)
    )
  })

type Attempts = ReadonlyArray<Attempt>

/**
 * A call under way: one object that all its steps share, and that tells bulkhead, retries and breaker what they ask for. Where many calls
 * wait for a slow gateway, what each of them holds is what the process needs memory for.
 */
class UnderWay
  implements
    Bulkhead.Visit<Attempts, never, never>,
    Retry.RetryOptions<Attempt>,
    BreakerCalls.GuardedCall<Outcome, never, never, never>,
    TimeLimit.Answers<Outcome, never, Outcome, never>
{
  readonly options: CallOptions
  readonly clock: Clock.Clock
  readonly guard: GatewayGuard
  readonly breakers: CircuitBreakers["Service"]
  readonly metrics: GatewayMetrics["Service"]
  readonly urgent: boolean
  readonly attempts: Array<Attempt> = []
  /** Its place in the bulkhead. */
  held = false
  wake: (() => void) | undefined = undefined
  /** Database time when the attempt in hand began. */
  writtenAt = 0
  /** When it was handed to the adapter; `undefined`: it was not. */
  sentAt: bigint | undefined = undefined

  constructor(options: CallOptions, context: Context.Context<Needs>) {
    this.options = options
    this.clock = Context.get(context, Clock.Clock)
    this.guard = Context.get(context, GatewayGuards).of(options.gateway.name)
    this.breakers = Context.get(context, CircuitBreakers)
    this.metrics = Context.get(context, GatewayMetrics)
    this.urgent = mustNotBeRefused(options)
  }

  get maxWaitMillis(): Effect.Effect<number> {
    const { maxWaitMillis } = this.guard.bulkhead.limits
    return this.urgent ? this.deadline : Effect.map(this.deadline, (millis) => Math.min(millis, maxWaitMillis))
  }

  orElse(refused: Bulkhead.Refused): Effect.Effect<Attempts> {
    return refuse(this, refused)
  }

  get name(): string {
    return this.options.gateway.name
  }

  get gatewayName(): GatewayName {
    return this.options.gateway.name
  }

  get kind(): OperationKind {
    return this.options.operation.intent.kind
  }

  get strategy(): RetryStrategy {
    return this.guard.strategy
  }

  get budget(): RetryBudget.KeptBudget {
    return this.guard.budget
  }

  classify({ outcome }: Attempt): ErrorClass {
    return classOf(outcome, this.options)
  }

  get deadline(): Effect.Effect<number> {
    return Effect.sync(() => timeLeft(this))
  }

  refusedAfter(waitMillis: number): Effect.Effect<boolean> {
    return Effect.sync(() => !this.urgent && isStillOpenAfter(this, waitMillis))
  }

  /** Once for each attempt that the breaker lets through, and once where what must not be refused is sent past it. */
  send(): Effect.Effect<Outcome> {
    this.sentAt = this.clock.monotonicTimeNanosUnsafe()
    return TimeLimit.within(this.guard.limit, asked(this), this)
  }

  ended(exit: Exit.Exit<Outcome>): Exit.Exit<Outcome> {
    return answerOf(exit, this.options.gateway)
  }

  over(limitMillis: number): Outcome {
    return gaveUp("timeout", `no answer within ${limitMillis} ms`)
  }

  judge(exit: Exit.Exit<Outcome>): Breaker.Verdict {
    return Exit.isSuccess(exit) ? verdicts[Attribution.verdictOf(exit.value)] : "failure"
  }

  refused(open: BreakerOpen): Effect.Effect<Outcome> {
    return this.urgent ? this.send() : Effect.succeed(stopped(open))
  }
}

const guarded = (call: UnderWay, context: Context.Context<never>) => {
  const entered = Spans.inContext(context, Bulkhead.within(call.guard.bulkhead, call, tried(call)), {
    name: "GatewayCall.call",
    kind: "client",
    attributes: () => {
      const { gateway, operation, payment } = call.options
      return { payment, gateway: gateway.name, kind: operation.intent.kind }
    }
  })
  const pauseMillis = pauseBefore(call)
  return pauseMillis > 0 ? Effect.andThen(Effect.sleep(Duration.millis(pauseMillis)), entered) : entered
}

/** How long what puts a payment in order waits for a pause, outside the bulkhead; where its permission ends before, half of that. */
const pauseBefore = (call: UnderWay): number => {
  if (!putsInOrder.has(call.options.operation.intent.purpose)) return 0
  const pauseMillis = Pause.leftMillis(call.guard.pauses, call.kind, monotonicMillis(call.clock))
  const mostMillis = timeLeft(call)
  return pauseMillis < mostMillis ? pauseMillis : Math.max(0, mostMillis / 2)
}

/**
 * Cancelling, reversing and closing are not turned away: nobody else can do them, their tries are counted, and after a few a person would
 * have to look. They are few, each for a payment that had its place before. The same holds for a repetition, which has used up a permission.
 */
const mustNotBeRefused = ({ operation, permission }: CallOptions): boolean =>
  permission.index > 0 || putsInOrder.has(operation.intent.purpose)

const putsInOrder: ReadonlySet<Purpose> = new Set(["cancel", "close", "expire", "recover", "reverse"])

const refuse = ({ attempts, clock, options }: UnderWay, reason: Bulkhead.Refused): Effect.Effect<Attempts> =>
  Effect.suspend(() => {
    const { name } = options.gateway
    const message =
      reason === "full"
        ? `as many calls to ${name} are under way and waiting as this process allows`
        : `a call of this process to ${name} did not come to its turn in time`
    attempts.push({ outcome: { _tag: "NotSent", reason: "bulkhead_full", message }, writtenAt: databaseTimeAt(clock, options.permission) })
    return Effect.as(Metrics.bulkheadRefused({ gateway: name, reason }), attempts)
  })

/** Will the breaker still be open then? A half-open one may have room again. */
const isStillOpenAfter = ({ breakers, clock, options }: UnderWay, waitMillis: number): boolean => {
  const breaker = breakers.find(options.gateway.name, options.operation.intent.kind)
  return breaker !== undefined && Health.refuses(Breaker.stateAt(breaker, monotonicMillis(clock) + waitMillis))
}

const permanent: ErrorClass = { _tag: "Permanent" }

/** How many milliseconds are left in which an attempt may start and still write its first byte in time; none: 0 or less. */
const timeLeft = (call: UnderWay): number => startsWithin(call) - elapsedAt(call.clock, call.options.permission).atMostMillis

/** How long after the permission was granted an attempt may start. */
const startsWithin = (call: UnderWay): number =>
  writesWithin(call) - (call.options.gateway.connectLimitMillis ?? Presets.gatewayCall.connectLimitMillis.value)

/** How long after the permission was granted an attempt may write its first byte. */
const writesWithin = ({ attempts, options: { notAfter, permission } }: UnderWay): number => {
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

/** The first attempt, and further ones where the gateway has not answered and there is reason to try again. */
const tried = (call: UnderWay): Effect.Effect<Attempts> =>
  Effect.flatMap(
    Effect.suspend(() => {
      RetryBudget.earn(call.budget)
      return attempt(call)
    }),
    (outcome) => {
      const made = kept(call, outcome)
      const attempts = Effect.succeed(call.attempts)
      return counted(call, made, isAnswer(outcome) ? attempts : Effect.andThen(Retry.again(repeated(call), made, call), attempts))
    }
  )

/** The same request once more. Fails with its attempt where the gateway has not answered. */
const repeated = (call: UnderWay): Effect.Effect<void, Attempt> => {
  const sentAgain = CrashPoint.before(
    "call/between-attempts",
    Effect.suspend(() => attempt(call))
  )
  return Effect.flatMap(sentAgain, (outcome) => {
    const made = kept(call, outcome)
    return counted(call, made, isAnswer(outcome) ? Effect.void : Effect.fail(made))
  })
}

/** What came of one attempt: the gateway's answer, or why nothing was sent. */
const attempt = (call: UnderWay): Effect.Effect<Outcome> => {
  const { breakers, clock, options } = call
  const { permission } = options
  const { atLeastMillis, atMostMillis } = elapsedAt(clock, permission)
  call.writtenAt = Math.floor(permission.recordedAt + atLeastMillis)
  call.sentAt = undefined
  const notSent = atMostMillis >= startsWithin(call) ? permissionLapsed : pauseOf(call)
  return notSent === undefined ? breakers.guard(call, clock) : Effect.succeed(notSent)
}

const kept = ({ attempts, writtenAt }: UnderWay, outcome: Outcome): Attempt => {
  const made: Attempt = { outcome, writtenAt }
  attempts.push(made)
  return made
}

const isAnswer = ({ _tag }: Outcome): boolean => _tag !== "NotSent" && _tag !== "Unknown"

/** Counts an attempt if anything was sent, and goes on. */
const counted = <A, E>(call: UnderWay, { outcome }: Attempt, next: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const { clock, guard, options, sentAt } = call
  if (sentAt === undefined) return next
  const pauseMillis = askedPause(outcome)
  if (pauseMillis !== undefined)
    Pause.begin(guard.pauses, options.operation.intent.kind, { millis: pauseMillis, now: monotonicMillis(clock) })
  const durationMillis = Number(clock.monotonicTimeNanosUnsafe() - sentAt) / 1e6
  return Effect.andThen(measured(call, outcome, durationMillis), next)
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
const pauseOf = ({ attempts, clock, guard, options, urgent }: UnderWay): NotSent | undefined => {
  const left = Pause.leftMillis(guard.pauses, options.operation.intent.kind, monotonicMillis(clock))
  if (left === 0 || urgent || attempts.some(({ outcome }) => outcome._tag !== "NotSent")) return undefined
  const retryAfterMillis = Math.ceil(left)
  const message = `${options.gateway.name} asked for no more requests of this kind for another ${retryAfterMillis} ms`
  return { _tag: "NotSent", reason: "rate_limited", message, retryAfterMillis }
}

const measured = ({ metrics, options }: UnderWay, outcome: Outcome, durationMillis: number): Effect.Effect<void> => {
  const { fee, gateway, operation, segment } = options
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

/** One request. */
const asked = (call: UnderWay): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const { gateway, operation, payment, permission } = call.options
    const leftMillis = () => writesWithin(call) - elapsedAt(call.clock, permission).atMostMillis
    return gateway.send({ payment, intent: operation.intent, leftMillis })
  })

/** Its answer, whatever the adapter makes of it: there is none only where it was interrupted. */
const answerOf = (exit: Exit.Exit<Outcome>, gateway: Gateway): Exit.Exit<Outcome> => {
  if (Exit.isSuccess(exit)) return isOutcome(exit.value) ? exit : Exit.succeed(noOutcome(gateway))
  const defect = exit.cause.reasons.find(Cause.isDieReason)
  return defect === undefined ? exit : Exit.succeed(brokenBy(defect.defect, gateway))
}

const noOutcome = ({ name }: Gateway) => gaveUp("unreadable", `the adapter of ${name} gave an answer that is none`)

const brokenBy = (defect: unknown, { name }: Gateway) => gaveUp("unreadable", `the adapter of ${name} failed: ${nameOf(defect)}`)

/** What a call says to the breaker. Being asked to slow down is neither a failure nor a sign of health. */
const verdicts = { healthy: "success", failed: "failure", limited: "ignored", ignored: "ignored" } as const

const stopped = ({ message, retryInMillis }: BreakerOpen): NotSent => ({
  _tag: "NotSent",
  reason: "breaker_open",
  message,
  ...(retryInMillis === undefined ? {} : { retryAfterMillis: Math.ceil(retryInMillis) })
})

const isOutcome = Schema.is(Outcome)

const nameOf = (defect: unknown): string => (defect instanceof Error ? defect.name : typeof defect)
