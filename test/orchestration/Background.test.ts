/**
 * The scope of the service: adapters that break their contract, and the end of the service.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { initial } from "../../src/domain/payment/State.ts"
import * as Background from "../../src/orchestration/operation/Background.ts"
import * as Journal from "../../src/orchestration/operation/Journal.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import * as Logs from "../support/logs.ts"
import * as Samples from "../support/payments.ts"
import { chargeRequest, declined, engine, engineOver, memory, success, tenant, testGateway } from "../support/TestEngine.ts"

describe("an adapter that breaks its contract answers unknown, and the payment is found again", () => {
  const broken: { readonly [name: string]: () => Effect.Effect<Outcome> } = {
    dies: () => Effect.die(new Error("bug in the adapter")),
    "throws before it makes an effect": () => {
      throw new Error("bug in the adapter")
    },
    "answers something that is no outcome": () => Effect.succeed({ _tag: "Fine" } as never),
    "answers an outcome that could not be stored": () =>
      Effect.succeed({ _tag: "Declined", category: "soft", code: "c", message: "m".repeat(100_000) }),
    "answers a success without an id": () => Effect.succeed({ ...success({ gateway: "a" } as never), gatewayReference: "" as never })
  }
  for (const [name, send] of Object.entries(broken)) {
    it.effect(name, () => {
      const a = { ...testGateway("a", { lookup: (intent) => Effect.succeed(success(intent)) }), send }
      const b = testGateway("b")
      return Effect.gen(function* () {
        const payments = yield* Payments
        const { payment } = yield* payments.charge(chargeRequest("k1"))
        assert.strictEqual(payment.status, "in_doubt")
        assert.lengthOf(b.sent, 0)
        yield* TestClock.adjust("1 minute")
        yield* payments.recover({})
        assert.strictEqual((yield* payments.get({ id: payment.id, tenant })).status, "succeeded")
      }).pipe(Effect.provide(engine([a, b])))
    })
  }
})

describe("work that does not end well", () => {
  const payment = Effect.gen(function* () {
    const id = Samples.newPaymentId()
    return yield* Journal.existing(Journal.fold(initial(id), [Samples.initiated(), Samples.intended({ payment: id })], 0))
  })

  const works: { readonly [name: string]: Effect.Effect<never, string> } = {
    fails: Effect.fail("the store says no"),
    dies: Effect.die("bug")
  }
  for (const [name, work] of Object.entries(works)) {
    it.effect(`${name}: whoever waits is told what is durable, and the log says that recovery has to finish it`, () => {
      const { kept, lines } = Logs.collecting()
      return Effect.gen(function* () {
        const background = yield* Background.Background
        const durable = yield* payment
        const answer = yield* background.run(durable, () => work)
        assert.strictEqual(yield* Deferred.await(answer), durable)
        assert.isUndefined(background.answering(durable.id))
        assert.lengthOf(lines, 1)
        assert.deepInclude(lines[0], { level: "ERROR", annotations: { payment: durable.id } })
        assert.include(lines[0]?.message, "work on the payment died; recovery will finish it")
      }).pipe(Effect.provide(Background.layer.pipe(Layer.provide(memory))), kept)
    })
  }

  it.effect("is cut off: whoever waits is told what is durable", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const built = yield* Layer.buildWithScope(Background.layer.pipe(Layer.provide(memory)), scope)
      const background = Context.get(built, Background.Background)
      const durable = yield* payment
      const answer = yield* background.run(durable, () => Effect.never)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 minute")
      assert.isDefined(closing.pollUnsafe())
      assert.strictEqual(yield* Deferred.await(answer), durable)
    })
  )
})

describe("the end of the service", () => {
  const service = Effect.fnUntraced(function* (gateways: ReadonlyArray<Gateway>, settings: Partial<EngineSettings> = {}) {
    const scope = yield* Scope.make()
    const payments = Context.get(yield* Layer.buildWithScope(engineOver(gateways, settings), scope), Payments)
    return { payments, close: Scope.close(scope, Exit.void) }
  })

  const slow = (name: string, sendMillis: number, answer: (intent: Intent) => Outcome = success) =>
    testGateway(name, { send: (intent) => Effect.delay(Effect.succeed(answer(intent)), sendMillis) })

  it.effect("waits for the work in hand", () =>
    Effect.gen(function* () {
      const { close, payments } = yield* service([slow("a", 10_000)])
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(closing.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "succeeded")
    }).pipe(Effect.provide(memory))
  )

  it.effect("waits for the longest call that the settings allow, until its outcome is stored", () =>
    Effect.gen(function* () {
      // Nothing is answered: an attempt of 15 s, a wait of 14.9 s, and the last attempt starts just within the 30 s of its permission.
      const a = testGateway("a", { send: () => Effect.never })
      const settings = { retryKind: "fixed", retryBaseMillis: 14_900, retryCapMillis: 20_000, retryJitter: 0 } as const
      const { close, payments } = yield* service([a], settings)
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("10 millis")
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("44 seconds")
      assert.lengthOf(a.sent, 2)
      assert.isUndefined(closing.pollUnsafe(), "the last attempt is still waited for")
      yield* TestClock.adjust("1 second")
      assert.isDefined(closing.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "in_doubt", "its outcome was stored")
    }).pipe(Effect.provide(memory))
  )

  it.effect("waits no longer than one call and one wait for the store; recovery finds what was cut off", () =>
    Effect.gen(function* () {
      // Three charges of 14 s, one after the other.
      const gateways = [slow("a", 14_000, () => declined("soft")), slow("b", 14_000, () => declined("soft")), slow("c", 14_000)]
      const { close, payments } = yield* service(gateways, { sendWindowMillis: 10_000, storeWaitMillis: 2_000 })
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("26 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(closing.pollUnsafe())
      const { payment } = yield* Fiber.join(charging)
      assert.strictEqual(payment.status, "processing")
      const repository = yield* PaymentRepository
      const open = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, limit: 10 })
      assert.lengthOf(open.data, 1)
    }).pipe(Effect.provide(memory))
  )

  it.effect("a request that comes after it is answered as processing and not left waiting", () =>
    Effect.gen(function* () {
      const a = testGateway("a")
      const { close, payments } = yield* service([a])
      yield* close
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(payment.status, "processing")
      assert.lengthOf(a.sent, 0)
    }).pipe(Effect.provide(memory))
  )
})
