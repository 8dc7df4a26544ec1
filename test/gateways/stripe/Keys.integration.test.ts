/** Keys and secrets: another account's key never makes an absence, and what is no key or secret is refused before anything is sent. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import type { StripeAccount } from "../../../src/gateways/stripe/StripeGateway.ts"
import * as StripeGateway from "../../../src/gateways/stripe/StripeGateway.ts"
import * as SandboxGateway from "../../../src/gateways/sandbox/SandboxGateway.ts"
import * as GatewayHttpClient from "../../../src/layers/node/GatewayHttpClient.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { intent, newPaymentId, operationNumber } from "../../support/payments.ts"
import type { Reply } from "../../support/stripe/Account.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { accountOf as sandboxOf } from "../sandboxGateways.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const payment = newPaymentId()
const sale = {
  ...intent({ payment }),
  details: { customerPresent: true, token: Token.make("pm_card_visa"), methodType: "card", returnUrl: "https://shop.example/return" }
}
const saleNumber = (number: number) => ({ ...intent({ payment, number }), details: sale.details })
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
        for (let waited = 0; waited < 20_000 && lines.length === 0; waited += 20) yield* Effect.sleep("20 millis")
        assert.lengthOf(lines, 1)
        assert.match(lines[0] ?? "", /^Warn .*may not read its account/)
      })
    )
  )
})

describe("nothing is sent before it is known whose key it is", () => {
  const posts = ({ recorded }: FakeStripe.FakeStripe) => recorded.filter(({ method }) => method === "POST").length
  const questions = ({ recorded }: FakeStripe.FakeStripe) => recorded.filter(({ path }) => path === "/v1/account").length
  const other = { status: 200, body: { object: "account", id: "acct_of_somebody_else" } }
  const slowly = (delayMillis: number, reply?: Reply): FakeStripe.Options => ({
    delays: ({ path }) => (path === "/v1/account" ? delayMillis : 0),
    ...(reply === undefined ? {} : answeringAccount(reply))
  })

  it.live("the first requests wait for a slow answer, all for one, and later ones for nothing", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging(slowly(1_500))
        const first = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3], (nth) => gateway.send({ payment, intent: saleNumber(nth) }), { concurrency: "unbounded" })
        )
        yield* Effect.sleep("150 millis")
        assert.strictEqual(posts(fake), 0)
        assert.deepStrictEqual(
          (yield* Fiber.join(first)).map(({ _tag }) => _tag),
          ["Succeeded", "Succeeded", "Succeeded"]
        )
        yield* gateway.send({ payment, intent: saleNumber(4) })
        assert.deepStrictEqual([posts(fake), questions(fake)], [4, 1])
      })
    )
  )

  it.live("a slow answer that names another account: the first request is not sent either", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway, lines } = yield* logging(slowly(300, other))
        const outcome = yield* gateway.send({ payment, intent: sale })
        assert.deepInclude<object>(outcome, { _tag: "NotSent", reason: "local_limit" })
        assert.match("message" in outcome ? outcome.message : "", /belongs to account acct_of_somebody_else/)
        assert.strictEqual(posts(fake), 0)
        assert.match(lines.join(), /Error .*nothing is sent/)
      })
    )
  )

  it.live("an answer that does not come in time: not sent, so that another gateway may take it, and sent when it has come", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging(slowly(2_000), { connectLimitMillis: 500 })
        const outcome = yield* gateway.send({ payment, intent: sale })
        assert.deepInclude<object>(outcome, { _tag: "NotSent", reason: "connection_not_made" })
        assert.match("message" in outcome ? outcome.message : "", /not known whose key it is/)
        assert.strictEqual(posts(fake), 0)
        yield* Effect.sleep("2500 millis")
        assert.strictEqual((yield* gateway.send({ payment, intent: sale }))._tag, "Succeeded")
        assert.strictEqual(questions(fake), 1, "the question went on when nobody waited for it any more")
      })
    )
  )

  for (const reply of [
    { status: 503, body: "" },
    { status: 200, body: "<html>" }
  ] as const) {
    it.live(`an answer that is none (${reply.status}): not sent`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { fake, gateway } = yield* logging(answeringAccount(reply))
          assert.deepInclude<object>(yield* gateway.send({ payment, intent: sale }), { _tag: "NotSent", reason: "connection_not_made" })
          assert.strictEqual(posts(fake), 0)
        })
      )
    )
  }

  it.live("a revoked key: what Stripe says of the key, and nothing is sent with it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const expired = { error: { type: "invalid_request_error", code: "api_key_expired", message: "Expired API Key provided" } }
        const { fake, gateway } = yield* logging(answeringAccount({ status: 401, body: expired }))
        assert.deepInclude<object>(yield* gateway.send({ payment, intent: sale }), {
          _tag: "Declined",
          category: "configuration",
          code: "api_key_expired"
        })
        assert.strictEqual(posts(fake), 0)
      })
    )
  )

  it.live("a permission that is over meanwhile: not sent", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging(slowly(200))
        const until = Date.now() + 1_000
        const outcome = yield* gateway.send({ payment, intent: sale, leftMillis: () => until - Date.now() })
        assert.deepInclude<object>(outcome, { _tag: "NotSent", reason: "permission_lapsed" })
        assert.strictEqual(posts(fake), 0)
      })
    )
  )
})

describe("a void that knows its target by our reference alone", () => {
  const target = { ...sale, number: operationNumber(1) }
  const voiding = {
    ...intent({ payment, number: 2, kind: "void", purpose: "recover", target: 1 }),
    details: { customerPresent: true, targetRequestKey: target.requestKey, methodType: "card" as const }
  }
  const slowSearch = (delayMillis: number): FakeStripe.Options => ({
    delays: ({ method, path }) => (method === "GET" && path === "/v1/payment_intents" ? delayMillis : 0)
  })
  const left = (millis: number) => {
    const until = Date.now() + millis
    return () => until - Date.now()
  }

  it.live("looks for it as long as its permission lasts, not as long as connecting may take", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging(slowSearch(2_000), { connectLimitMillis: 500 })
        yield* gateway.send({ payment, intent: { ...sale, kind: "authorize" } })
        assert.deepInclude<object>(yield* gateway.send({ payment, intent: voiding, leftMillis: left(30_000) }), {
          _tag: "Succeeded",
          named: true
        })
        assert.deepStrictEqual(
          fake.account.movements.map(({ kind }) => kind),
          ["authorize", "void"]
        )
      })
    )
  )

  it.live("is not sent where finding it leaves no time to send", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { fake, gateway } = yield* logging(slowSearch(2_000), { connectLimitMillis: 500 })
        yield* gateway.send({ payment, intent: { ...sale, kind: "authorize" } })
        assert.strictEqual((yield* gateway.send({ payment, intent: voiding, leftMillis: left(1_500) }))._tag, "NotSent")
        assert.strictEqual(
          (yield* gateway.send({ payment, intent: voiding }))._tag,
          "NotSent",
          "nobody counts: twice the limit of connecting"
        )
        assert.lengthOf(fake.account.movements, 1)
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
