/**
 * Each fault of a gateway, and what the engine concludes of it: at once, and when recovery has asked. The sandbox' ledger is the truth.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { Injection } from "../../../src/domain/chaos/Injection.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import type { PaymentStatus } from "../../../src/domain/payment/Status.ts"
import * as ChaosGateway from "../../../src/gateways/chaos/ChaosGateway.ts"
import * as GatewayList from "../../../src/gateways/GatewayList.ts"
import * as ChaosControl from "../../../src/orchestration/chaos/ChaosControl.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { Chaos } from "../../../src/services/chaos/Chaos.ts"
import { Gateways } from "../../../src/services/Gateway.ts"
import * as Intents from "../../support/payments.ts"
import { planOf } from "../../support/chaos.ts"
import { chargeRequest, engine, tenant } from "../../support/TestEngine.ts"
import * as VirtualSandbox from "./virtualSandbox.ts"

/** What a charge ends as whose first request meets the fault: when it is answered, after recovery, and how often the customer was charged. */
interface Conclusion {
  readonly inject: Injection
  readonly first: PaymentStatus
  readonly last: PaymentStatus
  readonly charges: 0 | 1
  /** Does the fault strike before the gateway acts? Then nothing is in its ledger when the charge is answered. */
  readonly chargedAtFirst: 0 | 1
}

const notSent = { first: "failed", last: "failed", charges: 0, chargedAtFirst: 0 } as const
const lostBefore = { first: "in_doubt", last: "succeeded", charges: 1, chargedAtFirst: 0 } as const
const lostAfter = { first: "in_doubt", last: "succeeded", charges: 1, chargedAtFirst: 1 } as const
const fine = { first: "succeeded", last: "succeeded", charges: 1, chargedAtFirst: 1 } as const

const conclusions: ReadonlyArray<Conclusion> = [
  { inject: { type: "network" }, ...notSent },
  { inject: { type: "pool_exhausted" }, ...notSent },
  { inject: { type: "rate_limited" }, ...notSent },
  { inject: { type: "reset", executed: false }, ...lostBefore },
  { inject: { type: "reset", executed: true }, ...lostAfter },
  { inject: { type: "timeout", executed: false }, ...lostBefore },
  { inject: { type: "timeout", executed: true }, ...lostAfter },
  { inject: { type: "server_error", status: 500, executed: false }, ...lostBefore },
  { inject: { type: "server_error", status: 500, executed: true }, ...lostAfter },
  { inject: { type: "server_error", status: 503, executed: false, retryAfterMillis: 2_000 }, ...lostBefore },
  { inject: { type: "corrupt_response" }, ...lostAfter },
  { inject: { type: "response_lost" }, ...lostAfter },
  { inject: { type: "latency" }, ...fine },
  { inject: { type: "latency", minMillis: 5_000, maxMillis: 5_000, on: "request" }, ...fine },
  { inject: { type: "latency", minMillis: 60_000 }, ...lostAfter },
  { inject: { type: "crash", executed: false }, ...lostBefore },
  { inject: { type: "crash", executed: true }, ...lostAfter }
]

/** Runs a program while time passes. */
const whileTimePasses = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const running = yield* Effect.forkChild(program)
    yield* TestClock.adjust("2 minutes")
    return yield* Fiber.join(running)
  })

const settings = { retries: 0 }
const charge = Payments.Payments.use((payments) => payments.charge(chargeRequest("order-1")))

describe("a charge whose request meets a fault", () => {
  for (const { charges, chargedAtFirst, first, inject, last } of conclusions) {
    it.effect(`${JSON.stringify(inject)}: ${first}, then ${last}`, () =>
      Effect.gen(function* () {
        const sandbox = yield* VirtualSandbox.start(["a"])
        const chaos = yield* ChaosControl.make({
          plan: planOf([{ when: { type: "calls", calls: [1] }, operations: ["sale"], inject }])
        })
        yield* Effect.gen(function* () {
          const { payment } = yield* whileTimePasses(charge)
          assert.strictEqual(payment.status, first)
          assert.lengthOf(yield* sandbox.ledger, chargedAtFirst)
          assert.strictEqual((yield* chaos.status).injections, 1)
          for (let round = 0; round < 5; round++) {
            yield* whileTimePasses(Payments.Payments.use((payments) => payments.recover({ olderThanMillis: 0 })))
          }
          const after = yield* Payments.Payments.use((payments) => payments.get({ id: payment.id, tenant }))
          assert.strictEqual(after.status, last)
          assert.lengthOf(yield* sandbox.ledger, charges)
        }).pipe(
          Effect.provide(
            engine(
              sandbox.gateways.map((gateway) => ChaosGateway.make(gateway, chaos)),
              settings
            )
          )
        )
      })
    )
  }
})

describe("look-ups with faults", () => {
  const faults: ReadonlyArray<Injection> = [
    { type: "network" },
    { type: "reset", executed: true },
    { type: "timeout", executed: true },
    { type: "server_error", status: 503, executed: true },
    { type: "rate_limited" },
    { type: "corrupt_response" },
    { type: "response_lost" },
    { type: "pool_exhausted" },
    { type: "crash", executed: false }
  ]
  it.effect("say nothing: no fault answers that something is absent, declined or done", () =>
    Effect.gen(function* () {
      for (const inject of faults) {
        const sandbox = yield* VirtualSandbox.start(["a"])
        const chaos = yield* ChaosControl.make({
          plan: planOf([
            { when: { type: "calls", calls: [1] }, operations: ["sale"], inject: { type: "response_lost" } },
            { when: { type: "random", rate: 1 }, operations: ["lookup"], inject }
          ])
        })
        const gateways = sandbox.gateways.map((gateway) => ChaosGateway.make(gateway, chaos))
        yield* Effect.gen(function* () {
          const { payment } = yield* whileTimePasses(charge)
          const intent = Intents.intent({ payment: payment.id })
          const question = { payment: payment.id, intent, gatewayReference: undefined }
          for (const gateway of gateways) {
            const exit = yield* whileTimePasses(Effect.exit(gateway.lookup(question)))
            if (inject.type === "crash") assert.isTrue(Exit.hasDies(exit))
            else assert.strictEqual(exit._tag === "Success" ? exit.value._tag : exit._tag, "Unknown", inject.type)
          }
          yield* whileTimePasses(Payments.Payments.use((payments) => payments.recover({ olderThanMillis: 0, dryRun: true })))
          const doubtful = yield* Payments.Payments.use((payments) => payments.get({ id: payment.id, tenant }))
          assert.strictEqual(doubtful.status, "in_doubt", inject.type)
          assert.isAtLeast((yield* chaos.status).injections, 2, inject.type)
          yield* chaos.stop
          for (let round = 0; round < 3; round++) {
            yield* whileTimePasses(Payments.Payments.use((payments) => payments.recover({ olderThanMillis: 0 })))
          }
          const after = yield* Payments.Payments.use((payments) => payments.get({ id: payment.id, tenant }))
          assert.strictEqual(after.status, "succeeded", inject.type)
          assert.lengthOf(yield* sandbox.ledger, 1)
        }).pipe(
          Effect.provide(
            engine(
              sandbox.gateways.map((gateway) => ChaosGateway.make(gateway, chaos)),
              settings
            )
          )
        )
      }
    })
  )
})

const gatewaysWith = (given: Gateways["Service"]) =>
  Effect.map(Layer.build(Layer.provide(ChaosGateway.layer, Layer.succeed(Gateways, given))), (context) => Context.get(context, Gateways))

describe("a gateway with faults", () => {
  it.effect("has everything else of the gateway, and starts earlier by the longest delay of a request", () =>
    Effect.gen(function* () {
      const sandbox = yield* VirtualSandbox.start(["a"])
      const chaos = yield* ChaosControl.make()
      for (const gateway of sandbox.gateways) {
        const faulty = ChaosGateway.make(gateway, chaos)
        const { connectLimitMillis, list, lookup, send, ...others } = faulty
        assert.strictEqual(connectLimitMillis, (gateway.connectLimitMillis ?? 0) + 5_000)
        for (const [name, value] of Object.entries(others)) assert.strictEqual(value, Reflect.get(gateway, name), name)
        assert.isFunction(list)
        assert.isFunction(send)
        assert.isFunction(lookup)
      }
    })
  )

  it.effect("lists nothing while it cannot be reached, late while it is slow, and otherwise everything", () =>
    Effect.gen(function* () {
      const sandbox = yield* VirtualSandbox.start(["a"])
      const chaos = yield* ChaosControl.make({
        plan: planOf([
          { when: { type: "calls", calls: [1] }, operations: ["list"], inject: { type: "network" } },
          { when: { type: "calls", calls: [2] }, operations: ["list"], inject: { type: "latency", minMillis: 400, maxMillis: 400 } },
          { when: { type: "random", rate: 1 }, operations: ["list"], inject: { type: "pool_exhausted", waitMillis: 300 }, maxInjections: 1 }
        ])
      })
      const [gateway] = sandbox.gateways.map((one) => ChaosGateway.make(one, chaos))
      if (gateway?.list === undefined) return assert.fail("no list")
      yield* Effect.provide(whileTimePasses(charge), engine([gateway], settings))
      const listed = Stream.runCollect(gateway.list({ from: 0, to: Number.MAX_SAFE_INTEGER }))
      const failed = yield* Effect.flip(listed)
      assert.deepInclude(failed, { _tag: "GatewayListFailed", gateway: GatewayName.make("a") })
      for (const [millis, ending] of [
        [400, "Success"],
        [300, "Failure"],
        [0, "Success"]
      ] as const) {
        const listing = yield* Effect.forkChild(Effect.exit(listed))
        yield* TestClock.adjust(Math.max(0, millis - 1))
        if (millis > 0) assert.isUndefined(listing.pollUnsafe(), "not before its time")
        yield* TestClock.adjust(1)
        const exit = yield* Fiber.join(listing)
        assert.strictEqual(exit._tag, ending)
        if (Exit.isSuccess(exit)) assert.lengthOf(exit.value, 1)
      }
    })
  )

  it.effect("is the very same object where there is no switch", () =>
    Effect.gen(function* () {
      const sandbox = yield* VirtualSandbox.start(["a", "b"])
      const given = GatewayList.make(sandbox.gateways)
      const found = yield* gatewaysWith(given)
      assert.strictEqual(found, given)
      const chaos = yield* ChaosControl.make()
      const faulty = yield* Effect.provideService(gatewaysWith(given), Chaos, chaos)
      assert.notStrictEqual(faulty, given)
      assert.deepStrictEqual(
        faulty.all.map(({ name }) => name),
        [GatewayName.make("a"), GatewayName.make("b")]
      )
    })
  )
})
