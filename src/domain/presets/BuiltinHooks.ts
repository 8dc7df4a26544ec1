/**
 * Defaults of the built-in hooks. None is in force until it is switched on.
 */
import { preset } from "./Preset.ts"

export const builtinHooks = {
  highValueFlagFrom: preset(
    {
      EUR: 100_000,
      GBP: 85_000,
      USD: 100_000,
      CHF: 100_000,
      CAD: 150_000,
      AUD: 165_000,
      JPY: 165_000,
      SEK: 1_100_000,
      NOK: 1_150_000,
      DKK: 750_000,
      PLN: 430_000,
      INR: 10_000_000,
      BRL: 600_000
    },
    "minor units by currency",
    "about EUR 1,000, rounded: above it Article 11(b)(ii) of Directive (EU) 2015/849 asks who transfers funds"
  ),
  highValueBlockFrom: preset({}, "minor units by currency", "nothing is blocked for its amount unless the merchant says from where on"),
  highValueOtherCurrencies: preset(
    "flag" as const,
    "allow, flag or block",
    "a currency without a limit is more likely forgotten than meant: the payment goes on, and its history says so"
  ),
  geographicUnknownCountry: preset(
    "flag" as const,
    "allow, flag or block",
    "few hosts know the country of every card: the payment goes on, and its history says that it was not judged"
  ),
  velocityLimits: preset(
    [
      { per: "customer", most: 10, withinMillis: 3_600_000, action: "block" },
      { per: "merchant", most: 600, withinMillis: 60_000, action: "flag" }
    ] as const,
    "payments within a time",
    "a person pays ten times in an hour in a game at most, a card tester within a minute; ten a second is a large merchant, whose sales a default must not stop"
  ),
  velocityWithoutCustomer: preset("allow" as const, "allow, flag or block", "guests have no id; the limits of the merchant hold for them"),
  flagScore: preset(50, "score, 0 to 100", "half way: what is suspicious and not certain"),
  blockScore: preset(100, "score, 0 to 100", "the highest: a rule that blocks leaves nothing to weigh"),
  retryAdvice: preset(
    {
      soft: "other_gateway",
      hard: "fail",
      fraud: "fail",
      authentication_required: "as_planned",
      invalid_data: "fail",
      gateway_error: "other_gateway",
      rate_limited: "other_gateway",
      configuration: "other_gateway",
      not_sent: "other_gateway",
      absent: "as_planned"
    } as const,
    "advice by category",
    "what the safety table of rule 5 allows, and nothing more"
  ),
  retryMaxCharges: preset(3, "charge operations of a payment", "as many as the engine makes anyway (payment.maxCharges)")
} as const
