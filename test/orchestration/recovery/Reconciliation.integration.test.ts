/**
 * Reconciliation over the sandbox: real HTTP, the sandbox's own lists, and the stores in memory. What the sandbox holds and we do not
 * (or the other way round) is made behind the engine's back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChargeRequest } from "../../../src/orchestration/payment/Charge.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import type { Finding } from "../../../src/orchestration/recovery/Finding.ts"
import * as Reconciliation from "../../../src/orchestration/recovery/Reconciliation.ts"
import * as Journal from "../../../src/orchestration/operation/Journal.ts"
import { GatewayName, OperationNumber, type PaymentId, requestKeyOf } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { defaults, type EngineSettings, Settings } from "../../../src/services/Settings.ts"
import { sendTo, until } from "../../sandbox/client.ts"
import { accountOf, gatewayOf, ledgerOf, started } from "../../gateways/sandboxGateways.ts"
import { succeeded } from "../../support/payments.ts"
import { chargeRequest, engine, key, tenant } from "../../support/TestEngine.ts"

const settings: Partial<EngineSettings> = {
  attemptTimeoutMillis: 10_000,
  sendWindowMillis: 10_000,
  retries: 0
}
const gatewayName = GatewayName.make("sandbox-b")
const everything = { gateway: gatewayName, from: 0, to: 4_102_444_800_000 }

interface Bench {
  readonly url: string
  readonly payments: typeof Payments.Payments.Service
  readonly charge: (token: string, overrides?: Partial<ChargeRequest>) => Effect.Effect<PaymentId>
  readonly view: (id: PaymentId) => ReturnType<typeof Payments.Payments.Service.get>
}

const withEngine = <E, R>(body: (bench: Bench) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const { url } = yield* started({ settleDelayMillis: 50 })
    const gateway = yield* gatewayOf(accountOf(url, "b", { settleTimeMillis: 300 }))
    let count = 0
    return yield* Effect.gen(function* () {
      const payments = yield* Payments.Payments
      return yield* body({
        url,
        payments,
        charge: (token, overrides) =>
          payments
            .charge(
              chargeRequest(`charge ${count++}`.replace(" ", "-"), { method: { type: "card", token: Token.make(token) }, ...overrides })
            )
            .pipe(
              Effect.map(({ payment }) => payment.id),
              Effect.orDie
            ),
        view: (id) => payments.get({ id, tenant })
      })
    }).pipe(Effect.provideService(Settings, { ...defaults, ...settings }), Effect.provide(engine([gateway], settings)))
  })

const live = <E, R extends Scope.Scope>(title: string, body: () => Effect.Effect<unknown, E, R>) =>
  it.live(title, () => Effect.asVoid(Effect.scoped(Effect.suspend(body) as Effect.Effect<unknown, E, Scope.Scope>)))

const tags = (report: Reconciliation.ReconciliationReport) => report.findings.map(({ _tag }) => _tag)
const only = <Tag extends Finding["_tag"]>(report: Reconciliation.ReconciliationReport, tag: Tag): Extract<Finding, { _tag: Tag }> => {
  const [finding, ...more] = report.findings
  if (finding?._tag !== tag || more.length > 0) return assert.fail(`expected one ${tag}: ${JSON.stringify(tags(report))}`)
  return finding as Extract<Finding, { _tag: Tag }>
}

/** A clean run: everything that is listed says what we say. */
const clean = Effect.gen(function* () {
  yield* later
  const report = yield* Reconciliation.reconcile(everything)
  assert.deepStrictEqual(report.findings, [])
  assert.strictEqual(report.matched, report.listed)
})

/** The list is asked for in a later millisecond than the last commit: what it says is not older than what we know. */
const later = Effect.sleep(Duration.millis(10))

const ledger = (on: Bench) => ledgerOf(on.url, "b")

/** A charge at the gateway that the engine did not make. */
const behindOurBack = (on: Bench, reference: string, idempotencyKey: string) =>
  sendTo(on.url, {
    method: "POST",
    path: "/b/v1/charges",
    key: idempotencyKey,
    body: { amount: 4990, currency: "EUR", token: "tok_success", capture: "automatic", reference, payment: "p" }
  })

const first = (payment: PaymentId) => requestKeyOf({ payment, operation: OperationNumber.make(1) })

describe("reconciliation with the sandbox", { concurrent: true }, () => {
  live("charges, captures, refunds, actions and declines as they are: nothing is found", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const paid = yield* on.charge("tok_success")
        yield* on.payments.refund({ id: paid, tenant, key: key("refund"), amount: 1000n })
        const manual = yield* on.charge("tok_success", { captureMethod: "manual" })
        yield* on.payments.capture({ id: manual, tenant, key: key("capture"), amount: 2000n, final: true })
        const voided = yield* on.charge("tok_success", { captureMethod: "manual" })
        yield* on.payments.cancel({ id: voided, tenant, key: key("cancel") })
        const asked = yield* on.charge("tok_3ds")
        yield* on.payments.confirm({ id: asked, tenant, key: key("confirm") })
        yield* on.charge("tok_3ds")
        yield* on.charge("tok_declined_hard")
        yield* later
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepStrictEqual(report.findings, [])
        assert.deepInclude<object>(report, {
          listed: 7,
          matched: 7,
          inProgress: 0,
          counts: { Orphan: 0, Double: 0, Difference: 0, Missing: 0 }
        })
      })
    )
  )

  live("beside payments that go on: what is in hand, or moved on meanwhile, is no finding", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const one = Effect.fnUntraced(function* (index: number) {
          const id = yield* on.charge(index % 3 === 0 ? "tok_3ds" : "tok_success", {
            captureMethod: index % 2 === 0 ? "automatic" : "manual"
          })
          if (index % 3 === 0) yield* on.payments.confirm({ id, tenant, key: key(`confirm-${index}`) })
          if (index % 2 === 1) yield* on.payments.capture({ id, tenant, key: key(`capture-${index}`) })
          if (index % 5 === 0) yield* on.payments.refund({ id, tenant, key: key(`refund-${index}`), amount: 100n })
        })
        const paying = Effect.forEach(
          Array.from({ length: 60 }, (_, index) => index),
          one,
          { concurrency: 6, discard: true }
        )
        const reconciling = Effect.replicateEffect(Reconciliation.reconcile(everything), 6)
        const [, reports] = yield* Effect.all([paying, reconciling], { concurrency: 2 })
        for (const report of reports) assert.deepStrictEqual(report.findings, [])
        yield* clean
      })
    )
  )

  live("what the gateway has and we do not is an orphan", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const paid = yield* on.charge("tok_success")
        yield* behindOurBack(on, "somebody-elses", "k1")
        yield* behindOurBack(on, first(`pay_${"0".repeat(36)}` as PaymentId), "k2")
        yield* behindOurBack(on, requestKeyOf({ payment: paid, operation: OperationNumber.make(7) }), "k3")
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepStrictEqual(
          report.findings.map((finding) => (finding._tag === "Orphan" ? [finding.why, finding.live] : [])),
          [
            ["not_our_reference", true],
            ["unknown_payment", true],
            ["unknown_operation", true]
          ]
        )
      })
    )
  )

  live("a lost answer: the gateway's success is recorded as a truth, and the second run finds nothing", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const lost = yield* on.charge("tok_reset_after")
        assert.strictEqual((yield* on.view(lost)).status, "in_doubt")
        const dry = yield* Reconciliation.reconcile({ ...everything, dryRun: true })
        assert.deepInclude<object>(only(dry, "Difference"), { ours: "unknown", theirs: "succeeded", resolved: false })
        assert.strictEqual((yield* on.view(lost)).status, "in_doubt", "a dry run records nothing")
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepInclude<object>(only(report, "Difference"), { payment: lost, ours: "unknown", theirs: "succeeded", resolved: true })
        assert.strictEqual((yield* on.view(lost)).status, "succeeded")
        const history = yield* on.payments.history({ id: lost, tenant })
        assert.deepInclude<object>(history.at(-1)!.event, { _tag: "OperationSucceeded", source: "reconciliation" })
        yield* clean
        assert.strictEqual((yield* on.payments.history({ id: lost, tenant })).length, history.length)
      })
    )
  )

  live("two charges under one reference are a double, and a person has to look", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const paid = yield* on.charge("tok_success")
        yield* behindOurBack(on, first(paid), "another-key")
        const dry = yield* Reconciliation.reconcile({ ...everything, dryRun: true })
        assert.deepInclude<object>(only(dry, "Double"), { payment: paid, why: "same_reference" })
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepInclude<object>(only(report, "Double"), { payment: paid, operation: 1, why: "same_reference" })
        const view = yield* on.view(paid)
        assert.strictEqual(view.status, "needs_review")
        assert.deepStrictEqual(
          view.reviews.map(({ reason }) => reason),
          ["contradiction"]
        )
        assert.strictEqual((yield* ledger(on)).length, 2, "nothing more was charged")
      })
    )
  )

  live("a charge that shows up after its decline: both are kept, and a person has to look", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const declined = yield* on.charge("tok_declined_hard")
        yield* behindOurBack(on, first(declined), "another-key")
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepInclude<object>(only(report, "Difference"), { ours: "declined", theirs: "succeeded" })
        assert.strictEqual((yield* on.view(declined)).status, "needs_review")
      })
    )
  )

  live("a refund that failed later is told, and the amount is free again", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const paid = yield* on.charge("tok_refund_fails_later")
        yield* on.payments.refund({ id: paid, tenant, key: key("refund") })
        assert.strictEqual((yield* on.view(paid)).amountRefunded, 4990)
        yield* until(ledger(on), (entries) => entries.some(({ kind }) => kind === "refund_failed"))
        yield* later
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepInclude<object>(only(report, "Difference"), { field: "refunded", ours: 4990n, theirs: 0n, resolved: true })
        assert.strictEqual((yield* on.view(paid)).amountRefunded, 0)
        yield* clean
      })
    )
  )

  live("a capture that nobody heard of is found by what the charge holds", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const lost = yield* on.charge("tok_capture_reset_after", { captureMethod: "manual" })
        yield* on.payments.capture({ id: lost, tenant, key: key("capture") })
        assert.strictEqual((yield* on.view(lost)).amountCaptured, 0)
        yield* later
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepInclude<object>(only(report, "Difference"), { field: "captured", ours: 0n, theirs: 4990n, resolved: true })
        assert.deepInclude<object>(yield* on.view(lost), { amountCaptured: 4990, status: "succeeded" })
        yield* clean
      })
    )
  )

  live("money given back at the gateway by hand: an orphan refund, and a difference that stays", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        yield* on.charge("tok_success")
        const [entry] = yield* ledger(on)
        const path = `/b/v1/charges/${entry?.charge_id}/refunds`
        yield* sendTo(on.url, { method: "POST", path, key: "by-hand", body: { reference: "by hand", amount: 500 } })
        yield* later
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepStrictEqual(tags(report).toSorted(), ["Difference", "Orphan"])
        assert.deepInclude<object>(
          report.findings.find(({ _tag }) => _tag === "Difference")!,
          {
            field: "refunded",
            ours: 0n,
            theirs: 500n,
            resolved: false
          }
        )
      })
    )
  )

  live("a success of ours that the gateway does not have is missing", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        yield* on.charge("tok_success")
        const never = yield* on.charge("tok_reset_before")
        const payment = yield* Journal.load({ id: never })
        const events = yield* Journal.stamp(payment, [succeeded(1)])
        yield* (yield* EventStore).commit({ payment, events })
        const report = yield* Reconciliation.reconcile(everything)
        assert.deepInclude<object>(only(report, "Missing"), { payment: never, operation: 1, gatewayReference: "ch_1", theirs: "unknown" })
      })
    )
  )

  live("a success at the edge of the range is confirmed by a look-up", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const asked = yield* on.charge("tok_3ds")
        yield* Effect.sleep(Duration.millis(20))
        const from = Date.now()
        yield* Effect.sleep(Duration.millis(20))
        yield* on.payments.confirm({ id: asked, tenant, key: key("confirm") })
        const report = yield* Reconciliation.reconcile({ ...everything, from })
        assert.deepInclude<object>(report, { listed: 0, confirmed: 1, findings: [] })
      })
    )
  )

  live("a gateway that cannot be read: no report, and nothing is called missing", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        yield* on.charge("tok_success")
        yield* sendTo(on.url, { method: "PUT", path: "/b/control", body: { outage: "5xx" } })
        assert.strictEqual((yield* Effect.flip(Reconciliation.reconcile(everything)))._tag, "GatewayListFailed")
      })
    )
  )

  live("a range without a length is refused", () =>
    withEngine(() =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Reconciliation.reconcile({ ...everything, to: 0 }))
        assert.strictEqual(error._tag, "NotReconcilable")
      })
    )
  )
})
