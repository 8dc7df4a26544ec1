/**
 * The parts of Stripe's objects that this adapter reads. What it does not read may change or be missing; what it reads and cannot read makes
 * the answer unreadable, which is never a failure of the payment.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { GatewayReference } from "../../domain/payment/Ids.ts"

const text = Schema.String.check(Schema.isMaxLength(4096))
const optionalText = Schema.optionalKey(Schema.NullOr(text))
/** Stripe's ids. Anything else is unreadable: an id becomes a part of paths, and `..` would be another path. */
const id = (prefix: string) => GatewayReference.check(Schema.isPattern(new RegExp(`^${prefix}_[A-Za-z0-9_]{1,250}$`)))
const Metadata = Schema.Record(Schema.String, Schema.String)
/** An object that is given by its id or in full. */
const expandable = <S extends Schema.Constraint>(object: S) => Schema.Union([Schema.String, object])

const failureFields = {
  type: optionalText,
  code: optionalText,
  decline_code: optionalText,
  advice_code: optionalText,
  network_advice_code: optionalText,
  param: optionalText,
  message: optionalText
}
const Failure = Schema.Struct(failureFields)

/** A charge. */
export const Charge = Schema.Struct({
  object: Schema.Literal("charge"),
  id: id("(?:ch|py)"),
  amount: Schema.Int,
  amount_refunded: Schema.optionalKey(Schema.Int),
  currency: text,
  created: Schema.Int,
  status: text,
  captured: Schema.Boolean,
  metadata: Schema.optionalKey(Schema.NullOr(Metadata)),
  payment_intent: Schema.optionalKey(Schema.NullOr(expandable(Schema.Struct({ id: id("pi") }))))
})

/** A PaymentIntent. `latest_charge` is a charge where it was expanded. */
export const PaymentIntent = Schema.Struct({
  object: Schema.Literal("payment_intent"),
  id: id("pi"),
  status: text,
  amount: Schema.Int,
  amount_capturable: Schema.optionalKey(Schema.Int),
  amount_received: Schema.optionalKey(Schema.Int),
  capture_method: text,
  currency: text,
  created: Schema.Int,
  metadata: Schema.optionalKey(Schema.NullOr(Metadata)),
  latest_charge: Schema.optionalKey(Schema.NullOr(expandable(Charge))),
  last_payment_error: Schema.optionalKey(Schema.NullOr(Failure)),
  next_action: Schema.optionalKey(Schema.NullOr(Schema.Record(Schema.String, Schema.Unknown)))
})
export type PaymentIntent = typeof PaymentIntent.Type

/** A refund. */
export const Refund = Schema.Struct({
  object: Schema.Literal("refund"),
  id: id("(?:re|pyr)"),
  status: Schema.NullOr(text),
  amount: Schema.Int,
  currency: text,
  created: Schema.Int,
  failure_reason: optionalText,
  payment_intent: Schema.optionalKey(
    Schema.NullOr(expandable(Schema.Struct({ id: id("pi"), metadata: Schema.optionalKey(Schema.NullOr(Metadata)) })))
  ),
  metadata: Schema.optionalKey(Schema.NullOr(Metadata))
})
export type Refund = typeof Refund.Type

/** A dispute. */
export const Dispute = Schema.Struct({
  object: Schema.Literal("dispute"),
  id: id("(?:dp|du)"),
  amount: Schema.Int,
  currency: text,
  status: text,
  payment_intent: Schema.optionalKey(Schema.NullOr(expandable(PaymentIntent))),
  balance_transactions: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Struct({ amount: Schema.Int })))),
  payment_method_details: Schema.optionalKey(
    Schema.NullOr(Schema.Struct({ card: Schema.optionalKey(Schema.NullOr(Schema.Struct({ case_type: optionalText }))) }))
  )
})
export type Dispute = typeof Dispute.Type

/** An account. */
const Account = Schema.Struct({ object: Schema.Literal("account"), id: id("acct") })

/** An error. What it says of the object is read apart, so that an object in another shape does not hide the error. */
const StripeError = Schema.Struct({
  error: Schema.Struct({ ...failureFields, type: text, payment_intent: Schema.optionalKey(Schema.Unknown) })
})
export type StripeError = (typeof StripeError.Type)["error"]

const List = Schema.Struct({
  data: Schema.Array(Schema.Unknown),
  has_more: Schema.Boolean,
  next_page: Schema.optionalKey(Schema.NullOr(text))
})
/** What every object of a list has, whoever made it. */
const Listed = Schema.Struct({ id: id("[a-z]{2,8}"), created: Schema.Int, metadata: Schema.optionalKey(Schema.NullOr(Metadata)) })

/** Decodes a value, or answers `undefined`. */
const reader = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: unknown) => Result.getOrUndefined(decode(value))
}
/** The same for the text of a body. */
const json = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => reader(Schema.fromJsonString(schema))

export const paymentIntentIn = json(PaymentIntent)
export const refundIn = json(Refund)
export const listIn = json(List)
export const accountIn = json(Account)
export const errorIn = json(StripeError)
export const toPaymentIntent = reader(PaymentIntent)
export const toRefund = reader(Refund)
export const toCharge = reader(Charge)
export const toDispute = reader(Dispute)
export const toListed = reader(Listed)
