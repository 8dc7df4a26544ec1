/** Keys and secrets: another account's key never makes an absence, and what is no key or secret is refused before anything is sent. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import type { StripeAccount } from "../../../src/gateways/stripe/StripeGateway.ts"
import * as StripeGateway from "../../../src/gateways/stripe/StripeGateway.ts"
import * as SandboxGateway from "../../../src/gateways/sandbox/SandboxGateway.ts"
import * as GatewayHttpClient from "../../../src/layers/node/GatewayHttpClient.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { intent, newPaymentId } from "../../support/payments.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { accountOf as sandboxOf } from "../sandboxGateways.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const payment = newPaymentId()
const sale = {
  ...intent({ payment }),
  details: { customerPresent: true, token: Token.make("pm_card_visa"), methodType: "card", returnUrl: "https://shop.example/return" }
}
const lookup = (gateway: Gateway) => {
  const now = Date.now()
  return gateway.lookup({ payment, intent: sale, gatewayReference: undefined, made: { since: now, until: now + 30_000, now } })
}

/** A gateway, and what it logged. */
const logging = Effect.fnUntraced(function* (options: FakeStripe.Options, account: Partial<StripeAccount> = {}) {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
  const fake = yield* FakeStripe.started(options)
  const gateway = yield* gatewayOf(accountOf(fake.url, account)).pipe(Effect.provide(Logger.layer([logger])))
  return { fake, gateway, lines }
})

const answeringAccount = (reply: { readonly status: number; readonly body: unknown }): FakeStripe.Options => ({
  intercept: ({ path }) => (path === "/v1/account" ? reply : undefined)
})

describe("the account of a key", () => {
  it.live("is another: nothing that is not found counts as absent, nothing is sent, and the log says why", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging({}, { accountId: "acct_of_somebody_else" })
        const found = yield* lookup(gateway)
        assert.strictEqual(found._tag === "Unknown" && found.reason, "inconclusive")
        assert.match("message" in found ? found.message : "", /acct_fake.*acct_of_somebody_else is configured/)
        assert.strictEqual((yield* gateway.send({ payment, intent: sale }))._tag, "NotSent")
        assert.lengthOf(fake.account.movements, 0)
      })
    )
  )

  it.live("is asked once for a process", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging({})
        for (let asked = 0; asked < 3; asked++) assert.strictEqual((yield* lookup(gateway))._tag, "Absent")
        assert.isAtMost(fake.recorded.filter(({ path }) => path === "/v1/account").length, 2)
      })
    )
  )

  it.live("cannot be asked now: unknown, and absent when it was answered", () =>
    Effect.scoped(
      Effect.gen(function* () {
        let isDown = true
        const { gateway } = yield* logging({
          intercept: ({ path }) => (path === "/v1/account" && isDown ? { status: 503, body: "" } : undefined)
        })
        assert.strictEqual((yield* lookup(gateway))._tag, "Unknown")
        isDown = false
        assert.strictEqual((yield* lookup(gateway))._tag, "Absent")
      })
    )
  )

  it.live("may not be read by a restricted key: it is believed, and a warning says so", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const refusal = { error: { type: "invalid_request_error", message: "does not have the required permissions" } }
        const { gateway, lines } = yield* logging(answeringAccount({ status: 403, body: refusal }))
        assert.strictEqual((yield* lookup(gateway))._tag, "Absent")
        for (let waited = 0; waited < 2_000 && lines.length === 0; waited += 20) yield* Effect.sleep("20 millis")
        assert.lengthOf(lines, 1)
        assert.match(lines[0] ?? "", /^Warn .*may not read its account/)
      })
    )
  )
})

describe("keys and secrets", () => {
  const client = GatewayHttpClient.layer({ connectLimitMillis: 1_000 })
  const refusal = <A, E extends Error>(make: Effect.Effect<A, E, Layer.Success<typeof client>>) =>
    Effect.scoped(Effect.flatMap(Layer.build(client), (context) => Effect.provideContext(Effect.map(Effect.flip(make), String), context)))
  const secret = Redacted.make(FakeStripe.webhookSecret)

  for (const key of ["", "sk_", "pk_test_fake", "sk_fake", "sk_test_", "sk_prod_fake", " sk_test_fake"]) {
    it.live(`"${key}" is no key of Stripe's`, () =>
      Effect.map(refusal(StripeGateway.make(accountOf("http://127.0.0.1:9", { secretKey: Redacted.make(key) }))), (message) => {
        assert.match(message, /secret key is not a secret or restricted key/)
      })
    )
  }

  for (const wrong of ["", "whsec_", "whsec_short", FakeStripe.webhookSecret.slice(6)]) {
    it.live(`"${wrong}" verifies no webhook of Stripe's, also beside a good one`, () =>
      Effect.map(
        refusal(StripeGateway.make(accountOf("http://127.0.0.1:9", { webhookSecrets: [secret, Redacted.make(wrong)] }))),
        (message) => {
          assert.match(message, /webhook secret is not/)
          if (wrong !== "") assert.notInclude(message, `${wrong}"`)
        }
      )
    )
  }

  it.live("the sandbox refuses empty and short ones as well", () =>
    Effect.gen(function* () {
      const account = sandboxOf("http://127.0.0.1:9", "a")
      const empty = Redacted.make("")
      assert.match(yield* refusal(SandboxGateway.make({ ...account, secretKey: empty })), /secret key is not/)
      assert.match(yield* refusal(SandboxGateway.make({ ...account, webhookSecret: empty })), /webhook secret is not/)
      const rotating = { ...account, webhookSecret: secret, previousWebhookSecrets: [Redacted.make("short")] }
      assert.match(yield* refusal(SandboxGateway.make(rotating)), /webhook secret is not/)
    })
  )
})
