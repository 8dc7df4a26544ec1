/**
 * What validations, fraud checks and enrichments do with a payment before anything is sent.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { FraudVerdict } from "../../../src/domain/hooks/Verdict.ts"
import type { PaymentEvent } from "../../../src/domain/payment/Event.ts"
import { replay } from "../../../src/domain/payment/Replay.ts"
import { evolve } from "../../../src/domain/payment/State.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { EventStore, EventStoreError } from "../../../src/services/EventStore.ts"
import { type FraudCheck, type Hook, Hooks, type PreValidation, type ScreeningInput } from "../../../src/services/hooks/Hooks.ts"
import * as Metrics from "../../../src/services/Metrics.ts"
import { engineWith, eventsOf, only, registryOf } from "../../support/hooks.ts"
import { collecting } from "../../support/logs.ts"
import { alone, countsOf } from "../../support/metrics.ts"
import { chargeRequest, engineOver, memory, testGateway } from "../../support/TestEngine.ts"
import * as TestHostTransaction from "../../support/TestHostTransaction.ts"

const check = (name: string, verdict: FraudVerdict, options: Partial<FraudCheck> = {}): FraudCheck => ({
  kind: "fraud_check",
  name,
  run: () => Effect.succeed(verdict),
  ...options
})

const typesOf = (id: Parameters<typeof eventsOf>[0]) => Effect.map(eventsOf(id), (events) => events.map(({ _tag }) => _tag))

const charge = (under = "k1", overrides: Parameters<typeof chargeRequest>[1] = {}) =>
  Payments.use((payments) => payments.charge(chargeRequest(under, overrides)))

describe("a fraud check that blocks", () => {
  it.effect("ends the payment in one commit, with what was said, and no gateway hears of it", () => {
    const gateway = testGateway("a")
    const hooks = [
      check("velocity", { action: "allow", score: 20 }),
      check("blocked-list", { action: "block", score: 90, code: "listed", message: "customer c-1 is listed" }),
      check("country", { action: "flag", score: 95 })
    ]
    return Effect.gen(function* () {
      const { operation, payment } = yield* charge()
      assert.deepInclude(payment, { status: "failed", amountCaptured: 0, operations: [] })
      assert.deepStrictEqual(payment.failure, {
        category: "fraud",
        code: "blocked_by_fraud_check",
        message: "a fraud check blocked the payment"
      })
      assert.isUndefined(operation)
      assert.lengthOf(gateway.sent, 0)
      assert.deepStrictEqual(yield* typesOf(payment.id), ["PaymentInitiated", "PaymentBlocked", "PaymentFailed"])
      const [blocked] = only(yield* eventsOf(payment.id), "PaymentBlocked")
      assert.deepStrictEqual(
        [blocked?.check, String(blocked?.by), blocked?.code, blocked?.message],
        ["fraud_check", "blocked-list", "listed", "customer c-1 is listed"]
      )
      assert.deepStrictEqual(
        blocked?.verdicts?.map(({ action, hook, score }) => `${hook}: ${action} ${score}`),
        ["velocity: allow 20", "blocked-list: block 90", "country: flag 95"]
      )
      assert.deepStrictEqual(yield* countsOf("aegispay_commits_total"), {
        Committed: 1,
        KeyTaken: 0,
        LeaseLost: 0,
        VersionConflict: 0
      })
      assert.deepInclude(yield* countsOf("aegispay_payments_total"), { failed: 1 })
      assert.deepStrictEqual(yield* countsOf("aegispay_hook_rejections_total"), { "blocked-list fraud_check": 1 })
    }).pipe(Effect.provide(engineWith([gateway], hooks)), alone)
  })

  it.effect("the same key answers the same payment, and asks nobody again", () => {
    const asked: Array<number> = []
    const once = check(
      "once",
      { action: "block" },
      { run: ({ now }) => Effect.sync(() => (asked.push(now), { action: "block" as const })) }
    )
    return Effect.gen(function* () {
      const first = yield* charge()
      const again = yield* charge()
      assert.strictEqual(again.payment.id, first.payment.id)
      assert.isTrue(again.replayed)
      assert.strictEqual(again.payment.status, "failed")
      assert.lengthOf(asked, 1)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [once])))
  })

  it.effect("commands on a payment that was never sent are refused by its status", () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* charge()
      const command = { tenant: chargeRequest("k1").tenant, id: payment.id, key: chargeRequest("k2").key }
      for (const act of [payments.capture, payments.refund, payments.cancel, payments.confirm]) {
        const error = yield* Effect.flip(act(command))
        assert.deepInclude(error, { _tag: "CommandRefused", status: "failed" })
      }
      const report = yield* payments.recover({ olderThanMillis: 0 })
      assert.strictEqual(report.scanned, 0)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [check("no", { action: "block" })])))
  )

  it.effect("a score blocks where the settings say from which on", () => {
    const hooks = [check("low", { action: "allow", score: 79 }), check("high", { action: "flag", score: 80 })]
    return Effect.gen(function* () {
      const { payment } = yield* charge()
      const [blocked] = only(yield* eventsOf(payment.id), "PaymentBlocked")
      assert.deepStrictEqual([String(blocked?.by), blocked?.code], ["high", "fraud_score"])
    }).pipe(Effect.provide(engineWith([testGateway("a")], hooks, { hooks: { blockAtScore: 80 } })))
  })

  it.effect("one that gives no verdict blocks, unless it or the settings say otherwise", () => {
    const away = (onFailure?: "allow" | "block"): FraudCheck => ({
      kind: "fraud_check",
      name: "away",
      ...(onFailure === undefined ? {} : { onFailure }),
      run: () => Effect.fail("away")
    })
    const charged = (hook: FraudCheck, onFraudFailure: "allow" | "block") =>
      Effect.gen(function* () {
        const { payment } = yield* charge()
        const verdicts = (yield* eventsOf(payment.id)).flatMap((event) => ("verdicts" in event ? (event.verdicts ?? []) : []))
        assert.deepStrictEqual(
          verdicts.map(({ code, failure, hook }) => `${hook}: ${failure}, ${code}`),
          ["away: failed, check_unavailable"]
        )
        return payment.status
      }).pipe(Effect.provide(engineWith([testGateway("a")], [hook], { hooks: { onFraudFailure } })), collecting().kept)
    return Effect.gen(function* () {
      assert.strictEqual(yield* charged(away(), "block"), "failed")
      assert.strictEqual(yield* charged(away(), "allow"), "succeeded")
      assert.strictEqual(yield* charged(away("allow"), "block"), "succeeded")
      assert.strictEqual(yield* charged(away("block"), "allow"), "failed")
    })
  })
})

describe("a payment that was charged", () => {
  it.effect("is never blocked by a retry: the look-up of its key comes before the hooks", () => {
    let blocks = false
    const fickle = check("fickle", { action: "allow" }, { run: () => Effect.sync(() => ({ action: blocks ? "block" : "allow" }) as const) })
    return Effect.gen(function* () {
      const first = yield* charge()
      blocks = true
      const again = yield* charge()
      assert.deepInclude(again, { replayed: true })
      assert.deepInclude(again.payment, { id: first.payment.id, status: "succeeded" })
    }).pipe(Effect.provide(engineWith([testGateway("a")], [fickle])))
  })

  it.effect("its key goes by what the caller asked for, not by what hooks made of it", () => {
    let count = 0
    const numbering: Hook = {
      kind: "enrichment",
      name: "numbering",
      run: () => Effect.sync(() => ({ metadata: { number: String(++count) } }))
    }
    return Effect.gen(function* () {
      const first = yield* charge()
      const again = yield* charge()
      assert.isTrue(again.replayed)
      assert.deepStrictEqual([first.payment.metadata, again.payment.metadata], [{ number: "1" }, { number: "1" }])
    }).pipe(Effect.provide(engineWith([testGateway("a")], [numbering])))
  })

  it.effect("a flag does not stop it, and a dispute is counted by what was said", () =>
    Effect.gen(function* () {
      const { payment } = yield* charge()
      assert.deepInclude(payment, { status: "succeeded", fraud: { action: "flag", score: 61 } })
      const [screened] = only(yield* eventsOf(payment.id), "PaymentScreened")
      assert.deepStrictEqual(screened, {
        _tag: "PaymentScreened",
        checks: ["request_valid"],
        verdicts: [{ hook: "doubt", action: "flag", score: 61, code: "new_card" }]
      } as unknown as typeof screened)
      const before = yield* Effect.fromResult(replay(payment.id, yield* (yield* EventStore).read(payment.id)))
      assert.strictEqual(before._tag, "Payment")
      if (before._tag === "New") return
      assert.deepStrictEqual(before.fraud, { action: "flag", score: 61 })
      const event: PaymentEvent = { _tag: "DisputeOpened", disputeId: "dp_1", amount: before.details.amount }
      const after = evolve(before, { version: 5, recordedAt: 0, event })
      if (after._tag === "Payment") yield* Metrics.recorded({ before, after, events: [event] })
      assert.deepInclude(yield* countsOf("aegispay_fraud_disputes_total"), { flag: 1, allow: 0 })
    }).pipe(Effect.provide(engineWith([testGateway("a")], [check("doubt", { action: "flag", score: 61, code: "new_card" })])), alone)
  )
})

describe("a crash after the hooks", () => {
  it.effect("leaves nothing behind: the retry is screened again, and charged once", () => {
    let asked = 0
    let away = true
    const gateway = testGateway("a")
    const counting = check("counting", { action: "allow" }, { run: () => Effect.sync(() => (asked++, { action: "allow" as const })) })
    const flaky = Layer.effect(
      EventStore,
      EventStore.use((store) =>
        Effect.succeed(
          EventStore.of({
            ...store,
            commit: (commit) =>
              away
                ? Effect.fail(new EventStoreError({ operation: "commit", reason: { _tag: "Unavailable", detail: "away" } }))
                : store.commit(commit)
          })
        )
      )
    ).pipe(Layer.provideMerge(memory))
    const layer = engineOver([gateway]).pipe(Layer.provideMerge(registryOf([counting])), Layer.provideMerge(flaky))
    return Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(charge()))._tag, "EventStoreError")
      assert.lengthOf(gateway.sent, 0)
      away = false
      assert.strictEqual((yield* charge()).payment.status, "succeeded")
      assert.strictEqual(asked, 2)
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("a validation", () => {
  const basket: PreValidation = {
    kind: "pre_validation",
    name: "basket",
    run: ({ payment }) =>
      Effect.succeed(
        payment.metadata["basket"] === "empty"
          ? { _tag: "Refused", code: "basket_empty", message: "the basket is empty" }
          : { _tag: "Accepted" }
      )
  }

  it.effect("that refuses fails the payment with its own words, and no fraud check is asked", () => {
    let asked = 0
    const late = check("late", { action: "allow" }, { run: () => Effect.sync(() => (asked++, { action: "allow" as const })) })
    return Effect.gen(function* () {
      const { payment } = yield* charge("k1", { metadata: { basket: "empty" } })
      assert.deepStrictEqual(payment.failure, { category: "invalid_data", code: "basket_empty", message: "the basket is empty" })
      assert.strictEqual(asked, 0)
      assert.deepStrictEqual(yield* typesOf(payment.id), ["PaymentInitiated", "PaymentBlocked", "PaymentFailed"])
      const passed = yield* charge("k2")
      const [screened] = only(yield* eventsOf(passed.payment.id), "PaymentScreened")
      assert.deepStrictEqual(screened?.checks, ["request_valid", "basket"])
      assert.strictEqual(asked, 1)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [basket, late])))
  })

  it.effect("that is broken lets the payment pass, unless it says that it must not", () => {
    const broken = (name: string, onFailure?: "accept" | "refuse"): PreValidation => ({
      kind: "pre_validation",
      name,
      run: () => Effect.die("a bug"),
      ...(onFailure === undefined ? {} : { onFailure })
    })
    return Effect.gen(function* () {
      const hooks = yield* Hooks
      const { payment } = yield* charge("k1")
      const [screened] = only(yield* eventsOf(payment.id), "PaymentScreened")
      assert.deepStrictEqual(screened?.checks, ["request_valid"])
      yield* hooks.register(broken("strict", "refuse"))
      const refused = yield* charge("k2")
      assert.strictEqual(refused.payment.failure?.code, "validation_unavailable")
    }).pipe(Effect.provide(engineWith([testGateway("a")], [broken("lenient")])), collecting().kept)
  })
})

describe("enrichments", () => {
  const enriching = (name: string, answer: unknown, priority?: number): Hook => ({
    kind: "enrichment",
    name,
    ...(priority === undefined ? {} : { priority }),
    run: () => Effect.succeed(answer as never)
  })

  it.effect("later ones override earlier ones and see what they set; what was set is recorded, by whom and over what", () => {
    const seen: Array<ScreeningInput["payment"]> = []
    const second: Hook = {
      kind: "enrichment",
      name: "second",
      priority: 200,
      run: ({ payment }) =>
        Effect.sync(() => {
          seen.push(payment)
          return { metadata: { segment: "gold", note: "changed" }, customer: { country: "FR" } }
        })
    }
    const hooks = [second, enriching("first", { metadata: { segment: "silver" }, method: { country: "DE", brand: "visa" } }, 1)]
    return Effect.gen(function* () {
      const { payment } = yield* charge("k1", { metadata: { note: "as asked" } })
      assert.deepStrictEqual(payment.metadata, { note: "changed", segment: "gold" })
      assert.deepInclude({ ...seen[0]?.method }, { country: "DE", brand: "visa" })
      const events = yield* eventsOf(payment.id)
      assert.deepStrictEqual(only(events, "PaymentInitiated")[0]?.details.metadata, { note: "as asked" })
      assert.deepStrictEqual(
        only(events, "PaymentEnriched")[0]?.fields.map(({ field, from, hook, to }) => `${field}: ${from} -> ${to} by ${hook}`),
        [
          "metadata.segment: undefined -> gold by second",
          "method.brand: undefined -> visa by first",
          "method.country: undefined -> DE by first",
          "metadata.note: as asked -> changed by second",
          "customer.country: undefined -> FR by second"
        ]
      )
    }).pipe(Effect.provide(engineWith([testGateway("a")], hooks)))
  })

  for (const [field, answer] of Object.entries({
    amount: { amount: { currency: "EUR", minor: 1n } },
    tenant: { tenant: "m2" },
    captureMethod: { captureMethod: "manual" },
    returnUrl: { returnUrl: "https://evil.example" },
    "method.token": { method: { token: "tok_other" } },
    "method.references": { method: { references: { a: "tok_other" } } },
    "method.type": { method: { type: "wallet" } },
    "customer.id": { customer: { id: "c-2" } },
    key: { key: "another" }
  })) {
    it.effect(`${field} is protected: an enrichment that names it is refused as a whole`, () => {
      const gateway = testGateway("a")
      return Effect.gen(function* () {
        const { payment } = yield* charge()
        assert.deepInclude(payment, { status: "succeeded", amountCaptured: 4990, captureMethod: "automatic" })
        assert.deepStrictEqual(payment.metadata, {})
        assert.lengthOf(only(yield* eventsOf(payment.id), "PaymentEnriched"), 0)
        assert.strictEqual(gateway.sent[0]?.details.token, chargeRequest("k1").method.token)
        const [report] = yield* (yield* Hooks).reports
        assert.deepInclude({ ...report }, { hook: "greedy", failure: "invalid" })
        assert.include(report?.detail ?? "", field)
      }).pipe(Effect.provide(engineWith([gateway], [enriching("greedy", { metadata: { harmless: "yes" }, ...answer })])), collecting().kept)
    })
  }
})

describe("prepare", () => {
  it.effect("screens in the same place: a blocked payment joins the host's transaction, and its key is taken", () => {
    const gateway = testGateway("a")
    const layer = engineOver([gateway]).pipe(
      Layer.provideMerge(registryOf([check("no", { action: "block" })])),
      Layer.provideMerge(Layer.mergeAll(memory, TestHostTransaction.layer))
    )
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { operation, payment } = yield* TestHostTransaction.inTransaction(payments.prepare(chargeRequest("k1")))
      assert.strictEqual(payment.status, "failed")
      assert.isUndefined(operation)
      yield* TestClock.adjust(60_000)
      assert.lengthOf(gateway.sent, 0)
      assert.isTrue((yield* payments.charge(chargeRequest("k1"))).replayed)
    }).pipe(Effect.provide(layer))
  })
})
