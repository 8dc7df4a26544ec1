/** Payments that wait for their customer too long, and what is asked about while they wait. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { AccountFingerprint, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type { ChargeRequest } from "../../../src/orchestration/payment/Charge.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as Expiry from "../../../src/orchestration/recovery/Expiry.ts"
import { gaveUp, type LookupAnswer } from "../../../src/services/Gateway.ts"
import { defaults, type EngineSettings, Settings } from "../../../src/services/Settings.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import * as Journal from "../../../src/orchestration/operation/Journal.ts"
import { handIn } from "../../../src/orchestration/recovery/Truths.ts"
import { storeError } from "../../support/FlakyEventStore.ts"
import { collecting } from "../../support/logs.ts"
import {
  chargeRequest,
  declined,
  engine,
  gatewaysOf,
  notSent,
  pending,
  requiresAction,
  success,
  tenant,
  testGateway,
  unknown
} from "../../support/TestEngine.ts"

const settings: Partial<EngineSettings> = { retries: 0 }
const withSettings = <A, E, R>(effect: Effect.Effect<A, E, R>, more: Partial<EngineSettings> = {}) =>
  Effect.provideService(effect, Settings, { ...defaults, ...settings, ...more })

const charge = (under: string, request: Partial<ChargeRequest> = {}) =>
  Payments.Payments.use((payments) => Effect.map(payments.charge(chargeRequest(under, request)), ({ payment }) => payment.id))
const statusOf = (id: PaymentId) => Payments.Payments.use((payments) => Effect.map(payments.get({ id, tenant }), ({ status }) => status))

/** A gateway whose charges wait for the customer. */
const waiting = (later: (intent: Intent) => Outcome = success, lookup?: (intent: Intent) => LookupAnswer) =>
  testGateway("a", {
    send: (intent) => Effect.succeed(intent.kind === "sale" ? requiresAction : later(intent)),
    ...(lookup === undefined ? {} : { lookup: (intent: Intent) => Effect.succeed(lookup(intent)) })
  })

describe("a payment that waits for its customer", () => {
  it.effect("is left alone for a day, then cancelled at the gateway, then expired; a second run does nothing", () => {
    const a = waiting()
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* Expiry.expire(), { due: 0, results: {}, holds: {}, errors: [] })
      assert.strictEqual(yield* statusOf(id), "requires_action")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Expiry.expire(), { due: 1, results: { expired: 1 }, holds: {}, errors: [] })
      assert.strictEqual(yield* statusOf(id), "expired")
      assert.deepStrictEqual(
        a.sent.map(({ kind, purpose }) => [kind, purpose]),
        [
          ["sale", "charge"],
          ["void", "expire"]
        ]
      )
      assert.deepStrictEqual(yield* Expiry.expire(), { due: 0, results: {}, holds: {}, errors: [] })
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("waits as long as its kind of method may", () => {
    const a = waiting()
    const byMethod: Partial<EngineSettings> = { customerWaitByMethod: { bank_transfer: 3 * 86_400_000, wallet: 600_000 } }
    const of = (type: "wallet" | "bank_transfer" | "card") => ({ method: { type, token: Token.make("tok_3ds") } })
    return Effect.gen(function* () {
      const [wallet, card, transfer] = [
        yield* charge("1", of("wallet")),
        yield* charge("2", of("card")),
        yield* charge("3", of("bank_transfer"))
      ]
      const statuses = Effect.all([statusOf(wallet), statusOf(card), statusOf(transfer)])
      yield* TestClock.adjust("11 minutes")
      yield* Expiry.expire()
      assert.deepStrictEqual(yield* statuses, ["expired", "requires_action", "requires_action"])
      yield* TestClock.adjust("24 hours")
      yield* Expiry.expire()
      assert.deepStrictEqual(yield* statuses, ["expired", "expired", "requires_action"])
      yield* TestClock.adjust("49 hours")
      yield* Expiry.expire()
      assert.deepStrictEqual(yield* statuses, ["expired", "expired", "expired"])
    }).pipe((effect) => withSettings(effect, byMethod), Effect.provide(engine([a], settings)))
  })

  it.effect("that was paid meanwhile: the gateway's success wins", () => {
    const paid = (intent: Intent): LookupAnswer => (intent.kind === "sale" ? { ...success(intent), chargedAt: 60_000 } : { _tag: "Absent" })
    const a = waiting(() => unknown, paid)
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("25 hours")
      const report = yield* Expiry.expire()
      assert.deepStrictEqual(report.results, { processing: 1 })
      yield* TestClock.adjust("2 minutes")
      yield* Payments.Payments.use((payments) => payments.recover({}))
      yield* TestClock.adjust("2 minutes")
      yield* Payments.Payments.use((payments) => payments.recover({}))
      assert.strictEqual(yield* statusOf(id), "succeeded")
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect(
    "whose cancel is refused: three runs try, then a person has to look; and paid after all, which nobody tells, it is found out",
    () => {
      let paid = false
      const a = waiting(
        () => declined("hard"),
        (intent) => (paid && intent.kind === "sale" ? { ...success(intent), chargedAt: 1 } : { _tag: "Absent" })
      )
      const b = testGateway("b")
      return Effect.gen(function* () {
        const id = yield* charge("k")
        yield* TestClock.adjust("25 hours")
        for (let run = 0; run < 3; run++) {
          yield* Expiry.expire()
          assert.strictEqual(yield* statusOf(id), "requires_action")
        }
        assert.deepStrictEqual((yield* Expiry.expire()).results, { needs_review: 1 })
        assert.strictEqual((yield* Expiry.expire()).due, 0)
        assert.lengthOf(
          a.sent.filter(({ kind }) => kind === "void"),
          3
        )
        const payments = yield* Payments.Payments
        const before = yield* payments.get({ id, tenant })
        const asked = a.asked.length
        for (let run = 0; run < 120; run++) {
          yield* TestClock.adjust("30 seconds")
          yield* payments.recover({ onlyDue: true })
        }
        assert.deepInclude<object>(yield* payments.get({ id, tenant }), { status: "needs_review", version: before.version })
        const { needsReview, needsReviewCount } = yield* payments.recover({ onlyDue: true })
        assert.deepStrictEqual(
          [needsReview, needsReviewCount],
          [[{ payment: id, operation: before.reviews[0]!.operation, reason: "unresolvable" }], 1]
        )
        assert.isAtLeast(a.asked.length, asked + 1)
        assert.isAtMost(a.asked.length, asked + 3, "by the schedule: about once an hour at this age")
        paid = true
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual((yield* payments.recover({ dryRun: true })).results, { succeeded: 1 })
        yield* payments.recover({ onlyDue: true })
        assert.deepInclude<object>(yield* payments.get({ id, tenant }), { status: "succeeded", amountCaptured: 4990, reviews: [] })
        assert.lengthOf(b.sent, 0)
      }).pipe(withSettings, Effect.provide(engine([a, b], settings)))
    }
  )

  it.effect("whose account is not configured here is told apart, and waits for a run that has it", () => {
    const a = waiting()
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("25 hours")
      for (const gateways of [[{ ...a, account: AccountFingerprint.make("another") }], []]) {
        const report = yield* Effect.provide(Expiry.expire(), gatewaysOf(...gateways))
        assert.deepStrictEqual(report, { due: 1, results: { not_configured: 1 }, holds: {}, errors: [] })
      }
      assert.deepStrictEqual((yield* Expiry.expire()).results, { expired: 1 })
      assert.strictEqual(yield* statusOf(id), "expired")
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("what goes wrong is in the log with its payment, beside being counted", () => {
    const { kept, lines } = collecting()
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("25 hours")
      const store = yield* EventStore
      const broken = Effect.provideService(EventStore, { ...store, read: () => storeError("Unavailable") })
      assert.deepStrictEqual((yield* broken(Expiry.expire())).results, { error: 1 })
      const [line] = lines.filter(({ level }) => level === "ERROR")
      assert.include(line?.message, "scripted")
      assert.deepInclude(line?.annotations, { payment: id })
    }).pipe(kept, withSettings, Effect.provide(engine([waiting()], settings)))
  })

  it.effect("whose gateway cannot be reached: tried ever less often, and no person has to look for that", () => {
    let isUp = false
    const a = waiting((intent) => (isUp ? success(intent) : notSent))
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("25 hours")
      for (let run = 0; run < 240; run++) {
        yield* Expiry.expire()
        yield* TestClock.adjust("30 seconds")
      }
      assert.strictEqual(yield* statusOf(id), "requires_action")
      assert.isAtMost(a.sent.filter(({ purpose }) => purpose === "expire").length, 10)
      isUp = true
      yield* TestClock.adjust("2 hours")
      yield* Expiry.expire()
      assert.strictEqual(yield* statusOf(id), "expired")
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("two runs at once: one cancel", () => {
    const a = waiting()
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("25 hours")
      const reports = yield* Effect.all([Expiry.expire(), Expiry.expire()], { concurrency: 2 })
      assert.strictEqual(
        reports.reduce((sum, { results }) => sum + (results.expired ?? 0), 0),
        1
      )
      assert.strictEqual(yield* statusOf(id), "expired")
      assert.lengthOf(a.sent, 2)
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("whose success is told after its cancel took effect: recorded as late, reversed, and it stays expired", () => {
    const a = waiting()
    return Effect.gen(function* () {
      const id = yield* charge("k")
      yield* TestClock.adjust("25 hours")
      yield* Expiry.expire()
      const payment = yield* Journal.load({ id })
      const sale = payment.operations[0]!
      const now = yield* (yield* EventStore).now
      const told = yield* handIn({
        payment,
        truth: {
          operation: sale.intent.number,
          evidence: { _tag: "Asked", askedAt: now, answer: success(sale.intent) },
          source: "reconciliation",
          observedAt: now
        },
        source: "reconciliation"
      })
      assert.deepStrictEqual(told.late, [sale.intent.number])
      assert.deepStrictEqual(
        a.sent.map(({ kind, purpose }) => `${kind} to ${purpose}`),
        ["sale to charge", "void to expire", "refund to reverse"]
      )
      assert.include(
        (yield* (yield* EventStore).read(id)).map(({ event }) => event._tag),
        "LateSuccess"
      )
      assert.strictEqual(yield* statusOf(id), "expired")
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })
})

describe("what waits is asked about ever less often", () => {
  for (const [what, outcome] of [
    ["the gateway", pending],
    ["the customer", requiresAction]
  ] as const) {
    it.effect(`rounds every 30 s over a day, waiting for ${what}: about a hundred questions, not three thousand`, () => {
      const a = testGateway("a", {
        send: () => Effect.succeed(outcome),
        lookup: () => Effect.succeed(outcome as LookupAnswer)
      })
      return Effect.gen(function* () {
        const payments = yield* Payments.Payments
        yield* charge("k")
        const asked: Array<number> = []
        for (let now = 30_000; now <= 86_400_000; now += 30_000) {
          yield* TestClock.setTime(now)
          const before = a.asked.length
          const report = yield* payments.recover({ onlyDue: true })
          if (a.asked.length > before) asked.push(now)
          if (now > 60_000) assert.strictEqual(report.scanned, 1)
        }
        assert.isAtMost(asked.length, 110)
        assert.isAtLeast(asked.length, 60)
        for (const [index, at] of asked.entries()) {
          const wait = at - (asked[index - 1] ?? 0)
          assert.isAtMost(wait, Math.max(120_000, at * 0.1 + 60_000), `at ${at}`)
        }
        yield* payments.recover({})
        assert.lengthOf(a.asked, asked.length + 1, "a run that is not told to wait for the schedule asks about everything")
      }).pipe(withSettings, Effect.provide(engine([a], settings)))
    })
  }

  it.effect("of five instances that take turns no two ask the same, and neither does one that starts anew", () => {
    const a = testGateway("a", { send: () => Effect.succeed(pending), lookup: () => Effect.succeed(pending as LookupAnswer) })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      yield* charge("k")
      for (let now = 30_000; now <= 3_600_000; now += 6_000) {
        yield* TestClock.setTime(now)
        yield* payments.recover({ onlyDue: true, lookUpYounger: now === 3_600_000 })
      }
      assert.isAtMost(a.asked.length, 40)
      assert.isAtLeast(a.asked.length, 20)
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("a question without an answer is asked again by the next run", () => {
    let isUp = true
    const a = testGateway("a", {
      send: () => Effect.succeed(pending),
      lookup: () => Effect.sync((): LookupAnswer => (isUp ? (pending as LookupAnswer) : gaveUp("timeout", "no answer")))
    })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      yield* charge("k")
      yield* TestClock.setTime(36_000_000)
      yield* payments.recover({ onlyDue: true })
      assert.lengthOf(a.asked, 1)
      isUp = false
      for (const minute of [60, 61, 62]) {
        yield* TestClock.setTime(36_000_000 + minute * 60_000)
        yield* payments.recover({ onlyDue: true })
      }
      assert.lengthOf(a.asked, 4)
      isUp = true
      for (const minute of [63, 64, 65]) {
        yield* TestClock.setTime(36_000_000 + minute * 60_000)
        yield* payments.recover({ onlyDue: true })
      }
      assert.lengthOf(a.asked, 5)
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("what waits does not use up a run's limit", () => {
    const a = testGateway("a", {
      send: (intent) => Effect.succeed(intent.amount.minor === 1n ? gaveUp("timeout", "no answer") : pending),
      lookup: (intent) => Effect.succeed(intent.amount.minor === 1n ? (success(intent) as LookupAnswer) : (pending as LookupAnswer))
    })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      for (const name of ["k1", "k2", "k3"]) yield* charge(name)
      yield* TestClock.adjust(1)
      const lost = yield* charge("lost", { amount: { ...chargeRequest("lost").amount, minor: 1n } })
      for (let run = 1; run <= 2; run++) {
        yield* TestClock.adjust("2 minutes")
        yield* payments.recover({ limit: 3 })
        yield* TestClock.adjust("1 second")
        yield* payments.recover({ limit: 3 })
      }
      assert.strictEqual(yield* statusOf(lost), "succeeded")
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })

  it.effect("a gateway's own schedule is kept", () => {
    const gateway = testGateway("a", { send: () => Effect.succeed(pending), lookup: () => Effect.succeed(pending as LookupAnswer) })
    const a = {
      ...gateway,
      capabilities: { ...gateway.capabilities, polling: { firstMillis: 600_000, share: 0.5, capMillis: 86_400_000 } }
    }
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      yield* charge("k")
      for (let now = 60_000; now <= 3_600_000; now += 60_000) {
        yield* TestClock.setTime(now)
        yield* payments.recover({ onlyDue: true })
      }
      // At 10, 20, 30, 45 (30 + 15) minutes.
      assert.lengthOf(gateway.asked, 4)
    }).pipe(withSettings, Effect.provide(engine([a], settings)))
  })
})
