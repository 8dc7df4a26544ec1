/**
 * The networks' retry caps in the engine: counted per card across payments and gateways, kept before every charge.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { TestClock } from "effect/testing"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import type { PaymentMethod } from "../../../src/domain/payment/PaymentMethod.ts"
import type { PaymentId, TenantId } from "../../../src/domain/payment/Ids.ts"
import { make, type PolicyData } from "../../../src/domain/routing/policy/Policy.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { CardAttempts, CardAttemptsUnavailable } from "../../../src/services/routing/CardAttempts.ts"
import { RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { newTenant } from "../../support/payments.ts"
import { chargeRequest, declined, engine, engineOver, memory, success, tenant, testGateway } from "../../support/TestEngine.ts"

/** Two declined attempts in an hour, and none after a hard decline, for a day. */
const strict: PolicyData = {
  // These declines move no payment to another gateway.
  scoring: { approvalFloor: 0 },
  retryCaps: [
    {
      network: "test network",
      brands: ["visa"],
      from: "2020-01-01",
      limits: [{ max: 2, hours: 1 }],
      counts: ["soft", "hard", "authentication_required"],
      never: ["hard"],
      neverDays: 1
    }
  ]
}

const policy = (data: PolicyData) => Layer.succeed(RoutingPolicy, { policy: make(data), customRules: [] })
const engineWith = (gateways: ReadonlyArray<Gateway>, data: PolicyData = strict) => Layer.provide(engine(gateways), policy(data))

const card = (fingerprint: string | undefined, brand = "visa"): PaymentMethod => ({
  ...chargeRequest("any").method,
  brand,
  ...(fingerprint === undefined ? {} : { fingerprint })
})

const answering = (name: string, ...outcomes: ReadonlyArray<Outcome | "success">) =>
  testGateway(name, {
    send: (intent, nth) => {
      const outcome = outcomes[Math.min(nth, outcomes.length) - 1] ?? "success"
      return Effect.succeed(outcome === "success" ? success(intent) : outcome)
    }
  })

let keys = 0
const charge = (fingerprint: string | undefined, options: { readonly brand?: string; readonly tenant?: TenantId } = {}) =>
  Payments.use((payments) =>
    payments.charge(chargeRequest(`k${++keys}`, { method: card(fingerprint, options.brand), tenant: options.tenant ?? tenant }))
  ).pipe(Effect.map(({ payment }) => payment))

const capsOf = Effect.fnUntraced(function* (id: PaymentId) {
  const store = yield* EventStore
  return (yield* store.read(id)).flatMap(({ event }) => (event._tag === "OperationIntended" ? [event.intent.decision?.caps] : []))
})

/** The tests' time begins in 1970, before any cap. */
const now = TestClock.setTime(1_795_262_400_000)

describe("retry caps", () => {
  it.effect("a card is refused once the cap is reached by other payments, at every gateway, before an intent is written", () => {
    const a = answering("a", declined("soft"))
    const b = answering("b", declined("soft"))
    return Effect.gen(function* () {
      yield* now
      const first = yield* charge("fp_1")
      assert.strictEqual(first.status, "failed")
      assert.deepStrictEqual([a.sent.length, b.sent.length], [1, 1], "one decline at each gateway")
      const refused = yield* Effect.flip(charge("fp_1"))
      assert.strictEqual(refused._tag, "NoUsableGateway")
      assert.include(refused.message, "test network: 2 declined attempts of this card in 1 h, the cap is 2")
      assert.deepStrictEqual([a.sent.length, b.sent.length], [1, 1])
    }).pipe(Effect.provide(engineWith([a, b])))
  })

  it.effect("other cards, other brands and other merchants are free, and so is the card when the window is over", () => {
    const a = answering("a", declined("soft"), declined("soft"), "success")
    return Effect.gen(function* () {
      yield* now
      yield* charge("fp_1")
      yield* charge("fp_1")
      assert.strictEqual((yield* Effect.flip(charge("fp_1")))._tag, "NoUsableGateway")
      assert.strictEqual((yield* charge("fp_2")).status, "succeeded")
      assert.strictEqual((yield* charge("fp_1", { brand: "amex" })).status, "succeeded")
      assert.strictEqual((yield* charge("fp_1", { tenant: newTenant() })).status, "succeeded")
      yield* TestClock.adjust("1 hours")
      assert.strictEqual((yield* charge("fp_1")).status, "succeeded")
    }).pipe(Effect.provide(engineWith([a])))
  })

  it.effect("a failover is an attempt too: the payment ends with its decline when the cap is reached", () => {
    const a = answering("a", declined("soft"))
    const b = answering("b")
    return Effect.gen(function* () {
      yield* now
      yield* charge("fp_1", { brand: "visa" })
      assert.lengthOf(b.sent, 1, "the first payment failed over")
      const second = yield* charge("fp_1")
      assert.strictEqual(second.status, "failed")
      assert.strictEqual(second.failure?.category, "soft")
      assert.lengthOf(b.sent, 1)
    }).pipe(Effect.provide(engineWith([a, b])))
  })

  it.effect("a step-up is an attempt too", () => {
    const a = answering("a", declined("authentication_required"))
    return Effect.gen(function* () {
      yield* now
      const first = yield* charge("fp_1")
      assert.strictEqual(first.status, "failed")
      assert.lengthOf(a.sent, 2, "asked for, and stepped up")
      assert.strictEqual((yield* Effect.flip(charge("fp_1")))._tag, "NoUsableGateway")
    }).pipe(Effect.provide(engineWith([a])))
  })

  it.effect("a step-up that would be one attempt too many is not made", () => {
    const a = answering("a", declined("soft"), declined("authentication_required"))
    return Effect.gen(function* () {
      yield* now
      yield* charge("fp_1")
      const second = yield* charge("fp_1")
      assert.strictEqual(second.failure?.category, "authentication_required")
      assert.lengthOf(a.sent, 2)
    }).pipe(Effect.provide(engineWith([a])))
  })

  it.effect("the declines of the payment itself count once, though they are remembered for its card by then", () => {
    const [caps] = strict.retryCaps ?? []
    const three = caps === undefined ? strict : { retryCaps: [{ ...caps, limits: [{ max: 3, hours: 1 }] }] }
    const gateways = [answering("a", declined("soft")), answering("b", declined("soft")), answering("c")]
    return Effect.gen(function* () {
      yield* now
      const payment = yield* charge("fp_1")
      assert.strictEqual(payment.status, "succeeded")
      assert.deepStrictEqual(
        (yield* capsOf(payment.id)).map((caps) => caps?.declined),
        [0, 1, 2]
      )
    }).pipe(Effect.provide(engineWith(gateways, three)))
  })

  it.effect("a card that had expired is charged again with its new date; one that its network forbids is not, at any gateway", () => {
    const forbids = { ...declined("hard"), networkForbids: true as const }
    const a = answering("a", declined("hard"), "success", forbids, "success")
    return Effect.gen(function* () {
      yield* now
      assert.strictEqual((yield* charge("fp_1")).failure?.category, "hard")
      assert.strictEqual((yield* charge("fp_1")).status, "succeeded")
      assert.strictEqual((yield* charge("fp_2")).failure?.category, "hard")
      const refused = yield* Effect.flip(charge("fp_2"))
      assert.include(refused.message, "visa: its answer to an earlier attempt forbids every further attempt with this card")
    }).pipe(Effect.provide(engineWith([a], {})))
  })

  it.effect("where the caps say so a hard decline forbids the card at every gateway, for as long as it is remembered", () => {
    const a = answering("a", declined("hard"), "success")
    const b = answering("b")
    return Effect.gen(function* () {
      yield* now
      assert.strictEqual((yield* charge("fp_1")).failure?.category, "hard")
      const refused = yield* Effect.flip(charge("fp_1"))
      assert.include(refused.message, "a hard decline of this card forbids every further attempt")
      assert.lengthOf(b.sent, 0)
      yield* TestClock.adjust("1 days")
      assert.strictEqual((yield* charge("fp_1")).status, "succeeded")
    }).pipe(Effect.provide(engineWith([a, b])))
  })

  it.effect("the decision says what was counted: the card, this payment alone without a fingerprint, nothing without a cap", () => {
    const a = answering("a", declined("soft"))
    return Effect.gen(function* () {
      yield* now
      const counted = yield* charge("fp_1")
      assert.deepStrictEqual(yield* capsOf(counted.id), [
        { network: "test network", basis: "card", declined: 0 },
        { network: "test network", basis: "card", declined: 1 }
      ])
      const bare = yield* charge(undefined)
      assert.deepStrictEqual(yield* capsOf(bare.id), [
        { network: "test network", basis: "payment", declined: 0 },
        { network: "test network", basis: "payment", declined: 1 }
      ])
      const free = yield* charge("fp_1", { brand: "amex" })
      assert.deepStrictEqual(yield* capsOf(free.id), [undefined, undefined])
    }).pipe(Effect.provide(engineWith([a, answering("b", "success")])))
  })

  it.effect("what is no attempt at the network counts for nothing: refusals of the gateway, unknown outcomes, successes", () => {
    const a = answering("a", declined("gateway_error"), declined("rate_limited"), "success")
    return Effect.gen(function* () {
      yield* now
      for (let count = 0; count < 4; count++) yield* charge("fp_1")
      const attempts = yield* CardAttempts
      assert.deepStrictEqual(yield* attempts.of({ tenant, fingerprint: "fp_1" }), [])
    }).pipe(Effect.provide(engineWith([a])))
  })

  it.effect("a payment that succeeds writes nothing and asks once", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make(0)
      const recorded = yield* Ref.make(0)
      const counting = Layer.succeed(CardAttempts, {
        of: () =>
          Effect.as(
            Ref.update(asked, (count) => count + 1),
            []
          ),
        record: () => Ref.update(recorded, (count) => count + 1)
      })
      yield* now
      yield* charge("fp_1").pipe(Effect.provide(Layer.provideMerge(engineOver([answering("a")]), Layer.provideMerge(counting, memory))))
      assert.deepStrictEqual([yield* Ref.get(asked), yield* Ref.get(recorded)], [1, 0])
    })
  )

  it.effect("where the counts cannot be read the payment goes on and says so", () =>
    Effect.gen(function* () {
      const broken = Layer.succeed(CardAttempts, {
        of: () => Effect.fail(new CardAttemptsUnavailable({ cause: new Error("gone") })),
        record: () => Effect.void
      })
      yield* now
      yield* Effect.gen(function* () {
        const payment = yield* charge("fp_1")
        assert.strictEqual(payment.status, "succeeded")
        assert.deepStrictEqual(yield* capsOf(payment.id), [{ network: "visa", basis: "unavailable", declined: 0 }])
      }).pipe(Effect.provide(Layer.provideMerge(engineOver([answering("a")]), Layer.provideMerge(broken, memory))))
    })
  )

  it.effect("by the presets a Visa card is declined 20 times in 30 days and no more, over payments and two gateways", () => {
    const a = answering("a", declined("soft"))
    const b = answering("b", declined("soft"))
    return Effect.gen(function* () {
      yield* now
      let refused = 0
      for (let day = 0; day < 29; day++) {
        refused += (yield* Effect.exit(charge("fp_1")))._tag === "Failure" ? 1 : 0
        yield* TestClock.adjust("1 days")
      }
      assert.strictEqual(a.sent.length + b.sent.length, 20)
      assert.strictEqual(refused, 19)
    }).pipe(Effect.provide(engineWith([a, b], {})))
  })
})
