/**
 * How an operation moves as it is folded: forward only, and the same wherever its truths come in.
 *
 * Facts are a sorted set, and what is in progress is derived from all of them; a decision never overrules a fact.
 */
import type { Money } from "../Money.ts"
import type { GatewayReference } from "../payment/Ids.ts"
import { type Fact, factKey, type Intent, isOpen, type Operation, type Progress, settledAfter } from "./Operation.ts"

/** The operation of an intent. `others`: those of the payment before it. */
export const intended = (
  intent: Intent,
  options: { readonly others: ReadonlyArray<Operation>; readonly recordedAt: number }
): Operation => ({
  intent,
  intendedAt: options.recordedAt,
  permissions: [{ sendBefore: options.recordedAt + intent.protection.sendWindowMillis }],
  sends: undefined,
  gatewayReference: undefined,
  facts: [],
  failureReported: false,
  targetSettled: options.others.some(
    (operation) => operation.intent.number === intent.target && (!isOpen(operation) || options.recordedAt > settledAfter(operation))
  ),
  cancelled: false,
  chargedAfterCancel: false,
  givenUp: false,
  progress: { _tag: "Intended" }
})

/** A decision ends what is open. It never overrules a fact, and of two decisions the stronger one stays. */
export const decided = (operation: Operation, progress: Progress): Operation =>
  operation.facts.length === 0 ? advance(operation, progress) : operation

/** A capture or refund that had succeeded has failed, says the gateway. */
export const failed = (operation: Operation): Operation => ({
  ...operation,
  failureReported: true,
  progress: operation.progress._tag === "Succeeded" ? { ...operation.progress, failedLater: true } : operation.progress
})

/** The gateway's id of its object, once any answer gives it. */
export const learn = (operation: Operation, reference: GatewayReference | undefined): Operation =>
  operation.gatewayReference === undefined && reference !== undefined ? { ...operation, gatewayReference: reference } : operation

/** Only the writer of the intent knows how often it sent, and only while nobody else was permitted to. */
export const counted = (operation: Operation, event: { readonly source: string; readonly sends: number }): Operation =>
  operation.permissions.length === 1 && event.source === "response"
    ? { ...operation, sends: Math.max(operation.sends ?? 0, event.sends) }
    : operation

const rank: { readonly [Tag in Progress["_tag"]]: number } = {
  Intended: 0,
  Uncertain: 1,
  AwaitingCustomer: 2,
  AwaitingGateway: 3,
  InReview: 4,
  NotSent: 5,
  Absent: 6,
  Cancelled: 7,
  Continued: 8,
  Declined: 9,
  Succeeded: 10
}

/** Moves what is in progress forward only; of two customer actions the one observed later stays. */
export const advance = (operation: Operation, progress: Progress): Operation => {
  const current = operation.progress
  if (current._tag === "AwaitingCustomer" && progress._tag === "AwaitingCustomer") {
    return progress.observedAt > current.observedAt ? { ...operation, progress } : operation
  }
  return rank[progress._tag] > rank[current._tag] ? { ...operation, progress } : operation
}

/** Adds a fact to the sorted set of facts and derives the progress from all of them. */
export const withFact = (operation: Operation, fact: Fact): Operation => {
  const facts = operation.facts.length === 0 ? [fact] : including(operation.facts, fact)
  const success = facts.find((known) => known._tag === "Succeeded" && matches(operation, known.amount))
  if (success?._tag === "Succeeded") {
    return {
      ...operation,
      facts,
      gatewayReference: success.gatewayReference,
      progress: {
        _tag: "Succeeded",
        chargedAt: success.chargedAt,
        failedLater: operation.failureReported,
        voided: operation.cancelled && !operation.chargedAfterCancel
      }
    }
  }
  if (facts.some((known) => known._tag === "Succeeded")) return { ...operation, facts, progress: { _tag: "InReview" } }
  const declined = facts.find((known) => known._tag === "Declined")
  return declined?._tag === "Declined" ? { ...operation, facts, progress: { _tag: "Declined", declined } } : { ...operation, facts }
}

/** A set of facts, sorted, with one more. */
const including = (known: ReadonlyArray<Fact>, fact: Fact): ReadonlyArray<Fact> => {
  const key = factKey(fact)
  const others = known.filter((other) => factKey(other) !== key)
  const same = known.find((other) => factKey(other) === key)
  return [...others, same === undefined ? fact : merged(same, fact)].sort((left, right) => (factKey(left) < factKey(right) ? -1 : 1))
}

/** The same fact from two sources: the earliest time of the PSP's own counts, and what a network forbids stays forbidden. */
const merged = (known: Fact, fact: Fact): Fact => {
  if (known._tag === "Declined" && fact._tag === "Declined" && fact.networkForbids === true) return { ...known, networkForbids: true }
  if (known._tag !== "Succeeded" || fact._tag !== "Succeeded") return known
  const times = [known.chargedAt, fact.chargedAt].filter((time) => time !== undefined)
  return { ...known, named: known.named || fact.named, ...(times.length === 0 ? {} : { chargedAt: Math.min(...times) }) }
}

/** The amount and currency a gateway answered are those of the intent. */
export const matches = (operation: Operation, amount: Money): boolean =>
  operation.intent.amount.minor === amount.minor && operation.intent.amount.currency === amount.currency
