/** Clocks that are wrong: a charge whose answer was lost is found all the same, or nothing is concluded; it is never made a second time elsewhere. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import { PaymentId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { Ids } from "../../../src/services/Ids.ts"
import { intent, newPaymentId } from "../../support/payments.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { chargeRequest, engineOver, memory, success, tenant, testGateway } from "../../support/TestEngine.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const minute = 60_000
const lost = "pm_fault_charge_5xx_after"

/** Identifiers of a process whose clock is off by so much. */
const idsAhead = (aheadMillis: number) =>
  Layer.succeed(
    Ids,
    Ids.of({
      uuids: (count) =>
        Effect.sync(() =>
          Array.from({ length: count }, () => {
            const time = (Date.now() + aheadMillis).toString(16).padStart(12, "0")
            const random = randomBytes(10).toString("hex")
            return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`
          })
        )
    })
  )

const paymentAhead = (aheadMillis: number): PaymentId => {
  const id = newPaymentId()
  return PaymentId.make(`${id.slice(0, 8)}${(Date.now() + aheadMillis).toString(16).padStart(12, "0")}${id.slice(20)}`)
}

const saleOf = (payment: PaymentId, method: string): Intent => ({
  ...intent({ payment }),
  details: { customerPresent: true, token: Token.make(method), methodType: "card", returnUrl: "https://shop.example/return" }
})

/** What became of a charge whose answer was lost, where the clocks are ahead by so much. `sent`: false, nothing was charged. */
const found = (clocks: { readonly process?: number; readonly database?: number; readonly databaseNow?: number; readonly sent?: boolean }) =>
  Effect.scoped(
    Effect.gen(function* () {
      const fake = yield* FakeStripe.started()
      const gateway = yield* gatewayOf(accountOf(fake.url))
      const payment = paymentAhead(clocks.process ?? 0)
      const sale = saleOf(payment, lost)
      if (clocks.sent !== false) assert.strictEqual((yield* gateway.send({ payment, intent: sale }))._tag, "Unknown")
      const began = Date.now() + (clocks.database ?? 0)
      const now = Date.now() + (clocks.databaseNow ?? clocks.database ?? 0)
      const made = { since: began, until: began + 30_000, now }
      return yield* gateway.lookup({ payment, intent: sale, gatewayReference: undefined, made })
    })
  )

describe("a look-up by reference", () => {
  for (const ahead of [-15, 10, 15, 600].map((minutes) => minutes * minute)) {
    it.live(`finds a charge of a process whose clock is ${ahead / minute} minutes ahead`, () =>
      Effect.map(found({ process: ahead }), ({ _tag }) => assert.strictEqual(_tag, "Succeeded"))
    )
  }

  for (const ahead of [-15, 15].map((minutes) => minutes * minute)) {
    it.live(`finds a charge where the database's clock is ${ahead / minute} minutes ahead, or was until it was set`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* found({ process: ahead, database: ahead }))._tag, "Succeeded")
        assert.strictEqual((yield* found({ process: ahead, database: ahead, databaseNow: 0 }))._tag, "Succeeded")
      })
    )
  }

  for (const ahead of [-120, 120].map((minutes) => minutes * minute)) {
    it.live(`concludes no absence where the database's clock is ${ahead / minute} minutes ahead`, () =>
      Effect.gen(function* () {
        const answer = yield* found({ process: ahead, database: ahead })
        assert.strictEqual(answer._tag === "Unknown" && answer.reason, "inconclusive")
        assert.strictEqual((yield* found({ process: ahead, database: ahead, sent: false }))._tag, "Unknown")
      })
    )
  }

  it.live("tells what was never made as absent, by right clocks only", () =>
    Effect.map(found({ sent: false }), ({ _tag }) => assert.strictEqual(_tag, "Absent"))
  )

  it.live("concludes no absence where it is not known when the payment began", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fake = yield* FakeStripe.started()
        const gateway = yield* gatewayOf(accountOf(fake.url))
        const payment = newPaymentId()
        const answer = yield* gateway.lookup({ payment, intent: saleOf(payment, "pm_card_visa"), gatewayReference: undefined })
        assert.strictEqual(answer._tag === "Unknown" && answer.reason, "inconclusive")
      })
    )
  )

  it.live("reads a busy account within its time only: what came later is not asked for", () =>
    Effect.scoped(
      Effect.gen(function* () {
        let query = ""
        const fake = yield* FakeStripe.started({
          intercept: (request) => {
            if (request.path === "/v1/payment_intents") query = request.query
            return undefined
          }
        })
        const gateway = yield* gatewayOf(accountOf(fake.url))
        const payment = newPaymentId()
        const made = { since: 1_700_000_000_000, until: 1_700_000_060_000, now: Date.now() }
        const sale = saleOf(payment, "pm_card_visa")
        assert.strictEqual((yield* gateway.lookup({ payment, intent: sale, gatewayReference: undefined, made }))._tag, "Absent")
        const asked = new URLSearchParams(query)
        assert.strictEqual(asked.get("created[gte]"), String(1_700_000_000 - 3_600))
        assert.strictEqual(asked.get("created[lte]"), String(1_700_000_060 + 3_600))
      })
    )
  )
})

describe("the engine", { concurrent: true }, () => {
  // Whose key it is has to be known within the time for connecting: on a machine that is busy, too.
  const settings = {
    attemptTimeoutMillis: 2_400,
    sendWindowMillis: 4_800,
    retries: 1,
    retryBaseMillis: 20,
    retryCapMillis: 20,
    storeWaitMillis: 2_000,
    recoveryLeaseMillis: 2_400
  }

  for (const ahead of [-15, 10, 15].map((minutes) => minutes * minute)) {
    it.live(`charges once where a process is ${ahead / minute} minutes ahead, and another gateway would take the payment`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const fake = yield* FakeStripe.started()
          const stripe = yield* gatewayOf(accountOf(fake.url, { settleTimeMillis: 4_000, connectLimitMillis: 1_000 }))
          const other = testGateway("z-other", { charges: { settleTimeMillis: 4_000 }, send: (one) => Effect.succeed(success(one)) })
          const run = Effect.gen(function* () {
            const payments = yield* Payments
            const references = { stripe: Token.make(lost), "z-other": Token.make("tok_success") }
            const { payment } = yield* payments.charge(
              chargeRequest("k1", { method: { type: "card", references }, returnUrl: "https://shop.example/return" })
            )
            assert.strictEqual(payment.status, "in_doubt")
            for (let waited = 0; waited < 40_000; waited += 100) {
              yield* payments.recover({ olderThanMillis: 0 })
              const { status } = yield* payments.get({ id: payment.id, tenant })
              if (status !== "in_doubt" && status !== "processing") return status
              yield* Effect.sleep("100 millis")
            }
            return assert.fail("nothing was found out")
          })
          const layer = Layer.provideMerge(engineOver([stripe, other], settings), Layer.mergeAll(memory, idsAhead(ahead)))
          assert.strictEqual(yield* Effect.provide(run, layer), "succeeded")
          assert.deepStrictEqual(
            fake.account.movements.map(({ kind }) => kind),
            ["charge"]
          )
          assert.lengthOf(other.sent, 0)
        })
      )
    )
  }
})
