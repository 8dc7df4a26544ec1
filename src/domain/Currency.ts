/**
 * Currency codes: a closed list of ISO 4217 currencies and three tokens, each with its exponent.
 *
 * `CurrencyCode` is the only way in. It takes the exact upper-case ASCII code and nothing that looks like it: a code that is guessed at is
 * an amount that is wrong by a factor of 100. Look-ups go through a Map, so names like `__proto__` are unknown codes and nothing else.
 */
import * as Schema from "effect/Schema"
import { isoCurrencies, notChargeable, tokens } from "./CurrencyTable.ts"

const exponents: ReadonlyMap<string, number> = new Map([...isoCurrencies, ...tokens].map((entry) => [entry.code, entry.exponent]))
const refused: ReadonlySet<string> = new Set(notChargeable)

const expected = "expected an active ISO 4217 code in upper case, such as EUR, or one of BTC, ETH, USDC"

/** Says why a code is refused. Repeats only short ASCII words: what was sent may be anything, a card number included. */
const explain = (code: string): string => {
  if (refused.has(code)) return `${code} has no minor unit in ISO 4217, so nothing can be charged in it: ${expected}`
  if (!/^[A-Za-z]{1,8}$/.test(code)) return `not a currency code: ${expected}`
  const upper = code.toUpperCase()
  if (upper !== code && exponents.has(upper)) return `${code} must be written ${upper}: ${expected}`
  return `${code} is not a known currency: ${expected}`
}

/** Is this exactly a code of the list? */
export const isKnown = (code: string): code is CurrencyCode => exponents.has(code)

/** A currency of the list: 165 ISO 4217 codes and BTC, ETH, USDC. The refusal says what was expected. */
export const CurrencyCode = Schema.String.annotate({ message: `not a currency code: ${expected}` })
  .check(
    Schema.makeFilter((code: string) => exponents.has(code) || explain(code), {
      expected: "a currency code",
      toJsonSchema: () => ({ enum: [...exponents.keys()] }),
      arbitraryConstraint: { patterns: [{ source: `^(?:${[...exponents.keys()].join("|")})$`, flags: "" }] }
    })
  )
  .pipe(Schema.brand("CurrencyCode"))
export type CurrencyCode = typeof CurrencyCode.Type

/** All codes, ISO 4217 first. */
export const all: ReadonlyArray<CurrencyCode> = [...exponents.keys()].filter(isKnown)

/**
 * Digits of the currency's minor unit: EUR 2, JPY 0, KWD 3, ETH 9.
 *
 * Total for every decoded code. A string forced into the type has no exponent: NaN, from which `Money` makes no amount.
 */
export const exponent = (code: CurrencyCode): number => exponents.get(code) ?? Number.NaN
