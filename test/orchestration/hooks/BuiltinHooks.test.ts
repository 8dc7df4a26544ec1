/**
 * The built-in hooks at work, through payments that are charged.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { BuiltinHooks as Settings } from "../../../src/domain/hooks/builtin/BuiltinHooks.ts"
import { TenantId } from "../../../src/domain/payment/Ids.ts"
import * as BuiltinHooks from "../../../src/orchestration/hooks/builtin/BuiltinHooks.ts"
import * as HookRegistry from "../../../src/orchestration/hooks/HookRegistry.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { EventStore, EventStoreError } from "../../../src/services/EventStore.ts"
import { Hooks } from "../../../src/services/hooks/Hooks.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { collecting } from "../../support/logs.ts"
import { chargeRequest, declined, engineOver, memory, testGateway } from "../../support/TestEngine.ts"

const settings = Schema.decodeUnknownSync(Settings)

/** The engine in memory, with hooks. `repository`: over the one that the hooks count in. */
const engineWith = (
  gateways: ReadonlyArray<ReturnType<typeof testGateway>>,
  wanted: Settings,
  repository: Layer.Layer<PaymentRepository, never, PaymentRepository> = Layer.effect(PaymentRepository, PaymentRepository)
) => {
  const hooks = BuiltinHooks.layer(wanted).pipe(Layer.provide(repository), Layer.provideMerge(HookRegistry.layer))
  return engineOver(gateways).pipe(Layer.provideMerge(Layer.orDie(hooks)), Layer.provideMerge(memory))
}

const charge = (key: string, customer?: string, overrides: Parameters<typeof chargeRequest>[1] = {}) =>
  Effect.map(
    Effect.flatMap(Payments, (payments) =>
      payments.charge(chargeRequest(key, { ...(customer === undefined ? {} : { customer: { id: customer } }), ...overrides }))
    ),
    ({ payment }) => payment
  )

/** Why a payment was blocked, as its history says: the caller is told only that it was. Or else its status. */
const codeOf = Effect.fnUntraced(function* (payment: Effect.Success<ReturnType<typeof charge>>) {
  const events = yield* (yield* EventStore).read(payment.id)
  const blocked = events.find(({ event }) => event._tag === "PaymentBlocked")?.event
  if (blocked?._tag !== "PaymentBlocked") return payment.status
  assert.deepInclude(payment, { status: "failed", amountCaptured: 0 })
  assert.strictEqual(payment.failure?.code, "blocked_by_fraud_check")
  return blocked.code
})

const chargedCode = (...request: Parameters<typeof charge>) => Effect.flatMap(charge(...request), codeOf)

const verdictsOf = Effect.fnUntraced(function* (payment: Effect.Success<ReturnType<typeof charge>>) {
  const events = yield* (yield* EventStore).read(payment.id)
  return events.flatMap(({ event }) => ("verdicts" in event ? (event.verdicts ?? []) : []))
})

describe("velocity", () => {
  const wanted = settings({
    velocity: {
      limits: [
        { per: "customer", most: 2, withinMillis: 60_000, action: "block" },
        { per: "merchant", most: 6, withinMillis: 60_000, action: "flag" }
      ]
    }
  })

  it.effect("blocks the payment that is one too many of its customer, before any gateway hears of it", () => {
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      assert.deepStrictEqual(
        [yield* chargedCode("k1", "c-1"), yield* chargedCode("k2", "c-1"), yield* chargedCode("k3", "c-1")],
        ["succeeded", "succeeded", "customer_velocity"]
      )
      assert.lengthOf(gateway.sent, 2)
      assert.strictEqual(yield* chargedCode("k3", "c-1"), "customer_velocity", "the same request again is the same payment")
      assert.strictEqual(yield* chargedCode("k1", "c-1"), "succeeded", "and one that was charged is never blocked afterwards")
      assert.strictEqual(yield* chargedCode("k4", "c-2"), "succeeded")
      assert.strictEqual(
        yield* chargedCode("k5", "c-1", { tenant: TenantId.make("m2") }),
        "succeeded",
        "merchants know nothing of each other"
      )
      assert.strictEqual(yield* chargedCode("k6"), "succeeded", "a guest has no customer to be counted")
      assert.lengthOf(gateway.sent, 5)
    }).pipe(Effect.provide(engineWith([gateway], wanted)))
  })

  it.effect("a blocked payment counts too: whoever goes on stays blocked, and who pauses does not", () => {
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      const codes: Array<string> = []
      for (let second = 0; second <= 160; second += 20) {
        codes.push(yield* chargedCode(`k${second}`, "c-1"))
        yield* TestClock.adjust("20 seconds")
      }
      assert.deepStrictEqual(codes, ["succeeded", "succeeded", ...Array.from({ length: 7 }, () => "customer_velocity")])
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* chargedCode("later", "c-1"), "succeeded")
    }).pipe(Effect.provide(engineWith([gateway], wanted)))
  })

  it.effect("flags, and the verdict stands in the history of a payment that goes on", () => {
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      for (let index = 0; index < 6; index++) yield* charge(`k${index}`)
      const seventh = yield* charge("k7")
      assert.strictEqual(seventh.status, "succeeded")
      assert.deepStrictEqual(
        (yield* verdictsOf(seventh)).map(({ action, code, hook, score }) => [hook as string, action, code, score]),
        [["velocity", "flag", "merchant_velocity", 50]]
      )
    }).pipe(Effect.provide(engineWith([gateway], wanted)))
  })

  const broken = Layer.effect(
    PaymentRepository,
    Effect.map(PaymentRepository, (repository) =>
      PaymentRepository.of({
        ...repository,
        count: () => Effect.fail(new EventStoreError({ operation: "count", reason: { _tag: "Unavailable", detail: "gone" } }))
      })
    )
  )
  const silent = Layer.effect(
    PaymentRepository,
    Effect.map(PaymentRepository, (repository) => PaymentRepository.of({ ...repository, count: () => Effect.never }))
  )

  for (const [name, repository] of [
    ["fails", broken],
    ["does not answer", silent]
  ] as const) {
    it.effect(`a store that ${name} blocks the payment, unless that is configured otherwise`, () => {
      const gateway = testGateway("a")
      const codes = (onFailure: object) =>
        Effect.gen(function* () {
          const charging = yield* Effect.forkChild(charge("k1", "c-1"), { startImmediately: true })
          yield* TestClock.adjust("1 second")
          const payment = yield* Fiber.join(charging)
          const [report] = yield* (yield* Hooks).reports
          return [yield* codeOf(payment), report?.hook, report?.failure]
        }).pipe(Effect.provide(engineWith([gateway], settings({ velocity: onFailure }), repository)))
      return Effect.gen(function* () {
        const failure = name === "fails" ? "failed" : "timeout"
        assert.deepStrictEqual(yield* codes({}), ["check_unavailable", "velocity", failure])
        assert.lengthOf(gateway.sent, 0)
        assert.deepStrictEqual(yield* codes({ onFailure: "allow" }), ["succeeded", "velocity", failure])
      })
    })
  }
})

describe("amount and country", () => {
  it.effect("block and flag; the severest of all checks counts, and all are asked", () => {
    const gateway = testGateway("a")
    const wanted = settings({
      highValue: { flagFrom: { EUR: 4_990 }, blockFrom: { EUR: 100_000 } },
      geographic: { blockedCountries: ["KP"], unknownCountry: "allow" }
    })
    const from = (country: string) => ({ customer: { country } })
    return Effect.gen(function* () {
      const flagged = yield* charge("k1")
      assert.strictEqual(flagged.status, "succeeded")
      assert.deepStrictEqual(
        (yield* verdictsOf(flagged)).map(({ action, code }) => [action, code]),
        [
          ["flag", "high_value"],
          ["allow", undefined]
        ]
      )
      const blocked = yield* charge("k2", undefined, from("KP"))
      assert.strictEqual(yield* codeOf(blocked), "country_blocked")
      assert.deepStrictEqual(
        (yield* verdictsOf(blocked)).map(({ action }) => action),
        ["flag", "block"]
      )
      const large = { amount: { ...chargeRequest("k3").amount, minor: 100_000n } }
      assert.strictEqual(yield* chargedCode("k3", undefined, large), "high_value")
      assert.lengthOf(gateway.sent, 1)
      assert.isTrue(yield* (yield* Hooks).setEnabled("geographic", false))
      assert.strictEqual((yield* charge("k4", undefined, from("KP"))).status, "succeeded", "one that is switched off is not asked")
    }).pipe(Effect.provide(engineWith([gateway], wanted)))
  })
})

describe("payment logging", () => {
  it.effect("writes one line for each event, with the payment and without the customer", () => {
    const gateway = testGateway("a")
    const { kept, lines } = collecting()
    return Effect.gen(function* () {
      const payment = yield* Effect.gen(function* () {
        const payment = yield* charge("k1", "c-secret", { metadata: { order: "note-secret" } })
        yield* TestClock.adjust("1 second")
        return payment
      }).pipe(Effect.provide(engineWith([gateway], settings({ paymentLogging: {}, highValue: { flagFrom: { EUR: 1 } } }))), kept)
      const own = lines.filter(({ message }) => message === "payment event")
      assert.sameMembers(
        own.map(({ annotations }) => annotations["event"]),
        ["PaymentInitiated", "PaymentScreened", "OperationIntended", "OperationSucceeded"]
      )
      for (const { annotations, level } of own) {
        assert.deepInclude(annotations, { payment: payment.id, merchant: payment.tenant })
        assert.isString(annotations["eventId"])
        assert.match(level, /info/i)
      }
      assert.notInclude(JSON.stringify(lines), "secret")
      assert.deepInclude(own.find(({ annotations }) => annotations["event"] === "PaymentScreened")?.annotations, {
        flaggedBy: "high-value"
      })
      assert.deepInclude(own.find(({ annotations }) => annotations["event"] === "OperationIntended")?.annotations, {
        gateway: "a",
        kind: "sale",
        operation: 1,
        amountMinor: 4990,
        currency: "EUR"
      })
    })
  })
})

describe("retry advice", () => {
  it.effect("ends a payment where the merchant wants no other gateway; without advice it goes on", () =>
    Effect.gen(function* () {
      for (const [advice, sends, status] of [
        [{}, 1, "succeeded"],
        [{ advice: { soft: "fail" } }, 0, "failed"],
        [{ maxCharges: 1 }, 0, "failed"]
      ] as const) {
        const first = testGateway("a", { send: () => Effect.succeed(declined("soft")) })
        const second = testGateway("b")
        const payment = yield* charge("k1").pipe(Effect.provide(engineWith([first, second], settings({ retryAdvice: advice }))))
        assert.strictEqual(payment.status, status)
        assert.deepStrictEqual([first.sent.length, second.sent.length], [1, sends])
      }
    })
  )
})
