/**
 * Values that policy data is made of, with their bounds and what is said about a value outside of them.
 */
import * as Schema from "effect/Schema"
import { GatewayName } from "../../payment/Ids.ts"
import { CountryCode, MethodType } from "../../payment/PaymentMethod.ts"

/** `Finite` would say its own sentence; the checks that follow refuse NaN and Infinity. */
// @effect-diagnostics-next-line schemaNumber:off
const numeric = (message: string) => Schema.Number.annotate({ message })

/** Numbers in a range. */
export const range = {
  integer: (minimum: number, maximum: number) => {
    const message = `expected an integer from ${minimum} to ${maximum}`
    return numeric(message).check(Schema.isInt({ message }), Schema.isBetween({ minimum, maximum }, { message }))
  },
  number: (minimum: number, maximum: number) => {
    const message = `expected a number from ${minimum} to ${maximum}`
    return numeric(message).check(Schema.isBetween({ minimum, maximum }, { message }))
  },
  share: numeric("expected a share from 0 to 1").check(
    Schema.isBetween({ minimum: 0, maximum: 1 }, { message: "expected a share from 0 to 1" })
  )
} as const

/** A list of 1 to `maximum` values. */
export const someOf = <S extends Schema.Constraint>(item: S, maximum: number) => {
  const message = `needs 1 to ${maximum} entries`
  return Schema.Array(item).check(Schema.isMinLength(1, { message }), Schema.isMaxLength(maximum, { message }))
}

/** The name of a rule or a network: what decisions and messages call it. */
export const Name = Schema.String.annotate({ message: "expected a name" }).check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$/, { message: "expected a name of 1 to 64 letters, digits, blanks and _ . -" })
)

/** Gateways by name. */
export const GatewayNames = someOf(GatewayName.annotate({ message: "expected the name of a gateway" }), 64)

/** Kinds of payment method. */
export const Methods = someOf(
  MethodType.annotate({ message: `expected one of ${MethodType.literals.join(", ")}` }),
  MethodType.literals.length
)

/** Brands of payment methods, as hosts name them: lower case. */
export const Brands = someOf(
  Schema.String.annotate({ message: "expected a brand" }).check(
    Schema.isPattern(/^[a-z0-9_]{1,32}$/, { message: "expected a brand of 1 to 32 characters a-z, 0-9 and _" })
  ),
  32
)

/** ISO 3166-1 alpha-2 codes. */
export const Countries = someOf(CountryCode.annotate({ message: "expected an ISO 3166-1 alpha-2 code" }), 250)
