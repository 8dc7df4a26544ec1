/**
 * Payments, events and requests as JSON: what the HTTP interface takes and answers.
 *
 * Requests decode strictly: an unknown field is refused, so nothing can be set that is not meant to be. Amounts are integers in minor
 * units. Answers are made from the payment's view and from its events with every token taken out.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { CurrencyCode } from "../../domain/Currency.ts"
import { FraudSummary } from "../../domain/hooks/Verdict.ts"
import { PositiveAmount } from "../../domain/Money.ts"
import { OperationKind } from "../../domain/operation/Operation.ts"
import { NextAction } from "../../domain/operation/Outcome.ts"
import * as Event from "../../domain/payment/Event.ts"
import { EventId, GatewayName, OperationNumber, PaymentId } from "../../domain/payment/Ids.ts"
import { PaymentMethod } from "../../domain/payment/PaymentMethod.ts"
import * as PublicEvent from "../../domain/payment/PublicEvent.ts"
import { PaymentStatus } from "../../domain/payment/Status.ts"
import { Failure, OperationStatus, type PaymentView } from "../../domain/payment/View.ts"
import { maxPageSize } from "../../services/PaymentRepository.ts"

const returnUrlMessage = "expected an absolute URL of at most 2048 characters"
/** Schemes that run code in whatever follows the link. */
const refusedSchemes = new Set(["javascript:", "data:", "vbscript:", "blob:", "file:"])

const ReturnUrl = Schema.String.annotate({ message: returnUrlMessage }).check(
  Schema.isMaxLength(2048, { message: returnUrlMessage }),
  Schema.makeFilter((value) => (URL.canParse(value) && !refusedSchemes.has(new URL(value).protocol)) || returnUrlMessage)
)

/** `POST /v1/payments`. */
export const NewPayment = Schema.Struct({
  amount: PositiveAmount,
  currency: CurrencyCode,
  paymentMethod: PaymentMethod,
  captureMethod: Schema.optionalKey(Event.CaptureMethod),
  customer: Schema.optionalKey(Event.Customer),
  returnUrl: Schema.optionalKey(ReturnUrl),
  offSession: Schema.optionalKey(Schema.Boolean),
  metadata: Schema.optionalKey(Event.Metadata)
})
export type NewPayment = typeof NewPayment.Type

/** `POST /v1/payments/{id}/capture`: all that is left, or `amount`; `final` releases the rest. */
export const Capture = Schema.Struct({ amount: Schema.optionalKey(PositiveAmount), final: Schema.optionalKey(Schema.Boolean) })

/** `POST /v1/payments/{id}/refunds`: all that is left, or `amount`. */
export const Refund = Schema.Struct({ amount: Schema.optionalKey(PositiveAmount) })

/** `POST /v1/payments/{id}/confirm` and `/cancel`: nothing but the key. */
export const Empty = Schema.Record(Schema.String, Schema.Unknown).check(Schema.isMaxProperties(0, { message: "expected an empty object" }))

const IsoTime = Schema.String.annotate({ expected: "a time such as 2026-01-31T12:00:00Z" })

export const Payment = Schema.Struct({
  id: PaymentId,
  status: PaymentStatus,
  amount: Schema.Int,
  currency: CurrencyCode,
  amountAuthorized: Schema.Int,
  amountCaptured: Schema.Int,
  amountRefunded: Schema.Int,
  doubleCharge: Schema.optionalKey(Schema.Struct({ amountAuthorized: Schema.Int, amountCaptured: Schema.Int, amountRefunded: Schema.Int })),
  gateway: Schema.optionalKey(GatewayName),
  captureMethod: Event.CaptureMethod,
  failure: Schema.optionalKey(Failure),
  fraud: Schema.optionalKey(FraudSummary),
  nextAction: Schema.optionalKey(NextAction),
  operations: Schema.Array(
    Schema.Struct({ number: OperationNumber, kind: OperationKind, gateway: GatewayName, status: OperationStatus, amount: Schema.Int })
  ),
  version: Schema.Int,
  createdAt: IsoTime,
  updatedAt: IsoTime,
  metadata: Event.Metadata
}).annotate({ identifier: "Payment" })
export type Payment = typeof Payment.Type

export const PaymentEvent = Schema.Struct({
  eventId: EventId,
  paymentId: PaymentId,
  version: Schema.Int,
  type: Schema.String,
  occurredAt: IsoTime,
  /** The event's own fields; amounts in here are `{ currency, minor }` with `minor` as a string. Tokens are taken out. */
  data: Schema.Record(Schema.String, Schema.Unknown)
}).annotate({ identifier: "PaymentEvent" })
export type PaymentEvent = typeof PaymentEvent.Type

/** A page; `nextCursor` asks for the next one. */
export const pageOf = <S extends Schema.Constraint>(item: S) =>
  Schema.Struct({ data: Schema.Array(item), nextCursor: Schema.optionalKey(Schema.String) })

const integerText = (options: { readonly minimum: number; readonly maximum: number }) => {
  const message = `expected an integer from ${options.minimum} to ${options.maximum}`
  return Schema.String.annotate({ message })
    .check(
      Schema.isPattern(/^[0-9]{1,9}$/, { message }),
      Schema.makeFilter((text) => (Number(text) >= options.minimum && Number(text) <= options.maximum) || message)
    )
    .pipe(Schema.decodeTo(Schema.Int, SchemaTransformation.transform({ decode: (text: string) => Number(text), encode: String })))
}

const fromMessage = "expected a time such as 2026-01-31T12:00:00Z"
const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/
const millisOf = (text: string): number => Option.match(DateTime.make(text), { onNone: () => Number.NaN, onSome: DateTime.toEpochMillis })

const FromTime = Schema.String.annotate({ message: fromMessage })
  .check(Schema.makeFilter((text) => (isoTime.test(text) && Number.isFinite(millisOf(text))) || fromMessage))
  .pipe(Schema.decodeTo(Schema.Int, SchemaTransformation.transform({ decode: millisOf, encode: (millis: number) => isoOf(millis) })))

const Cursor = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,512}$/, { message: "expected a cursor that a list answered" }))

/** `GET /v1/payments`. */
export const ListQuery = {
  status: Schema.optionalKey(PaymentStatus),
  from: Schema.optionalKey(FromTime),
  cursor: Schema.optionalKey(Cursor),
  limit: Schema.optionalKey(integerText({ minimum: 1, maximum: maxPageSize }))
}

/** The most events of one page. */
export const maxEvents = 1_000

/** `GET /v1/payments/{id}/events`; the cursor is the version of the last event seen. */
export const EventsQuery = {
  cursor: Schema.optionalKey(integerText({ minimum: 0, maximum: 999_999_999 })),
  limit: Schema.optionalKey(integerText({ minimum: 1, maximum: maxEvents }))
}

const isoOf = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** A payment as it is answered. */
export const ofView = (view: PaymentView): Payment => ({
  id: view.id,
  status: view.status,
  amount: view.amount,
  currency: view.currency,
  amountAuthorized: view.amountAuthorized,
  amountCaptured: view.amountCaptured,
  amountRefunded: view.amountRefunded,
  ...(view.doubleCharge === undefined ? {} : { doubleCharge: view.doubleCharge }),
  ...(view.gateway === undefined ? {} : { gateway: view.gateway }),
  captureMethod: view.captureMethod,
  ...(view.failure === undefined ? {} : { failure: view.failure }),
  ...(view.fraud === undefined ? {} : { fraud: view.fraud }),
  ...(view.nextAction === undefined ? {} : { nextAction: view.nextAction }),
  operations: view.operations.map(({ amount, gateway, kind, number, status }) => ({ number, kind, gateway, status, amount })),
  version: view.version,
  createdAt: isoOf(view.createdAt),
  updatedAt: isoOf(view.updatedAt),
  metadata: view.metadata
})

/** An event as it is answered. An event that was read can be written; where not, that is a defect. */
export const ofEvent = (stored: Event.StoredEvent): PaymentEvent => Result.getOrThrow(PublicEvent.of(stored))
