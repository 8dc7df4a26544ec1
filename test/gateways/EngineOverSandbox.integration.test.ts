/**
 * The engine over three sandbox accounts and real HTTP: one charge with every magic token, then recovery until it rests. The
 * accounts' ledgers are the truth that the payment is compared with.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import type { PaymentStatus } from "../../src/domain/payment/Status.ts"
import type { PaymentView } from "../../src/domain/payment/View.ts"
import * as Payments from "../../src/orchestration/payment/Payments.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import { magicTokens } from "../../src/sandbox/MagicTokens.ts"
import { sendTo, until } from "../sandbox/client.ts"
import { chargeRequest, engine, key, tenant } from "../support/TestEngine.ts"
import { accountOf, type Entry, gatewayOf, ledgerOf, started } from "./sandboxGateways.ts"

const names = ["a", "b", "c"] as const

/** Short limits, in the proportions of the defaults: two attempts fit into a window. */
const settings: Partial<EngineSettings> = {
  attemptTimeoutMillis: 300,
  sendWindowMillis: 600,
  retries: 1,
  retryBaseMillis: 20,
  retryCapMillis: 20,
  storeWaitMillis: 2_000
}
const settleTimeMillis = 500
/** The sandbox is on this machine. */
const connectLimitMillis = 50
const maxRecoveries = 30

interface Bench {
  readonly payments: typeof Payments.Payments.Service
  readonly url: string
  /** What the accounts did with money for a payment. */
  readonly ledger: (payment: string) => Effect.Effect<ReadonlyArray<Entry & { readonly account: string }>>
}

const bench = Effect.gen(function* () {
  const { url } = yield* started({ settleDelayMillis: 100, slowMillis: 100, lateMillis: 50 })
  const gateways = yield* Effect.forEach(names, (name) => gatewayOf(accountOf(url, name, { settleTimeMillis, connectLimitMillis })))
  const ledger: Bench["ledger"] = (payment) =>
    Effect.map(
      Effect.forEach(names, (account) => Effect.map(ledgerOf(url, account), (entries) => entries.map((entry) => ({ ...entry, account })))),
      (all) => all.flat().filter((entry) => entry.payment === payment)
    )
  return { gateways, ledger, url }
})

const withEngine = <E>(body: (bench: Bench) => Effect.Effect<unknown, E, Scope.Scope>) =>
  Effect.asVoid(
    Effect.scoped(
      Effect.flatMap(bench, ({ gateways, ledger, url }) =>
        Effect.flatMap(Payments.Payments, (payments) => body({ payments, url, ledger })).pipe(Effect.provide(engine(gateways, settings)))
      )
    )
  )

const rests: ReadonlySet<PaymentStatus> = new Set([
  "succeeded",
  "authorized",
  "failed",
  "cancelled",
  "needs_review",
  "requires_action",
  "refunded"
])

/** Recovers until the payment rests. */
const recovered = Effect.fnUntraced(function* ({ payments }: Bench, first: PaymentView, runs = maxRecoveries) {
  let view = first
  for (let run = 0; run < runs && !rests.has(view.status); run++) {
    yield* Effect.sleep(Duration.millis(150))
    const report = yield* payments.recover({ olderThanMillis: 0 })
    assert.deepStrictEqual(report.errors, [])
    view = yield* payments.get({ id: view.id, tenant })
  }
  return view
})

/** What a charge with the token ends as; every token that is not named charges once at the first account. */
const endings: { readonly [token: string]: { readonly status: PaymentStatus; readonly account?: "a" | "b" | "c" } } = {
  tok_declined_soft: { status: "failed" },
  tok_declined_hard: { status: "failed" },
  tok_fraud: { status: "failed" },
  tok_invalid_data: { status: "failed" },
  tok_gateway_error: { status: "failed" },
  tok_card_declined_open: { status: "failed" },
  tok_rate_limited: { status: "failed" },
  tok_configuration: { status: "failed" },
  tok_pending_failure: { status: "failed" },
  tok_3ds_fails: { status: "failed" },
  tok_wrong_amount: { status: "needs_review" },
  tok_wrong_currency: { status: "needs_review" }
}
/** Never executed, however often they are sent: the doubt lasts until nothing may be sent any more. */
const neverExecuted: ReadonlySet<string> = new Set(["tok_timeout_before", "tok_reset_before", "tok_5xx_before", "tok_conflict"])

const isCharge = (entry: Entry) => entry.kind === "charge" || entry.kind === "authorize"

/** Confirms where the customer is asked for. */
const concluded = Effect.fnUntraced(function* (on: Bench, view: PaymentView, runs: number) {
  const after = yield* recovered(on, view)
  if (after.status !== "requires_action") return after
  assert.strictEqual(after.nextAction?.type, "redirect")
  const confirmed = yield* on.payments.confirm({ id: after.id, tenant, key: key(`confirm-${after.id}`) })
  return yield* recovered(on, confirmed.payment, runs)
})

const agrees = (view: PaymentView, entries: ReadonlyArray<Entry>, automatic = true) => {
  const charges = entries.filter(isCharge)
  assert.isAtMost(charges.length, 1, "at most one charge over all accounts")
  const took = view.status === (automatic ? "succeeded" : "authorized")
  if (took) assert.deepInclude(charges[0] ?? assert.fail("succeeded without a charge"), { amount: view.amount, currency: view.currency })
  if (view.status === "failed" || view.status === "cancelled") assert.lengthOf(charges, 0, "nothing was charged")
}

describe("every magic token, charged once", { concurrent: true }, () => {
  for (const { faultOn, token } of magicTokens.filter((row) => !neverExecuted.has(row.token))) {
    for (const captureMethod of ["automatic", "manual"] as const) {
      const expected = endings[token]?.status ?? (captureMethod === "automatic" ? "succeeded" : "authorized")
      const neverConfirmed = faultOn === "confirm" && token.endsWith("before")
      it.live(`${token}, ${captureMethod}: ${neverConfirmed ? "the confirm never arrives" : expected}`, () =>
        withEngine((on) =>
          Effect.gen(function* () {
            const request = chargeRequest(`charge-${token}`, { captureMethod, method: { type: "card", token: Token.make(token) } })
            const first = yield* on.payments.charge(request)
            const view = yield* concluded(on, first.payment, neverConfirmed ? 3 : maxRecoveries)
            const entries = yield* on.ledger(view.id)
            if (neverConfirmed) {
              // However often it is sent; the payment must not claim otherwise.
              assert.notInclude(["succeeded", "authorized"], view.status)
              assert.lengthOf(entries, 0)
              return
            }
            assert.strictEqual(view.status, expected, JSON.stringify(view))
            agrees(view, entries, captureMethod === "automatic")
            if (view.status === "succeeded" || view.status === "authorized") assert.lengthOf(entries.filter(isCharge), 1)
            const again = yield* on.payments.charge(request)
            assert.isTrue(again.replayed)
            assert.strictEqual(again.payment.id, view.id)
            assert.deepStrictEqual(yield* on.ledger(view.id), entries, "the same key charges nothing more")
          })
        )
      )
    }
  }

  for (const token of neverExecuted) {
    it.live(`${token}: never executed, so it stays in doubt and is charged nowhere else`, () =>
      withEngine((on) =>
        Effect.gen(function* () {
          const first = yield* on.payments.charge(chargeRequest("k", { method: { type: "card", token: Token.make(token) } }))
          assert.include(["in_doubt", "processing", "failed"], first.payment.status)
          for (let run = 0; run < 3; run++) {
            yield* Effect.sleep(Duration.millis(300))
            yield* on.payments.recover({ olderThanMillis: 0 })
            const view = yield* on.payments.get({ id: first.payment.id, tenant })
            assert.include(["in_doubt", "processing", "failed"], view.status)
            assert.lengthOf(yield* on.ledger(view.id), 0)
          }
        })
      )
    )
  }
})

describe("failover", () => {
  for (const [outage, status, account] of [
    ["none", "succeeded", "a"],
    ["5xx", "succeeded", "a"],
    ["refuse", "succeeded", "a"]
  ] as const) {
    it.live(`the first account has the outage ${outage}: charged once, by ${account}`, () =>
      withEngine((on) =>
        Effect.gen(function* () {
          yield* sendTo(on.url, { method: "PUT", path: "/a/control", body: { outage } })
          const first = yield* on.payments.charge(chargeRequest("k"))
          if (outage !== "none") assert.strictEqual(first.payment.status, "in_doubt", "an unknown outcome goes to no other account")
          assert.lengthOf(
            (yield* on.ledger(first.payment.id)).filter((entry) => entry.account !== "a"),
            0
          )
          yield* sendTo(on.url, { method: "PUT", path: "/a/control", body: { outage: "none" } })
          const view = yield* recovered(on, first.payment)
          assert.strictEqual(view.status, status)
          const entries = yield* on.ledger(view.id)
          assert.deepStrictEqual(
            entries.map((entry) => entry.account),
            [account]
          )
          agrees(view, entries)
        })
      )
    )
  }
})

describe("later operations whose answer is lost", { concurrent: true }, () => {
  for (const { fault, faultOn, token } of magicTokens.filter((row) => row.faultOn !== undefined && row.faultOn !== "confirm")) {
    it.live(`${token}: the payment says what the ledger says`, () =>
      withEngine((on) =>
        Effect.gen(function* () {
          const captureMethod = faultOn === "refund" ? "automatic" : "manual"
          const charged = yield* on.payments.charge(
            chargeRequest("k", { captureMethod, method: { type: "card", token: Token.make(token) } })
          )
          const command = { id: charged.payment.id, tenant, key: key("later") }
          const kind = faultOn === "capture" ? "capture" : faultOn === "refund" ? "refund" : "void"
          const send = kind === "capture" ? on.payments.capture : kind === "refund" ? on.payments.refund : on.payments.cancel
          yield* send(command)
          const executed = fault?.endsWith("after") === true
          let view = charged.payment
          for (let run = 0; run < (executed ? maxRecoveries : 3); run++) {
            yield* Effect.sleep(Duration.millis(150))
            assert.deepStrictEqual((yield* on.payments.recover({ olderThanMillis: 0 })).errors, [])
            view = yield* on.payments.get({ id: charged.payment.id, tenant })
            if (view.operations.at(-1)?.status === "succeeded") break
          }
          const entries = (yield* on.ledger(view.id)).filter((entry) => entry.kind === kind)
          assert.lengthOf(entries, executed ? 1 : 0)
          assert.strictEqual(view.amountCaptured, kind === "capture" ? (executed ? 4990 : 0) : kind === "refund" ? 4990 : 0)
          assert.strictEqual(view.amountRefunded, kind === "refund" && executed ? 4990 : 0)
          if (executed) assert.strictEqual(view.status, kind === "capture" ? "succeeded" : kind === "refund" ? "refunded" : "cancelled")
        })
      )
    )
  }
})

describe("a cancel that comes too late", () => {
  it.live("the gateway's success wins, and the cancel ends", () =>
    withEngine((on) =>
      Effect.gen(function* () {
        const request = chargeRequest("k", { method: { type: "card", token: Token.make("tok_pending_success") } })
        const pending = yield* on.payments.charge(request)
        assert.strictEqual(pending.payment.status, "processing")
        yield* until(on.ledger(pending.payment.id), (entries) => entries.length === 1)
        const cancelled = yield* on.payments.cancel({ id: pending.payment.id, tenant, key: key("cancel") })
        assert.strictEqual(cancelled.payment.status, "processing")
        const view = yield* recovered(on, cancelled.payment)
        assert.strictEqual(view.status, "succeeded", JSON.stringify(view.operations))
        agrees(view, yield* on.ledger(view.id))
      })
    )
  )
})

describe("a declined object that stays open", () => {
  it.live("the customer's page completes it before it is closed: the charge is found and counts, never told failed", () =>
    Effect.asVoid(
      Effect.scoped(
        Effect.gen(function* () {
          const { gateways, ledger, url } = yield* bench
          const [, , c] = gateways
          if (c === undefined) return assert.fail("no account c")
          const racing = {
            ...c,
            send: (request: Parameters<typeof c.send>[0]) =>
              request.intent.purpose === "close"
                ? Effect.andThen(
                    Effect.ignore(sendTo(url, { method: "POST", path: `/c/customer/${request.intent.details.targetReference}/complete` })),
                    c.send(request)
                  )
                : c.send(request)
          }
          yield* Effect.gen(function* () {
            const payments = yield* Payments.Payments
            const on: Bench = { payments, url, ledger }
            const first = yield* payments.charge(chargeRequest("k", { method: { type: "card", token: Token.make("tok_declined_soft") } }))
            assert.strictEqual((yield* ledger(first.payment.id)).length, 1)
            assert.notStrictEqual(first.payment.status, "failed")
            const view = yield* recovered(on, first.payment)
            const money = (yield* ledger(view.id)).map(({ kind }) => kind)
            assert.strictEqual(view.status, "succeeded", JSON.stringify(view))
            assert.deepStrictEqual(money, ["charge"])
          }).pipe(Effect.provide(engine([racing], settings)))
        })
      )
    )
  )
})
