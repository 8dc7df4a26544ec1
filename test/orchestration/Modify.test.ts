/**
 * Confirm, capture, cancel and refund: amounts, exclusions, keys (rule 11), and commands that race (rule 8).
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { EventId, type PaymentId, TenantId } from "../../src/domain/payment/Ids.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as FlakyEventStore from "../support/FlakyEventStore.ts"
import { newPaymentId, uuid } from "../support/payments.ts"
import {
  chargeRequest,
  declined,
  engine,
  engineOver,
  key,
  memory,
  pending,
  requiresAction,
  success,
  tenant,
  testGateway,
  unknown
} from "../support/TestEngine.ts"
import { eventsOf, typesOf } from "../support/TestProcess.ts"

const authorized = Effect.gen(function* () {
  const payments = yield* Payments
  const { payment } = yield* payments.charge(chargeRequest("charge", { captureMethod: "manual" }))
  assert.strictEqual(payment.status, "authorized")
  return payment.id
})

const captured = Effect.gen(function* () {
  const payments = yield* Payments
  return (yield* payments.charge(chargeRequest("charge"))).payment.id
})

const on = (id: PaymentId, under: string) => ({ tenant, id, key: key(under) })

const ofKind = (intents: ReadonlyArray<Intent>, kind: Intent["kind"]) => intents.filter((intent) => intent.kind === kind)

/** Answers the charge at once and everything else when the test says so. */
const gated = (kind: Intent["kind"]) => {
  const gates = Array.from({ length: 4 }, () => Deferred.makeUnsafe<Outcome>())
  let nth = 0
  const gateway = testGateway("a", {
    send: (intent) => {
      const gate = gates[nth]
      if (intent.kind !== kind || gate === undefined) return Effect.succeed(success(intent))
      nth++
      return Deferred.await(gate)
    }
  })
  return { gateway, answer: (index: number, outcome: Outcome) => Deferred.succeed(gates[index] ?? Deferred.makeUnsafe<Outcome>(), outcome) }
}

describe("capture", () => {
  it.effect("captures all that is left when no amount is given", () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const { operation, payment } = yield* payments.capture(on(yield* authorized, "c1"))
      assert.strictEqual(payment.status, "succeeded")
      assert.strictEqual(payment.amountCaptured, 4990)
      assert.strictEqual(operation, 2)
    }).pipe(Effect.provide(engine([testGateway("a")])))
  )

  it.effect("captures several parts until nothing is left", () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* authorized
      const first = yield* payments.capture({ ...on(id, "c1"), amount: 1000n })
      assert.strictEqual(first.payment.status, "partially_captured")
      const rest = yield* payments.capture(on(id, "c2"))
      assert.strictEqual(rest.payment.amountCaptured, 4990)
      const refused = yield* Effect.flip(payments.capture({ ...on(id, "c3"), amount: 1n }))
      assert.strictEqual(refused._tag, "CommandRefused")
    }).pipe(Effect.provide(engine([testGateway("a")])))
  )

  it.effect("refuses more than is authorized, zero and negative amounts, and calls no gateway", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* authorized
      for (const amount of [4991n, 0n, -1n]) {
        const refused = yield* Effect.flip(payments.capture({ ...on(id, `c${amount}`.replace("-", "m")), amount }))
        assert.strictEqual(refused._tag === "CommandRefused" && refused.reason._tag, amount > 0n ? "AmountExceeded" : "AmountNotPositive")
      }
      assert.lengthOf(ofKind(a.sent, "capture"), 0)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("a gateway with a single capture gets one, and a declined one leaves the amount free", () => {
    let refuse = true
    const a = testGateway("a", {
      captures: "single",
      send: (intent) => Effect.succeed(intent.kind === "capture" && refuse ? declined("gateway_error") : success(intent))
    })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* authorized
      const failed = yield* payments.capture({ ...on(id, "c1"), amount: 1000n })
      assert.strictEqual(failed.payment.status, "authorized")
      refuse = false
      const once = yield* payments.capture({ ...on(id, "c2"), amount: 1000n })
      assert.strictEqual(once.payment.amountCaptured, 1000)
      const again = yield* Effect.flip(payments.capture({ ...on(id, "c3"), amount: 1000n }))
      assert.strictEqual(again._tag === "CommandRefused" && again.reason._tag, "AlreadyCaptured")
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("two captures at once: both where the sum allows, else one is refused", () => {
    return Effect.gen(function* () {
      for (const { amount, succeed } of [
        { amount: 2000n, succeed: 2 },
        { amount: 3000n, succeed: 1 }
      ]) {
        const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "1 second") })
        yield* Effect.gen(function* () {
          const payments = yield* Payments
          const charging = yield* Effect.forkChild(authorized)
          yield* TestClock.adjust("2 seconds")
          const id = yield* Fiber.join(charging)
          const racing = yield* Effect.forkChild(
            Effect.all(
              [Effect.result(payments.capture({ ...on(id, "c1"), amount })), Effect.result(payments.capture({ ...on(id, "c2"), amount }))],
              {
                concurrency: "unbounded"
              }
            )
          )
          yield* TestClock.adjust("5 seconds")
          const results = yield* Fiber.join(racing)
          assert.lengthOf(results.filter(Result.isSuccess), succeed)
          for (const result of results) {
            if (Result.isFailure(result)) {
              assert.strictEqual(result.failure._tag === "CommandRefused" && result.failure.reason._tag, "AmountExceeded")
            }
          }
          const view = yield* payments.get({ id, tenant })
          assert.strictEqual(view.amountCaptured, Number(amount) * succeed)
          assert.lengthOf(ofKind(a.sent, "capture"), succeed)
        }).pipe(Effect.provide(engine([a])))
      }
    })
  })

  it.effect("capture and void exclude each other while one is open", () => {
    const capturing = gated("capture")
    const voiding = gated("void")
    return Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const payments = yield* Payments
        const id = yield* authorized
        const open = yield* Effect.forkChild(payments.capture({ ...on(id, "c1"), amount: 10n }))
        yield* TestClock.adjust("1 second")
        const refused = yield* Effect.flip(payments.cancel(on(id, "x1")))
        assert.strictEqual(refused._tag === "CommandRefused" && refused.reason._tag, "OperationInProgress")
        yield* capturing.answer(0, declined("hard"))
        yield* Fiber.join(open)
        assert.strictEqual((yield* payments.cancel(on(id, "x2"))).payment.status, "cancelled")
      }).pipe(Effect.provide(engine([capturing.gateway])))
      yield* Effect.gen(function* () {
        const payments = yield* Payments
        const id = yield* authorized
        const open = yield* Effect.forkChild(payments.cancel(on(id, "x1")))
        yield* TestClock.adjust("1 second")
        const refused = yield* Effect.flip(payments.capture(on(id, "c1")))
        assert.strictEqual(refused._tag === "CommandRefused" && refused.reason._tag, "OperationInProgress")
        yield* voiding.answer(0, declined("hard"))
        yield* Fiber.join(open)
        assert.strictEqual((yield* payments.capture(on(id, "c2"))).payment.status, "succeeded")
      }).pipe(Effect.provide(engine([voiding.gateway])))
    })
  })
})

describe("cancel", () => {
  const whileProcessing = (captureMethod: "automatic" | "manual", outcome: (intent: Intent) => Outcome) => {
    const a = testGateway("a", {
      send: (intent) =>
        intent.purpose === "charge" ? Effect.delay(Effect.succeed(outcome(intent)), "2 seconds") : Effect.succeed(success(intent))
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("charge", { captureMethod })))
      yield* TestClock.adjust("1 second")
      const id = (yield* (yield* EventStore).readAll({ after: 0n, limit: 1 }))[0]?.event.paymentId ?? newPaymentId()
      const wished = yield* payments.cancel(on(id, "x1"))
      assert.strictEqual(wished.payment.status, "processing")
      assert.isTrue(wished.payment.cancelRequested)
      assert.isUndefined(wished.operation)
      const replayed = yield* payments.cancel(on(id, "x1"))
      assert.isTrue(replayed.replayed)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(charging)
      return {
        view: yield* payments.get({ id, tenant }),
        types: yield* typesOf(id),
        sentToB: b.sent.length,
        sentToA: a.sent.map((intent) => intent.kind)
      }
    }).pipe(Effect.provide(engine([a, b])))
  }

  it.effect("recorded while processing: a refusal ends it as cancelled, without failover", () =>
    Effect.gen(function* () {
      const { sentToB, view } = yield* whileProcessing("automatic", () => declined("soft"))
      assert.strictEqual(view.status, "cancelled")
      assert.strictEqual(sentToB, 0)
    })
  )

  it.effect("recorded while processing: an authorization is voided, then cancelled", () =>
    Effect.gen(function* () {
      const { sentToA, view } = yield* whileProcessing("manual", success)
      assert.strictEqual(view.status, "cancelled")
      assert.deepStrictEqual(sentToA, ["authorize", "void"])
    })
  )

  it.effect("said again under another key while processing: both keys are claimed", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "10 seconds") })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      const repository = yield* PaymentRepository
      const [created] = (yield* repository.list({ tenant, limit: 1 })).data
      if (created === undefined) return assert.fail("the payment is listed")
      const { id } = created
      yield* payments.cancel({ tenant, id, key: key("c1") })
      yield* payments.cancel({ tenant, id, key: key("c2") })
      assert.isTrue((yield* payments.cancel({ tenant, id, key: key("c2") })).replayed)
      const reused = yield* Effect.flip(payments.refund({ tenant, id, key: key("c2") }))
      assert.strictEqual(reused._tag, "IdempotencyKeyReused")
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(charging)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("recorded while processing: a sale that succeeds wins", () =>
    Effect.gen(function* () {
      const { sentToA, view } = yield* whileProcessing("automatic", success)
      assert.strictEqual(view.status, "succeeded")
      assert.deepStrictEqual(sentToA, ["sale"])
    })
  )

  it.effect("recorded while processing: an unknown outcome stays in doubt", () =>
    Effect.gen(function* () {
      const { sentToB, view } = yield* whileProcessing("automatic", () => unknown)
      assert.strictEqual(view.status, "in_doubt")
      assert.strictEqual(sentToB, 0)
    })
  )

  for (const [name, outcome] of [
    ["the customer", requiresAction],
    ["the gateway", pending]
  ] as const) {
    it.effect(`while awaiting ${name}: the gateway is asked to cancel, then the payment is cancelled`, () => {
      const a = testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "void" ? success(intent) : outcome) })
      return Effect.gen(function* () {
        const payments = yield* Payments
        const id = (yield* payments.charge(chargeRequest("charge"))).payment.id
        const cancelled = yield* payments.cancel(on(id, "x1"))
        assert.strictEqual(cancelled.payment.status, "cancelled")
        assert.deepStrictEqual(
          a.sent.map((intent) => intent.kind),
          ["sale", "void"]
        )
        const late = yield* Effect.flip(payments.confirm(on(id, "f1")))
        assert.strictEqual(late._tag, "CommandRefused")
      }).pipe(Effect.provide(engine([a])))
    })
  }

  it.effect("an unknown answer of the cancel leaves the payment processing, not cancelled", () => {
    const a = testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "void" ? unknown : requiresAction) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = (yield* payments.charge(chargeRequest("charge"))).payment.id
      assert.strictEqual((yield* payments.cancel(on(id, "x1"))).payment.status, "processing")
    }).pipe(Effect.provide(engine([a])))
  })
})

describe("refund", () => {
  it.effect("refunds parts and the rest, never more than was captured", () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      const part = yield* payments.refund({ ...on(id, "r1"), amount: 990n })
      assert.strictEqual(part.payment.status, "partially_refunded")
      const tooMuch = yield* Effect.flip(payments.refund({ ...on(id, "r2"), amount: 4001n }))
      assert.strictEqual(tooMuch._tag === "CommandRefused" && tooMuch.reason._tag, "AmountExceeded")
      const rest = yield* payments.refund(on(id, "r3"))
      assert.strictEqual(rest.payment.status, "refunded")
      assert.strictEqual(rest.payment.amountRefunded, 4990)
    }).pipe(Effect.provide(engine([testGateway("a")])))
  )

  it.effect("ten refunds at once never exceed what was captured, and a declined one frees its amount", () => {
    let refuse = true
    const a = testGateway("a", {
      send: (intent) =>
        Effect.delay(
          Effect.sync(() => (intent.kind === "refund" && refuse ? declined("gateway_error") : success(intent))),
          "1 second"
        )
    })
    const tenRefunds = (id: PaymentId, prefix: string) =>
      Effect.gen(function* () {
        const payments = yield* Payments
        const racing = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 10 }, (_, index) => Effect.result(payments.refund({ ...on(id, `${prefix}${index}`), amount: 1000n }))),
            { concurrency: "unbounded" }
          )
        )
        yield* TestClock.adjust("10 seconds")
        return yield* Fiber.join(racing)
      })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(captured)
      yield* TestClock.adjust("2 seconds")
      const id = yield* Fiber.join(charging)
      const refusedByGateway = yield* tenRefunds(id, "a")
      assert.isAtLeast(refusedByGateway.filter(Result.isSuccess).length, 4)
      assert.strictEqual((yield* payments.get({ id, tenant })).amountRefunded, 0)
      refuse = false
      const results = yield* tenRefunds(id, "b")
      assert.lengthOf(results.filter(Result.isSuccess), 4)
      assert.strictEqual((yield* payments.get({ id, tenant })).amountRefunded, 4000)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("a refund whose outcome is unknown keeps its amount reserved", () => {
    const a = testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "refund" ? unknown : success(intent)) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      yield* payments.refund(on(id, "r1"))
      const second = yield* Effect.flip(payments.refund({ ...on(id, "r2"), amount: 1n }))
      assert.strictEqual(second._tag === "CommandRefused" && second.reason._tag, "AmountExceeded")
    }).pipe(Effect.provide(engine([a])))
  })
})

describe("keys of commands", () => {
  it.effect("the same key replays, and is refused with another command, payment or amount", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* authorized
      const other = (yield* payments.charge(chargeRequest("other", { captureMethod: "manual" }))).payment.id
      const first = yield* payments.capture({ ...on(id, "k"), amount: 1000n })
      const again = yield* payments.capture({ ...on(id, "k"), amount: 1000n })
      assert.isFalse(first.replayed)
      assert.isTrue(again.replayed)
      assert.strictEqual(again.operation, first.operation)
      assert.strictEqual(again.payment.amountCaptured, 1000)
      const reused: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        payments.capture({ ...on(id, "k"), amount: 1001n }),
        payments.capture({ ...on(id, "k"), amount: 1000n, final: true }),
        payments.capture({ ...on(other, "k"), amount: 1000n }),
        payments.refund({ ...on(id, "k"), amount: 1000n }),
        payments.cancel(on(id, "k")),
        payments.confirm(on(id, "k")),
        payments.charge(chargeRequest("k")),
        payments.capture({ ...on(id, "charge"), amount: 1000n })
      ]
      for (const command of reused) assert.strictEqual((yield* Effect.flip(command))._tag, "IdempotencyKeyReused")
      assert.lengthOf(ofKind(a.sent, "capture"), 1)
      const elsewhere = yield* payments.charge(chargeRequest("k", { tenant: TenantId.make("m2") }))
      assert.isFalse(elsewhere.replayed)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("two requests with one key at once: one operation, the other is its replay", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "1 second") })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(captured)
      yield* TestClock.adjust("2 seconds")
      const id = yield* Fiber.join(charging)
      const racing = yield* Effect.forkChild(
        Effect.all([payments.refund({ ...on(id, "r"), amount: 10n }), payments.refund({ ...on(id, "r"), amount: 10n })], {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("4 seconds")
      const answers = yield* Fiber.join(racing)
      assert.sameMembers(
        answers.map((answer) => answer.replayed),
        [true, false]
      )
      assert.isTrue(answers.every((answer) => answer.payment.amountRefunded === 10))
      assert.lengthOf(ofKind(a.sent, "refund"), 1)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("a refused command claims nothing: its key is free for the corrected one", () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      yield* Effect.flip(payments.refund({ ...on(id, "r"), amount: 5000n }))
      const corrected = yield* payments.refund({ ...on(id, "r"), amount: 10n })
      assert.isFalse(corrected.replayed)
    }).pipe(Effect.provide(engine([testGateway("a")])))
  )

  it.effect("an unknown payment and another merchant's are not found, and not told apart", () =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      const stranger = TenantId.make("m2")
      const commands: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        payments.refund({ ...on(newPaymentId(), "r1"), amount: 1n }),
        payments.refund({ ...on(id, "r2"), tenant: stranger }),
        payments.capture({ ...on(id, "c1"), tenant: stranger }),
        payments.cancel({ ...on(id, "x1"), tenant: stranger }),
        payments.confirm({ ...on(id, "f1"), tenant: stranger }),
        payments.get({ id, tenant: stranger }),
        payments.history({ id, tenant: stranger })
      ]
      for (const command of commands) assert.strictEqual((yield* Effect.flip(command))._tag, "PaymentNotFound")
    }).pipe(Effect.provide(engine([testGateway("a")])))
  )
})

describe("version conflicts (rule 8)", () => {
  /** Another writer opens and wins a dispute of one cent before each of the next `left` commits. */
  const interfering = (flaky: FlakyEventStore.FlakyScript, left: number) => {
    let rest = left
    flaky.onCommit = (commit) =>
      Effect.gen(function* () {
        if (rest === 0 || commit.payment._tag === "New") return undefined
        rest--
        const store = yield* EventStore
        const { details } = commit.payment
        const event = {
          _tag: "DisputeOpened",
          disputeId: `d${rest}`,
          amount: { currency: details.amount.currency, minor: 1n }
        } as const
        const stamped = { eventId: EventId.make(uuid()), version: commit.payment.version + 1, occurredAt: 0, event }
        yield* Effect.orDie(store.commit({ payment: commit.payment, events: [stamped] }))
        return undefined
      })
  }

  const over = (flaky: FlakyEventStore.FlakyScript, a = testGateway("a")) =>
    Layer.provideMerge(engineOver([a]), Layer.provideMerge(FlakyEventStore.layer(flaky), memory))

  it.effect("is decided again on the new state, up to 5 times", () => {
    const flaky = FlakyEventStore.script()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      interfering(flaky, 5)
      const refunding = yield* Effect.forkChild(payments.refund({ ...on(id, "r1"), amount: 10n }))
      yield* TestClock.adjust("10 seconds")
      const answer = yield* Fiber.join(refunding)
      assert.strictEqual(answer.payment.amountRefunded, 10)
      const disputes = (yield* eventsOf(id)).filter((event) => event._tag === "DisputeOpened")
      assert.lengthOf(disputes, 5)
    }).pipe(Effect.provide(over(flaky)))
  })

  it.effect("the sixth conflict is told: nothing was written and no gateway was called", () => {
    const flaky = FlakyEventStore.script()
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      interfering(flaky, 6)
      const refunding = yield* Effect.forkChild(Effect.flip(payments.refund({ ...on(id, "r1"), amount: 10n })))
      yield* TestClock.adjust("10 seconds")
      const refused = yield* Fiber.join(refunding)
      assert.strictEqual(refused._tag, "TooManyConflicts")
      assert.lengthOf(ofKind(a.sent, "refund"), 0)
      const again = yield* payments.refund({ ...on(id, "r1"), amount: 10n })
      assert.isFalse(again.replayed)
    }).pipe(Effect.provide(over(flaky, a)))
  })

  it.effect("an outcome in hand is merged whatever came first", () => {
    const flaky = FlakyEventStore.script()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const id = yield* captured
      const commitsBefore = flaky.commits
      let outcomes = 0
      flaky.onCommit = (commit, nth) =>
        Effect.gen(function* () {
          if (nth < commitsBefore + 2 || commit.payment._tag === "New" || ++outcomes > 8) return undefined
          const store = yield* EventStore
          const event = {
            _tag: "DisputeOpened",
            disputeId: `d${outcomes}`,
            amount: { ...commit.payment.details.amount, minor: 1n }
          } as const
          const stamped = { eventId: EventId.make(uuid()), version: commit.payment.version + 1, occurredAt: 0, event }
          yield* Effect.orDie(store.commit({ payment: commit.payment, events: [stamped] }))
          return undefined
        })
      const refunding = yield* Effect.forkChild(payments.refund({ ...on(id, "r1"), amount: 10n }))
      yield* TestClock.adjust("10 seconds")
      const answer = yield* Fiber.join(refunding)
      assert.strictEqual(answer.payment.amountRefunded, 10)
      assert.isAbove(outcomes, 8)
    }).pipe(Effect.provide(over(flaky)))
  })

  it.effect(
    "an outcome that somebody else is always faster than: a bounded number of attempts, and the operation stays open for recovery",
    () => {
      const flaky = FlakyEventStore.script()
      const a = testGateway("a", { lookup: (intent) => Effect.succeed(success(intent)) })
      return Effect.gen(function* () {
        const payments = yield* Payments
        const id = yield* captured
        const commitsBefore = flaky.commits
        let isBusy = true
        flaky.onCommit = (commit, nth) =>
          Effect.gen(function* () {
            if (!isBusy || nth < commitsBefore + 2 || commit.payment._tag === "New") return undefined
            const store = yield* EventStore
            const amount = { ...commit.payment.details.amount, minor: 1n }
            const event = { _tag: "DisputeOpened", disputeId: `d${nth}`, amount } as const
            const stamped = { eventId: EventId.make(uuid()), version: commit.payment.version + 1, occurredAt: 0, event }
            yield* Effect.orDie(store.commit({ payment: commit.payment, events: [stamped] }))
            return undefined
          })
        yield* Effect.forkChild(payments.refund({ ...on(id, "r1"), amount: 10n }))
        yield* TestClock.adjust("5 minutes")
        const commits = flaky.commits
        assert.isAtMost(commits - commitsBefore, 60)
        isBusy = false
        yield* payments.recover({})
        assert.strictEqual((yield* payments.get({ id, tenant })).amountRefunded, 10)
        assert.lengthOf(ofKind(a.sent, "refund"), 1)
      }).pipe(Effect.provide(over(flaky, a)))
    }
  )
})

describe("a cancel while the outcome is awaited", () => {
  it.effect("said 1,500 times with as many keys: recorded a few times, then the caller is told to wait", () => {
    const a = testGateway("a", { send: () => Effect.succeed(unknown), lookup: () => Effect.succeed(unknown) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k"))
      const refusals = new Set<string>()
      for (let nth = 1; nth <= 1_500; nth++) {
        const said = yield* Effect.result(payments.cancel(on(payment.id, `c${nth}`)))
        if (Result.isFailure(said)) refusals.add(said.failure.message)
      }
      const after = yield* payments.get({ id: payment.id, tenant })
      assert.isTrue(after.cancelRequested)
      assert.isAtMost(after.version, 20)
      assert.deepStrictEqual(
        [...refusals],
        ["CancelPayment refused while the payment is in_doubt: operation 1 is still open; wait for its outcome"]
      )
      assert.isTrue((yield* payments.cancel(on(payment.id, "c1"))).replayed)
    }).pipe(Effect.provide(engine([a], { retries: 0 })))
  })
})
