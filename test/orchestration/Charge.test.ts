import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import type { ChargeRequest } from "../../src/orchestration/payment/Charge.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import {
  chargeRequest,
  declined,
  engine,
  engineOver,
  key,
  memory,
  notSent,
  requiresAction,
  success,
  tenant,
  testGateway,
  unknown
} from "../support/TestEngine.ts"
import * as TestHostTransaction from "../support/TestHostTransaction.ts"

const typesOf = Effect.fnUntraced(function* (id: Parameters<(typeof EventStore)["Service"]["read"]>[0]) {
  const store = yield* EventStore
  return (yield* store.read(id)).map(({ event }) => event._tag)
})

describe("charge", () => {
  it.effect("a payment that succeeds at once has two commits and says why it went there", () => {
    const a = testGateway("a")
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const answer = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(answer.payment.status, "succeeded")
      assert.strictEqual(answer.payment.amountCaptured, 4990)
      assert.isFalse(answer.replayed)
      assert.deepStrictEqual(yield* typesOf(answer.payment.id), [
        "PaymentInitiated",
        "PaymentScreened",
        "OperationIntended",
        "OperationSucceeded"
      ])
      const store = yield* EventStore
      const intended = (yield* store.read(answer.payment.id))[2]?.event
      assert.strictEqual(intended?._tag, "OperationIntended")
      if (intended?._tag !== "OperationIntended") return
      assert.deepStrictEqual(
        intended.intent.decision?.ranked.map((ranked) => ranked.gateway),
        [GatewayName.make("a"), GatewayName.make("b")]
      )
      assert.lengthOf(a.sent, 1)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(engine([a, b])))
  })

  it.effect("the same key answers the first payment and calls no gateway", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const first = yield* payments.charge(chargeRequest("k1"))
      const again = yield* payments.charge(chargeRequest("k1"))
      assert.isTrue(again.replayed)
      assert.strictEqual(again.payment.id, first.payment.id)
      assert.lengthOf(a.sent, 1)
      const reused = yield* Effect.flip(payments.charge(chargeRequest("k1", { amount: { ...chargeRequest("k1").amount, minor: 1n } })))
      assert.strictEqual(reused._tag, "IdempotencyKeyReused")
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("the same key with another request is refused: history, claim, other payments and gateway are as before", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const repository = yield* PaymentRepository
      const store = yield* EventStore
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      const all = Effect.all({
        events: store.read(payment.id),
        log: store.readAll({ after: 0n, limit: 100 }),
        claim: repository.findClaim({ tenant, key: key("k1") }),
        payments: repository.list({ tenant, limit: 10 })
      })
      const before = yield* all
      assert.strictEqual(Option.getOrThrow(before.claim).payment, payment.id)
      const { amount, method } = chargeRequest("k1")
      const others = [
        { amount: { ...amount, minor: 1n } },
        { amount: { ...amount, currency: CurrencyCode.make("USD") } },
        { method: { ...method, token: Token.make("tok_other") } },
        { captureMethod: "manual" as const }
      ]
      for (const other of others) {
        for (const command of [payments.charge, (request: ChargeRequest) => TestHostTransaction.inTransaction(payments.prepare(request))]) {
          const reused = yield* Effect.flip(command(chargeRequest("k1", other)))
          assert.strictEqual(reused._tag, "IdempotencyKeyReused")
        }
      }
      assert.deepStrictEqual(yield* all, before)
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(Layer.provideMerge(engineOver([a]), Layer.provideMerge(TestHostTransaction.layer, memory))))
  })

  it.effect("100 requests with one key charge once and get the same answer", () => {
    const a = testGateway("a", { send: (intent) => Effect.as(Effect.sleep("2 seconds"), success(intent)) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const fiber = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 100 }, () => payments.charge(chargeRequest("k1"))),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("4 seconds")
      const answers = yield* Fiber.join(fiber)
      assert.lengthOf(new Set(answers.map((answer) => answer.payment.id)), 1)
      assert.isTrue(answers.every((answer) => answer.payment.status === "succeeded"))
      assert.lengthOf(
        answers.filter((answer) => !answer.replayed),
        1
      )
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("the same key waits 5 s for the one in progress, then says when to come back", () => {
    const a = testGateway("a", { send: (intent) => Effect.as(Effect.sleep("10 seconds"), success(intent)) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const first = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 seconds")
      const second = yield* Effect.forkChild(Effect.flip(payments.charge(chargeRequest("k1"))))
      yield* TestClock.adjust("5 seconds")
      const refused = yield* Fiber.join(second)
      assert.strictEqual(refused._tag, "RequestInProgress")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(first)).payment.status, "succeeded")
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("fails over by category: after a refusal that allows it, in the commit of the refusal", () => {
    const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const answer = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(answer.payment.status, "succeeded")
      assert.strictEqual(answer.payment.gateway, GatewayName.make("b"))
      assert.notStrictEqual(a.sent[0]?.requestKey, b.sent[0]?.requestKey)
      assert.deepStrictEqual((yield* typesOf(answer.payment.id)).slice(2), [
        "OperationIntended",
        "OperationDeclined",
        "OperationIntended",
        "OperationSucceeded"
      ])
    }).pipe(Effect.provide(engine([a, b])))
  })

  for (const category of ["hard", "fraud", "invalid_data"] as const) {
    it.effect(`a ${category} decline goes to no other gateway`, () => {
      const a = testGateway("a", { send: () => Effect.succeed(declined(category)) })
      const b = testGateway("b")
      return Effect.gen(function* () {
        const payments = yield* Payments
        const { payment } = yield* payments.charge(chargeRequest("k1"))
        assert.strictEqual(payment.status, "failed")
        assert.strictEqual(payment.failure?.category, category)
        assert.lengthOf(b.sent, 0)
      }).pipe(Effect.provide(engine([a, b])))
    })
  }

  it.effect("an unknown outcome goes to no other gateway and fails nothing", () => {
    const a = testGateway("a", { send: () => Effect.succeed(unknown) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(payment.status, "in_doubt")
      assert.lengthOf(b.sent, 0)
      yield* TestClock.adjust("30 days")
      assert.strictEqual((yield* payments.get({ id: payment.id, tenant })).status, "in_doubt")
    }).pipe(Effect.provide(engine([a, b])))
  })

  it.effect("a lost answer is asked for again under the same key, a refusal after it is inconclusive", () => {
    const outcomes: ReadonlyArray<Outcome> = [{ ...unknown, reason: "timeout" }, declined("soft")]
    const a = testGateway("a", { send: (_, nth) => Effect.succeed(outcomes[nth - 1] ?? unknown) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const fiber = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("10 seconds")
      const { payment } = yield* Fiber.join(fiber)
      assert.strictEqual(payment.status, "in_doubt")
      assert.lengthOf(a.sent, 2)
      assert.strictEqual(a.sent[0]?.requestKey, a.sent[1]?.requestKey)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(engine([a, b])))
  })

  it.effect("what was not sent goes to the next gateway, and fails with its reason where there is none", () => {
    const a = testGateway("a", { send: () => Effect.succeed(notSent) })
    const b = testGateway("b", { send: () => Effect.succeed(notSent) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const fiber = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("30 seconds")
      const { payment } = yield* Fiber.join(fiber)
      assert.strictEqual(payment.status, "failed")
      assert.strictEqual(payment.failure?.code, "not_sent_connection_refused")
      assert.lengthOf(a.sent, 1)
      assert.isAbove(b.sent.length, 1)
    }).pipe(Effect.provide(engine([a, b])))
  })

  it.effect("a caller that leaves changes nothing: the call goes on and its outcome is stored", () =>
    Effect.gen(function* () {
      const answering = yield* Deferred.make<void>()
      const answered = yield* Deferred.make<void>()
      const a = testGateway("a", {
        send: (intent) =>
          Effect.gen(function* () {
            yield* Deferred.succeed(answering, undefined)
            yield* Deferred.await(answered)
            return success(intent)
          })
      })
      yield* Effect.gen(function* () {
        const payments = yield* Payments
        const repository = yield* PaymentRepository
        const caller = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
        yield* Deferred.await(answering)
        yield* Fiber.interrupt(caller)
        yield* Deferred.succeed(answered, undefined)
        const claim = yield* repository.findClaim({ tenant, key: key("k1") })
        assert.isTrue(Option.isSome(claim))
        const { payment, replayed } = yield* payments.charge(chargeRequest("k1"))
        assert.isTrue(replayed)
        assert.strictEqual(payment.status, "succeeded")
        assert.lengthOf(a.sent, 1)
      }).pipe(Effect.provide(engine([a])))
    })
  )

  it.effect("a gateway that answers nothing is given up and the payment is in doubt", () => {
    const a = testGateway("a", { send: () => Effect.never })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const fiber = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("60 seconds")
      const { payment } = yield* Fiber.join(fiber)
      assert.strictEqual(payment.status, "in_doubt")
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("a payment method without a reference for any gateway is refused and nothing is written", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const references = { [GatewayName.make("other")]: Token.make("tok") }
      const refused = yield* Effect.flip(payments.charge(chargeRequest("k1", { method: { type: "card", references } })))
      assert.strictEqual(refused._tag, "NoUsableGateway")
      const repository = yield* PaymentRepository
      assert.isTrue(Option.isNone(yield* repository.findClaim({ tenant, key: key("k1") })))
      assert.lengthOf((yield* repository.list({ tenant, limit: 10 })).data, 0)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("an object that a decline leaves open is closed before the payment fails", () => {
    const a = testGateway("a", {
      charges: { leavesOpenAfterDecline: true },
      send: (intent) => Effect.succeed(intent.kind === "void" ? success(intent) : declined("hard"))
    })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(payment.status, "failed")
      assert.deepStrictEqual(
        a.sent.map((intent) => intent.purpose),
        ["charge", "close"]
      )
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("3-D Secure: the customer acts, confirm continues the same object, the first operation ends as continued", () => {
    const a = testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "confirm" ? success(intent) : requiresAction) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(payment.status, "requires_action")
      assert.deepStrictEqual(payment.nextAction, { type: "redirect", url: "https://bank.example/3ds" })
      const confirmed = yield* payments.confirm({ tenant, key: key("k2"), id: payment.id })
      assert.strictEqual(confirmed.payment.status, "succeeded")
      assert.deepStrictEqual(
        confirmed.payment.operations.map((operation) => operation.status),
        ["continued", "succeeded"]
      )
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("a confirm that is refused before its object was looked at charges nowhere else: the customer may complete it still", () => {
    const refusals: Array<Outcome> = [declined("rate_limited"), declined("configuration")]
    const a = testGateway("a", {
      send: (intent) => Effect.succeed(intent.kind === "confirm" ? (refusals.pop() ?? success(intent)) : requiresAction)
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      for (const under of ["c1", "c2"]) {
        const refused = yield* payments.confirm({ tenant, key: key(under), id: payment.id })
        assert.strictEqual(refused.payment.status, "requires_action")
        assert.deepStrictEqual(refused.payment.nextAction, payment.nextAction)
      }
      const confirmed = yield* payments.confirm({ tenant, key: key("c3"), id: payment.id })
      assert.strictEqual(confirmed.payment.status, "succeeded")
      assert.strictEqual(confirmed.payment.amountCaptured, 4990)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(engine([a, b])))
  })
})
