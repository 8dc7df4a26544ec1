/**
 * The fraud check by country: of the card's issuer and of the customer, whichever the payment has.
 *
 * One country that is blocked is enough. A payment that names neither country cannot be judged; what happens then is a setting.
 *
 * **Gotchas**: both countries are what the request says: enrichments come after fraud checks. An address on the network or of delivery is not
 * looked at.
 *
 * ```json
 * { "blockedCountries": ["KP"], "flaggedCountries": ["XK"], "unknownCountry": "flag" }
 * ```
 */
import * as Schema from "effect/Schema"
import { CountryCode } from "../../payment/PaymentMethod.ts"
import * as Presets from "../../Presets.ts"
import type { PaymentFacts } from "../PaymentFacts.ts"
import type { FraudVerdict } from "../Verdict.ts"
import { allowed, registered, scored, Unjudged, verdict } from "./Bounds.ts"

const isCode = Schema.is(CountryCode)

/**
 * A code that no country has, or that one had once, would block nobody without a word: `UK` is written `GB`. Checked by the regions of the Unicode
 * locale data, which hold what ISO 3166-1 has assigned.
 */
const regions = new Intl.DisplayNames(["en"], { type: "region", fallback: "none" })
const problemOf = (code: string): string | undefined => {
  // What is not even shaped like a code is told of once.
  if (!isCode(code)) return undefined
  if (regions.of(code) === undefined) return "is not the ISO 3166-1 alpha-2 code of a country"
  const written = new Intl.Locale(`und-${code}`).region
  return written === code ? undefined : `is written ${written}`
}

const message = "expected an ISO 3166-1 alpha-2 code in upper case, such as DE"
const Countries = Schema.Array(
  CountryCode.annotate({ message }).check(
    Schema.makeFilter((code) => problemOf(code)),
    Schema.makeFilter((code) => code !== "ZZ" || "stands for no country; unknownCountry says what happens without one")
  )
).check(Schema.isMaxLength(250, { message: "needs at most 250 entries" }))

/** Settings of the check. */
export const Geographic = Schema.Struct({
  ...registered,
  ...scored,
  blockedCountries: Schema.optionalKey(Countries),
  flaggedCountries: Schema.optionalKey(Countries),
  unknownCountry: Schema.optionalKey(Unjudged)
}).check(
  Schema.makeFilter(({ blockedCountries = [], flaggedCountries = [] }) => {
    if (blockedCountries.length + flaggedCountries.length === 0)
      return "names no country: set blockedCountries or flaggedCountries, or leave the check out"
    const both = flaggedCountries.findIndex((country) => blockedCountries.includes(country))
    return both < 0 ? undefined : { path: ["flaggedCountries", both], issue: "is in blockedCountries as well" }
  })
)
export type Geographic = typeof Geographic.Type

/** Judges the countries of a payment. */
export const judge = (settings: Geographic, { customer, method }: Pick<PaymentFacts, "customer" | "method">): FraudVerdict => {
  const { blockedCountries = [], flaggedCountries = [] } = settings
  const known = [
    { country: method.country, whose: "of the card's issuer" },
    { country: customer?.country, whose: "of the customer" }
  ].filter(({ country }) => country !== undefined)
  if (known.length === 0) {
    return verdict(settings.unknownCountry ?? Presets.builtinHooks.geographicUnknownCountry.value, settings, {
      code: "country_unknown",
      message: "neither the country of the card's issuer nor that of the customer is known"
    })
  }
  const foundIn = (countries: ReadonlyArray<string>) => known.find(({ country = "" }) => countries.includes(country))
  const blocked = foundIn(blockedCountries)
  if (blocked !== undefined) {
    return verdict("block", settings, { code: "country_blocked", message: `${blocked.country}, the country ${blocked.whose}, is blocked` })
  }
  const flagged = foundIn(flaggedCountries)
  return flagged === undefined
    ? allowed
    : verdict("flag", settings, {
        code: "country_flagged",
        message: `${flagged.country}, the country ${flagged.whose}, is to be looked at`
      })
}
