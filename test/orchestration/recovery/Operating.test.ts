/**
 * Operating the engine as a host does: recover, expire, reconcile and resolve are members of `Payments`, their options, reports and errors
 * are those of the package.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Currency,
  type Expiry,
  type Gateway,
  type Operation,
  type Outcome,
  PaymentIds,
  PaymentMethod,
  Payments,
  type Reconciliation,
  type Recovery,
  type Review
} from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { engineOver, memory } from "../../support/TestEngine.ts"
import * as TestHostTransaction from "../../support/TestHostTransaction.ts"

const shop = PaymentIds.TenantId.make("my-shop")

/** Charges an order. A request without an answer is tried again for a while: the clock goes on until nobody waits any more. */
const charge = Effect.fnUntraced(function* (order: string) {
  const payments = yield* Payments.Payments
  const charging = yield* Effect.forkChild(
    payments.charge({
      tenant: shop,
      key: PaymentIds.IdempotencyKey.make(order),
      amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
      method: { type: "card", token: PaymentMethod.Token.make("tok_1") }
    }),
    { startImmediately: true }
  )
  yield* TestClock.adjust("1 minute")
  return (yield* Fiber.join(charging)).payment
})

const statusOf = (id: PaymentIds.PaymentId) =>
  Payments.Payments.use((payments) => Effect.map(payments.get({ id, tenant: shop }), ({ status }) => status))

/** What is due every half a minute, in one program of the host. */
const housekeeping: Effect.Effect<
  { readonly recovered: Recovery.RecoveryReport; readonly expired: Expiry.ExpiryReport },
  { readonly _tag: "EventStoreError" },
  Payments.Payments
> = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  return { recovered: yield* payments.recover(), expired: yield* payments.expire() }
})

/** A person's word, with every way it can be refused. */
const say = (resolution: Review.Resolution) =>
  Payments.Payments.use((payments) => payments.resolve(resolution)).pipe(
    Effect.map((payment) => payment.status as string),
    Effect.catchTags({
      NotResolvable: (error: Review.NotResolvable) => Effect.succeed(`refused: ${error.why}`),
      PaymentNotFound: () => Effect.succeed("refused: not found")
    })
  )

describe("Payments.recover and Payments.expire", () => {
  it.effect("finish what was left open, and do nothing the second time", () => {
    const psp = ScriptedGateway.make("psp", {
      answer: () => ScriptedGateway.lost,
      lookup: (intent) => ScriptedGateway.succeeded(intent)
    })
    return Effect.gen(function* () {
      const { id, status } = yield* charge("order-1")
      assert.strictEqual(status, "in_doubt")
      const first = yield* housekeeping
      assert.deepStrictEqual([first.recovered.results, first.expired.due], [{ succeeded: 1 }, 0])
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.strictEqual((yield* housekeeping).recovered.scanned, 0)
    }).pipe(Effect.provide(TestEngine.layer([psp])))
  })

  it.effect("a customer who never came: cancelled at the gateway, then expired", () => {
    const waits: Outcome.Outcome = {
      _tag: "RequiresAction",
      gatewayReference: PaymentIds.GatewayReference.make("ch_1"),
      nextAction: { type: "redirect", url: "https://bank.example/3ds" }
    }
    const answer = (intent: Operation.Intent) => (intent.kind === "sale" ? waits : ScriptedGateway.succeeded(intent))
    const psp = ScriptedGateway.make("psp", { answer, lookup: () => waits })
    return Effect.gen(function* () {
      const { id } = yield* charge("order-1")
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual((yield* housekeeping).expired.results, { expired: 1 })
      assert.strictEqual(yield* statusOf(id), "expired")
    }).pipe(Effect.provide(TestEngine.layer([psp])))
  })
})

describe("Payments.reconcile", () => {
  const day = 86_400_000
  const compare = (options: Partial<Reconciliation.ReconciliationOptions> = {}) =>
    Payments.Payments.use((payments) => payments.reconcile({ gateway: PaymentIds.GatewayName.make("psp"), from: 0, to: day, ...options }))

  it.effect("a charge whose answer was lost: found in the gateway's list, recorded, and gone from the next report", () => {
    const psp = ScriptedGateway.make("psp", { answer: () => ScriptedGateway.lost })
    const list: NonNullable<Gateway.Gateway["list"]> = () =>
      Stream.fromIterable(psp.sent.slice(0, 1)).pipe(
        Stream.map((intent) => ({
          kind: "charge",
          reference: intent.requestKey,
          gatewayReference: ScriptedGateway.succeeded(intent).gatewayReference,
          createdAt: 1,
          answer: ScriptedGateway.succeeded(intent)
        }))
      )
    return Effect.gen(function* () {
      const { id } = yield* charge("order-1")
      const first = yield* compare()
      assert.deepStrictEqual([first.listed, first.counts.Difference, first.resolved], [1, 1, 1])
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.deepStrictEqual((yield* compare()).findings, [])
    }).pipe(Effect.provide(TestEngine.layer([{ ...psp, list }])))
  })

  it.effect("says by typed errors what cannot be compared", () =>
    Effect.gen(function* () {
      const noList = yield* Effect.flip(compare())
      assert.deepInclude<object>(noList, { _tag: "NotReconcilable", gateway: "psp" })
      const nobody = yield* Effect.flip(compare({ gateway: PaymentIds.GatewayName.make("nobody") }))
      assert.strictEqual(nobody._tag, "GatewayNotConfigured")
    }).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("psp")])))
  )
})

describe("Payments.resolve", () => {
  it.effect("takes a person's word where nobody else can know, once, and says why it does not", () => {
    const capabilities = { lookupByReference: undefined, replayWindowMillis: 1, cancelByReference: "none" } as const
    const psp = ScriptedGateway.make("psp", { answer: () => ScriptedGateway.lost, capabilities })
    const reason = "seen on the statement"
    return Effect.gen(function* () {
      const { id } = yield* charge("order-1")
      yield* TestClock.adjust("3 minutes")
      yield* housekeeping
      assert.strictEqual(yield* statusOf(id), "needs_review")
      assert.strictEqual(yield* say({ id, as: "succeeded", reason }), "refused: reference_needed")
      const gatewayReference = PaymentIds.GatewayReference.make("ch_1")
      assert.strictEqual(yield* say({ id, as: "succeeded", reason, gatewayReference, tenant: shop }), "succeeded")
      assert.strictEqual(yield* say({ id, as: "failed", reason }), "refused: nothing_to_resolve")
      const stranger = PaymentIds.TenantId.make("another-shop")
      assert.strictEqual(yield* say({ id, as: "failed", reason, tenant: stranger }), "refused: not found")
    }).pipe(Effect.provide(TestEngine.layer([psp])))
  })
})

it.effect("none of them goes to a gateway inside the host's transaction: they die there (rule 15)", () => {
  const id = PaymentIds.PaymentId.make("pay_00ff0190000000007000800000000000abcd")
  const inside = <A, E>(program: (payments: Payments.Payments["Service"]) => Effect.Effect<A, E>) =>
    TestHostTransaction.inTransaction(Payments.Payments.use(program)).pipe(
      Effect.sandbox,
      Effect.flip,
      Effect.map((cause) => (Cause.squash(cause) as { readonly _tag?: string })._tag)
    )
  return Effect.gen(function* () {
    assert.deepStrictEqual(
      [
        yield* inside((payments) => payments.recover()),
        yield* inside((payments) => payments.expire()),
        yield* inside((payments) => payments.reconcile({ gateway: PaymentIds.GatewayName.make("psp"), from: 0, to: 1 })),
        yield* inside((payments) => payments.resolve({ id, as: "failed", reason: "no" }))
      ],
      Array.from({ length: 4 }, () => "CallInsideTransaction")
    )
  }).pipe(
    Effect.provide(
      engineOver([ScriptedGateway.make("psp")]).pipe(Layer.provideMerge(Layer.provideMerge(TestHostTransaction.layer, memory)))
    )
  )
})
