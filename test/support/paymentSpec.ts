/**
 * Given a history, when a command comes, then these events follow or it is refused: the language of the payment's tests.
 *
 * A history is a list of steps; each is decided and folded one second after the one before it. Events are compared as short
 * sentences (`sentence`), which leave out ids and texts.
 */
import { assert } from "@effect/vitest"
import * as Result from "effect/Result"
import type { Money } from "../../src/domain/Money.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import type { DeclineCategory } from "../../src/domain/operation/Decline.ts"
import type { Operation } from "../../src/domain/operation/Operation.ts"
import type { NextAction, NotSent, Outcome } from "../../src/domain/operation/Outcome.ts"
import { type Absent, type NotCharged, recorded, settle } from "../../src/domain/operation/Settle.ts"
import type { Command, CommandRefused, GatewayTerms, RefusalReason } from "../../src/domain/payment/Command.ts"
import { decide } from "../../src/domain/payment/Decide.ts"
import type { PaymentDetails, PaymentEvent, Source } from "../../src/domain/payment/Event.ts"
import { AccountFingerprint, GatewayName, OperationNumber, PaymentId } from "../../src/domain/payment/Ids.ts"
import { evolve, initial, operationOf, type Payment, type PaymentState } from "../../src/domain/payment/State.ts"
import { status } from "../../src/domain/payment/Status.ts"
import { details, eur, operationNumber, reference } from "./payments.ts"

export const paymentId = PaymentId.make("pay_00ff0190000000007000800000000000abcd")
/** Database time of the first event. */
export const t0 = 1_700_000_000_000
export const sendWindowMillis = 30_000
export const settleTimeMillis = 60_000
/** When an operation that was intended at `at` has settled (rule 13). */
export const settledBy = (at: number): number => at + sendWindowMillis + settleTimeMillis

export interface TermsOptions extends Partial<OperationCapabilities> {
  readonly gateway?: string
  readonly account?: string
  readonly captures?: GatewayCapabilities["captures"]
}

/** The terms of a gateway: `a`, with a replay of one day, unless said otherwise. */
export const terms = (options: TermsOptions = {}): GatewayTerms => {
  const { account, captures, gateway, ...capabilities } = options
  return {
    gateway: GatewayName.make(gateway ?? "a"),
    account: AccountFingerprint.make(account ?? `account-${gateway ?? "a"}`),
    adapterVersion: "1",
    apiVersion: "2026-01-01",
    captures: captures ?? "multiple",
    capabilitiesOf: () => ({
      lookupByReference: { lagMillis: 1000 },
      replay: "result",
      replayWindowMillis: 86_400_000,
      cachesFailures: true,
      cancelByReference: "named",
      leavesOpenAfterDecline: false,
      settleTimeMillis,
      ...capabilities
    }),
    sendWindowMillis
  }
}

export const succeeded = (
  options: {
    readonly amount?: bigint
    readonly currency?: Money
    readonly id?: string
    readonly named?: boolean
    readonly chargedAt?: number
  } = {}
): Extract<Outcome, { _tag: "Succeeded" }> => ({
  _tag: "Succeeded",
  gatewayReference: reference(options.id ?? "ch_1"),
  amount: options.currency ?? eur(options.amount ?? 4990n),
  named: options.named ?? true,
  ...(options.chargedAt === undefined ? {} : { chargedAt: options.chargedAt })
})
export const declined = (category: DeclineCategory = "hard", code = "do_not_honor"): Extract<Outcome, { _tag: "Declined" }> => ({
  _tag: "Declined",
  category,
  code,
  message: "The issuer declined."
})
export const notSent: NotSent = { _tag: "NotSent", reason: "connection_refused", message: "connection refused" }
export const unknown: Extract<Outcome, { _tag: "Unknown" }> = { _tag: "Unknown", reason: "timeout", message: "no answer" }
export const pending: Extract<Outcome, { _tag: "Pending" }> = { _tag: "Pending", gatewayReference: reference("ch_1") }
export const redirect: NextAction = { type: "redirect", url: "https://bank.example/3ds" }
export const requiresAction: Extract<Outcome, { _tag: "RequiresAction" }> = {
  _tag: "RequiresAction",
  gatewayReference: reference("ch_1"),
  nextAction: redirect
}
export const absent: Absent = { _tag: "Absent" }

/** One step of a history. */
export type Step = (state: PaymentState, now: number) => ReadonlyArray<PaymentEvent>

const decided = (command: Command, state: PaymentState): ReadonlyArray<PaymentEvent> =>
  Result.getOrThrowWith(decide(command, state), (refused) => new Error(`the history is impossible: ${refused.message}`))

/** The payment, where it has begun. */
export const begun = (state: PaymentState): Payment => {
  if (state._tag === "New") throw new Error("the payment has not begun")
  return state
}

/** An operation of the payment, from 1. */
export const operation = (state: PaymentState, number: number): Operation => {
  const found = operationOf(begun(state), OperationNumber.make(number))
  if (found === undefined) throw new Error(`no operation ${number}`)
  return found
}

/** The proof that an operation of the payment did not take effect, as recorded. */
export const proofOf = (state: PaymentState, number: number): NotCharged => {
  const proof = recorded(operation(state, number))
  if (proof === undefined) throw new Error(`operation ${number} may have taken effect`)
  return proof
}

export const initiate = (overrides: Partial<PaymentDetails> = {}, options: TermsOptions = {}): Command => ({
  _tag: "InitiatePayment",
  details: details(overrides),
  terms: terms(options),
  decision: { policy: "fixed", reason: "test", ranked: [], excluded: [] }
})

/** A command of the history. */
export const does =
  (command: Command | ((state: PaymentState, now: number) => Command)): Step =>
  (state, now) =>
    decided(typeof command === "function" ? command(state, now) : command, state)

/** The payment starts: a sale, or an authorization of a manually captured one. */
export const starts = (overrides: Partial<PaymentDetails> = {}, options: TermsOptions = {}): Step => does(initiate(overrides, options))
export const startsManual = (options: TermsOptions = {}): Step => starts({ captureMethod: "manual" }, options)

/** What the sender of an operation was answered, attempt by attempt, under its last permission. */
export const answered =
  (number: number, ...outcomes: ReadonlyArray<Outcome>): Step =>
  (state, now) => {
    const target = operation(state, number)
    const evidence = {
      _tag: "Sent",
      permission: target.permissions.length - 1,
      attempts: outcomes.map((outcome) => ({ outcome, writtenAt: now }))
    } as const
    const settlement = settle(target, evidence)
    return decided({ _tag: "RecordSettlement", operation: operationNumber(number), settlement, source: "response", observedAt: now }, state)
  }

/** What a gateway says when asked, or by itself. */
export const told =
  (number: number, answer: Exclude<Outcome, NotSent> | Absent, options: { readonly source?: Source } = {}): Step =>
  (state, now) => {
    const settlement = settle(operation(state, number), { _tag: "Asked", askedAt: now, answer })
    return decided(
      { _tag: "RecordSettlement", operation: operationNumber(number), settlement, source: options.source ?? "webhook", observedAt: now },
      state
    )
  }

/** Later, in milliseconds after `t0`. */
export const at = (millis: number, step: Step): readonly [number, Step] => [t0 + millis, step]

/** An event as a sentence without ids and texts. */
export const sentence = (event: PaymentEvent): string => {
  if (event._tag === "OperationIntended") {
    const { amount, details: request, gateway, kind, number, purpose, target } = event.intent
    const parts = [`intend ${number}: ${kind}`, purpose === kind ? "" : `to ${purpose}`, `${amount.minor} at ${gateway}`]
    const extras = [
      target === undefined ? "" : `of ${target}`,
      request.final === true ? "final" : "",
      request.stepUp === true ? "step-up" : ""
    ]
    return [...parts, ...extras].filter((part) => part !== "").join(" ")
  }
  const about = "operation" in event ? ` ${event.operation}` : ""
  if (event._tag === "ReviewOpened" || event._tag === "ReviewClosed") return `${event._tag}${about} ${event.reason}`
  if (event._tag === "PaymentFailed") return `PaymentFailed ${event.category ?? event.code}`
  return `${event._tag}${about}`
}

/** Folds events that are recorded at one moment. */
export const fold = (state: PaymentState, events: ReadonlyArray<PaymentEvent>, recordedAt: number): PaymentState =>
  events.reduce((current, event) => evolve(current, { version: current.version + 1, recordedAt, event }), state)

const reasonOf = (refused: CommandRefused): RefusalReason["_tag"] => refused.reason._tag

/** A payment with a history. */
export const given = (...steps: ReadonlyArray<Step | readonly [number, Step]>) => {
  let state: PaymentState = initial(paymentId)
  let now = t0 - 1000
  for (const entry of steps) {
    const [time, step] = typeof entry === "function" ? [now + 1000, entry] : entry
    now = time
    state = fold(state, step(state, now), now)
  }
  const final = state
  const next = now + 1000
  return {
    state: final,
    now,
    hasStatus: (expected: ReturnType<typeof status>) => assert.strictEqual(status(final), expected),
    when: (step: Command | Step | ((state: PaymentState, now: number) => Command)) => whenStep(final, next, step)
  }
}

const whenStep = (
  state: PaymentState,
  now: number,
  step: Command | ((state: PaymentState, now: number) => Command | ReadonlyArray<PaymentEvent>)
) => {
  const made = typeof step === "function" ? step(state, now) : step
  const result = isCommand(made) ? decide(made, state) : Result.succeed(made)
  const events = Result.getOrElse(result, () => [])
  return {
    /** These events follow. Answers the status after them. */
    then: (...expected: ReadonlyArray<string>) => {
      assert.deepStrictEqual(Result.isFailure(result) ? [result.failure.message] : events.map(sentence), expected)
      return { hasStatus: (shown: ReturnType<typeof status>) => assert.strictEqual(status(fold(state, events, now)), shown) }
    },
    /** Refused for that reason, naming the command and the status. */
    refused: (reason: RefusalReason["_tag"]) => {
      if (!Result.isFailure(result)) return assert.fail(`not refused: ${events.map(sentence).join(", ")}`)
      const refused: CommandRefused = result.failure
      assert.strictEqual(reasonOf(refused), reason)
      assert.strictEqual(refused.status, status(state))
      if (isCommand(made)) assert.strictEqual(refused.command, made._tag)
      assert.include(refused.message, refused.command)
      assert.include(refused.message, refused.status)
      return refused
    }
  }
}

const isCommand = (made: Command | ReadonlyArray<PaymentEvent>): made is Command => !Array.isArray(made)
