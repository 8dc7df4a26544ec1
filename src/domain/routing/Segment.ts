/**
 * The part of a gateway's traffic that a payment belongs to: method type x currency x country.
 *
 * Gateways differ by segment far more than as a whole, but a narrow segment has few calls. So calls are counted at four levels, and what
 * is asked about a segment is answered from the narrowest level with enough of them, in this order:
 *
 * 1. `full`: method, currency and country;
 * 2. `method_currency`: without the country;
 * 3. `method`: without the currency too;
 * 4. `gateway`: everything at the gateway.
 *
 * The country is left out first because it has the most values and is missing most often; the method last because a card and a bank
 * debit have nothing in common but the gateway.
 */
import * as Currency from "../Currency.ts"
import type { PaymentDetails } from "../payment/Event.ts"
import { MethodType } from "../payment/PaymentMethod.ts"

/** What segments are made of. `country` is ISO 3166-1 alpha-2; without it the narrowest level is `method_currency`. */
export interface Segment {
  readonly method: MethodType
  readonly currency: Currency.CurrencyCode
  readonly country?: string | undefined
}

/** From which part of the traffic an answer comes, narrowest first. */
export type SegmentLevel = "full" | "method_currency" | "method" | "gateway"

/** The segment of a payment: the country is that of the card's issuer, or else the customer's. */
export const ofPayment = (details: Pick<PaymentDetails, "method" | "amount" | "customer">): Segment => ({
  method: details.method.type,
  currency: details.amount.currency,
  country: details.method.country ?? details.customer?.country
})

/**
 * A segment at some level as one number below 2^21, for look-ups without a text: 0 is the whole gateway. Codes are good within one version of
 * the program only: what is stored are `partsOf` a code.
 */
export type SegmentCode = number

const countryBits = 10
const currencyBits = 8

const methods = MethodType.literals
const methodNumbers: ReadonlyMap<string, number> = new Map(methods.map((method, index) => [method, index + 1]))
const currencyNumbers: ReadonlyMap<string, number> = new Map(Currency.all.map((currency, index) => [currency, index + 1]))

const codeOf = (method: number, currency: number, country: number): SegmentCode =>
  (((method << currencyBits) | currency) << countryBits) | country

/** 1 to 676 for AA to ZZ; 0 for what is none. */
const countryNumber = (country: string | undefined): number => {
  if (country === undefined || country.length !== 2) return 0
  const first = country.charCodeAt(0) - 65
  const second = country.charCodeAt(1) - 65
  return first >= 0 && first < 26 && second >= 0 && second < 26 ? first * 26 + second + 1 : 0
}

/** The code of the narrowest level of a segment: without a country that is `method_currency`. */
export const code = (segment: Segment): SegmentCode =>
  codeOf(methodNumbers.get(segment.method) ?? 0, currencyNumbers.get(segment.currency) ?? 0, countryNumber(segment.country))

const countryMask = (1 << countryBits) - 1
const currencyMask = ((1 << currencyBits) - 1) << countryBits

/** The same segment without its country. */
export const withoutCountry = (segment: SegmentCode): SegmentCode => segment & ~countryMask

/** The same segment without its country and its currency. */
export const withoutCurrency = (segment: SegmentCode): SegmentCode => segment & ~(countryMask | currencyMask)

/** The currency of a segment at every method and country: where a gateway's costs in that currency are kept. */
export const currencyOnly = (segment: SegmentCode): SegmentCode => segment & currencyMask

/** The same for a currency. */
export const currencyCode = (currency: Currency.CurrencyCode): SegmentCode => codeOf(0, currencyNumbers.get(currency) ?? 0, 0)

/** The currency in a code, if it has one. */
export const currencyOf = (segment: SegmentCode): Currency.CurrencyCode | undefined =>
  Currency.all[((segment & currencyMask) >> countryBits) - 1]

/** A code in words, for storing: what it leaves out is an empty text. */
export interface SegmentParts {
  readonly method: string
  readonly currency: string
  readonly country: string
}

/** What a code stands for. */
export const partsOf = (segment: SegmentCode): SegmentParts => {
  const country = segment & countryMask
  return {
    method: methods[(segment >> (countryBits + currencyBits)) - 1] ?? "",
    currency: currencyOf(segment) ?? "",
    country: country === 0 ? "" : String.fromCharCode(65 + Math.floor((country - 1) / 26), 65 + ((country - 1) % 26))
  }
}

/** The code of stored parts; `undefined` where this version of the program does not know one of them. */
export const ofParts = ({ country, currency, method }: SegmentParts): SegmentCode | undefined => {
  const numbers = [method === "" ? 0 : methodNumbers.get(method), currency === "" ? 0 : currencyNumbers.get(currency)]
  const [methodNumber, currencyNumber] = numbers
  if (methodNumber === undefined || currencyNumber === undefined) return undefined
  if (country !== "" && countryNumber(country) === 0) return undefined
  return codeOf(methodNumber, currencyNumber, countryNumber(country))
}
