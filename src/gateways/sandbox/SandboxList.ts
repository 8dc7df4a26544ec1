/**
 * The sandbox's lists of charges and refunds as records, for reconciliation.
 *
 * Pages of 100 are asked for as they are consumed, charges first. A page that cannot be read ends the list with the reason: half a
 * list would show charges as missing that are not.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { NotSent, Unknown } from "../../domain/operation/Outcome.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import { type Gateway, GatewayListFailed, type GatewayRecord } from "../../services/Gateway.ts"
import type { Answer } from "../HttpGateway.ts"
import * as Wire from "./SandboxWire.ts"

/** The sandbox's most. */
const pageSize = 100

const ListedCharge = Schema.Struct({
  ...Wire.ChargeBody.fields,
  amount_captured: Schema.Int,
  amount_refunded: Schema.Int
})
const pageOf = <S extends Schema.ConstraintDecoder<unknown>>(item: S) =>
  Schema.decodeUnknownResult(
    Schema.fromJsonString(
      Schema.Struct({
        data: Schema.Array(item),
        has_more: Schema.Boolean,
        next_cursor: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9]{1,16}$/)))
      })
    )
  )
const decodeCharges = pageOf(ListedCharge)
const decodeRefunds = pageOf(Wire.RefundBody)

/** An amount of a charge in our exponents; the record is unreadable where it cannot be one. */
const minorOf = (amount: number, currency: string, exponents: Wire.Exponents): bigint | undefined =>
  Wire.money({ amount, currency }, exponents)?.minor

const recordOfCharge = (charge: typeof ListedCharge.Type, exponents: Wire.Exponents): GatewayRecord => {
  const authorized = minorOf(charge.status === "voided" ? 0 : charge.amount_authorized, charge.currency, exponents)
  const captured = minorOf(charge.amount_captured, charge.currency, exponents)
  const refunded = minorOf(charge.amount_refunded, charge.currency, exponents)
  return {
    kind: "charge",
    reference: charge.reference,
    gatewayReference: charge.id,
    createdAt: charge.created,
    answer: Wire.answerOfCharge(charge, exponents),
    ...(authorized === undefined || captured === undefined || refunded === undefined ? {} : { totals: { authorized, captured, refunded } })
  }
}

const recordOfRefund = (refund: typeof Wire.RefundBody.Type, exponents: Wire.Exponents): GatewayRecord => ({
  kind: "refund",
  reference: refund.reference,
  gatewayReference: refund.id,
  createdAt: refund.created,
  answer: Wire.answerOfRefund(refund, exponents)
})

interface Page {
  readonly records: ReadonlyArray<GatewayRecord>
  readonly next: string | undefined
}

/** A page that says that there is more, but not where, is no page. */
const pageWith = <A>(
  body: { readonly data: ReadonlyArray<A>; readonly has_more: boolean; readonly next_cursor?: string },
  recordOf: (item: A) => GatewayRecord
): Page | undefined =>
  body.has_more && body.next_cursor === undefined
    ? undefined
    : { records: body.data.map(recordOf), next: body.has_more ? body.next_cursor : undefined }

/** The list of an account. `page` asks for a path below it. */
export const make = (options: {
  readonly gateway: GatewayName
  readonly exponents: Wire.Exponents
  readonly page: (path: string) => Effect.Effect<Answer, NotSent | Unknown>
}): NonNullable<Gateway["list"]> => {
  const { exponents, gateway } = options
  const failed = (detail: string) => new GatewayListFailed({ gateway, detail })

  const readers = {
    charges: (text: string): Page | undefined => {
      const decoded = decodeCharges(text)
      if (Result.isFailure(decoded)) return undefined
      return pageWith(decoded.success, (charge) => recordOfCharge(charge, exponents))
    },
    refunds: (text: string): Page | undefined => {
      const decoded = decodeRefunds(text)
      if (Result.isFailure(decoded)) return undefined
      return pageWith(decoded.success, (refund) => recordOfRefund(refund, exponents))
    }
  }

  const all = (resource: keyof typeof readers, range: { readonly from: number; readonly to: number }) =>
    Stream.paginate("0", (cursor) =>
      options.page(`/v1/${resource}?from=${range.from}&to=${range.to}&limit=${pageSize}&cursor=${cursor}`).pipe(
        Effect.mapError((failure) => failed(failure.message)),
        Effect.flatMap((answer) => {
          const page = answer.status === 200 ? readers[resource](answer.text) : undefined
          if (page === undefined)
            return Effect.fail(failed(`${resource} were answered with ${answer.status} and a body that cannot be read`))
          return Effect.succeed([page.records, Option.fromUndefinedOr(page.next)] as const)
        })
      )
    )

  return (range) => Stream.concat(all("charges", range), all("refunds", range))
}
