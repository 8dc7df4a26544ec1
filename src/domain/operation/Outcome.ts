/**
 * What an adapter answers about one attempt: a closed union.
 *
 * An adapter never fails and never throws: whatever it meets is one of these six. When in doubt it is `Unknown`.
 */
import * as Schema from "effect/Schema"
import { Money } from "../Money.ts"
import { DeclineCategory } from "./Decline.ts"
import { GatewayReference } from "../payment/Ids.ts"

/** Milliseconds since 1970-01-01 UTC. */
export const EpochMillis = Schema.Int
const Code = Schema.String.check(Schema.isMaxLength(128))
/** A sentence for people: at most 1,000 characters, no secrets and no card data. */
const Message = Schema.String.check(Schema.isMaxLength(1000))

/** What the customer has to do. `redirect`: open the url. `approve_on_device`: approve in the wallet or on the phone. */
export const NextAction = Schema.Union([
  Schema.Struct({ type: Schema.Literal("redirect"), url: Schema.String.check(Schema.isMaxLength(2048)) }),
  Schema.Struct({ type: Schema.Literal("approve_on_device"), message: Schema.optionalKey(Message) })
])
export type NextAction = typeof NextAction.Type

/**
 * It happened. `chargedAt` is the PSP's own creation time, where it tells one. `named` says that the answer named the object it
 * acted on, which a cancel needs in order to count early (rule 13).
 */
export const Succeeded = Schema.TaggedStruct("Succeeded", {
  gatewayReference: GatewayReference,
  amount: Money,
  chargedAt: Schema.optionalKey(EpochMillis),
  named: Schema.Boolean
})
export type Succeeded = typeof Succeeded.Type

/**
 * It certainly did not happen, says the gateway. `networkForbids`: the card's network forbids every further attempt with this card (Visa's
 * category 1, Mastercard's advice 03 and 21); absent where it does not, as for what the customer can correct.
 */
export const Declined = Schema.TaggedStruct("Declined", {
  category: DeclineCategory,
  code: Code,
  message: Message,
  gatewayReference: Schema.optionalKey(GatewayReference),
  retryAfterMillis: Schema.optionalKey(Schema.Int),
  networkForbids: Schema.optionalKey(Schema.Literal(true))
})
export type Declined = typeof Declined.Type

/** Why no byte of an attempt can have been acted on. The last five are our own doing and do not count against the gateway. */
export const NotSentReason = Schema.Literals([
  "name_not_resolved",
  "connection_refused",
  "connection_not_made",
  "breaker_open",
  "bulkhead_full",
  "local_limit",
  "permission_lapsed",
  "rate_limited"
])
export type NotSentReason = typeof NotSentReason.Type

/** No byte of this attempt can have been acted on. `retryAfterMillis`: nothing goes better before, as far as that is known. */
export const NotSent = Schema.TaggedStruct("NotSent", {
  reason: NotSentReason,
  message: Message,
  retryAfterMillis: Schema.optionalKey(Schema.Int)
})
export type NotSent = typeof NotSent.Type

/** Accepted; the answer comes later by webhook or poll. */
export const Pending = Schema.TaggedStruct("Pending", { gatewayReference: GatewayReference })
export type Pending = typeof Pending.Type

/** The customer must do something. */
export const RequiresAction = Schema.TaggedStruct("RequiresAction", { gatewayReference: GatewayReference, nextAction: NextAction })
export type RequiresAction = typeof RequiresAction.Type

/**
 * Why it may have happened. `conflict`: duplicate key, key in use, parameter mismatch or invalid state, so look it up.
 * `inconclusive`: a refusal was answered that does not speak for an earlier send (rule 1). `interrupted`: the process gave up the call.
 */
export const UnknownReason = Schema.Literals([
  "timeout",
  "connection_lost",
  "server_error",
  "unreadable",
  "conflict",
  "inconclusive",
  "interrupted"
])
export type UnknownReason = typeof UnknownReason.Type

/** It may have happened. `retryAfterMillis`: when the gateway asks to be asked again. */
export const Unknown = Schema.TaggedStruct("Unknown", {
  reason: UnknownReason,
  message: Message,
  gatewayReference: Schema.optionalKey(GatewayReference),
  retryAfterMillis: Schema.optionalKey(Schema.Int)
})
export type Unknown = typeof Unknown.Type

/** The outcome of one attempt. */
export const Outcome = Schema.Union([Succeeded, Declined, NotSent, Pending, RequiresAction, Unknown])
export type Outcome = typeof Outcome.Type

/** Cuts a text from outside to what an outcome may carry. */
export const boundedMessage = (text: string): string => text.slice(0, 1000)

/** Cuts a code from outside to what an outcome may carry. */
export const boundedCode = (text: string): string => text.slice(0, 128)
