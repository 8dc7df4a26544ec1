/**
 * The PaymentIntents and refunds of an account as records, for reconciliation.
 *
 * Pages of 100 are asked for as they are consumed. A page that cannot be read ends the list with the reason: half a list would show charges as
 * missing that are not. What was made by somebody else in the account is in the list, with an empty reference.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import { type Gateway, GatewayListFailed, type GatewayRecord } from "../../services/Gateway.ts"
import * as Bodies from "./StripeBodies.ts"
import { fromStripe } from "./StripeCurrencies.ts"
import type { Get } from "./StripeLookup.ts"
import { answerOfCharge, answerOfRefund, referenceOf } from "./StripeWire.ts"

const pageSize = 100

const totalsOf = (object: Bodies.PaymentIntent): GatewayRecord["totals"] | undefined => {
  const { amount_capturable: capturable = 0, amount_received: received = 0, currency, latest_charge: charge } = object
  const minorOf = (amount: number) => fromStripe({ amount, currency })?.minor
  const open = object.status === "requires_capture" ? capturable : 0
  const refundedAmount = typeof charge === "object" && charge !== null && charge.captured ? (charge.amount_refunded ?? 0) : 0
  const authorized = minorOf(open + received)
  const captured = minorOf(received)
  const refunded = minorOf(refundedAmount)
  return authorized === undefined || captured === undefined || refunded === undefined ? undefined : { authorized, captured, refunded }
}

const recordOfPaymentIntent = (value: unknown): GatewayRecord | undefined => {
  const object = Bodies.toPaymentIntent(value)
  if (object === undefined) return undefined
  const totals = totalsOf(object)
  return {
    kind: "charge",
    reference: referenceOf(object),
    gatewayReference: object.id,
    createdAt: object.created * 1000,
    answer: answerOfCharge(object),
    ...(totals === undefined ? {} : { totals })
  }
}

const recordOfRefund = (value: unknown): GatewayRecord | undefined => {
  const refund = Bodies.toRefund(value)
  return refund === undefined
    ? undefined
    : {
        kind: "refund",
        reference: referenceOf(refund),
        gatewayReference: refund.id,
        createdAt: refund.created * 1000,
        answer: answerOfRefund(refund)
      }
}

/** The list of an account. */
export const make = (options: { readonly gateway: GatewayName; readonly get: Get }): NonNullable<Gateway["list"]> => {
  const failed = (detail: string) => new GatewayListFailed({ gateway: options.gateway, detail })

  const all = (
    path: string,
    recordOf: (value: unknown) => GatewayRecord | undefined,
    range: { readonly from: number; readonly to: number }
  ) =>
    Stream.paginate("", (after: string) =>
      // Stripe counts seconds; the range is cut to milliseconds below.
      options
        .get(`${path}created[gte]=${Math.floor(range.from / 1000)}&created[lt]=${Math.ceil(range.to / 1000)}&limit=${pageSize}${after}`)
        .pipe(
          Effect.mapError((failure) => failed(failure.message)),
          Effect.flatMap((answer) => {
            const page = answer.status === 200 ? Bodies.listIn(answer.text) : undefined
            const records = page?.data.map(recordOf)
            if (page === undefined || records === undefined || records.includes(undefined)) {
              return Effect.fail(failed(`${path} was answered with ${answer.status} and a body that cannot be read`))
            }
            const known = records.filter((record) => record !== undefined)
            const last = known.at(-1)
            if (page.has_more && last === undefined) return Effect.fail(failed(`${path} has more, and does not say where`))
            const next = page.has_more && last !== undefined ? Option.some(`&starting_after=${last.gatewayReference}`) : Option.none()
            return Effect.succeed([known.filter(({ createdAt }) => createdAt >= range.from && createdAt < range.to), next] as const)
          })
        )
    )

  return (range) =>
    Stream.concat(
      all("/v1/payment_intents?expand[]=data.latest_charge&", recordOfPaymentIntent, range),
      all("/v1/refunds?", recordOfRefund, range)
    )
}
