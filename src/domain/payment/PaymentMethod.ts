/**
 * What the customer pays with: references per gateway account, and the attributes that routing and retry caps need.
 *
 * A token of one PSP cannot be charged at another, so a reference belongs to a gateway name. `token` in place of `references`
 * is the same reference everywhere (a network token of a vault, a sandbox's magic token).
 *
 * **Gotchas**: anything that looks like a card number (13 to 19 digits that pass the Luhn check, with or without spaces, dots and dashes) is
 * refused: vaulting card numbers is the host's or a vault's job, and nothing here may store one.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type GatewayName, isGatewayName } from "./Ids.ts"

const passesLuhn = (digits: string): boolean => {
  let sum = 0
  for (let index = 0; index < digits.length; index++) {
    const digit = digits.charCodeAt(digits.length - 1 - index) - 48
    const doubled = index % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/** Lengths of a card number (ISO/IEC 7812). */
const shortestCard = 13
const longestCard = 19
const isCardLength = (length: number): boolean => length >= shortestCard && length <= longestCard

/**
 * True when a text is, or contains, a plausible card number (ISO/IEC 7812: 13 to 19 digits, Luhn). Of digits in groups every row of
 * neighbouring groups is looked at: an expiry date or a security code may stand beside the number.
 */
export const looksLikeCardNumber = (text: string): boolean => {
  if (text.length < shortestCard) return false
  for (const run of text.matchAll(/\d(?:[ .-]?\d){12,}/g)) {
    const groups = run[0].split(/[ .-]/)
    for (let first = 0; first < groups.length; first++) {
      let digits = ""
      for (let last = first; last < groups.length && digits.length < longestCard; last++) {
        digits += groups[last]
        if (isCardLength(digits.length) && passesLuhn(digits)) return true
      }
    }
  }
  return false
}

/** A text that contains no card number. */
export const withoutCardNumber = Schema.makeFilter<string>((text) =>
  looksLikeCardNumber(text) ? "looks like a card number; send a token of the gateway or of a vault instead" : undefined
)

/** A reference to a stored payment method at a gateway: 1 to 255 visible ASCII characters, never a card number. */
export const Token = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,255}$/), withoutCardNumber).pipe(Schema.brand("Token"))
export type Token = typeof Token.Type

/** ISO 3166-1 alpha-2. */
export const CountryCode = Schema.String.check(Schema.isPattern(/^[A-Z]{2}$/)).annotate({
  message: "expected an ISO 3166-1 alpha-2 code in capitals, such as DE"
})

/** The kinds of payment method that routing distinguishes. */
export const MethodType = Schema.Literals(["card", "wallet", "bank_debit", "bank_transfer", "mobile_money", "crypto", "other"])
export type MethodType = typeof MethodType.Type

/** What routing and the retry caps know a method by. */
export const methodAttributes = {
  type: MethodType,
  fingerprint: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,128}$/), withoutCardNumber)),
  brand: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[a-z0-9_]{1,32}$/), withoutCardNumber)),
  funding: Schema.optionalKey(Schema.Literals(["credit", "debit", "prepaid", "unknown"])),
  bin: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9]{6,8}$/))),
  country: Schema.optionalKey(CountryCode)
}

/** The most references a payment method may carry. */
export const maxReferences = 32

/** Gateway names are checked as a whole: a record whose key schema refuses a name would drop the entry without a word. */
const References = Schema.Record(Schema.String, Token).check(
  Schema.isMaxProperties(maxReferences),
  Schema.makeFilter((references) =>
    Object.keys(references).every(isGatewayName) ? undefined : "a key is the name of a gateway: at most 64 characters of a-z 0-9 -"
  )
)

/** A payment method as the caller sends it and as events store it: `references` or `token`, one of them. */
export const PaymentMethod = Schema.Struct({
  ...methodAttributes,
  references: Schema.optionalKey(References),
  token: Schema.optionalKey(Token)
}).check(
  Schema.makeFilter((method) =>
    (method.references === undefined) === (method.token === undefined)
      ? "exactly one of references (a token per gateway name) and token (the same at every gateway) is required"
      : undefined
  )
)
export type PaymentMethod = typeof PaymentMethod.Type

/** The reference to charge at a gateway, or none when this method cannot be charged there. */
export const referenceFor = (method: PaymentMethod, gateway: GatewayName): Option.Option<Token> =>
  Option.fromUndefinedOr(
    method.token ?? (method.references !== undefined && Object.hasOwn(method.references, gateway) ? method.references[gateway] : undefined)
  )
