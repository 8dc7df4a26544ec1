/**
 * The engine over the fake Stripe and real HTTP: a crash at every point of a payment's life, recovery until it rests, and the payment is what
 * the fake's ledger says. Webhooks, disputes and reconciliation over the same.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { GatewayName, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type { PaymentStatus } from "../../../src/domain/payment/Status.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as WebhookProcessing from "../../../src/orchestration/notify/WebhookProcessing.ts"
import * as WebhookReceipt from "../../../src/orchestration/notify/WebhookReceipt.ts"
import * as Background from "../../../src/orchestration/operation/Background.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import * as Review from "../../../src/orchestration/recovery/Review.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import type { EngineSettings } from "../../../src/services/Settings.ts"
import * as CrashingProcess from "../../support/CrashingProcess.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { chargeRequest, engine, key, memory, tenant } from "../../support/TestEngine.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

/** Short limits, in the proportions of the defaults: two attempts fit into a window. */
const settings: Partial<EngineSettings> = {
  attemptTimeoutMillis: 900,
  sendWindowMillis: 1_800,
  retries: 1,
  retryBaseMillis: 20,
  retryCapMillis: 20,
  storeWaitMillis: 2_000,
  recoveryLeaseMillis: 900
}
const account = { settleTimeMillis: 1_500, connectLimitMillis: 300 }

type Step = (fake: FakeStripe.FakeStripe, id: PaymentId | undefined) => Effect.Effect<unknown, unknown, Payments>

const method = (token: string) => ({ type: "card", token: Token.make(token) }) as const
const charge =
  (token: string, captureMethod: "automatic" | "manual" = "automatic"): Step =>
  () =>
    Effect.flatMap(Payments, (payments) =>
      payments.charge(chargeRequest("k1", { captureMethod, method: method(token), returnUrl: "https://shop.example/return" }))
    )
const command =
  (name: "capture" | "refund" | "cancel" | "confirm", amount?: bigint): Step =>
  (_, id) =>
    id === undefined
      ? Effect.void
      : Effect.flatMap(Payments, (payments) => payments[name]({ tenant, id, key: key(name), ...(amount === undefined ? {} : { amount }) }))
/** The customer passes the page of the next action. */
const acts: Step = (fake) => Effect.sync(() => [...fake.account.intents.keys()].forEach((id) => fake.account.customer(id, "complete")))

interface Scenario {
  readonly name: string
  readonly steps: ReadonlyArray<Step>
  readonly status: PaymentStatus
  /** What was done with money, in order. */
  readonly ledger: ReadonlyArray<readonly [kind: string, amount: number]>
}

const scenarios: ReadonlyArray<Scenario> = [
  { name: "a charge", steps: [charge("pm_card_visa")], status: "succeeded", ledger: [["charge", 4990]] },
  {
    name: "a charge whose answer is lost",
    steps: [charge("pm_fault_charge_timeout_after")],
    status: "succeeded",
    ledger: [["charge", 4990]]
  },
  {
    name: "a charge that is answered by a stored 500",
    steps: [charge("pm_fault_charge_5xx_after")],
    status: "succeeded",
    ledger: [["charge", 4990]]
  },
  {
    name: "a charge whose request is lost once",
    steps: [charge("pm_fault_charge_reset_before_once")],
    status: "succeeded",
    ledger: [["charge", 4990]]
  },
  { name: "a charge that arrives late", steps: [charge("pm_fault_charge_late")], status: "succeeded", ledger: [["charge", 4990]] },
  { name: "a declined charge", steps: [charge("pm_card_chargeDeclined")], status: "failed", ledger: [["void", 0]] },
  {
    name: "an authorization and a capture in part",
    steps: [charge("pm_card_visa", "manual"), command("capture", 1990n)],
    status: "succeeded",
    ledger: [
      ["authorize", 4990],
      ["capture", 1990]
    ]
  },
  {
    name: "a capture whose answer is lost",
    steps: [charge("pm_fault_capture_reset_after", "manual"), command("capture")],
    status: "succeeded",
    ledger: [
      ["authorize", 4990],
      ["capture", 4990]
    ]
  },
  {
    name: "an authorization that is cancelled",
    steps: [charge("pm_card_visa", "manual"), command("cancel")],
    status: "cancelled",
    ledger: [
      ["authorize", 4990],
      ["void", 4990]
    ]
  },
  {
    name: "a refund whose answer is lost",
    steps: [charge("pm_fault_refund_timeout_after"), command("refund", 990n)],
    status: "partially_refunded",
    ledger: [
      ["charge", 4990],
      ["refund", 990]
    ]
  },
  {
    name: "3-D Secure",
    steps: [charge("pm_card_threeDSecure2Required"), acts, command("confirm")],
    status: "succeeded",
    ledger: [["charge", 4990]]
  }
]

/** What the engine waits for is over. */
const isAtRest = (status: PaymentStatus): boolean => status !== "processing" && status !== "in_doubt"
const only = Effect.flatMap(PaymentRepository, (repository) => Effect.map(repository.list({ tenant, limit: 10 }), ({ data }) => data))

/** A database of its own for every life of a payment. */
const postgres = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.orDie
)

const openStatuses: ReadonlySet<string> = new Set(["processing", "unknown", "pending"])

type Stores = Layer.Layer<Extract<Layer.Success<typeof memory>, Layer.Success<typeof postgres>>>

const play = (scenario: Scenario, crashAt: number | undefined, stores: Stores) =>
  Effect.gen(function* () {
    const fake = yield* FakeStripe.started({ lateMillis: 400 })
    const gateways = [yield* gatewayOf(accountOf(fake.url, account))]
    const started = (at?: number) =>
      CrashingProcess.start({ gateways, settings, time: CrashingProcess.realTime, ...(at === undefined ? {} : { crashAt: at }) })
    const first = yield* started(crashAt)
    let process = first
    const rested = Effect.fnUntraced(function* () {
      for (let run = 0; run < 200; run++) {
        const [view] = yield* only
        if (view === undefined || (isAtRest(view.status) && view.operations.every(({ status }) => !openStatuses.has(status)))) return
        yield* Effect.sleep("100 millis")
        const report = yield* process.run(Effect.flatMap(Payments, (payments) => payments.recover({ olderThanMillis: 0 })))
        if (report === "crashed") process = yield* started()
      }
    })
    for (const step of scenario.steps) {
      const again = Effect.flatMap(only, ([view]) => process.run(Effect.suspend(() => step(fake, view?.id))))
      const end = yield* again
      if (end === "crashed") {
        process = yield* started()
        yield* rested()
        // The caller repeats its request under its key.
        const repeated = yield* again
        assert.isTrue(repeated !== "crashed" && Exit.isSuccess(repeated), JSON.stringify(repeated))
      }
      yield* rested()
    }
    const views = yield* only
    assert.lengthOf(views, 1, "one key, one payment")
    assert.strictEqual(views[0]?.status, scenario.status)
    assert.deepStrictEqual(
      fake.account.movements.map(({ amount, kind }) => [kind, amount]),
      scenario.ledger.map(([kind, amount]) => [kind, amount])
    )
    return first.trace
  }).pipe(Effect.provide(stores, { local: true }), Effect.scoped)

/** On Postgres a charge and a refund whose answers are lost. */
const lives = scenarios.flatMap(
  (scenario): ReadonlyArray<{ readonly scenario: Scenario; readonly stores: Stores; readonly where: string }> => [
    { scenario, stores: memory, where: "memory" },
    ...(scenario.name.endsWith("whose answer is lost") && !scenario.name.includes("capture")
      ? [{ scenario, stores: postgres, where: "Postgres" }]
      : [])
  ]
)

describe("a crash at every point of", () => {
  for (const { scenario, stores, where } of lives) {
    it.live(
      `${scenario.name}, in ${where}`,
      () =>
        Effect.gen(function* () {
          const trace = yield* play(scenario, undefined, stores)
          assert.isAbove(trace.length, 2)
          const numbers = trace.map((_, index) => index + 1)
          yield* Effect.forEach(
            numbers,
            (nth) =>
              Effect.map(Effect.exit(play(scenario, nth, stores)), (end) =>
                assert.isTrue(Exit.isSuccess(end), `crashed at point ${nth}, ${trace[nth - 1]}: ${String(end)}`)
              ),
            { concurrency: 4 }
          )
        }),
      120_000
    )
  }
})

const withEngine = (title: string, body: (fake: FakeStripe.FakeStripe) => Effect.Effect<unknown, unknown, Payments | Services>) =>
  it.live(title, () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fake = yield* FakeStripe.started()
        const gateway = yield* gatewayOf(accountOf(fake.url, account))
        yield* body(fake).pipe(Effect.provide(Layer.provideMerge(Background.layer, engine([gateway], settings))))
      })
    )
  )
type Services = Effect.Services<ReturnType<typeof told>>

/** Delivers webhooks as the HTTP interface would, in this order, and processes them. */
const told = Effect.fnUntraced(function* (deliveries: ReadonlyArray<FakeStripe.Delivery>) {
  for (const { body, headers } of deliveries) {
    const receipt = yield* WebhookReceipt.receive({ gateway: "stripe", body, headers })
    assert.strictEqual(receipt._tag, "Accepted")
  }
  return yield* WebhookProcessing.runOnce()
})

let restamped = 0
/** The same webhook as a new event that happened so many seconds later. */
const happened = ({ body, type }: FakeStripe.Delivery, laterSeconds: number): FakeStripe.Delivery => {
  const event = JSON.parse(new TextDecoder().decode(body)) as { readonly created: number }
  const now = Math.floor(Date.now() / 1000)
  const text = JSON.stringify({ ...event, id: `evt_restamped${++restamped}`, created: 1_800_000_000 + laterSeconds })
  return {
    type,
    body: new TextEncoder().encode(text),
    headers: { "stripe-signature": FakeStripe.sign(text, FakeStripe.webhookSecret, now) }
  }
}

const paid = Effect.fnUntraced(function* (token: string) {
  const payments = yield* Payments
  return (yield* payments.charge(chargeRequest(token, { method: method(token), returnUrl: "https://shop.example/return" }))).payment
})
const viewOf = (id: PaymentId) => Effect.flatMap(Payments, (payments) => payments.get({ id, tenant }))

describe("webhooks", () => {
  withEngine("end a payment that waited, in whatever order and however often they come", (fake) =>
    Effect.gen(function* () {
      const { id, status } = yield* paid("pm_card_threeDSecure2Required")
      assert.strictEqual(status, "requires_action")
      yield* Effect.asVoid(acts(fake, id))
      yield* told(fake.deliveries.toReversed())
      const after = yield* viewOf(id)
      assert.strictEqual(after.status, "succeeded")
      yield* told(fake.deliveries)
      assert.strictEqual((yield* viewOf(id)).version, after.version)
    })
  )

  withEngine("tell of a refund that failed after it had succeeded", (fake) =>
    Effect.gen(function* () {
      const { id } = yield* paid("pm_card_visa")
      const payments = yield* Payments
      yield* payments.refund({ tenant, id, key: key("r1"), amount: 990n })
      const [refund] = fake.account.refunds.keys()
      fake.account.failRefund(refund ?? "")
      yield* told(fake.deliveries.toReversed())
      const view = yield* viewOf(id)
      assert.deepStrictEqual([view.amountRefunded, view.operations[1]?.status], [0, "failed_later"])
    })
  )

  withEngine("tell of a dispute, which names Stripe's object only", (fake) =>
    Effect.gen(function* () {
      const { id } = yield* paid("pm_card_visa")
      const [object = ""] = fake.account.intents.keys()
      fake.account.dispute(object, "warning_needs_response")
      assert.strictEqual((yield* told(fake.deliveries)).dead, 0)
      assert.strictEqual((yield* viewOf(id)).status, "succeeded", "an inquiry takes no money")
      fake.account.dispute(object, "needs_response")
      yield* told(fake.deliveries.slice(-1))
      assert.strictEqual((yield* viewOf(id)).status, "disputed")
      fake.account.dispute(object, "won", "charge.dispute.closed")
      yield* told(fake.deliveries.slice(-1))
      assert.strictEqual((yield* viewOf(id)).status, "succeeded")
    })
  )

  withEngine("tell of an appeal: a dispute that was lost is open again, and won", (fake) =>
    Effect.gen(function* () {
      const { id } = yield* paid("pm_card_visa")
      const [object = ""] = fake.account.intents.keys()
      const statuses: Array<PaymentStatus> = []
      for (const [index, status] of ["needs_response", "lost", "appeal_under_review", "won"].entries()) {
        fake.account.dispute(object, status)
        yield* told(fake.deliveries.slice(-1).map((delivery) => happened(delivery, index)))
        statuses.push((yield* viewOf(id)).status)
      }
      assert.deepStrictEqual(statuses, ["disputed", "disputed", "disputed", "succeeded"])
      fake.account.dispute(object, "lost")
      yield* told(fake.deliveries.slice(-1).map((delivery) => happened(delivery, 1)))
      assert.strictEqual((yield* viewOf(id)).status, "succeeded", "what was told late is no news")
    })
  )

  withEngine("tell of a refund that was made in the dashboard: a person has to look", (fake) =>
    Effect.gen(function* () {
      const { id } = yield* paid("pm_card_visa")
      const [object = ""] = fake.account.intents.keys()
      const form = new Map([
        ["payment_intent", object],
        ["amount", "1990"]
      ])
      fake.account.execute("/v1/refunds", form, "by hand")
      assert.strictEqual((yield* told(fake.deliveries)).dead, 0)
      const view = yield* viewOf(id)
      assert.deepStrictEqual([view.status, view.amountRefunded], ["needs_review", 0])
    })
  )

  withEngine(
    "tell again of a refund of the dashboard that a person has seen: nothing; another refund, or its failure, is for a person again",
    (fake) =>
      Effect.gen(function* () {
        const { id } = yield* paid("pm_card_visa")
        const [object = ""] = fake.account.intents.keys()
        const byHand = (amount: string) =>
          fake.account.execute(
            "/v1/refunds",
            new Map([
              ["payment_intent", object],
              ["amount", amount]
            ]),
            "by hand"
          )
        const seen = Effect.gen(function* () {
          assert.strictEqual((yield* viewOf(id)).status, "needs_review")
          const after = yield* Review.resolve({ id, as: "succeeded", reason: "made in the dashboard, written into the books" })
          assert.strictEqual(after.status, "succeeded")
        })
        byHand("990")
        yield* told(fake.deliveries)
        const first = fake.deliveries.at(-1) ?? assert.fail("no webhook of the refund")
        yield* seen
        const { version } = yield* viewOf(id)
        yield* told([happened(first, 1), happened(first, 2)])
        assert.deepInclude<object>(yield* viewOf(id), { status: "succeeded", version })
        byHand("1000")
        yield* told(fake.deliveries.slice(-1))
        yield* seen
        fake.account.failRefund([...fake.account.refunds.keys()][0] ?? "")
        yield* told(fake.deliveries.slice(-1))
        yield* seen
        assert.strictEqual((yield* viewOf(id)).amountRefunded, 0)
      })
  )

  withEngine("tell of a hold that Stripe ended, at the end of its validity or in the dashboard: it is voided, also in our books", (fake) =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1", { captureMethod: "manual", method: method("pm_card_visa") }))
      assert.strictEqual(payment.status, "authorized")
      const [object = ""] = fake.account.intents.keys()
      fake.account.execute(`/v1/payment_intents/${object}/cancel`, new Map(), "by hand")
      yield* told(fake.deliveries)
      const isOver = ({ status }: { readonly status: PaymentStatus }) => status === "cancelled"
      for (let waited = 0; waited < 30_000 && !isOver(yield* viewOf(payment.id)); waited += 50) yield* Effect.sleep("50 millis")
      assert.strictEqual((yield* viewOf(payment.id)).status, "cancelled")
      const { version } = yield* viewOf(payment.id)
      yield* told(fake.deliveries.slice(-1).map((delivery) => happened(delivery, 1)))
      assert.strictEqual((yield* viewOf(payment.id)).version, version)
      assert.lengthOf(
        fake.account.movements.filter(({ kind }) => kind === "void"),
        1
      )
    })
  )

  withEngine("of objects that somebody else made, and of types that are not used, are ignored", (fake) =>
    Effect.gen(function* () {
      const form = new Map([
        ["amount", "100"],
        ["currency", "eur"],
        ["payment_method", "pm_card_visa"],
        ["confirm", "true"],
        ["automatic_payment_methods[allow_redirects]", "never"]
      ])
      fake.account.execute("/v1/payment_intents", form, "not ours")
      const [object = ""] = fake.account.intents.keys()
      fake.account.dispute(object, "needs_response")
      const report = yield* told(fake.deliveries)
      assert.deepStrictEqual(report, { done: 0, ignored: fake.deliveries.length, retried: 0, dead: 0, lost: 0 })
    })
  )

  withEngine("with a wrong secret, an old one, a clock that is 15 minutes off", (fake) =>
    Effect.gen(function* () {
      yield* paid("pm_card_visa")
      const delivery = fake.deliveries[0] ?? assert.fail("no webhook")
      const text = new TextDecoder().decode(delivery.body)
      const now = Math.floor(Date.now() / 1000)
      for (const [signature, reason] of [
        [FakeStripe.sign(text, "whsec_wrong", now), "wrong"],
        [FakeStripe.sign(text, FakeStripe.webhookSecret, now - 900), "expired"],
        [FakeStripe.sign(text, FakeStripe.webhookSecret, now + 900), "expired"],
        ["t=1", "malformed"],
        [undefined, "missing"]
      ] as const) {
        const headers = signature === undefined ? {} : { "stripe-signature": signature }
        const receipt = yield* WebhookReceipt.receive({ gateway: "stripe", body: delivery.body, headers })
        assert.deepStrictEqual(receipt, { _tag: "NotVerified", reason })
      }
    })
  )

  withEngine("with a new shape are kept for a person", () =>
    Effect.gen(function* () {
      const text = JSON.stringify({
        id: "evt_1",
        object: "event",
        type: "payment_intent.succeeded",
        created: 1,
        data: { object: { id: 7 } }
      })
      const headers = { "stripe-signature": FakeStripe.sign(text, FakeStripe.webhookSecret, Math.floor(Date.now() / 1000)) }
      const report = yield* told([{ type: "", body: new TextEncoder().encode(text), headers }])
      assert.strictEqual(report.dead, 1)
    })
  )
})

describe("the list", () => {
  it.live("names what was charged and refunded, and what is not ours, page by page", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fake = yield* FakeStripe.started()
        const gateway = yield* gatewayOf(accountOf(fake.url, account))
        const form = new Map([
          ["amount", "100"],
          ["currency", "eur"],
          ["payment_method", "pm_card_visa"],
          ["confirm", "true"],
          ["capture_method", "automatic"],
          ["automatic_payment_methods[allow_redirects]", "never"]
        ])
        for (let other = 0; other < 105; other++) fake.account.execute("/v1/payment_intents", form, `not ours ${other}`)
        const view = yield* Effect.gen(function* () {
          const made = yield* paid("pm_card_visa")
          yield* (yield* Payments).refund({ tenant, id: made.id, key: key("r1"), amount: 990n })
          return made
        }).pipe(Effect.provide(engine([gateway], settings)))
        const now = Date.now()
        const list = gateway.list ?? assert.fail("no list")
        const records = yield* Stream.runCollect(list({ from: now - 60_000, to: now + 60_000 }))
        assert.lengthOf(records, 107)
        const ours = records.filter(({ reference }) => reference.startsWith(view.id))
        assert.deepStrictEqual(
          ours.map(({ kind, totals }) => [kind, totals]),
          [
            ["charge", { authorized: 4990n, captured: 4990n, refunded: 990n }],
            ["refund", undefined]
          ]
        )
        assert.lengthOf(yield* Stream.runCollect(list({ from: now - 120_000, to: now - 60_000 })), 0)
      })
    )
  )

  withEngine("is reconciled: what was charged without our hearing of it is recorded, a refund of the dashboard is told", (fake) =>
    Effect.gen(function* () {
      const payments = yield* Payments
      const lost = yield* paid("pm_fault_charge_garbage")
      assert.strictEqual(lost.status, "in_doubt")
      const { id } = yield* paid("pm_card_visa")
      const made = [...fake.account.intents.values()].at(-1)
      fake.account.execute(
        "/v1/refunds",
        new Map([
          ["payment_intent", made?.id ?? ""],
          ["amount", "990"]
        ]),
        "by hand"
      )
      yield* Effect.sleep(settings.sendWindowMillis ?? 0)
      const now = Date.now()
      const reconcile = payments.reconcile({ gateway: GatewayName.make("stripe"), from: now - 60_000, to: now + 60_000 })
      const report = yield* reconcile
      assert.deepInclude<object>(report.counts, { Orphan: 1, Double: 0, Difference: 2, Missing: 0 })
      assert.strictEqual(report.resolved, 1)
      assert.strictEqual((yield* viewOf(lost.id)).status, "succeeded")
      assert.strictEqual((yield* viewOf(id)).amountRefunded, 0, "nobody did it through us: a person decides")
      const again = yield* reconcile
      assert.deepInclude<object>(again.counts, { Orphan: 1, Difference: 1 })
    })
  )
})
