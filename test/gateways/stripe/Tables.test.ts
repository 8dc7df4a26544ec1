/** The tables of the Stripe adapter: exponents against Stripe's page, codes against the official SDK's types. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import * as Currency from "../../../src/domain/Currency.ts"
import type { DeclineCategory } from "../../../src/domain/operation/Decline.ts"
import { safetyOf } from "../../../src/domain/operation/Decline.ts"
import { exponents, fromStripe, toStripe } from "../../../src/gateways/stripe/StripeCurrencies.ts"
import {
  categoryOfDecline,
  categoryOfRefund,
  categoryOfRefusal,
  conflicts,
  isForbidden
} from "../../../src/gateways/stripe/StripeDeclines.ts"

const code = (text: string) => Currency.CurrencyCode.make(text)
const sent = (currency: string, minor: bigint) => Result.getOrUndefined(toStripe({ currency: code(currency), minor }))

describe("exponents", () => {
  it("differ from ISO 4217 where Stripe says so, and nowhere else", () => {
    const different = [...exponents].filter(([currency, exponent]) => exponent !== Currency.exponent(currency))
    assert.deepStrictEqual(Object.fromEntries(different), { ISK: 2, MGA: 0 })
  })

  it("are those of Stripe's page", () => {
    for (const [currency, minor, amount] of [
      ["EUR", 1000n, "1000"],
      ["JPY", 500n, "500"],
      ["ISK", 5n, "500"],
      ["MGA", 500n, "5"],
      ["KWD", 5120n, "5120"],
      ["HUF", 1045n, "1045"],
      ["TWD", 80045n, "80045"]
    ] as const) {
      assert.strictEqual(sent(currency, minor), amount)
      assert.deepStrictEqual(fromStripe({ amount: Number(amount), currency: currency.toLowerCase() }), { currency: code(currency), minor })
    }
  })

  it("an amount that Stripe cannot count is not rounded", () => {
    for (const [currency, minor] of [
      ["MGA", 501n],
      ["KWD", 5124n],
      ["UGX", 5n],
      ["BTC", 5n],
      ["EUR", 0n],
      ["EUR", -5n],
      ["EUR", 1_000_000_000_000n]
    ] as const) {
      assert.isUndefined(sent(currency, minor), `${minor} ${currency}`)
    }
    assert.isUndefined(fromStripe({ amount: 550, currency: "isk" }), "half a krona")
    assert.isUndefined(fromStripe({ amount: 500, currency: "ugx" }))
    assert.isUndefined(fromStripe({ amount: 5.5, currency: "eur" }))
  })
})

/** The literals of `type Code` of the error of a PaymentIntent, as the SDK declares it. */
const sdkCodes = (): ReadonlyArray<string> => {
  const root = join(dirname(createRequire(import.meta.url).resolve("stripe")), "..")
  const types = readFileSync(join(root, "esm/resources/PaymentIntents.d.ts"), "utf8")
  const line = /type Code = '(account_closed'.*)/.exec(types)?.[1] ?? assert.fail("the SDK's codes are somewhere else")
  return [...`'${line}`.matchAll(/'(\w+)'/g)].flatMap(([, name]) => (name === undefined ? [] : [name]))
}

describe("codes", () => {
  it("every code of the SDK has a category, and none of them allows another gateway by accident", () => {
    const codes = sdkCodes()
    assert.isAbove(codes.length, 150)
    const elsewhere = codes.filter((one) => safetyOf[categoryOfRefusal({ code: one })].otherGateway === "yes" && !conflicts.has(one))
    const known = new Set(
      [
        "account_invalid action_blocked api_key_expired application_fees_not_allowed balance_insufficient capability_not_active country_unsupported",
        "livemode_mismatch not_allowed_on_standard_account parameter_invalid_empty parameter_invalid_string_blank parameter_invalid_string_empty",
        "parameter_missing parameter_unknown parameters_exclusive payment_intent_rate_limit_exceeded payment_method_configuration_failures",
        "payment_method_not_available payment_method_provider_timeout payment_method_unactivated payment_method_unsupported_type",
        "platform_account_required platform_api_key_expired rate_limit secret_key_required testmode_charges_only tls_version_unsupported url_invalid"
      ].flatMap((row) => row.split(" "))
    )
    assert.deepStrictEqual(
      elsewhere.filter((one) => !known.has(one)),
      []
    )
  })

  it("decline codes", () => {
    const expected: { readonly [code: string]: DeclineCategory } = {
      insufficient_funds: "soft",
      generic_decline: "soft",
      do_not_honor: "soft",
      stolen_card: "hard",
      lost_card: "hard",
      do_not_try_again: "hard",
      revocation_of_all_authorizations: "hard",
      duplicate_transaction: "hard",
      fraudulent: "fraud",
      authentication_required: "authentication_required",
      incorrect_cvc: "invalid_data",
      never_heard_of: "soft"
    }
    for (const [decline_code, category] of Object.entries(expected)) {
      assert.strictEqual(categoryOfDecline({ code: "card_declined", decline_code }), category, decline_code)
    }
    assert.strictEqual(categoryOfDecline({ code: "expired_card" }), "hard")
    assert.strictEqual(categoryOfDecline({ decline_code: "do_not_honor", advice_code: "do_not_try_again" }), "hard")
    assert.strictEqual(categoryOfDecline({}), "soft")
  })

  it("what a network forbids for ever, and what can be put right", () => {
    for (const decline_code of [
      ...["do_not_try_again", "lost_card", "pickup_card", "revocation_of_all_authorizations", "revocation_of_authorization"],
      ...["stolen_card", "stop_payment_order"]
    ]) {
      assert.isTrue(isForbidden({ code: "card_declined", decline_code }), decline_code)
      assert.strictEqual(categoryOfDecline({ decline_code }), "hard")
    }
    for (const decline_code of [
      ...["expired_card", "duplicate_transaction", "pin_try_exceeded", "restricted_card", "invalid_account"],
      ...["new_account_information_available", "insufficient_funds", "do_not_honor", "fraudulent"]
    ]) {
      assert.isFalse(isForbidden({ code: "card_declined", decline_code }), decline_code)
      assert.isFalse(isForbidden({ decline_code, advice_code: "confirm_card_data", network_advice_code: "01" }), decline_code)
    }
    assert.isFalse(isForbidden({ code: "expired_card", decline_code: null, advice_code: null, network_advice_code: null }))
    assert.isTrue(isForbidden({ decline_code: "do_not_honor", advice_code: "do_not_try_again" }))
    for (const network_advice_code of ["03", "21"]) assert.isTrue(isForbidden({ decline_code: "do_not_honor", network_advice_code }))
    for (const network_advice_code of ["02", "24"]) assert.isFalse(isForbidden({ decline_code: "do_not_honor", network_advice_code }))
  })

  it("refusals: an unknown code goes to no other gateway; without a code it is our request or our account", () => {
    assert.strictEqual(categoryOfRefusal({ code: "never_heard_of" }), "invalid_data")
    assert.strictEqual(categoryOfRefusal({}), "configuration")
    assert.strictEqual(categoryOfRefusal({ code: "resource_missing", param: "payment_method" }), "invalid_data")
    assert.strictEqual(categoryOfRefusal({ code: "parameter_invalid_integer", param: "currency" }), "configuration")
  })

  it("refunds that failed", () => {
    assert.strictEqual(categoryOfRefund("insufficient_funds"), "soft")
    assert.strictEqual(categoryOfRefund("lost_or_stolen_card"), "hard")
    assert.strictEqual(categoryOfRefund(undefined), "hard")
  })
})
