/**
 * The kinds of hook: what a host may have done with every payment, by code of its own.
 */
import * as Schema from "effect/Schema"

/**
 * - `pre_validation`: may refuse a payment before anything else is done with it.
 * - `fraud_check`: gives a verdict; one that blocks ends the payment before any gateway hears of it.
 * - `enrichment`: adds what is known of a payment, for routing and for the host.
 * - `routing_strategy`: names the gateway that is tried first, among those that can take the payment.
 * - `error_handler`: advises what follows a charge that certainly did not happen, within what the engine would allow anyway.
 * - `post_validation`: looks at a payment that came to rest; what it finds is recorded.
 * - `event_listener`: is told of events.
 * - `metrics_collector`: is told of what the engine counts and measures.
 */
export const HookKind = Schema.Literals([
  "pre_validation",
  "fraud_check",
  "enrichment",
  "routing_strategy",
  "error_handler",
  "post_validation",
  "event_listener",
  "metrics_collector"
])
export type HookKind = typeof HookKind.Type

/** A hook's name, in reports, events and metrics: 1 to 64 characters of `a-z 0-9 - _ .`, starting with a letter or digit. */
export const HookName = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9_.-]{0,63}$/)).pipe(Schema.brand("HookName"))
export type HookName = typeof HookName.Type

/**
 * How a hook did not do what it is for.
 *
 * - `failed`: it failed. `defect`: it died, which includes writing to its frozen input.
 * - `timeout`: it did not answer in time, or the time of its kind was used up before its turn.
 * - `invalid`: its answer is none, or holds what it must not.
 * - `busy`: too many of its earlier runs have not come to an end.
 * - `closed`: it runs in the background, and was ended because it was unregistered, or the registry closed.
 */
export const HookFailure = Schema.Literals(["failed", "defect", "timeout", "invalid", "busy", "closed"])
export type HookFailure = typeof HookFailure.Type
