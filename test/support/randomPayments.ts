/**
 * Random lives of a payment, from a seed: a world of gateways in which each operation has one truth, and a host, a sender and a
 * recovery that issue random commands and hand in random evidence of it. Everything goes through `settle`, `decide` and `evolve`.
 *
 * The world is honest: what it answers is consistent with the truth, but answers get lost, come late, early or twice, a look-up
 * finds nothing while a request may still arrive, and a repetition may be refused while the first send is on its way. With
 * `lies`, a charge may also show up that was certain not to exist.
 */
import * as Result from "effect/Result"
import { HookName } from "../../src/domain/hooks/HookKind.ts"
import type { RecordedVerdict } from "../../src/domain/hooks/Verdict.ts"
import { isOpen, type Operation, type OperationKind, settledAfter } from "../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { type Evidence, type NotCharged, recorded, settle } from "../../src/domain/operation/Settle.ts"
import type { Command, CommandRefused, GatewayTerms } from "../../src/domain/payment/Command.ts"
import { decide } from "../../src/domain/payment/Decide.ts"
import type { PaymentEvent, Source } from "../../src/domain/payment/Event.ts"
import { nextStep } from "../../src/domain/payment/NextStep.ts"
import { evolve, initial, lastCharge, type Payment, type PaymentState, type Recorded } from "../../src/domain/payment/State.ts"
import { details, eur, reference } from "./payments.ts"
import { absent, declined, notSent, paymentId, pending, requiresAction, t0, terms, unknown } from "./paymentSpec.ts"

/** One command and what became of it. */
export interface RandomStep {
  readonly command: Command
  readonly before: PaymentState
  readonly after: PaymentState
  readonly events: ReadonlyArray<PaymentEvent>
  readonly refused: CommandRefused | undefined
  readonly now: number
}

/** A payment's life: its steps, its history, and how many charges its gateways really made. */
export interface RandomPayment {
  readonly seed: number
  readonly steps: ReadonlyArray<RandomStep>
  readonly history: ReadonlyArray<Recorded>
  readonly state: PaymentState
  readonly chargesMade: number
}

export interface RandomPaymentOptions {
  readonly seed: number
  /** How many commands are issued. */
  readonly commands: number
  /** May charges show up that were certain not to exist? */
  readonly lies: boolean
}

/** Numbers from a seed (mulberry32). */
export const randomOf = (seed: number) => {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return {
    below,
    chance: (percent: number): boolean => below(100) < percent,
    pick: <A>(values: readonly [A, ...ReadonlyArray<A>]): A => values[below(values.length)] ?? values[0]
  }
}
type Random = ReturnType<typeof randomOf>

/** What really became of an operation. `action`: it waits for the customer. */
interface Truth {
  kind: "succeeds" | "declines" | "never" | "action"
  readonly success: Extract<Outcome, { _tag: "Succeeded" }>
  readonly decline: Extract<Outcome, { _tag: "Declined" }>
}

/** Gateways: the second takes one capture, the third leaves declined objects open, the fourth has no replay. */
const gateways: readonly [GatewayTerms, ...ReadonlyArray<GatewayTerms>] = [
  terms(),
  terms({ gateway: "b", captures: "single" }),
  terms({ gateway: "c", leavesOpenAfterDecline: true }),
  terms({ gateway: "d", replay: "none" })
]
const termsOf = (operation: Operation | undefined): GatewayTerms =>
  gateways.find((each) => each.gateway === operation?.intent.gateway) ?? gateways[0]

const isCharging = (kind: OperationKind) => kind === "authorize" || kind === "sale" || kind === "confirm"

/** Lives one payment. */
export const randomPayment = (options: RandomPaymentOptions): RandomPayment => {
  const random = randomOf(options.seed)
  const ofHooks = randomOf(options.seed * 31 + 7)
  const truths = new Map<number, Truth>()
  const steps: Array<RandomStep> = []
  const history: Array<Recorded> = []
  let state: PaymentState = initial(paymentId)
  let now = t0
  for (let count = 0; count < options.commands; count++) {
    now += random.pick([0, 1, 500, 1000, 5000, 31_000, 95_000, ...(random.chance(10) ? [1_000_000] : [])])
    const command = commandOfHooks(ofHooks, state, () =>
      state._tag === "New" ? begin(random) : nextCommand(random, state, now, truths, options.lies)
    )
    const result = decide(command, state)
    const before = state
    const events = Result.getOrElse(result, () => [])
    for (const event of events) {
      const entry = { version: state.version + 1, recordedAt: now, event }
      history.push(entry)
      state = evolve(state, entry)
      if (event._tag === "OperationIntended") truths.set(event.intent.number, truthOf(random, event.intent.kind, event.intent, now))
    }
    steps.push({ command, before, after: state, events, refused: Result.isFailure(result) ? result.failure : undefined, now })
  }
  const operations = state._tag === "Payment" ? state.operations : []
  const chargesMade = operations.filter(
    (operation) => isCharging(operation.intent.kind) && truths.get(operation.intent.number)?.kind === "succeeds"
  ).length
  return { seed: options.seed, steps, history, state, chargesMade }
}

const begin = (random: Random): Command => ({
  _tag: "InitiatePayment",
  details: details({ captureMethod: random.pick(["automatic", "manual"]), amount: eur(BigInt(random.pick([4990, 100, 1]))) }),
  terms: random.pick(gateways),
  decision: { policy: "random", reason: "test", ranked: [], excluded: [] }
})

const hook = (name: string) => HookName.make(name)

const verdictOf = (random: Random): RecordedVerdict => ({
  hook: hook(random.pick(["velocity", "blocked-list"])),
  action: random.pick(["allow", "flag", "block"]),
  ...(random.chance(50) ? { score: random.below(101) } : {})
})

/** Hooks may screen or block a payment at its beginning, and find something wrong with it at any time. */
const commandOfHooks = (random: Random, state: PaymentState, otherwise: () => Command): Command => {
  const message = "found by a hook"
  if (state._tag === "Payment" && random.chance(3))
    return { _tag: "RecordFinding", by: hook(random.pick(["ledger", "stock"])), code: random.pick(["unpaid", "sold_out"]), message }
  const command = otherwise()
  if (command._tag !== "InitiatePayment" || !random.chance(30)) return command
  const verdicts = Array.from({ length: random.below(3) }, () => verdictOf(random))
  if (random.chance(20)) {
    const check = random.pick(["pre_validation", "fraud_check"] as const)
    return { _tag: "BlockPayment", details: command.details, block: { check, by: hook("blocked-list"), code: "listed", message, verdicts } }
  }
  const enriched = random.chance(50) ? [{ hook: hook("bin-table"), field: "method.country", to: random.pick(["DE", "FR"]) }] : []
  return { ...command, screening: { validations: [hook("basket")], verdicts, enriched } }
}

const truthOf = (random: Random, kind: OperationKind, intent: Operation["intent"], now: number): Truth => {
  const minor = random.chance(3) ? intent.amount.minor + 1n : intent.amount.minor
  return {
    kind: random.pick(
      isCharging(kind) ? ["succeeds", "succeeds", "declines", "never", "action"] : ["succeeds", "succeeds", "succeeds", "declines", "never"]
    ),
    success: {
      _tag: "Succeeded",
      gatewayReference: reference(`id_${intent.number}`),
      amount: { ...intent.amount, minor },
      named: random.chance(70),
      ...(random.chance(70) ? { chargedAt: now + random.below(2000) } : {})
    },
    decline: declined(random.pick(["soft", "soft", "hard", "fraud", "authentication_required", "gateway_error"]))
  }
}

const nextCommand = (random: Random, payment: Payment, now: number, truths: Map<number, Truth>, lies: boolean): Command => {
  const open = payment.operations.filter(isOpen)
  const told = open.length > 0 && random.chance(50) ? open[random.below(open.length)] : undefined
  if (told !== undefined) return truthCommand(random, payment, told, now, truths, lies)
  if (random.chance(30)) {
    const step = ofStep(random, payment, now)
    if (step !== undefined) return step
  }
  return anyCommand(random, payment, now, truths, lies)
}

/** What the orchestration would do next. */
const ofStep = (random: Random, payment: Payment, now: number): Command | undefined => {
  const step = nextStep(payment, { policy: { maxCharges: 4, failoverOnSoftDecline: true, lateSuccess: "reverse" }, now })
  switch (step._tag) {
    case "Rest":
    case "Review":
      return undefined
    case "Close":
      return { _tag: "CloseDeclined", operation: step.operation, terms: termsOf(payment.operations[step.operation - 1]) }
    case "Reverse":
      return { _tag: "ReverseLate", operation: step.operation, terms: termsOf(payment.operations[step.operation - 1]) }
    case "FailOver":
      return { _tag: "FailOver", after: step.after, terms: random.pick(gateways), now, stepUp: false }
    case "StepUp":
      return { _tag: "FailOver", after: step.after, terms: termsOf(lastCharge(payment)), now, stepUp: true }
    case "End":
      return { _tag: "EndPayment", after: step.after, as: step.as }
    case "Cancel":
      return { _tag: "CancelPayment", purpose: "cancel", terms: termsOf(lastCharge(payment)) }
  }
}

/** Any command, sensible or not. */
const anyCommand = (random: Random, payment: Payment, now: number, truths: Map<number, Truth>, lies: boolean): Command => {
  const operation = payment.operations[random.below(payment.operations.length)]
  if (operation === undefined) return begin(random)
  const { number } = operation.intent
  const ofCharge = random.chance(90) ? termsOf(lastCharge(payment)) : random.pick(gateways)
  const amount = random.pick([undefined, eur(1n), eur(50n), eur(1000n), eur(4990n), eur(0n)])
  const proofs = payment.operations.map(recorded).filter((proof): proof is NotCharged => proof !== undefined)
  const after = proofs[random.below(Math.max(1, proofs.length))]
  const command = random.pick<() => Command>([
    () => ({ _tag: "ConfirmPayment", terms: ofCharge, now }),
    () => ({ _tag: "CapturePayment", amount, final: random.chance(20), terms: ofCharge }),
    () => ({ _tag: "CapturePayment", amount, final: random.chance(20), terms: ofCharge }),
    () => ({ _tag: "RefundPayment", amount, terms: ofCharge }),
    () => ({ _tag: "RefundPayment", amount, terms: ofCharge }),
    () => ({ _tag: "CancelPayment", purpose: random.pick(["cancel", "expire"]), terms: ofCharge }),
    () => ({ _tag: "CloseDeclined", operation: number, terms: termsOf(operation) }),
    () => ({ _tag: "ReverseLate", operation: number, terms: termsOf(operation) }),
    () => ({ _tag: "PermitResend", operation: number, now, sendWindowMillis: 30_000, reason: "recovery" }),
    () => ({
      _tag: "ReportDispute",
      disputeId: random.pick(["dp_1", "dp_2"]),
      amount: eur(1n),
      status: random.pick(["open", "won", "lost"])
    }),
    () =>
      random.chance(20) ? { _tag: "OpenReview", operation: number, reason: "unresolvable", evidence: "no capability" } : begin(random),
    () => wordOf(random, operation, truths, now) ?? truthCommand(random, payment, operation, now, truths, lies),
    () => failureOf(payment, operation, truths) ?? truthCommand(random, payment, operation, now, truths, lies),
    () => truthCommand(random, payment, operation, now, truths, lies),
    () => (after === undefined ? begin(random) : { _tag: "FailOver", after, terms: random.pick(gateways), now, stepUp: random.chance(20) }),
    () => (after === undefined ? begin(random) : { _tag: "EndPayment", after, as: random.pick(["failed", "cancelled", "expired"]) })
  ])
  return command()
}

/** A person who knows: whatever is said is true, but it may be said too early. */
const wordOf = (random: Random, operation: Operation, truths: Map<number, Truth>, now: number): Command | undefined => {
  const truth = truths.get(operation.intent.number)
  if (truth === undefined || truth.kind === "action" || !random.chance(30)) return undefined
  const word = truth.kind === "succeeds" ? truth.success : absent
  return { _tag: "ResolveByPerson", operation: operation.intent.number, word, note: "a person knows", saidAt: now }
}

/** A capture fails later only where nothing of it was refunded: a gateway refunds no money that it does not have. */
const failureOf = (payment: Payment, operation: Operation, truths: Map<number, Truth>): Command | undefined => {
  const { kind, number } = operation.intent
  const refunds = payment.operations.some((other) => other.intent.kind === "refund")
  if (truths.get(number)?.kind !== "succeeds" || !(kind === "refund" || (kind === "capture" && !refunds))) return undefined
  return { _tag: "ReportFailure", operation: number, source: "webhook", message: "returned" }
}

const truthCommand = (
  random: Random,
  payment: Payment,
  operation: Operation,
  now: number,
  truths: Map<number, Truth>,
  lies: boolean
): Command => {
  const truth = truths.get(operation.intent.number)
  const sends = operation.progress._tag === "Intended" ? random.chance(70) : operation.permissions.length > 1 && random.chance(50)
  const evidence =
    truth === undefined ? unsent(now) : sends ? sent(random, operation, truth, now) : asked(random, payment, operation, truth, now)
  const lie = lies && isCharging(operation.intent.kind) && truth !== undefined && random.chance(10)
  const judged: Evidence = lie ? { _tag: "Asked", askedAt: now, answer: truth.success } : evidence
  const source: Source = judged._tag === "Sent" ? "response" : random.pick(["webhook", "poll", "recovery", "person", "reconciliation"])
  return {
    _tag: "RecordSettlement",
    operation: operation.intent.number,
    settlement: settle(operation, judged),
    source,
    observedAt: now
  }
}

const unsent = (now: number): Evidence => ({ _tag: "Asked", askedAt: now, answer: unknown })

const answersOf = (random: Random, operation: Operation, truth: Truth): Exclude<Outcome, { _tag: "NotSent" }> => {
  const id = reference(`id_${operation.intent.number}`)
  const waiting = random.pick([unknown, unknown, { ...unknown, gatewayReference: id }, { ...pending, gatewayReference: id }])
  if (random.chance(40)) return waiting
  switch (truth.kind) {
    case "succeeds":
      return truth.success
    case "declines":
      return truth.decline
    case "action":
      return { ...requiresAction, gatewayReference: id }
    case "never":
      return unknown
  }
}

/** Attempts under the last permission. An earlier permission's send may still arrive whatever they are answered. */
const sent = (random: Random, operation: Operation, truth: Truth, now: number): Evidence => {
  const permission = operation.permissions.length - 1
  const earlier = operation.permissions.slice(0, permission)
  const mayStillArrive = earlier.some((each) => now <= each.sendBefore + operation.intent.protection.settleTimeMillis)
  const noise: ReadonlyArray<Outcome> =
    permission === 0
      ? [notSent]
      : mayStillArrive
        ? [notSent, declined("gateway_error"), declined("soft")]
        : [notSent, declined("gateway_error")]
  const attempts: Array<Outcome> = []
  if (random.chance(30)) attempts.push(notSent)
  if (permission > 0 && random.chance(30)) attempts.push(noise[random.below(noise.length)] ?? notSent)
  else if (truth.kind === "never" && random.chance(50)) attempts.push(notSent)
  else if (random.chance(30))
    attempts.push(unknown, random.pick<Outcome>([notSent, declined("gateway_error"), answersOf(random, operation, truth)]))
  else attempts.push(answersOf(random, operation, truth))
  return { _tag: "Sent", permission, attempts: attempts.map((outcome) => ({ outcome, writtenAt: now })) }
}

/** A question. Nothing is found while a request may still arrive, or where it never did. The customer may act meanwhile. */
const asked = (random: Random, payment: Payment, operation: Operation, truth: Truth, now: number): Evidence => {
  const continued = payment.operations.some((other) => other.intent.target === operation.intent.number)
  if (truth.kind === "action" && !continued && random.chance(40)) truth.kind = random.pick(["succeeds", "declines"])
  const early = now <= settledAfter(operation) && operation.gatewayReference === undefined && random.chance(30)
  if (early || (truth.kind === "never" && random.chance(60))) return { _tag: "Asked", askedAt: now, answer: absent }
  return { _tag: "Asked", askedAt: now, answer: answersOf(random, operation, truth) }
}
