/**
 * The scope of the service: adapters that break their contract, and the end of the service.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import { chargeRequest, engine, engineOver, memory, success, tenant, testGateway } from "../support/TestEngine.ts"

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

describe("the end of the service", () => {
  const service = Effect.fnUntraced(function* (sendMillis: number) {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), sendMillis) })
    const scope = yield* Scope.make()
    const layer = engineOver([a], { attemptTimeoutMillis: 3_600_000 })
    const payments = Context.get(yield* Layer.buildWithScope(layer, scope), Payments)
    return { a, payments, close: Scope.close(scope, Exit.void) }
  })

  it.effect("waits for the work in hand", () =>
    Effect.gen(function* () {
      const { close, payments } = yield* service(10_000)
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

  it.effect("waits no longer than one send window and one wait for the store; recovery finds what was cut off", () =>
    Effect.gen(function* () {
      const { close, payments } = yield* service(1_000_000)
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("35 seconds")
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
      const { a, close, payments } = yield* service(0)
      yield* close
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(payment.status, "processing")
      assert.lengthOf(a.sent, 0)
    }).pipe(Effect.provide(memory))
  )
})
