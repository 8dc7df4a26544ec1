/** Authorizations that their gateway ended by itself, and no webhook told of: they are asked about once they are past their validity. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { PaymentId } from "../../../src/domain/payment/Ids.ts"
import type { ChargeRequest } from "../../../src/orchestration/payment/Charge.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as Expiry from "../../../src/orchestration/recovery/Expiry.ts"
import { underLease } from "../../../src/orchestration/recovery/PaymentLease.ts"
import { gaveUp, type HoldAnswer } from "../../../src/services/Gateway.ts"
import { defaults, type EngineSettings, Settings } from "../../../src/services/Settings.ts"
import { chargeRequest, engine, key, tenant, type TestGateway, testGateway } from "../../support/TestEngine.ts"

const settings: Partial<EngineSettings> = { retries: 0 }
const over = <A, E>(
  gateway: TestGateway,
  program: Effect.Effect<A, E, Effect.Services<ReturnType<typeof Expiry.expire>> | Payments.Payments>
) => program.pipe(Effect.provideService(Settings, { ...defaults, ...settings }), Effect.provide(engine([gateway], settings)))

const charge = (under: string, request: Partial<ChargeRequest> = { captureMethod: "manual" }) =>
  Payments.Payments.use((payments) => Effect.map(payments.charge(chargeRequest(under, request)), ({ payment }) => payment.id))
const shown = (id: PaymentId) => Payments.Payments.use((payments) => payments.get({ id, tenant }))
const statusOf = (id: PaymentId) => Effect.map(shown(id), ({ status }) => status)
const holds = Effect.map(Expiry.expire(), (report) => {
  assert.deepStrictEqual(report.errors, [])
  assert.strictEqual(report.due, 0)
  return report.holds
})

/** A gateway that says what `says` holds, and counts the questions. */
const holding = (says: { answer: HoldAnswer }) => {
  const questions: Array<string> = []
  const gateway = testGateway("a", {
    hold: ({ requestKey }) => Effect.sync(() => (questions.push(requestKey), says.answer))
  })
  return { gateway, questions }
}

const held: HoldAnswer = { _tag: "Held" }
const released: HoldAnswer = { _tag: "Released" }

describe("an authorization that is neither captured nor cancelled", () => {
  it.effect("is asked about when its validity is over, left alone while it holds, and ended when the gateway says that it is", () => {
    const says: { answer: HoldAnswer } = { answer: held }
    const { gateway, questions } = holding(says)
    return over(
      gateway,
      Effect.gen(function* () {
        const id = yield* charge("k")
        yield* TestClock.adjust("7 days")
        assert.deepStrictEqual(yield* holds, {}, "valid still")
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* holds, { held: 1 })
        assert.strictEqual(yield* statusOf(id), "authorized", "a timer never decides")
        says.answer = released
        yield* TestClock.adjust("6 hours")
        assert.deepStrictEqual(yield* holds, {}, "it was asked not long ago")
        assert.lengthOf(questions, 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* holds, { released: 1 })
        const view = yield* shown(id)
        assert.strictEqual(view.status, "cancelled")
        assert.strictEqual(view.amountAuthorized, 0)
        assert.deepStrictEqual(
          gateway.sent.map(({ kind, purpose }) => [kind, purpose]),
          [
            ["authorize", "charge"],
            ["void", "cancel"]
          ]
        )
        yield* TestClock.adjust("30 days")
        assert.deepStrictEqual(yield* holds, {}, "nothing is held any more")
      })
    )
  })

  it.effect("stays as it is where the gateway does not answer, and the next run asks again", () => {
    const says = { answer: gaveUp("server_error", "500") }
    const { gateway, questions } = holding(says)
    return over(
      gateway,
      Effect.gen(function* () {
        const id = yield* charge("k")
        yield* TestClock.adjust("8 days")
        assert.deepStrictEqual(yield* holds, { unknown: 1 })
        assert.deepStrictEqual(yield* holds, { unknown: 1 })
        assert.strictEqual(yield* statusOf(id), "authorized")
        assert.lengthOf(questions, 2)
      })
    )
  })

  it.effect("stays as it is, however old, at a gateway that cannot be asked", () => {
    const gateway = testGateway("a")
    return over(
      gateway,
      Effect.gen(function* () {
        const id = yield* charge("k")
        yield* TestClock.adjust("400 days")
        assert.deepStrictEqual(yield* holds, {})
        assert.strictEqual(yield* statusOf(id), "authorized")
        assert.lengthOf(gateway.sent, 1)
      })
    )
  })

  it.effect("is asked about by one instance at a time", () => {
    const { gateway, questions } = holding({ answer: released })
    return over(
      gateway,
      Effect.gen(function* () {
        const id = yield* charge("k")
        yield* TestClock.adjust("8 days")
        const during = yield* underLease(id, () => holds)
        assert.deepStrictEqual(during._tag === "Some" ? during.value : undefined, { skipped: 1 })
        assert.lengthOf(questions, 0)
        assert.deepStrictEqual(
          yield* Effect.all([holds, holds], { concurrency: 2 }).pipe(
            Effect.map((all) => all.map((one) => one.released ?? 0).toSorted((left, right) => left - right))
          ),
          [0, 1]
        )
        assert.lengthOf(
          gateway.sent.filter(({ kind }) => kind === "void"),
          1
        )
      })
    )
  })

  it.effect("that was captured in part: the rest is ended, what was captured stays", () => {
    const { gateway } = holding({ answer: released })
    return over(
      gateway,
      Effect.gen(function* () {
        const id = yield* charge("k")
        yield* Payments.Payments.use((payments) => payments.capture({ id, tenant, key: key("c"), amount: 1_990n }))
        assert.strictEqual(yield* statusOf(id), "partially_captured")
        yield* TestClock.adjust("8 days")
        assert.deepStrictEqual(yield* holds, { released: 1 })
        const view = yield* shown(id)
        assert.deepStrictEqual([view.status, view.amountAuthorized, view.amountCaptured], ["succeeded", 1_990, 1_990])
      })
    )
  })

  it.effect("nothing is asked of payments that hold nothing: captured at once, captured later, cancelled", () => {
    const { gateway, questions } = holding({ answer: released })
    return over(
      gateway,
      Effect.gen(function* () {
        yield* charge("1", {})
        const captured = yield* charge("2")
        yield* Payments.Payments.use((payments) => payments.capture({ id: captured, tenant, key: key("c") }))
        const cancelled = yield* charge("3")
        yield* Payments.Payments.use((payments) => payments.cancel({ id: cancelled, tenant, key: key("v") }))
        yield* TestClock.adjust("30 days")
        assert.deepStrictEqual(yield* holds, {})
        assert.lengthOf(questions, 0)
      })
    )
  })
})
