/**
 * Schedules that charge twice, reverse a good payment or tell a lie when a rule of the protocol is dropped, with a PSP that keeps its own
 * ledger. P is the process that took the payment, R one that recovers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { GatewayReference, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import { conclude } from "../../../src/orchestration/operation/Conclude.ts"
import * as Journal from "../../../src/orchestration/operation/Journal.ts"
import { once } from "../../../src/orchestration/recovery/Truths.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import {
  chargeRequest,
  declined,
  gatewaysOf,
  key,
  memory,
  requiresAction,
  success,
  tenant,
  testGateway,
  unknown
} from "../../support/TestEngine.ts"
import { start, typesOf, type TestProcess } from "../../support/TestProcess.ts"

const view = Effect.fnUntraced(function* (id: PaymentId) {
  const repository = yield* PaymentRepository
  const found = yield* repository.get({ id })
  return found._tag === "Some" ? found.value : yield* Effect.die(new Error("no payment"))
})

/** Runs what waits for answers, retries and timeouts to its end. */
const through = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const running = yield* Effect.forkChild(effect)
  yield* TestClock.adjust("2 minutes")
  return yield* Fiber.join(running)
})

const charged = (process: TestProcess) => Effect.map(through(process.payments.charge(chargeRequest("k1"))), ({ payment }) => payment)

/** Recovers every half a minute, for as long as said. */
const recoverFor = Effect.fnUntraced(function* (process: TestProcess, minutes: number) {
  for (let round = 0; round < minutes * 2; round++) {
    const recovering = yield* Effect.forkChild(process.payments.recover())
    yield* TestClock.adjust("30 seconds")
    yield* Fiber.join(recovering)
  }
})

const lost: Outcome = { ...unknown, reason: "timeout" }
const serverError: Outcome = { ...unknown, reason: "server_error" }

describe("4: a PSP that forgets what it did not answer with success (rules 3 and 6)", () => {
  for (const answer of [serverError, lost]) {
    it.effect(
      `charges, answers "${answer._tag === "Unknown" ? answer.reason : ""}" and stores only successes: it is never asked to charge again`,
      () => {
        // The key protects from nothing, and the look-up lags behind.
        const capabilities = {
          replay: "none",
          cachesFailures: false,
          lookupByReference: { lagMillis: 20_000 },
          settleTimeMillis: 300_000
        } as const
        const charges: Array<{ readonly key: string; readonly at: number }> = []
        const now = Effect.clockWith((clock) => clock.currentTimeMillis)
        const a = testGateway("a", {
          charges: capabilities,
          send: (intent) => Effect.map(now, (at) => (charges.push({ key: intent.requestKey, at }), answer)),
          lookup: (intent) =>
            Effect.map(now, (at): LookupAnswer =>
              charges.some((charge) => charge.key === intent.requestKey && at > charge.at + 250_000) ? success(intent) : { _tag: "Absent" }
            )
        })
        return Effect.gen(function* () {
          const { id, status } = yield* charged(yield* start([a]))
          assert.strictEqual(status, "in_doubt")
          yield* recoverFor(yield* start([a]), 6)
          assert.strictEqual((yield* view(id)).status, "succeeded")
          assert.lengthOf(charges, 1)
          assert.notInclude(yield* typesOf(id), "ResendPermitted")
        }).pipe(Effect.provide(memory))
      }
    )
  }

  it.effect(
    "a declined object that stays open and is not stored under its key: no second object beside the one the customer may pay",
    () => {
      const capabilities = { replay: "result", cachesFailures: false, leavesOpenAfterDecline: true } as const
      const objects: Array<{ readonly key: string; status: "open" | "paid" | "closed" }> = []
      const declinedOpen = { ...declined("hard"), gatewayReference: GatewayReference.make("object-1") }
      const a = testGateway("a", {
        charges: capabilities,
        send: (intent) =>
          Effect.sync((): Outcome => {
            if (intent.kind === "void") {
              for (const object of objects) if (object.status === "open") object.status = "closed"
              return success(intent)
            }
            objects.push({ key: intent.requestKey, status: objects.length === 0 ? "open" : "paid" })
            return objects.length === 1 ? lost : success(intent)
          }),
        lookup: (intent) =>
          Effect.sync((): LookupAnswer => (objects.some((object) => object.key === intent.requestKey) ? declinedOpen : { _tag: "Absent" }))
      })
      return Effect.gen(function* () {
        const { id, status } = yield* charged(yield* start([a]))
        assert.strictEqual(status, "in_doubt")
        yield* recoverFor(yield* start([a]), 3)
        // The customer comes back to the page of the first object.
        for (const object of objects) if (object.status === "open") object.status = "paid"
        assert.deepStrictEqual(
          objects.map((object) => object.status),
          ["closed"]
        )
        assert.strictEqual((yield* view(id)).status, "failed")
      }).pipe(Effect.provide(memory))
    }
  )
})

describe("7: R cancels by reference what nobody can find out, and its success is told meanwhile (rule 6)", () => {
  const capabilities = { lookupByReference: undefined, replay: "none", cancelByReference: "named", settleTimeMillis: 60_000 } as const
  for (const [name, answerToVoid, status, captured] of [
    ["lands: the payment is cancelled, and nothing is captured", success, "cancelled", 0],
    ["is refused: what was told stands", () => declined("invalid_data"), "succeeded", 4990]
  ] as const) {
    it.effect(`the cancel ${name}; until then it is processing, and the cancel is on record before it is sent`, () => {
      const seen: Array<ReadonlyArray<string>> = []
      const p = testGateway("a", { charges: capabilities, others: capabilities, send: () => Effect.succeed(lost) })
      return Effect.gen(function* () {
        const { id } = yield* charged(yield* start([p]))
        const r = testGateway("a", {
          charges: capabilities,
          others: { ...capabilities, replay: "result" },
          send: (intent) =>
            Effect.gen(function* () {
              seen.push(yield* Effect.provideService(typesOf(id), EventStore, store))
              yield* Effect.sleep("10 seconds")
              return answerToVoid(intent)
            }).pipe(Effect.orDie)
        })
        const store = yield* EventStore
        const process = yield* start([r])
        const recovering = yield* Effect.forkChild(process.payments.recover())
        yield* TestClock.adjust("5 seconds")
        assert.lengthOf(r.sent, 1)
        assert.strictEqual(seen[0]?.at(-1), "OperationIntended")
        // The webhook of the charge arrives while the cancel is on its way.
        const before = yield* Journal.load({ id })
        const sale = before.operations[0]!
        const observedAt = yield* store.now
        yield* conclude({
          payment: before,
          truth: {
            operation: sale.intent.number,
            evidence: { _tag: "Asked", askedAt: observedAt, answer: success(sale.intent) },
            source: "webhook",
            observedAt
          },
          persist: once
        }).pipe(Effect.provide(gatewaysOf(r)))
        assert.strictEqual((yield* view(id)).status, "processing")
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(recovering)
        yield* recoverFor(process, 3)
        const after = yield* view(id)
        assert.deepStrictEqual([after.status, after.amountCaptured], [status, captured])
      }).pipe(Effect.provide(memory))
    })
  }
})

describe("9: two refunds of one payment, of the same amount (rule 14)", () => {
  it.effect("the look-up for the one that never arrived does not find the other: each is refunded once", () => {
    const refunds: Array<string> = []
    const execute = (intent: Intent) => {
      if (!refunds.includes(intent.requestKey)) refunds.push(intent.requestKey)
      return success(intent)
    }
    const at = (answersRefund: (intent: Intent) => Outcome) =>
      testGateway("a", {
        send: (intent) => Effect.sync(() => (intent.kind === "refund" ? answersRefund(intent) : success(intent))),
        lookup: (intent) => Effect.sync((): LookupAnswer => (refunds.includes(intent.requestKey) ? success(intent) : { _tag: "Absent" }))
      })
    // The first refund is lost on its way there, the second one on its way back.
    const p = at((intent) => (intent.number === 2 ? unknown : (execute(intent), unknown)))
    const r = at(execute)
    return Effect.gen(function* () {
      const { payments } = yield* start([p])
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      for (const under of ["r1", "r2"]) yield* payments.refund({ tenant, id: payment.id, key: key(under), amount: 100n })
      assert.lengthOf(refunds, 1)
      yield* TestClock.adjust("1 minute")
      const report = yield* (yield* start([r])).payments.recover()
      assert.deepStrictEqual(report.results, { succeeded: 2 })
      assert.lengthOf(refunds, 2)
      assert.strictEqual((yield* view(payment.id)).amountRefunded, 200)
      assert.deepStrictEqual(
        r.sent.map(({ number }) => number),
        [2]
      )
    }).pipe(Effect.provide(memory))
  })
})

describe("10: R learns late what the customer did (rule 12)", () => {
  const completeBefore = 15 * 60_000

  for (const [name, chargedAt, status, reversals] of [
    ["in time, by the PSP's own time: a good payment, kept", completeBefore, "succeeded", 0],
    ["too late, by the PSP's own time: reversed", completeBefore + 1, "refunded", 1],
    ["at a time that the PSP does not tell: kept, and a person looks", undefined, "needs_review", 0]
  ] as const) {
    it.effect(name, () => {
      const a = testGateway("a", {
        send: (intent) => Effect.succeed(intent.kind === "sale" ? requiresAction : success(intent)),
        lookup: (intent) => Effect.succeed({ ...success(intent), ...(chargedAt === undefined ? {} : { chargedAt }) })
      })
      return Effect.gen(function* () {
        const process = yield* start([a])
        const { payment } = yield* process.payments.charge(chargeRequest("k1"))
        assert.strictEqual(payment.createdAt, 0)
        yield* TestClock.adjust("1 hour")
        yield* process.payments.recover()
        const after = yield* view(payment.id)
        assert.strictEqual(after.status, status)
        assert.strictEqual(a.sent.filter(({ purpose }) => purpose === "reverse").length, reversals)
        yield* process.payments.recover()
        assert.strictEqual((yield* view(payment.id)).version, after.version)
      }).pipe(Effect.provide(memory))
    })
  }
})
