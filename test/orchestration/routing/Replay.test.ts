/**
 * Another policy over what the engine recorded, against the truth that the gateways were scripted by.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import type { PaymentEvent } from "../../../src/domain/payment/Event.ts"
import { initial, type Payment } from "../../../src/domain/payment/State.ts"
import type { RoutingDecision } from "../../../src/domain/routing/Decision.ts"
import type { PolicyData } from "../../../src/domain/routing/policy/Policy.ts"
import * as Replay from "../../../src/orchestration/routing/Replay.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Events from "../../support/payments.ts"
import { amountMinor, chargeMany, gatewaysOf, policyOf, recording, world } from "../../support/recordedRouting.ts"
import { decide, name, small } from "../../support/routing.ts"
import { chargeRequest, engine, memory } from "../../support/TestEngine.ts"

const engineWith = (data: PolicyData) =>
  Layer.provide(
    engine(
      gatewaysOf((millis) => TestClock.adjust(millis)),
      { retries: 0 }
    ),
    recording(data)
  )

const always = Number.MAX_SAFE_INTEGER
const notB: PolicyData = { rules: [{ name: "not b", then: { exclude: [name("b")] } }] }
const toB: PolicyData = { policy: "fixed", order: [name("b")] }
const replay = (data: PolicyData, options: Partial<Replay.ReplayOptions> = {}) =>
  Replay.replay({ policy: policyOf(data), from: 0, to: always, ...options })

const estimatesOf = (report: Replay.ReplayReport) => {
  assert.deepStrictEqual(report.refusals, [])
  return report.estimates ?? assert.fail("there are no estimates")
}

const assertCovers = (interval: { readonly low: number; readonly high: number } | undefined, value: number, what: string) => {
  assert.isAtMost(interval?.low ?? Number.NaN, value, what)
  assert.isAtLeast(interval?.high ?? Number.NaN, value, what)
}

describe("Replay: payments of the engine", () => {
  it.effect(
    "the estimates of another policy cover what its gateway does, which the recorded policy hardly used",
    () =>
      Effect.gen(function* () {
        const count = 1_500
        yield* chargeMany({ prefix: "explored", count, seed: 7 })
        const report = yield* replay(toB)
        assert.strictEqual(report.decisions, count)
        assert.deepStrictEqual(report.leftOut, [])
        const { fees, latencyMean, latencyP95, success } = estimatesOf(report)
        const { approval = 0, basisPoints = 0, millis = 0 } = world["b"] ?? {}
        assertCovers(success, approval, "success")
        assert.isBelow(success.high - success.low, 0.15)
        assert.isAbove(success.difference.low, 0, "b approves more than what was recorded, mostly of a")
        assert.closeTo(latencyMean?.value ?? 0, millis, 1)
        assert.closeTo(latencyP95?.value ?? 0, millis, millis * 0.02)
        assert.closeTo(latencyP95?.recorded ?? 0, world["c"]?.millis ?? 0, 20)
        assert.closeTo(fees[0]?.value ?? 0, (amountMinor * basisPoints) / 10_000, 1e-6)
        assert.strictEqual(fees[0]?.currency, "EUR")
        const [flow] = report.changed.flows
        assert.deepInclude(flow, { from: name("a"), to: name("b") })
        assert.closeTo(report.changed.decisions / count, 0.85, 0.03)
        assert.deepInclude(report.recorded[0], { policy: "weighted", decisions: count })
        assert.strictEqual(report.version, policyOf(toB).version)
      }).pipe(Effect.provide(engineWith({ exploration: { share: 0.3 } }))),
    60_000
  )

  it.effect(
    "a policy that draws scores is evaluated too, and so are records of one",
    () =>
      Effect.gen(function* () {
        yield* chargeMany({ prefix: "thompson", count: 1_200, seed: 3 })
        const own = yield* replay({ policy: "thompson", weights: { success: 1, latency: 0, cost: 0 } })
        const { success } = estimatesOf(own)
        assert.closeTo(success.value, success.recorded, 0.01, "the policy that was in force, over its own record")
        assert.closeTo(own.meanWeight, 1, 0.03)
      }).pipe(Effect.provide(engineWith({ policy: "thompson", weights: { success: 1, latency: 0, cost: 0 } }))),
    60_000
  )

  it.effect(
    "without exploration there is no answer, but what would have changed is known",
    () =>
      Effect.gen(function* () {
        yield* chargeMany({ prefix: "certain", count: 300, seed: 1 })
        const report = yield* replay(toB)
        assert.isUndefined(report.estimates)
        assert.deepInclude(report.refusals[0], { _tag: "Unsupported", share: 1 })
        assert.strictEqual(report.changed.decisions, 300)
        assert.deepInclude(yield* replay(toB, { decisions: "drawn" }), { certain: 300, decisions: 0 })
        const same = yield* replay({ exploration: { share: 0 } })
        assert.strictEqual(same.changed.decisions, 0)
        assert.strictEqual(estimatesOf(same).success.difference.value, 0)
      }).pipe(Effect.provide(engineWith({ exploration: { share: 0 } }))),
    60_000
  )

  it.effect(
    "payments that were too large to explore have no support; the drawn ones can be asked about by themselves",
    () =>
      Effect.gen(function* () {
        yield* chargeMany({ prefix: "small", count: 1_500, seed: 7 })
        const payments = yield* Payments
        for (let nth = 0; nth < 200; nth++) yield* payments.charge(chargeRequest(`large-${nth}`, { amount: Events.eur(1_000_000n) }))
        const all = yield* replay(toB)
        assert.deepInclude(all.refusals[0], { _tag: "Unsupported" })
        const drawn = yield* replay(toB, { decisions: "drawn" })
        assert.strictEqual(drawn.certain, 200)
        assert.strictEqual(drawn.decisions, 1_500)
        assertCovers(estimatesOf(drawn).success, world["b"]?.approval ?? 0, "success")
      }).pipe(Effect.provide(engineWith({ exploration: { share: 0.3 } }))),
    60_000
  )

  it.effect("only decisions of the range count, and every one of them once however the range is cut", () =>
    Effect.gen(function* () {
      const from = yield* Clock.currentTimeMillis
      yield* chargeMany({ prefix: "one", count: 100, seed: 1 })
      const middle = yield* Clock.currentTimeMillis
      yield* chargeMany({ prefix: "two", count: 50, seed: 2 })
      const to = yield* Clock.currentTimeMillis
      const decisions = Effect.fnUntraced(function* (start: number, end: number) {
        return (yield* replay(toB, { from: start, to: end })).decisions
      })
      assert.strictEqual(yield* decisions(from, to), 150)
      assert.strictEqual(yield* decisions(middle, to), 50)
      let parts = 0
      for (let start = from; start < to; start += 7_001) parts += yield* decisions(start, Math.min(to, start + 7_001))
      assert.strictEqual(parts, 150)
    }).pipe(Effect.provide(engineWith({ exploration: { share: 0.3 } })))
  )
})

/** A history as events that the engine did not write, recorded at the moment of the test's clock. */
const record = Effect.fnUntraced(function* (options: {
  readonly decision?: RoutingDecision
  readonly gateway?: string
  readonly then?: ReadonlyArray<PaymentEvent>
}) {
  const { decision, gateway = decision?.ranked[0]?.gateway ?? "a", then = [] } = options
  const id = Events.newPaymentId()
  const intent = { ...Events.intent({ payment: id, gateway: name(gateway) }), ...(decision === undefined ? {} : { decision }) }
  const events: ReadonlyArray<PaymentEvent> = [{ _tag: "PaymentInitiated", details: small }, { _tag: "OperationIntended", intent }, ...then]
  return yield* mustCommit(Events.commitOf(initial(id), events))
})

const half: PolicyData = { exploration: { share: 0.5 } }
const decision = decide({ a: {}, b: {} }, { policyData: half })
const { propensity: _, ...early } = decision
const lenient = { requirements: { minEffectiveSamples: 1, maxLeftOutShare: 1, minChoices: 0 } }

describe("Replay: what is left out, and what is found out late", () => {
  it.effect("decisions without a probability, of other gateways than the plan's first, without signals, and still open", () =>
    Effect.gen(function* () {
      yield* record({ decision, then: [Events.succeeded()] })
      yield* record({ decision: early, then: [Events.succeeded()] })
      yield* record({ decision, gateway: "b", then: [Events.succeeded()] })
      yield* record({ decision: decide({ a: {}, b: {} }, { policyData: notB }), then: [Events.succeeded()] })
      yield* record({ decision })
      yield* record({ then: [Events.succeeded()] })
      const report = yield* replay(toB)
      assert.deepStrictEqual(
        report.leftOut.map(({ decisions, why }) => [why, decisions]),
        [
          ["no_propensity", 1],
          ["elsewhere", 1],
          ["left_out_by_rule", 1],
          ["undecided", 1]
        ]
      )
      assert.strictEqual(report.decisions, 5, "a charge without a decision is none")
      assert.deepInclude(report.refusals[0], { _tag: "TooManyLeftOut" })
    }).pipe(Effect.provide(memory))
  )

  it.effect("the range begins with its first moment and ends before its last", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const at = yield* Clock.currentTimeMillis
      yield* record({ decision, then: [Events.succeeded()] })
      assert.strictEqual((yield* replay(half, { from: at, to: at + 1 })).decisions, 1)
      assert.strictEqual((yield* replay(half, { from: at - 1_000, to: at })).decisions, 0)
      assert.strictEqual((yield* replay(half, { from: at + 1, to: at + 1_000 })).decisions, 0)
    }).pipe(Effect.provide(memory))
  )

  it.effect("an outcome that came after the range is found in the payment's own events", () =>
    Effect.gen(function* () {
      const payment = yield* record({ decision, then: [Events.uncertain()] })
      yield* TestClock.adjust("1 hour")
      const to = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("1 hour")
      assert.deepInclude((yield* replay(half, { to, ...lenient })).leftOut[0], { why: "undecided" })
      yield* mustCommit(Events.commitOf(payment, [{ ...Events.succeeded(), source: "recovery" } as PaymentEvent]))
      const report = yield* replay(half, { to, ...lenient })
      assert.deepStrictEqual(report.leftOut, [])
      assert.strictEqual(report.estimates?.success.recorded, 1)
    }).pipe(Effect.provide(memory))
  )

  it.effect("memory is bounded: with more open payments than are followed the oldest are read by themselves, and nothing is lost", () =>
    Effect.gen(function* () {
      // More than a page of the log before the first of them ends.
      const open: Array<Payment> = []
      for (let nth = 0; nth < 300; nth++) open.push(yield* record({ decision }))
      for (const payment of open) yield* mustCommit(Events.commitOf(payment, [Events.succeeded()]))
      const whole = yield* replay(half, lenient)
      const bounded = yield* replay(half, { ...lenient, maxFollowed: 5 })
      assert.strictEqual(bounded.decisions, 300)
      assert.deepStrictEqual({ ...bounded, durationMillis: 0 }, { ...whole, durationMillis: 0 })
    }).pipe(Effect.provide(memory))
  )

  it.effect("progress is told as far as the log is read", () =>
    Effect.gen(function* () {
      yield* record({ decision, then: [Events.succeeded()] })
      const told: Array<number> = []
      yield* replay({}, { onProgress: ({ decisions }) => Effect.sync(() => void told.push(decisions)) })
      assert.deepStrictEqual(told, [1])
    }).pipe(Effect.provide(memory))
  )
})
