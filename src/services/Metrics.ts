/**
 * Every metric of AegisPay, declared in one place. Programs update them through the functions below; an exporter reads effect's
 * metric registry.
 *
 * Labels are bounded. Their values: `status` of a payment: those of `PaymentStatus`; `kind`: those of `OperationKind`; `outcome` of a
 * call: the tags of `Outcome`; `outcome` of an operation: succeeded, declined, not_sent, absent; `result`: those named at each
 * function; `gateway`: the names in the configuration; `service`: those names and others that stand in the program; `route`: the route's
 * template, never a path; `status` of a request: the HTTP code. Ids, keys and texts are never labels. Beyond 1,000 label sets of one metric every further one is counted as "other".
 * `breaker`: the names of circuit breakers, at most `breakers.maxBreakers`; `to`: their states.
 *
 * The handle of a label set is made once and kept, so an update is a look-up and an addition.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Operation, OperationKind } from "../domain/operation/Operation.ts"
import type { Outcome } from "../domain/operation/Outcome.ts"
import type { PaymentEvent } from "../domain/payment/Event.ts"
import type { GatewayName } from "../domain/payment/Ids.ts"
import { lastCharge, operationOf, type Payment } from "../domain/payment/State.ts"
import { type PaymentStatus, status } from "../domain/payment/Status.ts"
import type { BreakerName } from "../domain/resilience/BreakerName.ts"
import { type BreakerState, type BreakerTotals, durationBounds } from "../domain/resilience/breaker/BreakerTotals.ts"
import type { CheckResult, Level, Tier } from "../domain/resilience/dependency/Degradation.ts"
import type { CommitResult } from "./EventStore.ts"

/** The most label sets of one metric. */
const maxSeries = 1_000

/** Statuses in which a payment rests until somebody asks for more. */
const restingStatuses: ReadonlySet<PaymentStatus> = new Set([
  "authorized",
  "partially_captured",
  "succeeded",
  "failed",
  "cancelled",
  "expired",
  "needs_review",
  "partially_refunded",
  "refunded",
  "disputed"
])

/** Upper bounds of call durations in milliseconds: doubling from 10 ms (in-process) to past the 15 s limit of an attempt. */
const durationBoundaries = Metric.exponentialBoundaries({ start: 10, factor: 2, count: 12 })

/** One metric with labels: the handle of each label set, made once. */
const family = <Label extends string, Input, State>(
  labels: ReadonlyArray<Label>,
  make: (attributes: Record<string, string>) => Metric.Metric<Input, State>
) => {
  const handles = new Map<string, Metric.Metric<Input, State>>()
  const other = make(Object.fromEntries(labels.map((label) => [label, "other"])))
  return (values: Record<Label, string>): Metric.Metric<Input, State> => {
    const key = labels.map((label) => values[label]).join("\n")
    const known = handles.get(key)
    if (known !== undefined) return known
    if (handles.size >= maxSeries) return other
    const handle = make(Object.fromEntries(labels.map((label) => [label, values[label]])))
    handles.set(key, handle)
    return handle
  }
}

const counters = <Label extends string>(name: string, description: string, labels: ReadonlyArray<Label>) =>
  family(labels, (attributes) => Metric.counter(name, { description, attributes, incremental: true }))

const payments = counters("aegispay_payments_total", "payments that came to rest, by status", ["status"])
const operations = counters("aegispay_operations_total", "operations that ended", ["gateway", "kind", "outcome"])
const calls = counters("aegispay_gateway_calls_total", "calls to gateways, by outcome of the call", ["gateway", "kind", "outcome"])
const callDurations = family(["gateway", "kind"], (attributes) =>
  Metric.histogram("aegispay_gateway_call_duration_milliseconds", {
    description: "duration of calls to gateways",
    attributes,
    boundaries: durationBoundaries
  })
)
const failovers = counters("aegispay_failovers_total", "charges that went on at another gateway", ["from", "to"])
const routings = counters("aegispay_routing_decisions_total", "payments routed, by the gateway that is tried first", [
  "gateway",
  "explored"
])
const routingDurations = Metric.histogram("aegispay_routing_decision_duration_microseconds", {
  description: "duration of routing decisions, without waiting for retry caps",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 16 })
})
const commits = counters("aegispay_commits_total", "commits, by result", ["result"])
const commitConflicts = Metric.counter("aegispay_commit_conflicts_total", {
  description: "commits that met a newer version",
  incremental: true
})
const idempotencyKeys = counters("aegispay_idempotency_keys_total", "requests with an idempotency key", ["result"])
const recoveries = counters("aegispay_recoveries_total", "open operations that recovery looked at, by result", ["result"])
const webhooks = counters("aegispay_webhooks_total", "webhooks that were received or processed, by result", ["gateway", "result"])
const notifications = counters("aegispay_notifications_total", "deliveries of events to endpoints, by result", ["result"])
const retryAttempts = counters("aegispay_retry_attempts_total", "repetitions of calls", ["service"])
const retrySuccesses = counters("aegispay_retry_success_total", "calls that succeeded when they were repeated", ["service"])
const retryFailures = counters("aegispay_retry_failure_total", "calls that were repeated and then failed for good", ["service"])
const retriesExhausted = counters(
  "aegispay_retry_exhausted_total",
  "calls that might have been repeated and were not any more, by reason",
  ["service", "reason"]
)
const bulkheadRefusals = counters("aegispay_bulkhead_refusals_total", "calls that a bulkhead turned away, by reason", ["gateway", "reason"])
const updateConflicts = counters("aegispay_update_conflicts_total", "updates of versioned entities that met a newer version", ["entity"])
const updateRetries = counters("aegispay_update_retries_total", "updates of versioned entities that were tried again", ["entity"])
const updatesExhausted = counters("aegispay_updates_exhausted_total", "updates that met a newer version in every attempt", ["entity"])
const conflictDurations = family(["entity"], (attributes) =>
  Metric.histogram("aegispay_update_conflict_duration_milliseconds", {
    description: "from the first conflict of an update until it was written",
    attributes,
    boundaries: durationBoundaries
  })
)
const dependencyChecks = counters("aegispay_dependency_checks_total", "checks of dependencies, by result", ["dependency", "result"])
const dependencyRecoveries = counters("aegispay_dependency_recoveries_total", "attempts to recover dependencies", ["dependency", "result"])
const tierAnswers = counters("aegispay_degradation_answers_total", "answers by the way they came; none: there was none", [
  "dependency",
  "tier"
])
const dependencyLevels = family(["dependency"], (attributes) =>
  Metric.gauge("aegispay_dependency_level", { description: "0 healthy, 1 degraded, 2 critical, 3 unknown", attributes })
)
const levels: Record<Level, number> = { healthy: 0, degraded: 1, critical: 2, unknown: 3 }
const unstored = Metric.gauge("aegispay_unstored_outcomes", { description: "outcomes in hand that could not be stored yet" })
const openCount = Metric.gauge("aegispay_open_operations", { description: "operations without a settled outcome" })
const oldestOpenAge = Metric.gauge("aegispay_oldest_open_operation_age_milliseconds", { description: "age of the oldest open operation" })
const requests = counters("aegispay_http_requests_total", "HTTP requests", ["route", "status"])

/** A call to a gateway ended. */
export const gatewayCall = (call: {
  readonly gateway: GatewayName
  readonly kind: OperationKind
  readonly outcome: Outcome["_tag"]
  readonly durationMillis: number
}): Effect.Effect<void> => Effect.andThen(Metric.update(calls(call), 1), Metric.update(callDurations(call), call.durationMillis))

/** A payment was routed. `explored`: to a gateway that did not look best. */
export const routed = (decision: {
  readonly gateway: GatewayName
  readonly explored: boolean
  readonly durationNanos: number
}): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(routings({ gateway: decision.gateway, explored: String(decision.explored) }), 1),
    Metric.update(routingDurations, decision.durationNanos / 1_000)
  )

/** A commit was answered. `result`: the tags of `CommitResult`. */
export const committed = (result: CommitResult["_tag"]): Effect.Effect<void> => {
  const counted = Metric.update(commits({ result }), 1)
  return result === "VersionConflict" ? Effect.andThen(counted, Metric.update(commitConflicts, 1)) : counted
}

/** Events of one payment are durable: counts operations that ended, failovers, and the payment if it came to rest. Once per commit. */
export const recorded = (change: {
  readonly before: Payment
  readonly after: Payment
  readonly events: ReadonlyArray<PaymentEvent>
}): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const event of change.events) {
      const ended = endedBy(change.after, event)
      if (ended !== undefined) yield* Metric.update(operations(ended), 1)
      const failover = failoverOf(change.before, event)
      if (failover !== undefined) yield* Metric.update(failovers(failover), 1)
    }
    const now = status(change.after)
    if (restingStatuses.has(now) && now !== status(change.before)) yield* Metric.update(payments({ status: now }), 1)
  })

/** A request with an idempotency key: `new`: it claimed the key; `hit`: the key's own request again; `conflict`: another request. */
export const idempotency = (result: "new" | "hit" | "conflict"): Effect.Effect<void> => Metric.update(idempotencyKeys({ result }), 1)

/** Recovery is through with one operation. `result`: one of the results that recovery's report names. */
export const recovered = (result: string): Effect.Effect<void> => Metric.update(recoveries({ result }), 1)

/** A webhook was received (`stored`, `duplicate`, `refused`, `full`) or processed (`done`, `ignored`, `retry`, `dead`, `lost`). */
export const webhook = (change: { readonly gateway: GatewayName; readonly result: string }): Effect.Effect<void> =>
  Metric.update(webhooks(change), 1)

/** A delivery ended (`delivered`, `retry`), or a payment's notifications did (`dead`, `lost`: another relay has it). */
export const notified = (result: "delivered" | "retry" | "dead" | "lost"): Effect.Effect<void> =>
  Metric.update(notifications({ result }), 1)

/** A call is made again. */
export const retryMade = (service: string): Effect.Effect<void> => Metric.update(retryAttempts({ service }), 1)

/** A call succeeded when it was made again. */
export const retrySucceeded = (service: string): Effect.Effect<void> => Metric.update(retrySuccesses({ service }), 1)

/** A call that was made again met an error that no repetition helps against. */
export const retryFailed = (service: string): Effect.Effect<void> => Metric.update(retryFailures({ service }), 1)

/**
 * A call might have gone better once more, but all attempts were made (`attempts`), the next one could not have started in time
 * (`deadline`), the retry budget was used up (`budget`), or the breaker was open (`breaker_open`).
 */
export const retryExhausted = (change: {
  readonly service: string
  readonly reason: "attempts" | "deadline" | "budget" | "breaker_open"
}): Effect.Effect<void> => Metric.update(retriesExhausted(change), 1)

/** A bulkhead turned a call away: its queue was `full`, or the call had `waited` as long as it may. */
export const bulkheadRefused = (change: { readonly gateway: GatewayName; readonly reason: "full" | "waited" }): Effect.Effect<void> =>
  Metric.update(bulkheadRefusals(change), 1)

/** An update of a versioned entity met a newer version; `exhausted`: it was the last attempt, otherwise it is tried again. */
export const updateConflicted = (change: { readonly entity: string; readonly exhausted: boolean }): Effect.Effect<void> =>
  Effect.andThen(Metric.update(updateConflicts(change), 1), Metric.update((change.exhausted ? updatesExhausted : updateRetries)(change), 1))

/** An update that had met newer versions was written. */
export const conflictResolved = (change: { readonly entity: string; readonly durationMillis: number }): Effect.Effect<void> =>
  Metric.update(conflictDurations(change), change.durationMillis)

/** A dependency was checked. */
export const dependencyChecked = (change: { readonly dependency: string; readonly result: CheckResult }): Effect.Effect<void> =>
  Metric.update(dependencyChecks(change), 1)

/** A dependency has this level now. */
export const dependencyLevel = (change: { readonly dependency: string; readonly level: Level }): Effect.Effect<void> =>
  Metric.update(dependencyLevels(change), levels[change.level])

/** An attempt to recover a dependency ended. */
export const recoveryTried = (change: { readonly dependency: string; readonly result: "done" | "failed" }): Effect.Effect<void> =>
  Metric.update(dependencyRecoveries(change), 1)

/** A chain of ways led to an answer, or to none. */
export const tierAnswered = (change: { readonly dependency: string; readonly tier: Tier | "none" }): Effect.Effect<void> =>
  Metric.update(tierAnswers(change), 1)

/** How many outcomes are in hand and not stored (rule 16). */
export const unstoredOutcomes = (count: number): Effect.Effect<void> => Metric.update(unstored, count)

/** How many operations are open, and for how long the oldest has been: 0 when there is none. */
export const openOperations = (open: { readonly count: number; readonly oldestAgeMillis: number }): Effect.Effect<void> =>
  Effect.andThen(Metric.update(openCount, open.count), Metric.update(oldestOpenAge, open.oldestAgeMillis))

/** An HTTP request was answered. `route`: the template, such as `/v1/payments/:id`; requests without a route: one constant. */
export const httpRequest = (request: { readonly route: string; readonly status: number }): Effect.Effect<void> =>
  Metric.update(requests({ route: request.route, status: String(request.status) }), 1)

const breakerStates: Record<BreakerState, number> = { closed: 0, "half-open": 1, open: 2, "forced-closed": 3, "forced-open": 4 }

/** What exporting metrics reads of a breaker. `now`: state and health score at this moment. */
export interface BreakerReading {
  readonly totals: BreakerTotals
  readonly now: (clock: Clock.Clock) => { readonly state: BreakerState; readonly score: number }
}

/**
 * The series of one breaker. They are not updated but read when metrics are exported, so that a call through a breaker pays nothing
 * for them. Answers how to remove them.
 *
 * `result`: `success` (in time), `slow` (a success that took too long), `failure`, `ignored`, `blocked` (not made). `to`: the names of the
 * states; the gauge of the state has their numbers: closed 0, half-open 1, open 2, forced closed 3, forced open 4.
 */
export const breakerSeries = (context: Context.Context<never>, breaker: BreakerName, reading: BreakerReading): (() => void) => {
  const { totals } = reading
  const registered: Array<Metric.Registration> = []
  const register = <State>(metric: Metric.Metric<number, State>, get: (clock: Clock.Clock) => State) => {
    const read = (context: Context.Context<never>) => get(Context.get(context, Clock.Clock))
    registered.push(Metric.registerUnsafe(metric, context, { get: read, update: () => {}, modify: () => {} }))
  }
  const counter = (name: string, description: string, labels: Record<string, string>, count: () => number) =>
    register(Metric.counter(name, { description, attributes: { breaker, ...labels }, incremental: true }), () => ({
      count: count(),
      incremental: true
    }))
  const calls = (result: string, count: () => number) =>
    counter("aegispay_breaker_calls_total", "calls that a circuit breaker was asked for, by result", { result }, count)
  calls("success", () => totals.quick)
  calls("slow", () => totals.slow)
  calls("failure", () => totals.failures)
  calls("ignored", () => totals.ignored)
  calls("blocked", () => totals.blocked)
  for (const to of Object.keys(breakerStates) as Array<BreakerState>)
    counter("aegispay_breaker_transitions_total", "changes of state of circuit breakers", { to }, () => totals.transitions[to])
  counter("aegispay_breaker_recoveries_total", "circuit breakers closed by answers that came again", {}, () => totals.recoveries)
  const gauge = (name: string, description: string, value: (clock: Clock.Clock) => number) =>
    register(Metric.gauge(name, { description, attributes: { breaker } }), (clock) => ({ value: value(clock) }))
  gauge(
    "aegispay_breaker_state",
    "0 closed, 1 half-open, 2 open, 3 forced closed, 4 forced open",
    (clock) => breakerStates[reading.now(clock).state]
  )
  gauge("aegispay_breaker_health", "health score in [0, 1]", (clock) => reading.now(clock).score)
  const name = "aegispay_breaker_call_duration_milliseconds"
  const description = "duration of calls through circuit breakers"
  register(Metric.histogram(name, { description, attributes: { breaker }, boundaries: durationBounds }), () => durationsOf(totals))
  return () => {
    for (const registration of registered) registration.remove()
  }
}

const durationsOf = (totals: BreakerTotals): Metric.HistogramState => {
  let count = 0
  const buckets = durationBounds.map((bound, bin): [number, number] => [bound, (count += totals.durations[bin] ?? 0)])
  count += totals.durations[durationBounds.length] ?? 0
  return { buckets, count, min: totals.durationMin, max: totals.durationMax, sum: totals.durationSum }
}

const endings = {
  OperationSucceeded: "succeeded",
  OperationDeclined: "declined",
  OperationNotSent: "not_sent",
  OperationAbsent: "absent"
} as const

const endedBy = (after: Payment, event: PaymentEvent) => {
  switch (event._tag) {
    case "OperationSucceeded":
    case "OperationDeclined":
    case "OperationNotSent":
    case "OperationAbsent":
      return labelsOf(operationOf(after, event.operation), endings[event._tag])
    default:
      return undefined
  }
}

const labelsOf = (operation: Operation | undefined, outcome: (typeof endings)[keyof typeof endings]) =>
  operation === undefined ? undefined : { gateway: operation.intent.gateway, kind: operation.intent.kind, outcome }

const failoverOf = (before: Payment, event: PaymentEvent) => {
  if (event._tag !== "OperationIntended" || event.intent.purpose !== "charge") return undefined
  const last = lastCharge(before)
  return last === undefined || last.intent.gateway === event.intent.gateway
    ? undefined
    : { from: last.intent.gateway, to: event.intent.gateway }
}
