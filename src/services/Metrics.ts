/**
 * What the programs count, as functions named after what happened. Names, units and labels of the metrics are in metrics/Catalog.ts; an
 * exporter reads effect's metric registry.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { InjectionType, Target } from "../domain/chaos/Injection.ts"
import type { Operation, OperationKind } from "../domain/operation/Operation.ts"
import type { Outcome } from "../domain/operation/Outcome.ts"
import type { PaymentEvent } from "../domain/payment/Event.ts"
import type { GatewayName } from "../domain/payment/Ids.ts"
import { lastCharge, operationOf, type Payment } from "../domain/payment/State.ts"
import { type PaymentStatus, status } from "../domain/payment/Status.ts"
import type { Quote } from "../domain/rates/Quote.ts"
import type { BreakerName } from "../domain/resilience/BreakerName.ts"
import { type BreakerState, type BreakerTotals, durationBounds } from "../domain/resilience/breaker/BreakerTotals.ts"
import type { CheckResult, Level, Tier } from "../domain/resilience/dependency/Degradation.ts"
import type { ExclusionReason } from "../domain/routing/Decision.ts"
import type { CommitResult } from "./EventStore.ts"
import { catalog, type LabelsOf } from "./metrics/Catalog.ts"
import * as Family from "./metrics/Family.ts"

export { startAtZero } from "./metrics/Family.ts"

const payments = Family.of("aegispay_payments_total")
const operations = Family.of("aegispay_operations_total")
const unstored = Family.of("aegispay_unstored_outcomes")
const idempotencyKeys = Family.of("aegispay_idempotency_keys_total")
const recoveries = Family.of("aegispay_recoveries_total")
const reconciliationFindings = Family.of("aegispay_reconciliation_findings_total")
const webhooks = Family.of("aegispay_webhooks_total")
const notifications = Family.of("aegispay_notifications_total")
const eventGaps = Family.of("aegispay_event_gaps_total")
const errors = Family.of("aegispay_errors_total")
const calls = Family.of("aegispay_gateway_calls_total")
const callErrors = Family.of("aegispay_gateway_errors_total")
const callDurations = Family.of("aegispay_gateway_call_duration_milliseconds")
const routings = Family.of("aegispay_routing_decisions_total")
const routingRefusals = Family.of("aegispay_routing_refusals_total")
const routingDurations = Family.of("aegispay_routing_decision_duration_microseconds")
const failovers = Family.of("aegispay_failovers_total")
const commits = Family.of("aegispay_commits_total")
const commitConflicts = Family.of("aegispay_commit_conflicts_total")
const updateConflicts = Family.of("aegispay_update_conflicts_total")
const updateRetries = Family.of("aegispay_update_retries_total")
const updatesExhausted = Family.of("aegispay_updates_exhausted_total")
const conflictDurations = Family.of("aegispay_update_conflict_duration_milliseconds")
const retryAttempts = Family.of("aegispay_retry_attempts_total")
const retrySuccesses = Family.of("aegispay_retry_success_total")
const retryFailures = Family.of("aegispay_retry_failure_total")
const retriesExhausted = Family.of("aegispay_retry_exhausted_total")
const bulkheadRefusals = Family.of("aegispay_bulkhead_refusals_total")
const dependencyLevels = Family.of("aegispay_dependency_level")
const dependencyChecks = Family.of("aegispay_dependency_checks_total")
const dependencyRecoveries = Family.of("aegispay_dependency_recoveries_total")
const tierAnswers = Family.of("aegispay_degradation_answers_total")
const rateQuotes = Family.of("aegispay_rate_quotes_total")
const rateQuoteAges = Family.of("aegispay_rate_quote_age_milliseconds")
const rateFetches = Family.of("aegispay_rate_fetches_total")
const rateCacheFailures = Family.of("aegispay_rate_cache_failures_total")
const fraudDisputes = Family.of("aegispay_fraud_disputes_total")
const requests = Family.of("aegispay_http_requests_total")
const chaosInjections = Family.of("aegispay_chaos_injections_total")
const requestDurations = Family.of("aegispay_http_request_duration_milliseconds")

/** What is counted with every payment is counted in one step of its fiber. */
const atOnce = (count: (context: Context.Context<never>) => void): Effect.Effect<void> =>
  Effect.withFiberSucceed((fiber) => count(fiber.context))

/** A call to a gateway ended. */
export const gatewayCall = (call: {
  readonly gateway: GatewayName
  readonly kind: OperationKind
  readonly outcome: Outcome
  readonly durationMillis: number
}): Effect.Effect<void> =>
  atOnce((context) => {
    const { durationMillis, gateway, kind, outcome } = call
    calls({ gateway, kind, outcome: outcome._tag }).updateUnsafe(1, context)
    callDurations({ gateway, kind }).updateUnsafe(durationMillis, context)
    const category = troubleOf(outcome)
    if (category !== undefined) callErrors({ gateway, category }).updateUnsafe(1, context)
  })

/** Why a call did not do what it was to do, if it did not. */
const troubleOf = (outcome: Outcome): LabelsOf<"aegispay_gateway_errors_total">["category"] | undefined => {
  switch (outcome._tag) {
    case "Declined":
      return outcome.category
    case "NotSent":
    case "Unknown":
      return outcome.reason
    default:
      return undefined
  }
}

/** A payment was routed. `explored`: to a gateway that did not look best. Counted in the step of the fiber that decides. */
export const routed = (
  context: Context.Context<never>,
  decision: { readonly gateway: GatewayName; readonly explored: boolean; readonly durationNanos: number }
): void => {
  routings({ gateway: decision.gateway, explored: decision.explored ? "true" : "false" }).updateUnsafe(1, context)
  routingDurations({}).updateUnsafe(decision.durationNanos / 1_000, context)
}

/** No gateway may take a payment: counted once for each reason there was. */
export const notRouted = (excluded: ReadonlyArray<{ readonly reason: ExclusionReason }>): Effect.Effect<void> =>
  atOnce((context) => {
    const reasons = excluded.length === 0 ? (["not_configured"] as const) : new Set(excluded.map(({ reason }) => reason))
    for (const reason of reasons) routingRefusals({ reason }).updateUnsafe(1, context)
  })

/** A commit was answered. `result`: the tags of `CommitResult`. */
export const committed = (result: CommitResult["_tag"]): Effect.Effect<void> =>
  atOnce((context) => {
    commits({ result }).updateUnsafe(1, context)
    if (result === "VersionConflict") commitConflicts({}).updateUnsafe(1, context)
  })

/** Events of one payment are durable: counts operations that ended, failovers, and the payment if it came to rest. Once per commit. */
export const recorded = (change: {
  readonly before: Payment
  readonly after: Payment
  readonly events: ReadonlyArray<PaymentEvent>
}): Effect.Effect<void> =>
  atOnce((context) => {
    for (const event of change.events) {
      const ended = endedBy(change.after, event)
      if (ended !== undefined) operations(ended).updateUnsafe(1, context)
      const failover = failoverOf(change.before, event)
      if (failover !== undefined) failovers(failover).updateUnsafe(1, context)
      if (event._tag === "DisputeOpened") fraudDisputes({ action: change.after.fraud?.action ?? "none" }).updateUnsafe(1, context)
    }
    const now = status(change.after)
    if (isResting(now) && now !== status(change.before)) payments({ status: now }).updateUnsafe(1, context)
  })

type Resting = LabelsOf<"aegispay_payments_total">["status"]

/** Statuses in which a payment rests until somebody asks for more. */
const restingStatuses: ReadonlySet<PaymentStatus> = new Set<PaymentStatus>(catalog.aegispay_payments_total.labels.status)

const isResting = (status: PaymentStatus): status is Resting => restingStatuses.has(status)

/** A request with an idempotency key: `new`: it claimed the key; `hit`: the key's own request again; `conflict`: another request. */
export const idempotency = (result: "new" | "hit" | "conflict"): Effect.Effect<void> =>
  atOnce((context) => idempotencyKeys({ result }).updateUnsafe(1, context))

/** Reconciliation found that ours and theirs are not the same. */
export const reconciled = (finding: LabelsOf<"aegispay_reconciliation_findings_total">["finding"]): Effect.Effect<void> =>
  Metric.update(reconciliationFindings({ finding }), 1)

/** Recovery is through with one operation. `result`: one of the results that recovery's report names. */
export const recovered = (result: LabelsOf<"aegispay_recoveries_total">["result"]): Effect.Effect<void> =>
  Metric.update(recoveries({ result }), 1)

/** A webhook was received (`stored`, `duplicate`, `refused`, `full`) or processed (`done`, `ignored`, `retry`, `dead`, `lost`). */
export const webhook = (change: LabelsOf<"aegispay_webhooks_total">): Effect.Effect<void> => Metric.update(webhooks(change), 1)

/** A delivery ended (`delivered`, `retry`), or a payment's notifications did (`dead`, `lost`: another relay has it). */
export const notified = (result: "delivered" | "retry" | "dead" | "lost"): Effect.Effect<void> =>
  atOnce((context) => notifications({ result }).updateUnsafe(1, context))

/** A history was read that has a gap: its payment is halted. */
export const eventGap: Effect.Effect<void> = Effect.suspend(() => Metric.update(eventGaps({}), 1))

/** A command of a payment failed. */
export const failed = (category: LabelsOf<"aegispay_errors_total">["category"]): Effect.Effect<void> =>
  Metric.update(errors({ category }), 1)

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

const levels: Record<Level, number> = { healthy: 0, degraded: 1, critical: 2, unknown: 3 }

/** A dependency has this level now. */
export const dependencyLevel = (change: { readonly dependency: string; readonly level: Level }): Effect.Effect<void> =>
  Metric.update(dependencyLevels(change), levels[change.level])

/** An attempt to recover a dependency ended. */
export const recoveryTried = (change: { readonly dependency: string; readonly result: "done" | "failed" }): Effect.Effect<void> =>
  Metric.update(dependencyRecoveries(change), 1)

/** A chain of ways led to an answer, or to none. */
export const tierAnswered = (change: { readonly dependency: string; readonly tier: Tier | "none" }): Effect.Effect<void> =>
  Metric.update(tierAnswers(change), 1)

/** An exchange rate was quoted, or there was none. */
export const rateQuoted = (quote: Pick<Quote, "tier" | "ageMillis"> | undefined): Effect.Effect<void> =>
  atOnce((context) => {
    rateQuotes({ tier: quote?.tier ?? "none" }).updateUnsafe(1, context)
    const tier = quote?.tier
    if (tier === "primary" || tier === "emergency") rateQuoteAges({ tier }).updateUnsafe(quote?.ageMillis ?? 0, context)
  })

/** A source of exchange rates was asked, with its retries. */
export const rateFetched = (change: LabelsOf<"aegispay_rate_fetches_total">): Effect.Effect<void> => Metric.update(rateFetches(change), 1)

/** The cache of exchange rates did not answer. */
export const rateCacheFailed = (change: LabelsOf<"aegispay_rate_cache_failures_total">): Effect.Effect<void> =>
  Metric.update(rateCacheFailures(change), 1)

/** How many outcomes are in hand and not stored (rule 16). */
export const unstoredOutcomes = (count: number): Effect.Effect<void> => Metric.update(unstored({}), count)

/** An HTTP request was answered. `route`: the template, such as `/v1/payments/:id`; requests without a route: one constant. */
export const httpRequest = (request: {
  readonly route: string
  readonly status: number
  readonly durationMillis: number
}): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(requests({ route: request.route, status: String(request.status) }), 1),
    Metric.update(requestDurations(request), request.durationMillis)
  )

/** A fault was injected on purpose. Counted at once, since a clock is read without an effect. */
export const chaosInjected = (
  fault: { readonly type: InjectionType; readonly target: Target; readonly gateway: GatewayName | undefined },
  context: Context.Context<never>
): void => chaosInjections({ type: fault.type, target: fault.target, gateway: fault.gateway ?? "" }).updateUnsafe(1, context)

const breakerStates: Record<BreakerState, number> = { closed: 0, "half-open": 1, open: 2, "forced-closed": 3, "forced-open": 4 }

/** What exporting metrics reads of a breaker. `now`: state and health score at this moment. */
export interface BreakerReading {
  readonly totals: BreakerTotals
  readonly now: (clock: Clock.Clock) => { readonly state: BreakerState; readonly score: number }
}

/** The series of one breaker, read when metrics are exported: a call through it pays nothing for them. Answers how to remove them. */
export const breakerSeries = (context: Context.Context<never>, breaker: BreakerName, reading: BreakerReading): (() => void) => {
  const { now, totals } = reading
  const series = Family.registrar(context)
  const calls = (result: LabelsOf<"aegispay_breaker_calls_total">["result"], count: () => number) =>
    series.counter("aegispay_breaker_calls_total", { breaker, result }, count)
  calls("success", () => totals.quick)
  calls("slow", () => totals.slow)
  calls("failure", () => totals.failures)
  calls("ignored", () => totals.ignored)
  calls("blocked", () => totals.blocked)
  for (const to of catalog.aegispay_breaker_transitions_total.labels.to)
    series.counter("aegispay_breaker_transitions_total", { breaker, to }, () => totals.transitions[to])
  series.counter("aegispay_breaker_recoveries_total", { breaker }, () => totals.recoveries)
  series.gauge("aegispay_breaker_state", { breaker }, (clock) => breakerStates[now(clock).state])
  series.gauge("aegispay_breaker_health", { breaker }, (clock) => now(clock).score)
  series.histogram("aegispay_breaker_call_duration_milliseconds", { breaker }, () => durationsOf(totals))
  return series.remove
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
