/**
 * Schedules that charge twice, or tell a lie, when a rule of the protocol is dropped. P is the process that took the payment, R
 * one that recovers; A and B are gateways.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { AccountFingerprint, type PaymentId } from "../../src/domain/payment/Ids.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../src/services/Gateway.ts"
import { Lock } from "../../src/services/Lock.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as FlakyEventStore from "../support/FlakyEventStore.ts"
import { chargeRequest, declined, key, memory, pending, success, tenant, testGateway, unknown } from "../support/TestEngine.ts"
import { eventsOf, skewed, start, typesOf } from "../support/TestProcess.ts"

const view = Effect.fnUntraced(function* (id: PaymentId) {
  const repository = yield* PaymentRepository
  const found = yield* repository.get({ id })
  if (found._tag === "None") return yield* Effect.die(new Error("no payment"))
  return found.value
})

const firstId = Effect.gen(function* () {
  const store = yield* EventStore
  const [first] = yield* store.readAll({ after: 0n, limit: 1 })
  if (first === undefined) return yield* Effect.die(new Error("nothing is stored"))
  return first.event.paymentId
})

/** A gateway's ledger: what was executed, by request key. A key that is known is not executed again where `replay` says so. */
const ledger = (charges: Partial<OperationCapabilities> = {}) => {
  const executed: Array<string> = []
  const execute = (intent: Intent): Outcome => {
    if (charges.replay === "none" || !executed.includes(intent.requestKey)) executed.push(intent.requestKey)
    return success(intent)
  }
  const lookup = (intent: Intent): LookupAnswer => (executed.includes(intent.requestKey) ? success(intent) : { _tag: "Absent" })
  return { executed, execute, lookup }
}

const timeout: Outcome = { ...unknown, reason: "timeout" }

/** Everybody gets every lease: leases carry no safety. */
const noLeases = Layer.effect(
  Lock,
  Effect.map(Lock, (lock) => {
    let nth = 0
    return Lock.of({ ...lock, acquire: (options) => lock.acquire({ ...options, key: `${options.key}#${++nth}` }) })
  })
)

/** The store keeps the time of where it was built, whatever clock its callers have: database time. */
const databaseClock = Layer.effect(
  EventStore,
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const store = yield* EventStore
    const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Clock.Clock, clock)
    return EventStore.of({ ...store, commit: (commit) => timed(store.commit(commit)), now: timed(store.now) })
  })
)

describe("schedules of two processes", () => {
  it.effect("1: R replays while P is about to fail over on a refusal: the refusal speaks for nothing any more (rules 1, 10, 12)", () => {
    const psp = ledger()
    const flaky = FlakyEventStore.script()
    let paused = false
    flaky.onCommit = (commit) => {
      if (paused || !commit.events.some(({ event }) => event._tag === "OperationDeclined")) return Effect.undefined
      paused = true
      return Effect.as(Effect.sleep("70 seconds"), undefined)
    }
    const atP = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    const atR = testGateway("a", {
      send: (intent) =>
        Effect.delay(
          Effect.sync(() => psp.execute(intent)),
          "14 seconds"
        )
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const p = yield* start([atP, b])
      const r = yield* start([atR, b])
      yield* Effect.forkChild(p.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("60 seconds")
      const recovering = yield* Effect.forkChild(r.payments.recover({}))
      yield* TestClock.adjust("12 seconds")
      assert.lengthOf(b.sent, 0)
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(recovering)
      assert.lengthOf(b.sent, 0)
      assert.lengthOf(psp.executed, 1)
      assert.strictEqual((yield* view(yield* firstId)).status, "succeeded")
    }).pipe(Effect.provide(Layer.provideMerge(FlakyEventStore.layer(flaky), memory)))
  })

  for (const [replayWindowMillis, sends] of [
    [39_999, 0],
    [40_000, 0],
    [100_000, 1]
  ] as const) {
    it.effect(`2: a key window of ${replayWindowMillis} ms has to hold the late arrival of the replay (rule 12)`, () => {
      const charges = { replayWindowMillis }
      const p = testGateway("a", { charges, send: () => Effect.succeed(unknown) })
      const r = testGateway("a", { charges })
      return Effect.gen(function* () {
        const { payment } = yield* (yield* start([p])).payments.charge(chargeRequest("k1"))
        const intended = (yield* eventsOf(payment.id)).find((event) => event._tag === "OperationIntended")
        const replay = intended?._tag === "OperationIntended" ? intended.intent.protection.replay : undefined
        assert.strictEqual(replay, replayWindowMillis < 40_000 ? "none" : "result")
        yield* TestClock.adjust("46 seconds")
        yield* (yield* start([r])).payments.recover({})
        assert.lengthOf(r.sent, sends)
      }).pipe(Effect.provide(memory))
    })
  }

  it.effect("3: without replay a lost answer is never asked for by sending again, a charge's or a refund's (rule 3)", () => {
    const charges = { replay: "none" } as const
    const psp = ledger(charges)
    const a = testGateway("a", {
      charges,
      others: charges,
      send: (intent) => Effect.sync(() => (psp.execute(intent), timeout)),
      lookup: (intent) => Effect.sync(() => psp.lookup(intent))
    })
    return Effect.gen(function* () {
      const { payments } = yield* start([a])
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 minute")
      const { payment } = yield* Fiber.join(charging)
      assert.strictEqual(payment.status, "in_doubt")
      yield* payments.recover({})
      const refunding = yield* Effect.forkChild(payments.refund({ tenant, id: payment.id, key: key("r1"), amount: 10n }))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(refunding)
      yield* payments.recover({})
      assert.strictEqual((yield* view(payment.id)).amountRefunded, 10)
      assert.lengthOf(psp.executed, 2)
    }).pipe(Effect.provide(memory))
  })

  it.effect("5: an absence that was asked for before another process was permitted to send ends nothing (rules 10, 13)", () => {
    const charges = { replayWindowMillis: 300_000 }
    const psp = ledger()
    const p = testGateway("a", { charges, send: () => Effect.succeed(unknown) })
    const slowLookup = testGateway("a", { charges, lookup: () => Effect.as(Effect.sleep("5 seconds"), { _tag: "Absent" } as const) })
    const late = testGateway("a", {
      charges,
      send: (intent) =>
        Effect.delay(
          Effect.sync(() => psp.execute(intent)),
          "10 seconds"
        )
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { payment } = yield* (yield* start([p, b])).payments.charge(chargeRequest("k1"))
      yield* TestClock.setTime(200_000)
      const r1 = yield* start([slowLookup, b], { sendWindowMillis: 100_000 })
      const r2 = yield* start([late, b], { sendWindowMillis: 20_000 })
      const first = yield* Effect.forkChild(r1.payments.recover({}))
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.forkChild(r2.payments.recover({}))
      yield* TestClock.adjust("5 seconds")
      const report = yield* Fiber.join(first)
      assert.isUndefined(report.results.not_charged)
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(second)
      assert.strictEqual((yield* view(payment.id)).status, "succeeded")
      assert.lengthOf(psp.executed, 1)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(Layer.provideMerge(noLeases, memory)))
  })

  it.effect("five recoveries that all hold the lease: only the one whose permission was stored sends (rules 8, 12)", () => {
    const psp = ledger()
    const p = testGateway("a", { send: () => Effect.succeed(unknown) })
    const a = testGateway("a", {
      lookup: (intent) =>
        Effect.delay(
          Effect.sync(() => psp.lookup(intent)),
          "1 second"
        ),
      send: (intent) =>
        Effect.delay(
          Effect.sync(() => psp.execute(intent)),
          "1 second"
        )
    })
    return Effect.gen(function* () {
      const { payment } = yield* (yield* start([p])).payments.charge(chargeRequest("k1"))
      yield* TestClock.adjust("1 minute")
      const processes = yield* Effect.forEach(Array.from({ length: 5 }), () => start([a]))
      const running = yield* Effect.forkChild(
        Effect.forEach(processes, (process) => process.payments.recover({}), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(running)
      assert.lengthOf(a.sent, 1)
      assert.strictEqual((yield* view(payment.id)).status, "succeeded")
      assert.lengthOf(
        (yield* typesOf(payment.id)).filter((type) => type === "ResendPermitted"),
        1
      )
    }).pipe(Effect.provide(Layer.provideMerge(noLeases, memory)))
  })

  it.effect("6: a recovery whose clock is an hour ahead concludes nothing from it (rules 12, 13)", () => {
    const charges = { replay: "none" } as const
    const p = testGateway("a", { charges, send: (intent) => Effect.delay(Effect.succeed(success(intent)), "14 seconds") })
    const r = testGateway("a", { charges })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const first = yield* start([p, b])
      const charging = yield* Effect.forkChild(first.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      const ahead = skewed(yield* Clock.Clock, { wall: 3_600_000, monotonic: 3_600_000 })
      const second = yield* Effect.provideService(start([r, b]), Clock.Clock, ahead)
      assert.strictEqual((yield* second.payments.recover({})).scanned, 0)
      assert.deepStrictEqual((yield* second.payments.recover({ olderThanMillis: 0 })).results, { unknown: 1 })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "succeeded")
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(Layer.provideMerge(databaseClock, memory)))
  })

  it.effect("8: a declined object that may still be open is no end: processing until its cancel is confirmed (rule 6)", () => {
    const charges = { leavesOpenAfterDecline: true }
    const p = testGateway("a", { charges, send: (intent) => Effect.succeed(intent.kind === "void" ? unknown : declined("hard")) })
    const r = testGateway("a", { charges, lookup: (intent) => Effect.succeed(success(intent)) })
    return Effect.gen(function* () {
      const { payment } = yield* (yield* start([p])).payments.charge(chargeRequest("k1"))
      assert.strictEqual(payment.status, "processing")
      yield* TestClock.adjust("1 minute")
      yield* (yield* start([r])).payments.recover({})
      assert.strictEqual((yield* view(payment.id)).status, "failed")
    }).pipe(Effect.provide(memory))
  })

  it.effect(
    "11: a decline the gateway does not store is final at once on the only send, and after a crash within two replays (rule 13)",
    () => {
      const charges = { settleTimeMillis: 120_000 }
      const crashing = testGateway("a", { charges, send: () => Effect.never })
      const a = testGateway("a", { charges, send: () => Effect.succeed(declined("hard")) })
      return Effect.gen(function* () {
        const p = yield* start([crashing], { attemptTimeoutMillis: 3_600_000 })
        const charging = yield* Effect.forkChild(p.payments.charge(chargeRequest("k1")))
        yield* TestClock.adjust("1 second")
        yield* p.crash
        const { payment } = yield* Fiber.join(charging)
        const r = yield* start([a])
        assert.strictEqual((yield* r.payments.charge(chargeRequest("k2"))).payment.status, "failed")
        for (let run = 0; run < 8; run++) {
          yield* TestClock.adjust("30 seconds")
          yield* r.payments.recover({})
        }
        const found = yield* view(payment.id)
        assert.strictEqual(found.status, "failed")
        assert.strictEqual(found.failure?.category, "hard")
        assert.lengthOf(
          (yield* typesOf(payment.id)).filter((type) => type === "ResendPermitted"),
          2
        )
      }).pipe(Effect.provide(memory))
    }
  )

  it.effect("12: a replay that is answered `pending` is asked about by its id from then on, never replayed again", () => {
    const crashing = testGateway("a", { send: () => Effect.never })
    const byId: Array<unknown> = []
    const a = {
      ...testGateway("a", { send: () => Effect.succeed(pending) }),
      lookup: ({ gatewayReference, intent }: { readonly gatewayReference: unknown; readonly intent: Intent }) =>
        Effect.sync((): LookupAnswer => {
          byId.push(gatewayReference)
          return gatewayReference === undefined || byId.length < 4 ? { _tag: "Absent" } : success(intent)
        })
    }
    return Effect.gen(function* () {
      const p = yield* start([crashing], { attemptTimeoutMillis: 3_600_000 })
      const charging = yield* Effect.forkChild(p.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      yield* p.crash
      const { payment } = yield* Fiber.join(charging)
      const r = yield* start([a])
      for (let run = 0; run < 4; run++) {
        yield* TestClock.adjust(run === 0 ? "1 minute" : "1 second")
        yield* r.payments.recover({})
      }
      assert.deepStrictEqual(byId, [undefined, "pending", "pending", "pending"])
      assert.lengthOf(a.sent, 1)
      assert.strictEqual((yield* view(payment.id)).status, "succeeded")
    }).pipe(Effect.provide(memory))
  })
})

/**
 * Its machine stops between the check of the permission and the write of the socket, its timers with it: what no check can prevent. So its
 * request is executed long after its permission, and no attempt of its own is given up before.
 */
describe("a writer that wakes up after recovery was permitted to send again", () => {
  for (const [name, answerToR, status] of [
    ["succeeded", success, "succeeded"],
    ["was refused", () => declined("soft"), "succeeded"],
    ["is unknown", () => unknown, "succeeded"]
  ] as const) {
    it.effect(`both answers are merged when the replay ${name} and the first send succeeded`, () => {
      const charges = { settleTimeMillis: 120_000 }
      const psp = ledger()
      const atP = testGateway("a", {
        charges,
        send: (intent) =>
          Effect.delay(
            Effect.sync(() => psp.execute(intent)),
            "100 seconds"
          )
      })
      const atR = testGateway("a", { charges, send: (intent) => Effect.sync(() => answerToR(intent)) })
      const b = testGateway("b")
      return Effect.gen(function* () {
        const p = yield* start([atP, b], { attemptTimeoutMillis: 3_600_000 })
        const r = yield* start([atR, b])
        const charging = yield* Effect.forkChild(p.payments.charge(chargeRequest("k1")))
        yield* TestClock.adjust("60 seconds")
        yield* r.payments.recover({})
        assert.lengthOf(atR.sent, 1)
        yield* TestClock.adjust("60 seconds")
        const { payment } = yield* Fiber.join(charging)
        assert.strictEqual(payment.status, status)
        assert.lengthOf(psp.executed, 1)
        assert.lengthOf(b.sent, 0)
        assert.lengthOf(
          (yield* typesOf(payment.id)).filter((type) => type === "OperationSucceeded"),
          1
        )
      }).pipe(Effect.provide(memory))
    })
  }

  it.effect("a late charge at an account that is not configured any more is for a person, not forgotten", () => {
    const charges = { replay: "none" } as const
    const atP = testGateway("a", {
      charges,
      send: (intent) => Effect.delay(Effect.succeed(success(intent)), intent.kind === "sale" ? "100 seconds" : 0)
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const p = yield* start([atP, b], { attemptTimeoutMillis: 3_600_000 })
      const charging = yield* Effect.forkChild(p.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("60 seconds")
      yield* (yield* start([testGateway("a", { charges }), b])).payments.recover({})
      Object.assign(atP, { account: AccountFingerprint.make("another account") })
      yield* TestClock.adjust("60 seconds")
      const { payment } = yield* Fiber.join(charging)
      assert.include(yield* typesOf(payment.id), "LateSuccess")
      assert.strictEqual(payment.status, "needs_review")
      assert.lengthOf(atP.sent, 1)
    }).pipe(Effect.provide(memory))
  })

  it.effect("an answer learned after the next gateway has charged is kept as a late success and reversed", () => {
    const charges = { replay: "none" } as const
    const atP = testGateway("a", {
      charges,
      send: (intent) => Effect.delay(Effect.succeed(success(intent)), intent.kind === "sale" ? "100 seconds" : 0)
    })
    const atR = testGateway("a", { charges })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const p = yield* start([atP, b], { attemptTimeoutMillis: 3_600_000 })
      const charging = yield* Effect.forkChild(p.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("60 seconds")
      yield* (yield* start([atR, b])).payments.recover({})
      assert.lengthOf(b.sent, 1)
      yield* TestClock.adjust("60 seconds")
      const { payment } = yield* Fiber.join(charging)
      const types = yield* typesOf(payment.id)
      assert.include(types, "LateSuccess")
      assert.deepStrictEqual(
        atP.sent.map((intent) => intent.purpose),
        ["charge", "reverse"]
      )
      const refunded = yield* Effect.result(p.payments.refund({ tenant, id: payment.id, key: key("r1"), amount: 10n }))
      assert.strictEqual(refunded._tag, "Success", "what stands can be refunded")
      assert.deepStrictEqual(
        b.sent.map((intent) => intent.kind),
        ["sale", "refund"]
      )
    }).pipe(Effect.provide(memory))
  })
})
