/**
 * Every metric of AegisPay in one place: name, type, unit, labels, meaning. docs/metrics.md is checked against it.
 *
 * **Labels are bounded.** A label has a list of values here, or its values are names of the configuration (`configured`); ids, keys and
 * texts are never labels. Should there be more than 1,000 label sets of one metric after all, every further one is counted as `other`.
 *
 * **Naming**: a counter ends in `_total`; a duration says its unit, milliseconds unless it says otherwise, as everywhere in AegisPay. The
 * metrics of the process have the names and units that the Prometheus client libraries agreed on
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics, and `nodejs_` as in prom-client), so that dashboards fit.
 */
import { HookFailure, HookKind } from "../../domain/hooks/HookKind.ts"
import { FraudAction } from "../../domain/hooks/Verdict.ts"
import { injectionTypes, targets } from "../../domain/chaos/Injection.ts"
import { DeclineCategory } from "../../domain/operation/Decline.ts"
import { OperationKind } from "../../domain/operation/Operation.ts"
import { NotSentReason, UnknownReason } from "../../domain/operation/Outcome.ts"
import { OperationStatus } from "../../domain/payment/View.ts"
import { durationBounds } from "../../domain/resilience/breaker/BreakerTotals.ts"
import { ExclusionReason } from "../../domain/routing/Decision.ts"
import { scopes } from "../../domain/resilience/RateLimit.ts"

/** Values of a label that the configuration names. */
export interface Configured {
  readonly configured: string
}

/** Where the values of each label of a metric come from. */
export interface Labels {
  readonly [label: string]: ReadonlyArray<string> | Configured
}

export type Type = "counter" | "gauge" | "histogram"

/** A metric. `boundaries`: upper bounds of a histogram's buckets. */
export interface Declaration<T extends Type = Type, L extends Labels = Labels> {
  readonly type: T
  readonly unit: string
  readonly description: string
  readonly labels: L
  readonly boundaries?: ReadonlyArray<number>
}

const of =
  <T extends Type>(type: T, boundaries?: ReadonlyArray<number>) =>
  <const L extends Labels = Record<string, never>>(unit: string, description: string, labels?: L): Declaration<T, L> => ({
    type,
    unit,
    description,
    labels: labels ?? ({} as L),
    ...(boundaries === undefined ? {} : { boundaries })
  })

const doubling = (start: number, count: number) => Array.from({ length: count }, (_, index) => start * 2 ** index)

const counter = of("counter")
const gauge = of("gauge")
/** From 10 ms (in-process) to past the 15 s limit of an attempt. */
const callDuration = of("histogram", durationBounds)
/** From 1 ms to past the time a request may wait. */
const requestDuration = of("histogram", doubling(1, 16))
const microseconds = of("histogram", doubling(1, 15))

const gateway: Configured = { configured: "gateways" }
const kind = OperationKind.literals

const payments = {
  aegispay_payments_total: counter("payments", "payments that came to rest, by status", {
    status: [
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
    ]
  }),
  aegispay_operations_total: counter("operations", "operations that ended", {
    gateway,
    kind,
    outcome: ["succeeded", "declined", "not_sent", "absent"]
  }),
  aegispay_open_operations: gauge("operations", "operations without a settled outcome, in the whole database", { gateway }),
  aegispay_oldest_open_operation_age_milliseconds: gauge("milliseconds", "age of the oldest open operation; 0: there is none", { gateway }),
  aegispay_unstored_outcomes: gauge("outcomes", "outcomes in hand that could not be stored yet"),
  aegispay_idempotency_keys_total: counter(
    "requests",
    "requests with an idempotency key: it was new, the key's own request again, or another one",
    { result: ["new", "hit", "conflict"] }
  ),
  aegispay_recoveries_total: counter("operations", "open operations that recovery looked at, by where they stand then", {
    result: [...OperationStatus.literals, "not_configured", "error", "busy"]
  }),
  aegispay_reconciliation_findings_total: counter("findings", "what reconciliation found, orphans without a payment of ours included", {
    finding: ["Orphan", "Double", "Difference", "Missing"]
  }),
  aegispay_webhooks_total: counter("webhooks", "webhooks that were received or processed, by result", {
    gateway,
    result: ["stored", "duplicate", "refused", "full", "done", "ignored", "retry", "dead", "lost"]
  }),
  aegispay_notifications_total: counter("deliveries", "deliveries of events to endpoints, by result", {
    result: ["delivered", "retry", "dead", "lost"]
  }),
  aegispay_event_gaps_total: counter("reads", "histories read with an event missing or doubled: each halts its payment, look at once"),
  aegispay_errors_total: counter("commands", "commands of payments that failed, by category; a decline is none", {
    category: [
      "refused",
      "key_reused",
      "in_progress",
      "not_found",
      "no_usable_gateway",
      "gateway_not_configured",
      "gateway_list_failed",
      "not_reconcilable",
      "not_resolvable",
      "not_accepting",
      "conflicts",
      "history_damaged",
      "store_unavailable",
      "store_outcome_unknown",
      "store_corrupt",
      "host_transaction",
      "defect"
    ]
  })
}

const gateways = {
  aegispay_gateway_calls_total: counter("calls", "calls to gateways, by outcome of the call", {
    gateway,
    kind,
    outcome: ["Succeeded", "Declined", "NotSent", "Pending", "RequiresAction", "Unknown"]
  }),
  aegispay_gateway_errors_total: counter(
    "calls",
    "calls that were declined, not sent or not answered, by category of the decline or reason of the trouble",
    { gateway, category: [...new Set([...DeclineCategory.literals, ...NotSentReason.literals, ...UnknownReason.literals])] }
  ),
  aegispay_gateway_call_duration_milliseconds: callDuration("milliseconds", "duration of calls to gateways", { gateway, kind }),
  aegispay_gateway_window_calls: gauge("calls", "calls in the last hour that count for or against the gateway", { gateway }),
  aegispay_gateway_success_rate: gauge("share", "availability in the last hour, in [0, 1]", { gateway }),
  aegispay_gateway_approval_rate: gauge("share", "approvals in the last hour, in [0, 1]", { gateway }),
  aegispay_gateway_latency_milliseconds: gauge("milliseconds", "latency of calls in the last hour, by quantile", {
    gateway,
    quantile: ["0.5", "0.95", "0.99"]
  }),
  aegispay_gateway_cost_minor_total: counter("minor units", "costs of charges, in minor units of the currency", {
    gateway,
    currency: { configured: "currencies of fees" }
  }),
  aegispay_gateway_costs_total: counter("charges", "charges whose cost is known", {
    gateway,
    currency: { configured: "currencies of fees" }
  })
}

const routing = {
  aegispay_routing_decisions_total: counter(
    "payments",
    "payments routed, by the gateway that is tried first; explored: it did not look best",
    {
      gateway,
      explored: ["true", "false"]
    }
  ),
  aegispay_routing_refusals_total: counter(
    "payments",
    "payments that no gateway may take, by why gateways are left out: once for each reason",
    {
      reason: ExclusionReason.literals
    }
  ),
  aegispay_routing_decision_duration_microseconds: microseconds(
    "microseconds",
    "duration of routing decisions, without waiting for retry caps"
  ),
  aegispay_failovers_total: counter("charges", "charges that went on at another gateway", { from: gateway, to: gateway })
}

const breaker: Configured = { configured: "gateways with each kind of operation, and breakers of the program" }

const breakers = {
  aegispay_breaker_state: gauge("state", "0 closed, 1 half-open, 2 open, 3 forced closed, 4 forced open", { breaker }),
  aegispay_breaker_health: gauge("share", "health score in [0, 1]", { breaker }),
  aegispay_breaker_calls_total: counter(
    "calls",
    "calls that a circuit breaker was asked for, by result; slow: a success that took too long",
    {
      breaker,
      result: ["success", "slow", "failure", "ignored", "blocked"]
    }
  ),
  aegispay_breaker_call_duration_milliseconds: callDuration("milliseconds", "duration of calls through circuit breakers", { breaker }),
  aegispay_breaker_transitions_total: counter("transitions", "changes of state of circuit breakers; to open: it opened", {
    breaker,
    to: ["closed", "half-open", "open", "forced-closed", "forced-open"]
  }),
  aegispay_breaker_recoveries_total: counter("recoveries", "circuit breakers closed by answers that came again", { breaker })
}

const service: Configured = { configured: "gateways, and services of the program" }

const retries = {
  aegispay_retry_attempts_total: counter("calls", "repetitions of calls", { service }),
  aegispay_retry_success_total: counter("calls", "calls that succeeded when they were repeated", { service }),
  aegispay_retry_failure_total: counter("calls", "calls that were repeated and then failed for good", { service }),
  aegispay_retry_exhausted_total: counter("calls", "calls that might have been repeated and were not any more, by reason", {
    service,
    reason: ["attempts", "deadline", "budget", "breaker_open"]
  }),
  aegispay_bulkhead_refusals_total: counter(
    "calls",
    "calls that a bulkhead turned away: it was full, or they had waited as long as they may",
    {
      gateway,
      reason: ["full", "waited"]
    }
  )
}

const limit: Configured = { configured: "rate limits" }

const rateLimits = {
  aegispay_rate_limit_total: counter("checks", "checks of rate limits", { limit, scope: scopes, result: ["allowed", "blocked"] }),
  aegispay_rate_limit_blocked_keys: gauge("keys", "keys that a rate limit has blocked for a time"),
  aegispay_rate_limit_store_errors_total: counter("checks", "checks of rate limits that the store did not answer")
}

const entity: Configured = { configured: "payment, and kinds of versioned entities of the program" }

const concurrency = {
  aegispay_commits_total: counter("commits", "commits, by result", { result: ["Committed", "KeyTaken", "VersionConflict", "LeaseLost"] }),
  aegispay_commit_conflicts_total: counter("commits", "commits that met a newer version"),
  aegispay_update_conflicts_total: counter("updates", "updates of versioned entities that met a newer version", { entity }),
  aegispay_update_retries_total: counter("updates", "updates of versioned entities that were tried again", { entity }),
  aegispay_updates_exhausted_total: counter("updates", "updates that met a newer version in every attempt", { entity }),
  aegispay_update_conflict_duration_milliseconds: callDuration(
    "milliseconds",
    "from the first conflict of an update until it was written",
    { entity }
  )
}

const dependency: Configured = { configured: "database, redis, and dependencies of the program" }

const dependencies = {
  aegispay_dependency_level: gauge("level", "0 healthy, 1 degraded, 2 critical, 3 unknown", { dependency }),
  aegispay_dependency_checks_total: counter("checks", "checks of dependencies, by result", {
    dependency,
    result: ["ok", "impaired", "failed"]
  }),
  aegispay_dependency_recoveries_total: counter("attempts", "attempts to recover dependencies", { dependency, result: ["done", "failed"] }),
  aegispay_degradation_answers_total: counter("answers", "answers by the way they came; none: there was none", {
    dependency,
    tier: ["primary", "degraded", "fallback", "none"]
  }),
  aegispay_database_connections: gauge("connections", "connections of this process, by the state that the database sees", {
    state: ["active", "idle", "in_transaction", "other"]
  }),
  aegispay_database_connections_limit: gauge("connections", "connections that the pool may have"),
  aegispay_database_connection_wait_milliseconds: gauge("milliseconds", "how long the last sample waited for a connection of the pool")
}

const hook: Configured = { configured: "names of hooks" }
const hookKind = HookKind.literals

const hooks = {
  aegispay_hook_runs_total: counter("runs", "runs of hooks, by what came of them", {
    kind: hookKind,
    hook,
    result: ["done", ...HookFailure.literals]
  }),
  aegispay_hook_duration_milliseconds: requestDuration("milliseconds", "duration of runs of hooks", { kind: hookKind, hook }),
  aegispay_hook_rejections_total: counter("payments", "payments that a validation refused or a fraud check blocked, by hook", {
    kind: ["pre_validation", "fraud_check", "post_validation"],
    hook
  }),
  aegispay_hook_answers_refused_total: counter("answers", "routing answers and advice that were not followed because nothing allows them", {
    kind: ["routing_strategy", "error_handler"],
    hook
  }),
  aegispay_hook_dropped_total: counter("events", "events and observations that a hook was not told of because it did not keep up", {
    kind: ["event_listener", "post_validation", "metrics_collector"],
    hook
  }),
  aegispay_fraud_verdicts_total: counter("verdicts", "verdicts of fraud checks, by hook", { hook, action: FraudAction.literals }),
  aegispay_fraud_disputes_total: counter(
    "disputes",
    "disputes opened, by what the fraud checks had said of the payment; none: there were none",
    {
      action: ["allow", "flag", "block", "none"]
    }
  )
}

const rates = {
  aegispay_rate_quotes_total: counter("quotes", "exchange rates that were asked for, by how good the quote was; none: there was none", {
    tier: ["same_currency", "primary", "emergency", "conservative", "none"]
  }),
  aegispay_rate_quote_age_milliseconds: of("histogram", doubling(1_000, 14))("milliseconds", "age of fetched rates when they were quoted", {
    tier: ["primary", "emergency"]
  }),
  aegispay_rate_fetches_total: counter("fetches", "sources of exchange rates asked, retries included in one, by what came of it", {
    source: { configured: "sources of exchange rates" },
    result: ["succeeded", "failed", "breaker_open"]
  }),
  aegispay_rate_cache_failures_total: counter("operations", "operations of the cache of exchange rates that failed", {
    action: ["read", "write"]
  })
}

const http = {
  aegispay_http_requests_total: counter("requests", "HTTP requests", {
    route: { configured: "templates of the routes, and unmatched" },
    status: { configured: "HTTP status codes" }
  }),
  aegispay_http_request_duration_milliseconds: requestDuration("milliseconds", "duration of HTTP requests", {
    route: { configured: "templates of the routes, and unmatched" }
  })
}

const chaos = {
  aegispay_chaos_injections_total: counter("faults", "faults that were injected on purpose, by where; the gateway is empty elsewhere", {
    type: injectionTypes,
    target: targets,
    gateway
  })
}

const ofProcess = {
  aegispay_build_info: gauge("constant", "1; the versions of AegisPay and Node are the labels", {
    version: { configured: "the version of the package" },
    node: { configured: "the version of Node" }
  }),
  process_cpu_user_seconds_total: counter("seconds", "user CPU time"),
  process_cpu_system_seconds_total: counter("seconds", "system CPU time"),
  process_cpu_seconds_total: counter("seconds", "user and system CPU time"),
  process_resident_memory_bytes: gauge("bytes", "resident memory"),
  process_start_time_seconds: gauge("seconds", "start of the process since 1970-01-01 UTC"),
  nodejs_heap_size_used_bytes: gauge("bytes", "heap in use"),
  nodejs_heap_size_total_bytes: gauge("bytes", "heap that is reserved"),
  nodejs_external_memory_bytes: gauge("bytes", "memory outside of the heap: buffers"),
  nodejs_eventloop_lag_p50_seconds: gauge("seconds", "delay of the event loop in the last full 10 s, median"),
  nodejs_eventloop_lag_p99_seconds: gauge("seconds", "delay of the event loop in the last full 10 s, 99th percentile"),
  nodejs_eventloop_lag_max_seconds: gauge("seconds", "delay of the event loop in the last full 10 s, longest"),
  nodejs_eventloop_utilization: gauge("share", "part of the last full 10 s in which the event loop was busy, in [0, 1]")
}

/** The metrics by subject, as the documentation shows them. */
export const subjects = {
  "Payments and operations": payments,
  Gateways: gateways,
  Routing: routing,
  "Circuit breakers": breakers,
  "Retries and bulkheads": retries,
  "Rate limits": rateLimits,
  Concurrency: concurrency,
  "Dependencies and database": dependencies,
  Hooks: hooks,
  "Exchange rates": rates,
  HTTP: http,
  "Injected faults": chaos,
  Process: ofProcess
}

/** Every metric by its name. */
export const catalog = {
  ...payments,
  ...gateways,
  ...routing,
  ...breakers,
  ...retries,
  ...rateLimits,
  ...concurrency,
  ...dependencies,
  ...hooks,
  ...rates,
  ...http,
  ...chaos,
  ...ofProcess
}

export type Name = keyof typeof catalog

type ValueOf<V> = V extends ReadonlyArray<infer T extends string> ? T : string

/** The labels of a metric with a value for each. */
export type LabelsOf<N extends Name> = { readonly [L in keyof (typeof catalog)[N]["labels"]]: ValueOf<(typeof catalog)[N]["labels"][L]> }
