/**
 * Routing strategies and error handlers: they choose among what is allowed, and cannot allow what is not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Advice } from "../../../src/domain/hooks/Advice.ts"
import { DeclineCategory, safetyOf } from "../../../src/domain/operation/Decline.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { type ErrorHandler, type ErrorInput, type Hook, Hooks, type RoutingStrategy } from "../../../src/services/hooks/Hooks.ts"
import { engineWith, eventsOf, only } from "../../support/hooks.ts"
import { collecting } from "../../support/logs.ts"
import {
  chargeRequest,
  declined,
  notSent,
  pending,
  requiresAction,
  success,
  type TestGateway,
  testGateway,
  unknown
} from "../../support/TestEngine.ts"

const charge = (overrides: Parameters<typeof chargeRequest>[1] = {}) =>
  Payments.use((payments) => payments.charge(chargeRequest("k1", overrides)))

const name = (text: string) => GatewayName.make(text)

/** A gateway that answers this to its first request, and takes every later one. */
const first = (gateway: string, outcome: Outcome): TestGateway =>
  testGateway(gateway, { send: (intent, nth) => Effect.succeed(nth === 1 ? outcome : success(intent)) })

const advising = (advice: Advice | undefined, asked: Array<ErrorInput> = []): ErrorHandler => ({
  kind: "error_handler",
  name: "advisor",
  run: (input) => Effect.sync(() => (asked.push(input), advice))
})

const everyAdvice: ReadonlyArray<Advice> = [
  { _tag: "as_planned" },
  { _tag: "fail", reason: "enough" },
  { _tag: "other_gateway", reason: "elsewhere" },
  { _tag: "other_gateway", gateway: name("b"), reason: "there" },
  { _tag: "other_gateway", gateway: name("a"), reason: "here, under another name" },
  { _tag: "other_gateway", gateway: name("nowhere"), reason: "there is none" },
  { _tag: "same_gateway", reason: "again" },
  { _tag: "step_up", reason: "let the customer's bank ask" }
]

describe("an error handler", () => {
  for (const outcome of [unknown, pending, requiresAction]) {
    it.effect(`is not even asked after ${outcome._tag}: nothing else is charged, whatever it would say`, () => {
      const asked: Array<ErrorInput> = []
      const gateways = [first("a", outcome), testGateway("b")]
      return Effect.gen(function* () {
        const { payment } = yield* charge()
        assert.notStrictEqual(payment.status, "succeeded")
        assert.lengthOf(asked, 0)
        assert.lengthOf(gateways[0]?.sent ?? [], 1)
        assert.lengthOf(gateways[1]?.sent ?? [], 0)
      }).pipe(Effect.provide(engineWith(gateways, [advising({ _tag: "other_gateway", gateway: name("b"), reason: "go" }, asked)])))
    })
  }

  for (const category of DeclineCategory.literals) {
    for (const advice of everyAdvice) {
      const said = `${advice._tag}${"gateway" in advice ? ` ${advice.gateway}` : ""}`
      it.effect(`"${said}" after a ${category} decline charges nowhere that the safety table forbids`, () => {
        const a = first("a", declined(category))
        const b = testGateway("b")
        return Effect.gen(function* () {
          const { payment } = yield* charge({ offSession: true })
          const safety = safetyOf[category]
          if (safety.otherGateway === "never") {
            assert.lengthOf(a.sent, 1)
            assert.lengthOf(b.sent, 0)
            assert.strictEqual(payment.status, "failed")
          }
          if (safety.sameGatewayLater === "never" || safety.sameGatewayLater === "after_new_input") assert.lengthOf(a.sent, 1)
          if (advice._tag === "fail") assert.strictEqual(payment.status, "failed")
          assert.isAtMost(a.sent.length + b.sent.length, 2)
        }).pipe(Effect.provide(engineWith([a, b], [advising(advice)])), collecting().kept)
      })
    }
  }

  it.effect("what is forbidden is reported under its name, and the engine does what it had planned", () => {
    const gateways = [first("a", declined("hard")), testGateway("b")]
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge()).payment.status, "failed")
      const [report] = yield* (yield* Hooks).reports
      assert.deepInclude({ ...report }, { kind: "error_handler", hook: "advisor", failure: "invalid" })
      assert.include(report?.detail ?? "", "no other gateway")
    }).pipe(Effect.provide(engineWith(gateways, [advising({ _tag: "other_gateway", reason: "go" })])), collecting().kept)
  })

  it.effect("may choose another gateway of the plan, the same one again, or an end; the decision says who advised it", () => {
    const run = (advice: Advice, outcome: Outcome = declined("gateway_error")) => {
      const gateways = [first("a", outcome), testGateway("b"), testGateway("c")]
      return Effect.gen(function* () {
        const { payment } = yield* charge()
        const intents = only(yield* eventsOf(payment.id), "OperationIntended").map(({ intent }) => intent)
        return { status: payment.status, went: intents.map(({ gateway }) => String(gateway)), why: intents[1]?.decision?.reason }
      }).pipe(Effect.provide(engineWith(gateways, [advising(advice)])))
    }
    return Effect.gen(function* () {
      const elsewhere = yield* run({ _tag: "other_gateway", gateway: name("c"), reason: "cheaper" })
      assert.deepInclude(elsewhere, { status: "succeeded", went: ["a", "c"] })
      assert.include(elsewhere.why ?? "", 'advised by the hook "advisor": cheaper')
      const again = yield* run({ _tag: "same_gateway", reason: "it was a hiccup" })
      assert.deepInclude(again, { status: "succeeded", went: ["a", "a"] })
      assert.deepInclude(yield* run({ _tag: "same_gateway", reason: "nobody there" }, notSent), { went: ["a", "a"] })
      assert.deepInclude(yield* run({ _tag: "fail", reason: "enough" }), { status: "failed", went: ["a"] })
      assert.deepInclude(yield* run({ _tag: "as_planned" }), { status: "succeeded", went: ["a", "b"] })
    })
  })

  it.effect("cannot go on for ever: the most charges of a payment hold", () => {
    const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge()).payment.status, "failed")
      assert.lengthOf(a.sent, 3)
    }).pipe(Effect.provide(engineWith([a], [advising({ _tag: "same_gateway", reason: "again" })])), collecting().kept)
  })

  it.effect("is told what did not happen and what is planned, and the first that advises is heard", () => {
    const asked: Array<ErrorInput> = []
    const silent: ErrorHandler = { ...advising(undefined, asked), name: "silent", priority: 1 }
    const late: ErrorHandler = { ...advising({ _tag: "fail", reason: "never asked" }), name: "late", priority: 300 }
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge()).payment.status, "succeeded")
      assert.deepInclude({ ...asked[0] }, { charges: 1, planned: { _tag: "fail_over", remaining: [name("b")] } })
      assert.deepInclude({ ...asked[0]?.because }, { _tag: "Declined", category: "soft" })
    }).pipe(Effect.provide(engineWith([first("a", declined("soft")), testGateway("b")], [late, advising({ _tag: "as_planned" }), silent])))
  })
})

describe("a routing strategy", () => {
  const strategy = (hook: string, gateway: string, confidence: number, priority = 100): RoutingStrategy => ({
    kind: "routing_strategy",
    name: hook,
    priority,
    run: () => Effect.succeed({ gateway: name(gateway), confidence })
  })
  const routed = (hooks: ReadonlyArray<Hook>, overrides: Parameters<typeof chargeRequest>[1] = {}) => {
    const gateways = [testGateway("a"), testGateway("b"), testGateway("c")]
    return Effect.gen(function* () {
      const { payment } = yield* charge(overrides)
      const [intended] = only(yield* eventsOf(payment.id), "OperationIntended")
      const reports = yield* (yield* Hooks).reports
      return { gateway: String(payment.gateway), decision: intended?.intent.decision, reports }
    }).pipe(Effect.provide(engineWith(gateways, hooks)), collecting().kept)
  }

  it.effect("the first confident answer wins; the order of the others stays for failover", () =>
    Effect.gen(function* () {
      const { decision, gateway } = yield* routed([
        strategy("sure", "c", 0.9, 2),
        strategy("unsure", "b", 0.49, 1),
        strategy("late", "b", 1, 3)
      ])
      assert.strictEqual(gateway, "c")
      assert.deepStrictEqual(
        decision?.ranked.map((place) => String(place.gateway)),
        ["c", "a", "b"]
      )
      assert.include(decision?.reason ?? "", 'chosen by the hook "sure" with confidence 0.9')
    })
  )

  it.effect("what it chose has no probability that is known, so estimates of other policies leave it out", () =>
    Effect.gen(function* () {
      assert.isUndefined((yield* routed([strategy("sure", "c", 1)])).decision?.propensity)
      assert.strictEqual((yield* routed([strategy("unsure", "c", 0)])).decision?.propensity, 1)
    })
  )

  it.effect("one that names what cannot take the payment is reported, and the next is asked", () =>
    Effect.gen(function* () {
      const tokens = { a: chargeRequest("x").method.token, b: chargeRequest("x").method.token } as never
      const method = { type: "card" as const, references: tokens }
      const { gateway, reports } = yield* routed([strategy("wrong", "c", 1, 1), strategy("right", "b", 1, 2)], { method })
      assert.strictEqual(gateway, "b")
      assert.deepInclude(
        { ...reports[0] },
        { hook: "wrong", failure: "invalid", detail: "gateway c is not among those that can take the payment" }
      )
    })
  )

  it.effect("it decides by what enrichments have added", () => {
    const table: Hook = { kind: "enrichment", name: "bin-table", run: () => Effect.succeed({ method: { country: "DE" } }) }
    const local: RoutingStrategy = {
      kind: "routing_strategy",
      name: "local",
      run: ({ available, payment }) =>
        Effect.succeed(
          payment.method.country === "DE" && available.length === 3
            ? { gateway: name("b"), confidence: 1, reason: "local acquirer" }
            : undefined
        )
    }
    return Effect.gen(function* () {
      assert.strictEqual((yield* routed([local])).gateway, "a")
      assert.strictEqual((yield* routed([local, table])).gateway, "b")
    })
  })
})
