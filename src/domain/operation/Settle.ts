/**
 * `settle`: the one function that says what answers mean for an operation (rules 1, 3 and 13), and the only maker of
 * `NotCharged`, the value that failing over and failing a payment require.
 *
 * Outcomes belong to the operation, not to the last attempt. Once an attempt may have been sent, only an answer about its
 * request key ends the operation; every permission to send counts as an attempt that may have been sent.
 *
 * **Gotchas**: evidence is judged against the operation as it is now. After a version conflict load the operation again and
 * settle again: a permission that was written meanwhile turns a decision back into doubt (rule 10).
 */
import { mayPrecedeKeyCheck } from "./Decline.ts"
import { type Operation, settledAfter } from "./Operation.ts"
import type { Declined, NotSent, Outcome, Pending, RequiresAction, Succeeded, Unknown } from "./Outcome.ts"
import type { OperationNumber } from "../payment/Ids.ts"

/** One send of the operation's request and what was answered. `writtenAt` is database time before the first byte. */
export interface Attempt {
  readonly outcome: Outcome
  readonly writtenAt: number
}

/** The gateway knows nothing of the request. */
export interface Absent {
  readonly _tag: "Absent"
}

/**
 * What is known about an operation.
 *
 * - `Sent`: this process holds the permission with that index and made these attempts under it, in this order.
 * - `Asked`: an answer to a question (look-up, webhook, list, a person), asked at that database time.
 */
export type Evidence =
  | { readonly _tag: "Sent"; readonly permission: number; readonly attempts: ReadonlyArray<Attempt> }
  | { readonly _tag: "Asked"; readonly askedAt: number; readonly answer: Exclude<Outcome, NotSent> | Absent }

declare const notCharged: unique symbol

/** Proof that an operation certainly did not take effect. Only `settle` makes it; failover accepts nothing else. */
export interface NotCharged {
  readonly [notCharged]: true
  readonly _tag: "NotCharged"
  readonly operation: OperationNumber
  readonly because: Declined | NotSent | Absent
}

/** The charge happened, says the gateway. */
export interface Charged {
  readonly _tag: "Charged"
  readonly outcome: Succeeded
}

/** Nothing is certain: the operation stays open. `sends` counts the sends known to have been made. */
export interface StillOpen {
  readonly _tag: "StillOpen"
  readonly outcome: Pending | RequiresAction | Unknown
  readonly sends: number
}

/** What evidence means for an operation. */
export type Settlement = Charged | NotCharged | StillOpen

/** Judges evidence against an operation as it is now. */
export const settle = (operation: Operation, evidence: Evidence): Settlement =>
  evidence._tag === "Sent" ? settleSent(operation, evidence) : settleAsked(operation, evidence)

/** The proof that an operation whose end is already recorded did not take effect, or `undefined`. */
export const recorded = (operation: Operation): NotCharged | undefined => {
  const progress = operation.progress
  switch (progress._tag) {
    case "Declined":
      return certainlyNot(operation, progress.declined)
    case "NotSent":
      return certainlyNot(operation, progress)
    case "Absent":
    case "Cancelled":
      return certainlyNot(operation, { _tag: "Absent" })
    default:
      return undefined
  }
}

const settleSent = (operation: Operation, evidence: Extract<Evidence, { _tag: "Sent" }>): Settlement => {
  const sent = evidence.attempts.filter((attempt) => attempt.outcome._tag !== "NotSent")
  const success = sent.find((attempt) => attempt.outcome._tag === "Succeeded")
  if (success?.outcome._tag === "Succeeded") return { _tag: "Charged", outcome: success.outcome }
  const onlyPermission = operation.permissions.length === 1 && operation.sends === undefined
  const answer = sent.at(-1)
  if (answer === undefined) {
    const refusal = evidence.attempts.at(-1)?.outcome
    return onlyPermission && refusal?._tag === "NotSent" && operation.gatewayReference === undefined
      ? certainlyNot(operation, refusal)
      : inconclusive("nothing was sent now, but an earlier send may have been acted on", 0)
  }
  const outcome = answer.outcome
  if (outcome._tag === "Declined") {
    const onlySend = onlyPermission && sent.length === 1
    return onlySend || answersEverySend(operation, evidence, sent.length, answer.writtenAt, outcome)
      ? certainlyNot(operation, outcome)
      : inconclusive(`declined (${outcome.code}), but an earlier send may still be acted on`, sent.length)
  }
  if (outcome._tag === "Pending" || outcome._tag === "RequiresAction" || outcome._tag === "Unknown") {
    return { _tag: "StillOpen", outcome, sends: sent.length }
  }
  return inconclusive("no attempt was answered", sent.length)
}

/** Rule 13: a decline answered to a replay that was written after every earlier send had settled, with no permission since. */
const answersEverySend = (
  operation: Operation,
  evidence: Extract<Evidence, { _tag: "Sent" }>,
  sends: number,
  writtenAt: number,
  declined: Declined
): boolean =>
  sends === 1 &&
  !mayPrecedeKeyCheck(declined.category) &&
  evidence.permission === operation.permissions.length - 1 &&
  evidence.permission > 0 &&
  operation.permissions
    .slice(0, evidence.permission)
    .every((earlier) => writtenAt > earlier.sendBefore + operation.intent.protection.settleTimeMillis)

const settleAsked = (operation: Operation, evidence: Extract<Evidence, { _tag: "Asked" }>): Settlement => {
  const answer = evidence.answer
  switch (answer._tag) {
    case "Succeeded":
      return { _tag: "Charged", outcome: answer }
    case "Pending":
    case "RequiresAction":
    case "Unknown":
      return { _tag: "StillOpen", outcome: answer, sends: operation.sends ?? 0 }
    case "Declined":
    case "Absent":
      return evidence.askedAt > settledAfter(operation) || answersOnlySend(operation, answer)
        ? certainlyNot(operation, answer)
        : inconclusive(
            answer._tag === "Absent"
              ? "not found yet, but a request may still be on its way"
              : `declined (${answer.code}), but a request may still be on its way`,
            operation.sends ?? 0
          )
  }
}

/** Rule 13: a decline settles at once when it answers the only send ever permitted, and the sender has told that it made only one. */
const answersOnlySend = (operation: Operation, answer: Declined | Absent): boolean =>
  answer._tag === "Declined" && !mayPrecedeKeyCheck(answer.category) && operation.permissions.length === 1 && operation.sends === 1

const inconclusive = (message: string, sends: number): StillOpen => ({
  _tag: "StillOpen",
  outcome: { _tag: "Unknown", reason: "inconclusive", message },
  sends
})

const certainlyNot = (operation: Operation, because: Declined | NotSent | Absent): NotCharged =>
  ({ _tag: "NotCharged", operation: operation.intent.number, because }) as NotCharged
