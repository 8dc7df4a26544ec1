/**
 * An event as it is shown to others: in answers of the HTTP interface and in notifications.
 *
 * One shape and one redaction for all of them: every token of the payment method is taken out. Amounts in `data` are
 * `{ currency, minor }` with `minor` as a string of digits.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Event from "./Event.ts"
import type { EventId, PaymentId } from "./Ids.ts"
import { type PaymentMethod, Token } from "./PaymentMethod.ts"

/** The JSON of an event. `occurredAt` is ISO 8601 in UTC; `version` counts the events of the payment from 1 without a gap. */
export interface PublicEvent {
  readonly eventId: EventId
  readonly paymentId: PaymentId
  readonly version: number
  readonly type: Event.PaymentEventType
  readonly occurredAt: string
  readonly data: { readonly [field: string]: unknown }
}

/** An event without what nobody is shown. Fails only on an event that could not have been read either. */
export const of = (stored: Event.StoredEvent): Result.Result<PublicEvent, Schema.SchemaError> =>
  Result.map(Event.encode(withoutDecision(withoutTokens(stored.event))), ({ _tag: type, ...data }) => ({
    eventId: stored.eventId,
    paymentId: stored.paymentId,
    version: stored.version,
    type,
    occurredAt: DateTime.formatIso(DateTime.makeUnsafe(stored.occurredAt)),
    data: withWholeDecision(stored.event, data)
  }))

const withoutDecision = (event: Event.PaymentEvent): Event.PaymentEvent => {
  if (event._tag !== "OperationIntended" || event.intent.decision === undefined) return event
  const { decision: _decision, ...intent } = event.intent
  return { ...event, intent }
}

/** A decision is stored in few bytes that mean nothing to others: they are shown it with the names of its fields. */
const withWholeDecision = (event: Event.PaymentEvent, data: PublicEvent["data"]): PublicEvent["data"] =>
  event._tag === "OperationIntended" && event.intent.decision !== undefined
    ? { ...data, intent: { ...(data["intent"] as object), decision: event.intent.decision } }
    : data

/** What stands in place of a token. */
const redacted = Token.make("[redacted]")

/** An event without the tokens of its payment method. */
export const withoutTokens = (event: Event.PaymentEvent): Event.PaymentEvent => {
  switch (event._tag) {
    case "PaymentInitiated":
      return { ...event, details: { ...event.details, method: methodWithoutTokens(event.details.method) } }
    case "OperationIntended": {
      const { details } = event.intent
      return details.token === undefined ? event : { ...event, intent: { ...event.intent, details: { ...details, token: redacted } } }
    }
    default:
      return event
  }
}

const methodWithoutTokens = (method: PaymentMethod): PaymentMethod => ({
  ...method,
  ...(method.token === undefined ? {} : { token: redacted }),
  ...(method.references === undefined
    ? {}
    : { references: Object.fromEntries(Object.keys(method.references).map((gateway) => [gateway, redacted])) })
})
