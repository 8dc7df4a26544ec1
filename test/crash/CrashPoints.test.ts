/**
 * A crash at every point (src/services/CrashPoint.ts), in every scenario that meets it: the process ends there without finalizers, another one
 * recovers, the caller repeats its request, and the payment is what the ledgers of the gateways say.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import { type Outcome } from "../../src/domain/operation/Outcome.ts"
import { GatewayName, GatewayReference, type PaymentId, requestKeyOf } from "../../src/domain/payment/Ids.ts"
import { replay } from "../../src/domain/payment/Replay.ts"
import * as View from "../../src/domain/payment/View.ts"
import * as Relay from "../../src/orchestration/notify/Relay.ts"
import * as WebhookProcessing from "../../src/orchestration/notify/WebhookProcessing.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import * as Expiry from "../../src/orchestration/recovery/Expiry.ts"
import * as CrashPoint from "../../src/services/CrashPoint.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { type Delivery, Notifier } from "../../src/services/notify/Notifier.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as CrashingProcess from "../support/CrashingProcess.ts"
import { operationNumber } from "../support/payments.ts"
import { chargeRequest, declined, key, memory, pending, requiresAction, success, tenant, unknown } from "../support/TestEngine.ts"
import * as TestHostTransaction from "../support/TestHostTransaction.ts"
import { arrives, type Script, scripted, tells, withWebhooks } from "../support/webhooks.ts"
import * as LedgerGateway from "./LedgerGateway.ts"

/** What a step may work with. */
interface World {
  readonly gateways: ReadonlyArray<LedgerGateway.LedgerGateway>
  readonly webhooks: Script
  readonly delivered: Array<{ readonly payment: PaymentId; readonly version: number }>
  id: PaymentId | undefined
}

type Step = (world: World) => Effect.Effect<unknown, unknown, CrashingProcess.Services | Notifier>

interface Scenario {
  readonly name: string
  /** Exactly the points that it meets. */
  readonly points: ReadonlyArray<CrashPoint.Point>
  readonly gateways: () => ReadonlyArray<LedgerGateway.LedgerGateway>
  /** An earlier process took the first step and ended at this point. */
  readonly before?: CrashPoint.Point
  /** What happens between that end and the process that is looked at. */
  readonly meanwhile?: (world: World) => void
  readonly steps: ReadonlyArray<Step>
  readonly status: View.PaymentView["status"]
  /** Where it may stand instead after a crash: a confirm that was never sent leaves the payment to the customer, and to a new key. */
  readonly orElse?: View.PaymentView["status"]
}

const charge: Step = (world) =>
  Effect.gen(function* () {
    const { payment } = yield* (yield* Payments).charge(chargeRequest("k1", { captureMethod: "automatic" }))
    world.id = payment.id
  })
const authorize: Step = (world) =>
  Effect.gen(function* () {
    const { payment } = yield* (yield* Payments).charge(chargeRequest("k1", { captureMethod: "manual" }))
    world.id = payment.id
  })
const prepare: Step = (world) =>
  Effect.gen(function* () {
    const payments = yield* Payments
    const { payment } = yield* TestHostTransaction.inTransaction(payments.prepare(chargeRequest("k1")))
    world.id = payment.id
  })
const command =
  (name: "confirm" | "capture" | "refund" | "cancel", amount?: bigint): Step =>
  ({ id }) =>
    Effect.gen(function* () {
      const payments = yield* Payments
      if (id === undefined) return yield* Effect.die(new Error("no payment yet"))
      yield* payments[name]({ tenant, id, key: key(name), ...(amount === undefined ? {} : { amount }) })
    })
const recover: Step = () => Effect.flatMap(Payments, (payments) => payments.recover({}))
const webhook: Step = ({ gateways, id, webhooks }) =>
  Effect.gen(function* () {
    if (id === undefined) return yield* Effect.die(new Error("no payment yet"))
    gateways[0]?.complete("sale")
    gateways[0]?.complete("authorize")
    const sale = gateways[0]?.entries.find(({ payment }) => payment === id)
    if (sale !== undefined) webhooks.set("ev1", tells(requestKeyOf({ payment: id, operation: operationNumber(1) }), success(sale.intent)))
    yield* arrives("a", "ev1")
    yield* WebhookProcessing.runOnce()
  })
const relay: Step = () => Effect.flatMap(Relay.make(), ({ runOnce }) => runOnce)

/** The customer does not come for a day. */
const expire: Step = () => Effect.andThen(TestClock.adjust("25 hours"), Expiry.expire())
/** A person knows that it was not charged; said again after a crash only where it was not recorded. */
const resolve: Step = ({ id }) =>
  Effect.gen(function* () {
    const payments = yield* Payments
    const { data } = yield* (yield* PaymentRepository).list({ tenant, limit: 1 })
    const [view] = data
    if (view === undefined) return yield* Effect.die(new Error(`no payment ${id} yet`))
    if (view.status !== "needs_review") return
    yield* payments.resolve({ id: view.id, tenant, as: "failed", reason: "not on the statement", withoutAnswer: true })
  })

/** Ten minutes later the books of the gateway are compared with ours, twice. */
const reconcile: Step = () =>
  Effect.gen(function* () {
    yield* TestClock.adjust("10 minutes")
    const payments = yield* Payments
    const range = { gateway: GatewayName.make("a"), from: 0, to: 86_400_000 }
    const first = yield* payments.reconcile(range)
    const second = yield* payments.reconcile(range)
    assert.deepStrictEqual([first.listed, first.resolved, second.matched, second.findings.length], [1, 1, 1, 0])
  })

/** A charge waits for the customer; everything else succeeds. */
const waits = (intent: Intent): Outcome => (intent.kind === "sale" ? requiresAction : success(intent))
const stepUp = (intent: Intent): Outcome =>
  intent.kind === "sale" && intent.details.stepUp !== true ? declined("authentication_required") : waits(intent)

const declinedOpen = (intent: Intent): Outcome =>
  intent.kind === "sale" ? { ...declined("soft"), gatewayReference: GatewayReference.make("open") } : success(intent)
/** Recognises a repetition for 41 s: after a minute it can neither be asked nor sent the request again. */
const blind = { lookupByReference: undefined, replayWindowMillis: 41_000, cancelByReference: "none" } as const

const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "a charge whose answer is lost once",
    points: ["charge/after-intent", "operation/before-call", "call/between-attempts", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", () => "lost")],
    steps: [charge],
    status: "succeeded"
  },
  {
    name: "a charge that goes to the next gateway",
    points: ["charge/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", () => declined("gateway_error")), LedgerGateway.make("b")],
    steps: [charge],
    status: "succeeded"
  },
  {
    name: "a charge whose decline has to be closed",
    points: ["charge/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", declinedOpen, { charges: { leavesOpenAfterDecline: true } }), LedgerGateway.make("b")],
    steps: [charge],
    status: "succeeded"
  },
  {
    name: "a payment prepared in the host's transaction",
    points: [
      "charge/after-intent",
      "prepare/after-host-commit",
      "operation/before-call",
      "operation/after-call",
      "operation/after-outcome"
    ],
    gateways: () => [LedgerGateway.make("a")],
    steps: [prepare],
    status: "succeeded"
  },
  {
    name: "an authorization, its captures and refunds",
    points: ["charge/after-intent", "modify/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a")],
    steps: [authorize, command("capture", 3000n), command("refund", 1000n)],
    status: "partially_refunded"
  },
  {
    name: "an authorization that is cancelled",
    points: ["charge/after-intent", "modify/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a")],
    steps: [authorize, command("cancel")],
    status: "cancelled"
  },
  {
    name: "the recovery of a request that was never sent",
    before: "operation/before-call",
    points: [
      "recovery/after-lease",
      "recovery/after-question",
      "recovery/after-permission",
      "operation/before-call",
      "operation/after-call",
      "operation/after-outcome"
    ],
    gateways: () => [LedgerGateway.make("a")],
    steps: [recover],
    status: "succeeded"
  },
  {
    name: "the recovery of an answer that was not stored, and the next gateway",
    before: "operation/after-call",
    points: ["recovery/after-lease", "recovery/after-question", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", () => declined("gateway_error")), LedgerGateway.make("b")],
    steps: [recover],
    status: "succeeded"
  },
  {
    name: "the recovery of a close whose object the customer has paid",
    before: "operation/after-outcome",
    meanwhile: ({ gateways }) => gateways[0]?.complete("sale"),
    points: ["recovery/after-lease", "recovery/after-question", "recovery/after-target"],
    gateways: () => [
      LedgerGateway.make("a", (intent) => (intent.kind === "void" ? declined("invalid_data") : declinedOpen(intent)), {
        charges: { leavesOpenAfterDecline: true }
      })
    ],
    steps: [recover],
    status: "succeeded"
  },
  {
    name: "the recovery at a gateway that can tell nothing",
    before: "operation/before-call",
    points: ["recovery/after-lease", "recovery/after-question", "recovery/before-review"],
    gateways: () => [LedgerGateway.make("a", success, { charges: blind })],
    steps: [recover],
    status: "needs_review"
  },
  {
    name: "a payment that ends by webhook",
    points: [
      "charge/after-intent",
      "operation/before-call",
      "operation/after-call",
      "operation/after-outcome",
      "webhook/after-store",
      "webhook/after-truth"
    ],
    gateways: () => [LedgerGateway.make("a", (intent) => (intent.kind === "sale" ? pending : success(intent)))],
    steps: [charge, webhook],
    status: "succeeded"
  },
  {
    name: "a charge that the customer confirms",
    points: ["charge/after-intent", "modify/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", waits)],
    steps: [charge, command("confirm")],
    status: "succeeded",
    orElse: "requires_action"
  },
  {
    name: "a charge that needs a step-up, and its confirm",
    points: ["charge/after-intent", "modify/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", stepUp)],
    steps: [charge, command("confirm")],
    status: "succeeded",
    orElse: "requires_action"
  },
  {
    name: "a customer who never comes",
    points: ["charge/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", waits)],
    steps: [charge, expire],
    status: "expired"
  },
  {
    name: "a success that is told after the cancel, and is reversed",
    points: [
      "charge/after-intent",
      "modify/after-intent",
      "operation/before-call",
      "operation/after-call",
      "operation/after-outcome",
      "webhook/after-store",
      "webhook/after-truth"
    ],
    gateways: () => [LedgerGateway.make("a", waits)],
    steps: [charge, command("cancel"), webhook],
    status: "cancelled"
  },
  {
    name: "a cancel while the gateway is still at it",
    points: ["charge/after-intent", "modify/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome"],
    gateways: () => [LedgerGateway.make("a", (intent) => (intent.kind === "authorize" ? pending : success(intent)))],
    steps: [authorize, command("cancel")],
    status: "cancelled"
  },
  {
    name: "a cancel that is recorded while the outcome is unknown",
    points: [
      "charge/after-intent",
      "operation/before-call",
      "operation/after-call",
      "operation/after-outcome",
      "webhook/after-store",
      "webhook/after-truth"
    ],
    gateways: () => [LedgerGateway.make("a", (intent) => (intent.kind === "authorize" ? unknown : success(intent)))],
    steps: [authorize, command("cancel"), webhook],
    status: "cancelled"
  },
  {
    name: "a person's word on what nobody can find out",
    before: "operation/before-call",
    points: ["recovery/after-lease", "recovery/after-question", "recovery/before-review"],
    gateways: () => [LedgerGateway.make("a", success, { charges: blind })],
    steps: [recover, resolve],
    status: "failed"
  },
  {
    name: "the reconciliation of an answer that was not stored",
    before: "operation/after-call",
    points: [],
    gateways: () => [LedgerGateway.make("a")],
    steps: [reconcile],
    status: "succeeded"
  },
  {
    name: "the delivery of a payment's events",
    points: ["charge/after-intent", "operation/before-call", "operation/after-call", "operation/after-outcome", "relay/after-delivery"],
    gateways: () => [LedgerGateway.make("a")],
    steps: [charge, relay],
    status: "succeeded"
  }
]

/** In memory, with a host whose transactions the steps open. */
const stores = Layer.merge(memory, TestHostTransaction.layer)

/** Runs a scenario with a crash at the nth point, or none; answers the points that its process met. */
const play = (scenario: Scenario, crashAt: number | undefined) =>
  Effect.gen(function* () {
    const world: World = { gateways: scenario.gateways(), webhooks: new Map(), delivered: [], id: undefined }
    const gateways = world.gateways.map(({ gateway }) => withWebhooks(gateway, scripted(world.webhooks)))
    const notifier = Layer.succeed(
      Notifier,
      Notifier.of({
        endpointOf: () => "host",
        deliver: (_, { payment, version }) =>
          Effect.sync((): Delivery => {
            world.delivered.push({ payment, version })
            return { _tag: "Delivered" }
          })
      })
    )
    const started = (at?: number | CrashPoint.Point) =>
      CrashingProcess.start({
        gateways,
        settings: { allowUnsafeGateways: true },
        time: CrashingProcess.testTime,
        ...(at === undefined ? {} : { crashAt: at })
      })
    const taken = (step: Step) => Effect.provide(step(world), notifier)
    if (scenario.before !== undefined) {
      assert.strictEqual(yield* (yield* started(scenario.before)).run(taken(charge)), "crashed")
      scenario.meanwhile?.(world)
      yield* TestClock.adjust("1 minute")
    }
    const first = yield* started(crashAt)
    let process = first
    for (const step of scenario.steps) {
      let end = yield* process.run(taken(step))
      if (end === "crashed") {
        process = yield* started()
        for (let run = 0; run < 3; run++) {
          yield* TestClock.adjust("1 minute")
          assert.isTrue(Exit.isExit(yield* process.run(taken(recover))))
        }
        if (world.id === undefined) yield* process.run(Effect.ignore(taken(charge)))
        end = yield* process.run(taken(step))
      }
      assert.isTrue(end !== "crashed" && Exit.isSuccess(end), `${step.name}: ${JSON.stringify(end)}`)
    }
    for (let run = 0; run < 3; run++) {
      yield* TestClock.adjust("1 minute")
      yield* process.run(taken(recover))
    }
    if (scenario.steps.includes(relay)) yield* process.run(taken(relay))
    yield* check(scenario, world, crashAt !== undefined)
    return first.trace
  }).pipe(Effect.provide(stores, { local: true }))

const check = Effect.fnUntraced(function* (scenario: Scenario, world: World, crashed: boolean) {
  const repository = yield* PaymentRepository
  const store = yield* EventStore
  const { data } = yield* repository.list({ tenant, limit: 10 })
  const [view] = data
  assert.lengthOf(data, 1, "one key, one payment")
  if (view === undefined) return
  assert.include([scenario.status, ...(crashed && scenario.orElse !== undefined ? [scenario.orElse] : [])], view.status)
  if (scenario.status !== "needs_review") assert.deepStrictEqual(LedgerGateway.differences(view, world.gateways), [])
  const open = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, limit: 10 })
  assert.lengthOf(open.data, ["needs_review", "requires_action"].includes(view.status) ? 1 : 0)
  const events = yield* store.read(view.id)
  const state = Result.getOrThrow(replay(view.id, events))
  assert.isTrue(state._tag === "Payment")
  if (state._tag === "Payment") assert.deepStrictEqual(View.ofPayment(state), view)
  if (scenario.steps.includes(relay)) {
    const versions = [...new Set(world.delivered.map(({ version }) => version))]
    assert.deepStrictEqual(
      versions,
      events.map(({ version }) => version),
      "each event was delivered, first deliveries in order"
    )
  }
})

describe("a crash at every point of", () => {
  for (const scenario of scenarios) {
    it.effect(scenario.name, () =>
      Effect.gen(function* () {
        const trace = yield* play(scenario, undefined)
        assert.deepStrictEqual([...new Set(trace)].sort(), [...scenario.points].sort(), "it meets the points it names")
        for (let nth = 1; nth <= trace.length; nth++) {
          const crashed = yield* Effect.exit(play(scenario, nth))
          assert.isTrue(Exit.isSuccess(crashed), `crashed at point ${nth}, ${trace[nth - 1]}: ${String(crashed)}`)
        }
      })
    )
  }

  it("all points are met", () => {
    const met = new Set(scenarios.flatMap(({ points }) => points))
    assert.deepStrictEqual([...met].sort(), [...CrashPoint.points].sort())
  })
})
