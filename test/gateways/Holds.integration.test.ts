/**
 * Authorizations that lapse at the PSP without a word: the engine finds out over real HTTP, at the sandbox, whose authorizations end by
 * themselves, and at the fake Stripe, which cancels them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import * as Background from "../../src/orchestration/operation/Background.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import * as WebhookProcessing from "../../src/orchestration/notify/WebhookProcessing.ts"
import * as WebhookReceipt from "../../src/orchestration/notify/WebhookReceipt.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import { quietAccounts } from "../../src/sandbox/Options.ts"
import { until } from "../sandbox/client.ts"
import { chargeRequest, engine, key, tenant } from "../support/TestEngine.ts"
import * as FakeStripe from "../support/stripe/FakeStripe.ts"
import { accountOf as sandboxAccount, gatewayOf as sandboxGateway, ledgerOf, started } from "./sandboxGateways.ts"
import { accountOf as stripeAccount, gatewayOf as stripeGateway } from "./stripe/stripeGateways.ts"

const settings: Partial<EngineSettings> = { retries: 0 }

/** The clock of these tests is the machine's: every hold is past its validity at once. */
const impatient = (gateway: Gateway): Gateway => ({
  ...gateway,
  capabilities: { ...gateway.capabilities, authorizationValidityMillis: 0 }
})

const authorized = (token: string) =>
  Payments.use((payments) =>
    Effect.map(
      payments.charge(chargeRequest(token, { captureMethod: "manual", method: { type: "card", token: Token.make(token) } })),
      ({ payment }) => {
        assert.strictEqual(payment.status, "authorized")
        return payment.id
      }
    )
  )
const view = (id: Effect.Success<ReturnType<typeof authorized>>) => Payments.use((payments) => payments.get({ id, tenant }))
const expire = Effect.andThen(
  Effect.sleep(5),
  Payments.use((payments) => payments.expire())
)

describe("the sandbox lets an authorization lapse", () => {
  const accounts = (authorizationValidityMillis: number) => quietAccounts.map((account) => ({ ...account, authorizationValidityMillis }))

  it.live("and no webhook tells: it is asked, and the payment is cancelled", () =>
    Effect.gen(function* () {
      const { url } = yield* started({ accounts: accounts(2_000) })
      const gateway = yield* sandboxGateway(sandboxAccount(url, "b", { authorizationValidityMillis: 1 }))
      yield* Effect.gen(function* () {
        const id = yield* authorized("tok_success")
        assert.deepStrictEqual((yield* expire).holds, { held: 1 }, "it holds still")
        assert.strictEqual((yield* view(id)).status, "authorized")
        yield* until(ledgerOf(url, "b"), (entries) => entries.some(({ kind }) => kind === "void"))
        assert.deepStrictEqual((yield* expire).holds, {}, "it was asked a moment ago")
      }).pipe(Effect.provide(engine([gateway], settings)))

      yield* Effect.gen(function* () {
        const id = yield* authorized("tok_success")
        yield* Effect.sleep(2_200)
        assert.deepStrictEqual((yield* expire).holds, { released: 1 })
        assert.strictEqual((yield* view(id)).status, "cancelled")
        const entries = (yield* ledgerOf(url, "b")).filter(({ payment }) => payment === id)
        assert.deepStrictEqual(
          entries.map(({ amount, kind }) => [kind, amount]),
          [
            ["authorize", 4990],
            ["void", 4990]
          ]
        )
      }).pipe(Effect.provide(engine([gateway], settings)))
    })
  )

  it.live("after a part was captured: the rest is ended", () =>
    Effect.gen(function* () {
      const { url } = yield* started({ accounts: accounts(2_000) })
      const gateway = yield* sandboxGateway(sandboxAccount(url, "b", { authorizationValidityMillis: 1 }))
      yield* Effect.gen(function* () {
        const id = yield* authorized("tok_success")
        yield* Payments.use((payments) => payments.capture({ id, tenant, key: key("c"), amount: 1_990n }))
        yield* Effect.sleep(2_200)
        assert.deepStrictEqual((yield* expire).holds, { released: 1 })
        const after = yield* view(id)
        assert.deepStrictEqual([after.status, after.amountAuthorized, after.amountCaptured], ["succeeded", 1_990, 1_990])
      }).pipe(Effect.provide(engine([gateway], settings)))
    })
  )
})

describe("Stripe cancels an authorization that is too old", () => {
  const told = Effect.fnUntraced(function* (fake: FakeStripe.FakeStripe) {
    for (const { body, headers } of fake.deliveries) yield* WebhookReceipt.receive({ gateway: "stripe", body, headers })
    yield* WebhookProcessing.runOnce()
  })
  const bench = (
    body: (
      fake: FakeStripe.FakeStripe,
      tells: ReturnType<typeof told>
    ) => Effect.Effect<unknown, unknown, Effect.Services<typeof expire> | Effect.Services<ReturnType<typeof told>>>
  ) =>
    Effect.gen(function* () {
      const fake = yield* FakeStripe.started()
      const gateway = impatient(yield* stripeGateway(stripeAccount(fake.url)))
      yield* body(fake, told(fake)).pipe(Effect.provide(Layer.provideMerge(Background.layer, engine([gateway], settings))))
    })
  const only = (fake: FakeStripe.FakeStripe) => [...fake.account.intents.keys()][0] ?? assert.fail("no PaymentIntent")
  const voids = (fake: FakeStripe.FakeStripe) => fake.account.movements.filter(({ kind }) => kind === "void")

  it.live("and no webhook tells: it is asked, and the payment is cancelled; what holds still is left alone", () =>
    bench((fake) =>
      Effect.gen(function* () {
        const id = yield* authorized("pm_card_visa")
        fake.account.expire(only(fake), false)
        assert.deepStrictEqual((yield* expire).holds, { released: 1 })
        assert.strictEqual((yield* view(id)).status, "cancelled")
        assert.lengthOf(voids(fake), 1, "Stripe's own: our void found it cancelled")
        const other = yield* authorized("pm_card_mastercard")
        assert.deepStrictEqual((yield* expire).holds, { held: 1 })
        assert.strictEqual((yield* view(other)).status, "authorized")
        assert.lengthOf(voids(fake), 1)
      })
    )
  )

  it.live("and the webhook tells: the same, and the question finds nothing to ask", () =>
    bench((fake, tells) =>
      Effect.gen(function* () {
        const id = yield* authorized("pm_card_visa")
        fake.account.expire(only(fake), true)
        yield* tells
        yield* until(view(id), ({ status }) => status === "cancelled")
        assert.deepStrictEqual((yield* expire).holds, {})
        assert.lengthOf(voids(fake), 1)
      })
    )
  )
})
