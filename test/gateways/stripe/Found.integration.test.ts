/** What a look-up does with an answer that is not the one it asked for. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { OperationNumber, requestKeyOf } from "../../../src/domain/payment/Ids.ts"
import { intent, newPaymentId } from "../../support/payments.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const payment = newPaymentId()
const sale = {
  ...intent({ payment }),
  details: { customerPresent: true, token: Token.make("pm_card_visa"), methodType: "card", returnUrl: "https://shop.example/return" }
}
const cancel = {
  ...intent({ payment, number: 2, kind: "void", target: 1 }),
  details: { customerPresent: true, targetRequestKey: requestKeyOf({ payment, operation: OperationNumber.make(1) }) }
}

describe("a look-up", () => {
  it.live("by search that finds somebody else's object: unknown, and it is not cancelled", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const found: Array<string> = []
        const fake = yield* FakeStripe.started({
          intercept: ({ path }) =>
            path === "/v1/payment_intents/search"
              ? { status: 200, body: { data: found.map((id) => ({ id, created: 1 })), has_more: false } }
              : undefined
        })
        const form = new Map([
          ["amount", "4990"],
          ["currency", "eur"],
          ["payment_method", "pm_card_visa"],
          ["confirm", "true"],
          ["capture_method", "manual"],
          ["automatic_payment_methods[allow_redirects]", "never"]
        ])
        fake.account.execute("/v1/payment_intents", form, "somebody else")
        found.push(...fake.account.intents.keys())
        const gateway = yield* gatewayOf(accountOf(fake.url, { lookup: "search", searchLagMillis: 0 }))
        assert.strictEqual((yield* gateway.lookup({ payment, intent: sale, gatewayReference: undefined }))._tag, "Unknown")
        const answer = yield* gateway.send({ payment, intent: cancel })
        assert.include(["Unknown", "NotSent"], answer._tag)
        assert.deepStrictEqual(
          fake.account.movements.map(({ kind }) => kind),
          ["authorize"]
        )
      })
    )
  )

  it.live("that is limited keeps the pause that Stripe asks for", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const body = { error: { type: "invalid_request_error", code: "rate_limit", message: "Too many requests." } }
        const fake = yield* FakeStripe.started({ intercept: () => ({ status: 429, body, headers: { "retry-after": "7" } }) })
        const gateway = yield* gatewayOf(accountOf(fake.url))
        const answer = yield* gateway.lookup({ payment, intent: sale, gatewayReference: undefined })
        assert.strictEqual(answer._tag === "Unknown" && answer.retryAfterMillis, 7_000)
      })
    )
  )
})
