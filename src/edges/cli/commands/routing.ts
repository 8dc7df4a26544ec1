/**
 * `aegispay routing explain`: why each charge of a payment went where it went, from the decisions stored with its intents.
 *
 * Reads the database only. Of decisions that an earlier version stored only what it knew is shown.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Operation, Progress } from "../../../domain/operation/Operation.ts"
import type { StoredEvent } from "../../../domain/payment/Event.ts"
import type { OperationNumber, PaymentId, TenantId } from "../../../domain/payment/Ids.ts"
import { replay } from "../../../domain/payment/Replay.ts"
import { operationOf } from "../../../domain/payment/State.ts"
import type { CapsApplied, RankedGateway, RoutingDecision } from "../../../domain/routing/Decision.ts"
import { EventStore } from "../../../services/EventStore.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import { notDone, orCannotRun } from "../Failure.ts"
import { amount, print, table, time } from "../Output.ts"
import * as Storage from "../runtime/Storage.ts"
import * as Target from "../runtime/Target.ts"

/** A charge as it was decided. */
interface Charge {
  readonly operation: OperationNumber
  readonly kind: string
  readonly gateway: string
  readonly amount: number
  readonly currency: string
  readonly decidedAt: number
  /** How it ended, or where it stands. */
  readonly outcome: string
  readonly decision: RoutingDecision | undefined
}

export const explain = Effect.fnUntraced(function* (input: { readonly id: PaymentId; readonly merchant: Option.Option<TenantId> }) {
  const target = yield* Target.load
  const history = yield* Effect.gen(function* () {
    const repository = yield* PaymentRepository
    const tenant = Option.isSome(input.merchant) ? { tenant: input.merchant.value } : {}
    const found = yield* orCannotRun(repository.get({ id: input.id, ...tenant }))
    if (Option.isNone(found)) return yield* notDone(`there is no payment ${input.id}`)
    const store = yield* EventStore
    return yield* orCannotRun(store.read(input.id))
  }).pipe(Effect.provide(Storage.layer(target, "existing")))
  const state = yield* orCannotRun(Effect.fromResult(replay(input.id, history)))
  const charges = history.flatMap((stored) =>
    chargeOf(stored, (number) => (state._tag === "Payment" ? operationOf(state, number) : undefined))
  )
  const nobody = `no gateway was asked; aegispay payment events ${input.id} says what happened`
  yield* print({
    json: { payment: input.id, charges },
    text: [`payment ${input.id}`, ...(charges.length === 0 ? [nobody] : charges.flatMap(textOf))]
  })
})

const chargeOf = (
  { event, recordedAt }: StoredEvent,
  operation: (number: OperationNumber) => Operation | undefined
): ReadonlyArray<Charge> => {
  if (event._tag !== "OperationIntended" || event.intent.purpose !== "charge") return []
  const { amount: money, decision, gateway, kind, number } = event.intent
  const progress = operation(number)?.progress
  return [
    {
      operation: number,
      kind,
      gateway,
      amount: Number(money.minor),
      currency: money.currency,
      decidedAt: recordedAt,
      outcome: progress === undefined ? "unknown" : outcomeOf(progress),
      decision
    }
  ]
}

const outcomeOf = (progress: Progress): string => {
  switch (progress._tag) {
    case "Declined":
      return `declined: ${progress.declined.category}: ${progress.declined.code}`
    case "NotSent":
      return `not sent: ${progress.reason}`
    case "Uncertain":
      return `in doubt: ${progress.reason}`
    case "Succeeded":
      return "succeeded"
    case "Absent":
      return "not charged"
    case "Cancelled":
      return `cancelled by operation ${progress.by}`
    case "Continued":
      return `continued by operation ${progress.by}`
    case "Intended":
      return "under way"
    case "AwaitingCustomer":
      return "waits for the customer"
    case "AwaitingGateway":
      return "waits for the gateway"
    case "InReview":
      return "needs review"
  }
}

const textOf = (charge: Charge): ReadonlyArray<string> => {
  const { decision } = charge
  const money = amount(charge.amount, charge.currency)
  const head = [
    "",
    `operation ${charge.operation}: ${charge.kind} of ${money} at ${charge.gateway}, ${time(charge.decidedAt)}: ${charge.outcome}`
  ]
  if (decision === undefined) return [...head, "  no decision is stored with it"]
  return [
    ...head,
    ...table(factsOf(decision).map(([name, value]) => [`  ${name}`, value])),
    ...table([rankedHead, ...decision.ranked.map((gateway, index) => rankedRow(gateway, index + 1, charge.currency))]),
    ...(decision.excluded.length === 0 ? [] : ["  left out"]),
    ...table(decision.excluded.map(({ gateway, message, reason }) => [`     ${gateway}`, reason, message]))
  ]
}

const factsOf = ({
  after,
  caps,
  policy,
  propensity,
  reason,
  rule,
  version,
  weights
}: RoutingDecision): ReadonlyArray<readonly [string, string]> => [
  ["chosen", reason],
  ...(after === undefined ? [] : [["after", `operation ${after}`] as const]),
  ["policy", version === undefined ? policy : `${policy}, version ${version}`],
  ...(rule === undefined ? [] : [["rule", rule] as const]),
  ...(weights === undefined ? [] : [["weights", `success ${weights.success}, latency ${weights.latency}, cost ${weights.cost}`] as const]),
  ...(propensity === undefined ? [] : [["probability", String(Number(propensity.toFixed(4)))] as const]),
  ...(caps === undefined ? [] : [["retry caps", capsText(caps)] as const])
]

const capsText = ({ basis, declined, network }: CapsApplied): string => {
  switch (basis) {
    case "card":
      return `${network}: ${declined} declined attempts of the card, across payments and gateways`
    case "payment":
      return `${network}: ${declined} declined attempts of this payment; the payment method has no fingerprint, so others are not counted`
    case "unavailable":
      return `${network}: the counts could not be read; ${declined} declined attempts of this payment`
  }
}

const rankedHead = ["  ", "gateway", "score", "success", "latency", "cost", "fee", "calls", "answered", "p95", "breaker", "health", ""]

/** A dash where nothing is known. */
const rankedRow = (
  { feeMinor, gateway, parts, reason, score, signals }: RankedGateway,
  place: number,
  currency: string
): ReadonlyArray<string> => [
  `  ${place}.`,
  gateway,
  score.toFixed(4),
  ...[parts?.success, parts?.latency, parts?.cost].map((part) => part?.toFixed(4) ?? "-"),
  feeMinor === undefined ? "-" : amount(feeMinor, currency),
  signals === undefined ? "-" : String(signals.samples),
  signals === undefined || signals.samples === 0 ? "-" : `${(signals.successRate * 100).toFixed(2)} %`,
  signals === undefined || signals.samples === 0 ? "-" : `${signals.p95Millis} ms`,
  signals?.breaker ?? "-",
  signals?.health.toFixed(2) ?? "-",
  reason
]
