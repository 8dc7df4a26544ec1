/**
 * A gateway on the bench: what the contract suite needs of it, a payment on it, and the operations that are sent.
 *
 * Assertions are those of `node:assert`: a broken contract is a defect of the effect, which every test framework reports.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { CurrencyCode } from "../../domain/Currency.ts"
import type { Money } from "../../domain/Money.ts"
import type { DeclineCategory } from "../../domain/operation/Decline.ts"
import type { Intent, OperationKind } from "../../domain/operation/Operation.ts"
import type { Outcome, UnknownReason } from "../../domain/operation/Outcome.ts"
import { type GatewayReference, makePaymentId, OperationNumber, requestKeyOf } from "../../domain/payment/Ids.ts"
import type { Token } from "../../domain/payment/PaymentMethod.ts"
import { type Gateway, gaveUp, type LookupAnswer, type WebhookRequest } from "../../services/Gateway.ts"

/** Requests that go wrong on their way; `before`: never executed, `after`: executed. */
export type Fault = "timeout_before" | "timeout_after" | "reset_before" | "reset_after" | "5xx_before" | "5xx_after"

/** What a token makes happen: to the charge itself, or to a later operation on it. */
export type Scenario =
  | { readonly on: "charge"; readonly what: "success" | "slow" | "garbage" | "conflict" | "late" | `declined_${DeclineCategory}` }
  | { readonly on: "charge"; readonly what: "pending_success" | "pending_failure" | "action_success" | "action_failure" }
  | { readonly on: "charge"; readonly what: "timeout_before_once" | "reset_before_once" }
  | { readonly on: "charge" | "confirm" | "capture" | "void" | "refund"; readonly what: Fault }
  | { readonly on: "capture" | "void" | "refund"; readonly what: "declined" | "pending" }
  | { readonly on: "refund"; readonly what: "fails_later" | "pending_failure" | "action" }

/** Something the PSP did with money: the kind in our words, our reference, minor units. */
export interface LedgerEntry {
  readonly kind: "charge" | "authorize" | "capture" | "void" | "refund"
  readonly reference: string
  readonly amount: bigint
}

/** A PSP of one case. `unreachable`: the same adapter where nobody listens. `customer`: what the customer does about an action. */
export interface GatewayUnderTest {
  readonly gateway: Gateway
  readonly unreachable: Gateway
  readonly ledger: Effect.Effect<ReadonlyArray<LedgerEntry>>
  readonly customer: (reference: GatewayReference, does: "complete" | "fail") => Effect.Effect<void>
  /** The authorization is over at the PSP, without our doing. Needed where the gateway has `hold`. */
  readonly lapse?: (reference: GatewayReference) => Effect.Effect<void>
  /** The webhooks that the PSP has sent so far, as they arrived. */
  readonly webhooks?: Effect.Effect<ReadonlyArray<WebhookRequest>>
}

/** What the suite has to know about a gateway. */
export interface ContractOptions {
  /** A new PSP with an empty ledger, for as long as the scope lives. */
  readonly make: Effect.Effect<GatewayUnderTest, never, Scope.Scope>
  /** The token that makes a scenario happen; `undefined`: this PSP cannot be made to do it, and the case is skipped by name. */
  readonly tokenFor: (scenario: Scenario) => Token | undefined
  /** Why this PSP never does it, in words: a property that is declared, and the reason by which the case is skipped. Default: it may do all. */
  readonly never?: (scenario: Scenario) => string | undefined
  /** How long an answer that is lost is waited for, in milliseconds; shorter than the PSP holds the connection. */
  readonly patienceMillis: number
  /**
   * What carries out a charge that waited for the customer. `confirm` (default): our confirm does. `customer`: the PSP does when the
   * customer has acted, and a confirm learns it.
   */
  readonly chargedBy?: "confirm" | "customer"
  /** Can the gateway be asked what is left of an authorization, and does `make` give `lapse`? Default false, and its case is skipped. */
  readonly tellsHolds?: boolean
  /** Does `make` give `webhooks`? Default false, and their cases are skipped. */
  readonly tellsByWebhook?: boolean
}

/** One case. `run` dies where the contract is broken. `skipped`: why it is not run. */
export interface Case {
  readonly title: string
  readonly skipped: string | undefined
  readonly run: Effect.Effect<void>
}

/** A timer may fire a little early, and the gateway rounds its times to milliseconds. */
const timerMillis = 25
/** An answer that must come is waited for so long: a busy machine is not a fault of the gateway. */
const answerMillis = 10_000

/** Euro, in cents. */
export const eur = (minor: bigint): Money => ({ currency: CurrencyCode.make("EUR"), minor })
const amount = eur(4990n)
const returnUrl = "https://shop.example/return"

export type Later = "confirm" | "capture" | "void" | "refund"
export type Result = Outcome | LookupAnswer

/** A payment of a process whose clock is ahead by so much. */
const newPayment = (aheadMillis: number) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const hex = `${(now + aheadMillis).toString(16).padStart(12, "0")}7${randomBytes(2).toString("hex").slice(1)}8${randomBytes(8).toString("hex").slice(1)}`
    const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    return makePaymentId({ bucket: 0, uuid })
  })

/** A gateway, a payment on it, and the operations that the cases send. */
export const bench = Effect.fnUntraced(function* (
  under: GatewayUnderTest,
  options: { readonly token: Token; readonly patienceMillis: number; readonly processAheadMillis?: number }
) {
  const { gateway } = under
  const payment = yield* newPayment(options.processAheadMillis ?? 0)
  const base = (number: number, kind: OperationKind): Intent => ({
    number: OperationNumber.make(number),
    kind,
    purpose: "charge",
    gateway: gateway.name,
    account: gateway.account,
    adapterVersion: gateway.adapterVersion,
    apiVersion: gateway.apiVersion,
    requestKey: requestKeyOf({ payment, operation: OperationNumber.make(number) }),
    amount,
    details: { customerPresent: true, token: options.token, methodType: "card", returnUrl },
    protection: {
      sendWindowMillis: 30_000,
      settleTimeMillis: gateway.capabilities.operations[kind].settleTimeMillis,
      replay: gateway.capabilities.operations[kind].replay,
      replayWindowMillis: gateway.capabilities.operations[kind].replayWindowMillis,
      leavesOpenAfterDecline: gateway.capabilities.operations[kind].leavesOpenAfterDecline
    }
  })
  const charge = (kind: "sale" | "authorize" = "sale"): Intent => base(1, kind)
  /** An operation on the charge, by the PSP's id or, where that is unknown, by the charge's request key. */
  const later = (kind: Later, target: GatewayReference | undefined, overrides: Partial<Intent> = {}): Intent => ({
    ...base(2, kind),
    target: OperationNumber.make(1),
    details: {
      customerPresent: true,
      returnUrl,
      targetRequestKey: charge().requestKey,
      ...(target === undefined ? {} : { targetReference: target }),
      ...(kind === "capture" ? { final: true } : {})
    },
    ...overrides
  })
  const within = (millis: number) => (one: Intent) =>
    gateway.send({ payment, intent: one }).pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(millis),
        orElse: () => Effect.succeed<Outcome>(gaveUp("timeout", "no answer"))
      })
    )
  const send = within(answerMillis)
  /** A send that is not answered: the caller leaves. */
  const sendInVain = within(options.patienceMillis)
  const began = yield* Clock.currentTimeMillis
  /** Asks, with the database's clock ahead of the gateway's by so much. */
  const lookupAhead = (aheadMillis: number) => (one: Intent, gatewayReference?: GatewayReference) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const until = began + one.protection.sendWindowMillis + one.protection.settleTimeMillis
      const made = { since: began + aheadMillis, until: until + aheadMillis, now: now + aheadMillis }
      return gateway.lookup({ payment, intent: one, gatewayReference, made })
    })
  const lookup = lookupAhead(0)
  /** Asks what is left of an authorization. */
  const hold = (one: Intent, gatewayReference: GatewayReference) =>
    gateway.hold?.({ payment, intent: one, gatewayReference }) ?? Effect.die(new Error("the gateway cannot be asked what it holds"))
  /** Asks by our reference when the lag is over. */
  const truth = (one: Intent) =>
    Effect.andThen(
      Effect.sleep(Duration.millis((gateway.capabilities.operations[one.kind].lookupByReference?.lagMillis ?? 0) + timerMillis)),
      lookup(one)
    )
  const movedBy = (one: Intent) => Effect.map(under.ledger, (entries) => entries.filter(({ reference }) => reference === one.requestKey))
  /** The money that moved under a request key: exactly this, once, or nothing at all. */
  const moved = (one: Intent, kind: LedgerEntry["kind"] | undefined, minor: bigint = one.amount.minor) =>
    Effect.map(movedBy(one), (entries) =>
      assert.deepEqual(
        entries.map((entry) => ({ kind: entry.kind, amount: entry.amount })),
        kind === undefined ? [] : [{ kind, amount: minor }]
      )
    )
  return {
    ...under,
    payment,
    charge,
    later,
    send,
    sendInVain,
    lookup,
    lookupAhead,
    hold,
    truth,
    moved,
    movedBy,
    patienceMillis: options.patienceMillis
  }
})
export type Bench = Effect.Success<ReturnType<typeof bench>>

/** A case on a bench, for the scenario that its token makes happen. */
export type Add = (title: string, scenario: Scenario, body: (on: Bench) => Effect.Effect<unknown>) => void

const inWords = (result: Result): string =>
  JSON.stringify(result, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))

/** It succeeded with this amount; answers the gateway's id. */
export const succeeded = (result: Result, minor: bigint = amount.minor): GatewayReference => {
  if (result._tag !== "Succeeded") return assert.fail(`not succeeded: ${inWords(result)}`)
  assert.deepEqual(result.amount, eur(minor))
  return result.gatewayReference
}

export const isUnknown = (result: Result, reason?: UnknownReason): void => {
  if (result._tag !== "Unknown") return assert.fail(`not unknown: ${inWords(result)}`)
  if (reason !== undefined) assert.equal(result.reason, reason, inWords(result))
}

export const isDeclined = (result: Result, category?: DeclineCategory): void => {
  if (result._tag !== "Declined") return assert.fail(`not declined: ${inWords(result)}`)
  if (category !== undefined) assert.equal(result.category, category, inWords(result))
}

export const isTagged = (result: Result, tag: Result["_tag"]): void => assert.equal(result._tag, tag, inWords(result))

export const referenceOf = (result: Result): GatewayReference => {
  const reference = "gatewayReference" in result ? result.gatewayReference : undefined
  return reference ?? assert.fail(`no id of the gateway: ${inWords(result)}`)
}

/** Brings a payment to where the operation can be sent, and says what the ledger calls it. */
export const prepare = Effect.fnUntraced(function* (on: Bench, kind: Later, partial?: bigint) {
  const first = on.charge(kind === "capture" || kind === "void" ? "authorize" : "sale")
  const answer = yield* on.send(first)
  const target = kind === "confirm" ? referenceOf(answer) : succeeded(answer)
  const operation = on.later(kind, target, partial === undefined ? {} : { amount: eur(partial) })
  const entry: LedgerEntry["kind"] = kind === "confirm" ? "charge" : kind
  return { first, operation, entry, target }
})

/** Polls until `check` holds, at most the limit. */
export const eventually = Effect.fnUntraced(function* <A>(effect: Effect.Effect<A>, check: (value: A) => boolean, limitMillis = 5_000) {
  for (let waited = 0; waited <= limitMillis; waited += 20) {
    const value = yield* effect
    if (check(value)) return value
    yield* Effect.sleep(Duration.millis(20))
  }
  return assert.fail(`not within ${limitMillis} ms`)
})
