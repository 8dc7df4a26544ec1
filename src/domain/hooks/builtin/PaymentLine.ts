/**
 * What the log says of an event: names, numbers and ids, so that a line can be found and counted.
 *
 * Only what is listed here gets into a line, so nothing personal and nothing of a card does, nor what a person or a gateway wrote in their own
 * words: messages, notes, evidence, metadata. Codes and references come from outside and are written only where they look like ones.
 */
import * as Schema from "effect/Schema"
import type { Money } from "../../Money.ts"
import { PaymentEvent, type PaymentEventType } from "../../payment/Event.ts"
import { looksLikeCardNumber } from "../../payment/PaymentMethod.ts"
import { registered } from "./Bounds.ts"

const levels = ["Debug", "Info", "Warn"] as const

const eventTypes = PaymentEvent.members.map((member): PaymentEventType => member.fields._tag.schema.literal)
const eventTypesMessage = `needs 1 to ${eventTypes.length} types of event`

/** Settings of the listener. `level`: of ordinary events; default `Info`. `eventTypes`: only these; default: all. */
export const PaymentLogging = Schema.Struct({
  ...registered,
  level: Schema.optionalKey(Schema.Literals(levels).annotate({ message: `expected one of ${levels.join(", ")}` })),
  eventTypes: Schema.optionalKey(
    Schema.Array(Schema.Literals(eventTypes).annotate({ message: `expected one of ${eventTypes.join(", ")}` })).check(
      Schema.isMinLength(1, { message: eventTypesMessage }),
      Schema.isMaxLength(eventTypes.length, { message: eventTypesMessage })
    )
  )
})
export type PaymentLogging = typeof PaymentLogging.Type

/** Events that ask for somebody's attention. Their lines are warnings. */
const warnings: ReadonlySet<PaymentEventType> = new Set([
  "PaymentBlocked",
  "PostValidationFailed",
  "ReviewOpened",
  "LateSuccess",
  "CaptureFailed",
  "RefundFailed",
  "DisputeOpened",
  "DisputeLost"
])

/** Does this event ask for attention? */
export const isWarning = ({ _tag }: PaymentEvent): boolean => warnings.has(_tag)

/** What a line says of an event besides what it is of. */
export type LineFields = Readonly<Record<string, string | number | boolean>>

/** Names, numbers and codes of an event and of the intent in it. */
export const fieldsOf = (event: PaymentEvent): LineFields => {
  switch (event._tag) {
    case "PaymentInitiated": {
      const { amount, captureMethod, customerPresent, method } = event.details
      return { ...money(amount), method: method.type, captureMethod, customerPresent }
    }
    case "OperationIntended": {
      const { amount, gateway, kind, number, purpose } = event.intent
      return { operation: number, kind, purpose, gateway, ...money(amount) }
    }
    case "PaymentScreened": {
      const flagged = (event.verdicts ?? []).filter(({ action }) => action === "flag").map(({ hook }) => hook)
      return flagged.length === 0 ? {} : { flaggedBy: flagged.join(" ") }
    }
    default:
      return { ...("amount" in event ? money(event.amount) : {}), ...named(event) }
  }
}

/** An amount of 2^53 or more, which no interface takes, is written as its digits. */
const money = ({ currency, minor }: Money): LineFields => ({
  amountMinor: minor <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(minor) : minor.toString(),
  currency
})

/** Fields that hold one of a few words, an id or a number. */
const written = ["operation", "check", "source", "category", "code", "reason", "by", "sends", "gatewayReference", "disputeId"] as const

const named = (event: object): LineFields =>
  Object.fromEntries(
    written.flatMap((field) => {
      const value: unknown = Object.hasOwn(event, field) ? (event as Record<string, unknown>)[field] : undefined
      return typeof value === "number" || (typeof value === "string" && isWord(value)) ? [[field, value]] : []
    })
  )

/** A code or a reference: no blanks, no address, no card number. */
const isWord = (value: string): boolean => /^[A-Za-z0-9_.:-]{1,255}$/.test(value) && !looksLikeCardNumber(value)
