/**
 * The rules of the built-in hooks, and which settings they refuse.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as Geographic from "../../../src/domain/hooks/builtin/Geographic.ts"
import * as HighValue from "../../../src/domain/hooks/builtin/HighValue.ts"
import * as PaymentLine from "../../../src/domain/hooks/builtin/PaymentLine.ts"
import * as RetryAdvice from "../../../src/domain/hooks/builtin/RetryAdvice.ts"
import * as Velocity from "../../../src/domain/hooks/builtin/Velocity.ts"
import { bound } from "../../../src/domain/hooks/Advice.ts"
import { FraudVerdict } from "../../../src/domain/hooks/Verdict.ts"
import { DeclineCategory, safetyOf } from "../../../src/domain/operation/Decline.ts"
import type { NotCharged } from "../../../src/domain/operation/Settle.ts"
import * as Event from "../../../src/domain/payment/Event.ts"
import type { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import * as Payments from "../../support/payments.ts"

const eur = (minor: bigint) => ({ currency: "EUR" as CurrencyCode, minor })
const isVerdict = Schema.is(FraudVerdict)

/** Decodes settings as the configuration does. */
const decodes = (schema: Schema.Codec<unknown, unknown>, input: unknown): boolean =>
  Result.isSuccess(Schema.decodeUnknownResult(schema)(input, { errors: "all", onExcessProperty: "error" }))

const refuses = (schema: Schema.Codec<unknown, unknown>, inputs: ReadonlyArray<unknown>) => {
  for (const input of inputs) assert.isFalse(decodes(schema, input), JSON.stringify(input))
}

describe("high value", () => {
  const settings = { flagFrom: { EUR: 100_000, JPY: 165_000 }, blockFrom: { EUR: 1_000_000, KWD: 5_000 } }
  const judge = (money: { readonly currency: string; readonly minor: bigint }, of: HighValue.HighValue = settings) =>
    HighValue.judge(of, money as Parameters<typeof HighValue.judge>[1])

  it("flags and blocks from an amount on, this amount included, each currency for itself", () => {
    const actions = [99_999n, 100_000n, 999_999n, 1_000_000n].map((minor) => judge(eur(minor)).action)
    assert.deepStrictEqual(actions, ["allow", "flag", "flag", "block"])
    assert.strictEqual(judge({ currency: "JPY", minor: 164_999n }).action, "allow")
    assert.strictEqual(judge({ currency: "JPY", minor: 10n ** 18n }).action, "flag", "no limit of another currency blocks it")
    assert.strictEqual(judge({ currency: "KWD", minor: 4_999n }).action, "allow")
    assert.deepStrictEqual(judge({ currency: "KWD", minor: 5_000n }), {
      action: "block",
      score: 100,
      code: "high_value",
      message: "the amount is at least 5000 (minor units, KWD)"
    })
    assert.deepStrictEqual(judge(eur(100_000n), { ...settings, flagScore: 7 }).score, 7)
  })

  it("amounts beyond what a number holds exactly are compared to the last unit", () => {
    const limit = Number.MAX_SAFE_INTEGER
    const judged = (minor: bigint) => judge(eur(minor), { flagFrom: {}, blockFrom: { EUR: limit } }).action
    assert.deepStrictEqual([judged(BigInt(limit) - 1n), judged(BigInt(limit)), judged(10n ** 18n)], ["allow", "block", "block"])
  })

  it("says what happens in a currency without a limit", () => {
    assert.deepStrictEqual(judge({ currency: "CHF", minor: 1n }), {
      action: "flag",
      score: 50,
      code: "currency_without_limit",
      message: "no limit is set for CHF"
    })
    assert.deepStrictEqual(judge({ currency: "CHF", minor: 1n }, { ...settings, otherCurrencies: "allow" }), { action: "allow" })
    assert.strictEqual(judge({ currency: "CHF", minor: 1n }, { ...settings, otherCurrencies: "block" }).action, "block")
  })

  it("by default flags from about EUR 1,000 and blocks nothing", () => {
    for (const [currency, from] of Object.entries(Presets.builtinHooks.highValueFlagFrom.value)) {
      const at = (minor: number) => judge({ currency, minor: BigInt(minor) }, {}).action
      assert.deepStrictEqual([at(from - 1), at(from), at(from * 1_000)], ["allow", "flag", "flag"], currency)
    }
  })

  it("refuses settings that are none", () => {
    for (const input of [{}, settings, { blockFrom: { EUR: 1 } }, { flagFrom: {}, otherCurrencies: "block", flagScore: 0 }])
      assert.isTrue(decodes(HighValue.HighValue, input), JSON.stringify(input))
    refuses(HighValue.HighValue, [
      { flagFrom: { EUR: 0 } },
      { flagFrom: { EUR: -1 } },
      { flagFrom: { EUR: 1.5 } },
      { flagFrom: { EUR: "100" } },
      { flagFrom: { EUR: 2 ** 53 } },
      { flagFrom: { EUR: Number.NaN } },
      { flagFrom: { eur: 100 } },
      { flagFrom: { XAU: 100 } },
      { flagFrom: { EUR: 100 }, blockFrom: { EUR: 100 } },
      { flagFrom: { EUR: 200 }, blockFrom: { EUR: 100 } },
      { otherCurrencies: "review" },
      { flagScore: 101 },
      { treshold: { EUR: 100 } }
    ])
  })
})

describe("geographic", () => {
  const settings = { blockedCountries: ["KP"], flaggedCountries: ["XK"] }
  const judge = (card: string | undefined, customer: string | undefined, of: Geographic.Geographic = settings) =>
    Geographic.judge(of, {
      method: { type: "card", ...(card === undefined ? {} : { country: card }) },
      ...(customer === undefined ? {} : { customer: { country: customer } })
    })

  it("one country that is blocked is enough, whichever it is", () => {
    assert.deepStrictEqual(judge("KP", "DE"), {
      action: "block",
      score: 100,
      code: "country_blocked",
      message: "KP, the country of the card's issuer, is blocked"
    })
    assert.strictEqual(judge("DE", "KP").message, "KP, the country of the customer, is blocked")
    assert.strictEqual(judge("XK", "KP").action, "block", "what is blocked is severer than what is flagged")
    assert.deepStrictEqual(
      [judge("XK", "DE"), judge("DE", "XK"), judge("DE", "FR"), judge("DE", undefined), judge(undefined, "FR")].map(({ action }) => action),
      ["flag", "flag", "allow", "allow", "allow"]
    )
    assert.strictEqual(judge(undefined, "KP").action, "block")
  })

  it("says what happens where no country is known", () => {
    assert.strictEqual(judge(undefined, undefined).action, "flag")
    assert.strictEqual(judge(undefined, undefined).code, "country_unknown")
    assert.deepStrictEqual(judge(undefined, undefined, { ...settings, unknownCountry: "allow" }), { action: "allow" })
    assert.strictEqual(judge(undefined, undefined, { ...settings, unknownCountry: "block" }).action, "block")
  })

  it("refuses settings that would block nobody without a word", () => {
    for (const input of [settings, { flaggedCountries: ["GB"] }, { blockedCountries: ["XK", "TA"], unknownCountry: "allow" }])
      assert.isTrue(decodes(Geographic.Geographic, input), JSON.stringify(input))
    refuses(Geographic.Geographic, [
      {},
      { blockedCountries: [] },
      { blockedCountries: ["UK"] },
      { blockedCountries: ["SU"] },
      { blockedCountries: ["XX"] },
      { blockedCountries: ["ZZ"] },
      { blockedCountries: ["de"] },
      { blockedCountries: ["DEU"] },
      { blockedCountries: "DE" },
      { blockedCountries: ["DE"], flaggedCountries: ["DE"] },
      { blockedCountries: ["DE"], unknownCountry: "maybe" }
    ])
  })
})

describe("velocity", () => {
  const limits = [
    { per: "customer", most: 3, withinMillis: 60_000, action: "flag" },
    { per: "customer", most: 5, withinMillis: 3_600_000, action: "block" },
    { per: "merchant", most: 100, withinMillis: 1_000, action: "flag" }
  ] as const
  const settings: Velocity.Velocity = { limits: [...limits] }
  const judge = (before: ReadonlyArray<number>, customer: string | undefined = "c-1", of: Velocity.Velocity = settings) =>
    Velocity.judge(of, {
      counts: Velocity.countable(of, customer).map((limit, index) => ({ limit, before: before[index] ?? 0 })),
      customer
    })

  it("the payment itself counts: what would be one too many is found", () => {
    assert.deepStrictEqual(
      [0, 2, 3].map((before) => judge([before]).action),
      ["allow", "allow", "flag"]
    )
    assert.deepStrictEqual(judge([3, 5]), {
      action: "block",
      score: 100,
      code: "customer_velocity",
      message: "more than 5 payments of the customer within 3600 s"
    })
    assert.deepStrictEqual(judge([0, 0, 100]), {
      action: "flag",
      score: 50,
      code: "merchant_velocity",
      message: "more than 100 payments of the merchant within 1 s"
    })
  })

  it("without a customer's id only the merchant's payments are counted, and a setting says what that means", () => {
    const guest = (before: number, withoutCustomer?: "allow" | "flag" | "block") =>
      Velocity.judge(withoutCustomer === undefined ? settings : { ...settings, withoutCustomer }, {
        counts: Velocity.countable(settings, undefined).map((limit) => ({ limit, before })),
        customer: undefined
      })
    assert.deepStrictEqual(
      Velocity.countable(settings, undefined).map(({ per }) => per),
      ["merchant"]
    )
    assert.deepStrictEqual(guest(0), { action: "allow" })
    assert.strictEqual(guest(100).code, "merchant_velocity")
    assert.strictEqual(guest(0, "flag").code, "customer_unknown")
    assert.strictEqual(guest(100, "flag").code, "merchant_velocity")
    assert.strictEqual(guest(100, "block").code, "customer_unknown")
    assert.strictEqual(guest(100, "block").action, "block")
    const ofMerchant: Velocity.Velocity = { limits: [limits[2]], withoutCustomer: "block" }
    assert.deepStrictEqual(Velocity.judge(ofMerchant, { counts: [], customer: undefined }), { action: "allow" }, "no customer is asked for")
  })

  it("no verdict repeats who the customer is", () => {
    assert.notInclude(JSON.stringify([judge([3, 5], "zoe@example.org"), judge([3], "zoe@example.org")]), "zoe")
  })

  it("refuses settings that are none", () => {
    const limit = { per: "customer", most: 1, withinMillis: 1_000, action: "block" }
    for (const input of [{}, { limits: [limit] }, { limits, withoutCustomer: "block", onFailure: "allow" }])
      assert.isTrue(decodes(Velocity.Velocity, input), JSON.stringify(input))
    refuses(Velocity.Velocity, [
      { limits: [] },
      { limits: Array.from({ length: 9 }, () => limit) },
      { limits: [{ ...limit, most: 0 }] },
      { limits: [{ ...limit, most: 10_001 }] },
      { limits: [{ ...limit, most: 1.5 }] },
      { limits: [{ ...limit, withinMillis: 999 }] },
      { limits: [{ ...limit, withinMillis: 7 * 86_400_000 + 1 }] },
      { limits: [{ ...limit, per: "card" }] },
      { limits: [{ ...limit, action: "allow" }] },
      { limits: [{ per: "customer", most: 1, withinMillis: 1_000 }] },
      { onFailure: "flag" }
    ])
  })

  it("its defaults are settings that are taken", () => {
    assert.isTrue(decodes(Velocity.Velocity, { limits: Velocity.limitsOf({}) }))
  })
})

describe("retry advice", () => {
  const declined = (category: DeclineCategory) =>
    ({ _tag: "Declined", category, code: "x", message: "m" }) as unknown as NotCharged["because"]
  const failOver = { _tag: "fail_over", remaining: ["psp-b" as GatewayName] } as const
  const advise = (because: NotCharged["because"], settings: RetryAdvice.RetryAdvice = {}, charges = 1) =>
    RetryAdvice.advise(settings, { because, charges, planned: failOver })

  it("advises by category, and whatever it says is bounded by the safety table", () => {
    const at = "psp-a" as GatewayName
    for (const category of DeclineCategory.literals) {
      for (const word of ["as_planned", "other_gateway", "same_gateway", "fail"] as const) {
        const because = declined(category)
        const advice = advise(because, { advice: { [category]: word } })
        if (advice === undefined) {
          assert.strictEqual(word, "as_planned")
          continue
        }
        assert.strictEqual(advice._tag, word)
        // Where the table forbids it the engine plans to fail, and nothing turns that into a charge.
        const result = bound(advice, { because, planned: { _tag: "fail" }, at })
        assert.include(["planned", "refused"], result._tag, `${category} ${word}`)
        const again = bound(advice, { because, planned: failOver, at })
        if (word === "same_gateway" && safetyOf[category].sameGatewayLater === "never") assert.strictEqual(again._tag, "refused")
      }
    }
  })

  it("ends a payment that was charged often enough, and says nothing where it ends anyway", () => {
    assert.strictEqual(advise(declined("soft"), {}, 2)?._tag, "other_gateway")
    assert.strictEqual(advise(declined("soft"), {}, 3)?._tag, "fail")
    assert.strictEqual(advise(declined("soft"), { maxCharges: 1 }, 1)?._tag, "fail")
    assert.isUndefined(RetryAdvice.advise({}, { because: declined("soft"), charges: 9, planned: { _tag: "fail" } }))
  })

  it("leaves a step-up to the engine, unless the merchant wants none", () => {
    const stepUp = (settings: RetryAdvice.RetryAdvice) =>
      RetryAdvice.advise(settings, { because: declined("authentication_required"), charges: 1, planned: { _tag: "step_up" } })
    assert.isUndefined(stepUp({}))
    assert.isUndefined(stepUp({ advice: { authentication_required: "other_gateway" } }))
    assert.strictEqual(stepUp({ advice: { authentication_required: "fail" } })?._tag, "fail")
  })

  it("knows what was not sent and what is absent", () => {
    assert.strictEqual(advise({ _tag: "NotSent", reason: "breaker_open", message: "m" })?._tag, "other_gateway")
    assert.isUndefined(advise({ _tag: "Absent" }))
    assert.strictEqual(advise({ _tag: "Absent" }, { advice: { absent: "fail" } })?._tag, "fail")
  })

  it("refuses settings that are none", () => {
    for (const input of [{}, { advice: { soft: "fail" }, maxCharges: 2 }]) assert.isTrue(decodes(RetryAdvice.RetryAdvice, input))
    refuses(RetryAdvice.RetryAdvice, [
      { advice: { unknown: "fail" } },
      { advice: { soft: "retry" } },
      { maxCharges: 0 },
      { maxCharges: 11 },
      { advice: "fail" }
    ])
  })
})

describe("payment line", () => {
  const secrets = [
    "zoe@example.org",
    "Zoë O'Neil",
    "c-secret",
    "tok_secret",
    "fp_secret",
    "424242",
    "shop.example",
    "insufficient funds, call Zoë",
    "note-secret"
  ]

  it("holds nothing of the customer or the card, and no free text", () => {
    const initiated = Payments.initiated({
      customer: { id: "c-secret", email: "zoe@example.org", name: "Zoë O'Neil", country: "IE" },
      returnUrl: "https://shop.example/return",
      metadata: { order: "note-secret" },
      method: { type: "card", token: "tok_secret", fingerprint: "fp_secret", bin: "424242", brand: "visa", country: "IE" } as never
    })
    assert.deepStrictEqual(PaymentLine.fieldsOf(initiated), {
      amountMinor: 4990,
      currency: "EUR",
      method: "card",
      captureMethod: "automatic",
      customerPresent: true
    })
    const lines = Array.from({ length: 200 }, (_, seed) =>
      Payments.randomHistory({ payment: Payments.newPaymentId(), seed }).flat().map(PaymentLine.fieldsOf)
    ).flat()
    const written = JSON.stringify([
      lines,
      PaymentLine.fieldsOf(initiated),
      PaymentLine.fieldsOf({ ...Payments.declined(), message: "insufficient funds, call Zoë" } as Event.PaymentEvent),
      PaymentLine.fieldsOf({ ...Payments.declined(), code: "4242 4242 4242 4242" } as Event.PaymentEvent),
      PaymentLine.fieldsOf({ ...Payments.declined(), code: "4242424242424242" } as Event.PaymentEvent),
      PaymentLine.fieldsOf({ ...Payments.declined(), code: "zoe@example.org" } as Event.PaymentEvent)
    ])
    for (const secret of [...secrets, "424242", "O'Neil", "order", "seen"]) assert.notInclude(written, secret)
  })

  it("says what happened, in names, numbers and ids", () => {
    assert.deepStrictEqual(PaymentLine.fieldsOf(Payments.declined()), {
      operation: 1,
      source: "response",
      category: "hard",
      code: "do_not_honor"
    })
    assert.deepStrictEqual(PaymentLine.fieldsOf(Payments.succeeded()), {
      operation: 1,
      source: "response",
      gatewayReference: "ch_1",
      amountMinor: 4990,
      currency: "EUR"
    })
    const intended = Payments.intended({ payment: Payments.newPaymentId(), number: 1 })
    assert.deepInclude(PaymentLine.fieldsOf(intended), { operation: 1, kind: "sale", purpose: "charge", amountMinor: 4990 })
    assert.isTrue(Event.PaymentEvent.members.length > 10)
    assert.isTrue(PaymentLine.isWarning({ _tag: "LateSuccess", operation: Payments.operationNumber(1) }))
    assert.isFalse(PaymentLine.isWarning(Payments.declined()))
  })

  it("refuses settings that are none", () => {
    for (const input of [{}, { level: "Debug", eventTypes: ["PaymentFailed", "DisputeOpened"] }])
      assert.isTrue(decodes(PaymentLine.PaymentLogging, input))
    refuses(PaymentLine.PaymentLogging, [{ level: "Loud" }, { eventTypes: [] }, { eventTypes: ["PaymentCreated"] }])
  })
})

it("every verdict of the checks is one that is recorded", () => {
  const verdicts = [
    HighValue.judge({}, eur(10n ** 18n)),
    HighValue.judge({ flagFrom: {} }, eur(1n)),
    Geographic.judge({ blockedCountries: ["KP"] as never }, { method: { type: "card" } }),
    Velocity.judge({}, { counts: Velocity.limitsOf({}).map((limit) => ({ limit, before: 10_000 })), customer: "c" })
  ]
  for (const verdict of verdicts) assert.isTrue(isVerdict(verdict), JSON.stringify(verdict))
})
