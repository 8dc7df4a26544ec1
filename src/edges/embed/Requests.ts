/**
 * Input of the facade: plain objects, decoded strictly. What is wrong is told by field, and a value that was sent is not repeated.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { PositiveAmount } from "../../domain/Money.ts"
import { GatewayName, IdempotencyKey, PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import { PaymentStatus } from "../../domain/payment/Status.ts"
import * as Presets from "../../domain/Presets.ts"
import { maxPageSize } from "../../services/PaymentRepository.ts"
import { integer } from "../config/Fields.ts"
import { problemsOf } from "../config/Issues.ts"
import * as PaymentJson from "../http/PaymentJson.ts"
import { refusalOf } from "../http/RequestBody.ts"
import { InvalidRequest } from "./Errors.ts"

const Key = IdempotencyKey.annotate({ message: "expected 1 to 255 visible ASCII characters without blanks, the same for every repetition" })
const Merchant = TenantId.annotate({ message: "expected 1 to 64 characters A-Z, a-z, 0-9, _ and -" })
const Id = PaymentId.annotate({ message: "expected the id of a payment: pay_ and 36 hexadecimal digits" })
const Name = GatewayName.annotate({ message: "expected the name of a gateway: 1 to 64 characters a-z, 0-9 and -" })
const merchant = Schema.optionalKey(Merchant)

const ofPayment = { id: Id, key: Key, merchant }

/** A charge. */
export const Charge = Schema.Struct({ key: Key, merchant, ...PaymentJson.NewPayment.fields })
/** A confirm or a cancel. */
export const Command = Schema.Struct(ofPayment)
export const Capture = Schema.Struct({ ...ofPayment, ...PaymentJson.Capture.fields })
export const Refund = Schema.Struct({ ...ofPayment, amount: Schema.optionalKey(PositiveAmount) })
export const Which = Schema.Struct({ id: Id, merchant })

const from = Schema.String.annotate({ message: "expected a time such as 2026-01-31T12:00:00Z, or a Date" })

export const List = Schema.Struct({
  merchant,
  status: Schema.optionalKey(PaymentStatus),
  from: Schema.optionalKey(from.check(Schema.makeFilter((text) => Option.isSome(DateTime.make(text))))),
  cursor: Schema.optionalKey(
    Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,512}$/, { message: "expected a cursor that a list answered" }))
  ),
  limit: Schema.optionalKey(integer(1, maxPageSize))
})

export const Recover = Schema.Struct({
  dryRun: Schema.optionalKey(Schema.Boolean),
  olderThanMillis: Schema.optionalKey(integer(0, 86_400_000)),
  gateway: Schema.optionalKey(Name),
  concurrency: Schema.optionalKey(integer(1, 64)),
  limit: Schema.optionalKey(integer(1, Number.MAX_SAFE_INTEGER))
})

/** Epoch milliseconds of a time that has been checked. */
export const millisOf = (text: string): number => Option.match(DateTime.make(text), { onNone: () => 0, onSome: DateTime.toEpochMillis })

/** Of a listing that does not say. */
export const pageSize = Presets.http.pageSize.value

/** Decodes the input of a method. Fails with `InvalidRequest`. */
export const decode = <A, E>(method: string, schema: Schema.Codec<A, E>, given: unknown): Effect.Effect<A, InvalidRequest> => {
  const input = plain(given, 2)
  return Schema.decodeUnknownEffect(schema, { errors: "all", onExcessProperty: "error" })(input).pipe(
    Effect.mapError((error) => new InvalidRequest({ method, problems: problemsOf(error.issue, input) })),
    // After the schema: what it has taken is a tree of known depth.
    Effect.tap(() => {
      const refusal = refusalOf(withoutNames(input))
      return refusal === undefined
        ? Effect.void
        : Effect.fail(new InvalidRequest({ method, problems: refusal.errors ?? [{ path: "", message: refusal.detail }] }))
    })
  )
}

/** Keys and ids are the host's own names: an order number may look like anything. */
const withoutNames = (input: unknown): unknown => {
  if (typeof input !== "object" || input === null) return input
  return Object.fromEntries(Object.entries(input).filter(([name]) => name !== "key" && name !== "id" && name !== "cursor"))
}

/** JavaScript's ways to leave a field out and to write a time, as JSON has them. */
const plain = (value: unknown, depth: number): unknown => {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "not a time" : value.toISOString()
  if (typeof value !== "object" || value === null || Array.isArray(value) || depth === 0) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [name, plain(field, depth - 1)])
  )
}
