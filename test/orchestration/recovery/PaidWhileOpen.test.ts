/**
 * What overtakes a cancel or a close: the customer pays an object that a decline left open, the outcome comes before the cancel. Each
 * was found by the simulation.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { GatewayReference } from "../../../src/domain/payment/Ids.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import {
  chargeRequest,
  declined,
  key,
  memory,
  pending,
  requiresAction,
  success,
  tenant,
  testGateway,
  type TestGateway,
  unknown
} from "../../support/TestEngine.ts"
import { eventsOf, start, typesOf } from "../../support/TestProcess.ts"

const action = GatewayReference.make("action")

const recoverOften = Effect.fnUntraced(function* (gateway: TestGateway, times: number) {
  const process = yield* start([gateway])
  for (let run = 0; run < times; run++) {
    const running = yield* Effect.forkChild(process.payments.recover({}))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(running)
  }
})

const statusOf = Effect.fnUntraced(function* (id: Parameters<typeof eventsOf>[0]) {
  const found = yield* PaymentRepository.use((repository) => repository.get({ id }))
  return found._tag === "Some" ? found.value.status : "missing"
})

describe("a declined confirm", () => {
  it.effect("whose object the customer then pays: found out by the object, and no contradiction", () =>
    Effect.gen(function* () {
      const gateway = testGateway("a", {
        charges: { leavesOpenAfterDecline: true },
        send: (intent) =>
          Effect.succeed(
            intent.kind === "sale" ? requiresAction : intent.kind === "confirm" ? declined("authentication_required") : unknown
          ),
        lookup: (intent) =>
          Effect.succeed(
            intent.kind === "sale"
              ? { ...success(intent), gatewayReference: action }
              : intent.kind === "confirm"
                ? declined("authentication_required")
                : { _tag: "Absent" }
          )
      })
      const process = yield* start([gateway])
      const { payment } = yield* process.payments.charge(chargeRequest("k1"))
      yield* process.payments.confirm({ tenant, key: key("k2"), id: payment.id })
      yield* recoverOften(gateway, 3)
      assert.strictEqual(yield* statusOf(payment.id), "succeeded")
      const types = yield* typesOf(payment.id)
      assert.notInclude(types, "ReviewOpened")
      assert.lengthOf(
        types.filter((type) => type === "OperationSucceeded"),
        1
      )
    }).pipe(Effect.provide(memory))
  )
})

describe("an action of the customer", () => {
  it.effect("that recovery hears of again and again is recorded once", () =>
    Effect.gen(function* () {
      const gateway = testGateway("a", {
        send: () => Effect.succeed(requiresAction),
        lookup: () => Effect.succeed(requiresAction as LookupAnswer)
      })
      const process = yield* start([gateway])
      const { payment } = yield* process.payments.charge(chargeRequest("k1"))
      const before = yield* eventsOf(payment.id)
      yield* recoverOften(gateway, 5)
      assert.isAtLeast(gateway.asked.length, 4)
      assert.lengthOf(yield* eventsOf(payment.id), before.length)
    }).pipe(Effect.provide(memory))
  )
})

describe("a cancel that the outcome overtook", () => {
  it.effect("at a gateway that cannot be asked about the cancel: ends, and the charge stands", () =>
    Effect.gen(function* () {
      const able = testGateway("a", {
        send: (intent) => Effect.succeed(intent.kind === "sale" ? pending : unknown),
        lookup: (intent) => Effect.succeed({ ...success(intent), gatewayReference: GatewayReference.make("pending") })
      })
      const { operations } = able.capabilities
      const mute = { ...operations.void, lookupByReference: undefined }
      const gateway: TestGateway = { ...able, capabilities: { ...able.capabilities, operations: { ...operations, void: mute } } }
      const process = yield* start([gateway])
      const { payment } = yield* process.payments.charge(chargeRequest("k1"))
      yield* process.payments.cancel({ tenant, key: key("k2"), id: payment.id })
      yield* recoverOften(gateway, 4)
      assert.strictEqual(yield* statusOf(payment.id), "succeeded")
      assert.notInclude(yield* typesOf(payment.id), "ReviewOpened")
      assert.lengthOf(
        able.sent.filter(({ kind }) => kind === "void"),
        1
      )
    }).pipe(Effect.provide(memory))
  )
})
