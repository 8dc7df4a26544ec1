/**
 * Payments and their events as text.
 */
import type { RecordedVerdict } from "../../domain/hooks/Verdict.ts"
import type * as Event from "../../domain/payment/Event.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import { amount, table, time } from "./Output.ts"

/** A payment, one fact per line. */
export const payment = (view: PaymentView): ReadonlyArray<string> => [
  ...table([
    ["payment", view.id],
    ["status", statusText(view)],
    ["amount", amount(view.amount, view.currency)],
    ["authorized", amount(view.amountAuthorized, view.currency)],
    ["captured", amount(view.amountCaptured, view.currency)],
    ["refunded", amount(view.amountRefunded, view.currency)],
    ...(view.doubleCharge === undefined ? [] : [["double charge", doubleChargeText(view.doubleCharge, view.currency)]]),
    ["gateway", view.gateway ?? "none"],
    ...(view.fraud === undefined ? [] : [["fraud checks", fraudText(view.fraud)]]),
    ...(view.nextAction === undefined ? [] : [["next action", nextActionText(view)]]),
    ...view.reviews.map((review) => ["review", `operation ${review.operation}: ${review.reason}: ${review.evidence}`]),
    ["updated", time(view.updatedAt)]
  ]),
  ...table(
    view.operations.map((operation) => [
      `  ${operation.number}`,
      operation.kind,
      operation.purpose,
      operation.gateway,
      amount(operation.amount, view.currency),
      operation.status
    ])
  )
]

const doubleChargeText = (double: NonNullable<PaymentView["doubleCharge"]>, currency: PaymentView["currency"]): string =>
  `late beside it: ${amount(double.amountAuthorized, currency)} authorized, ${amount(double.amountCaptured, currency)} captured, ${amount(double.amountRefunded, currency)} given back`

const statusText = (view: PaymentView): string => (view.failure === undefined ? view.status : `${view.status} (${failureText(view)})`)

/** Why a payment failed. */
export const failureText = (view: PaymentView): string =>
  view.failure === undefined
    ? ""
    : [view.failure.category, view.failure.code, view.failure.message].filter((part) => part !== null && part !== "").join(": ")

/** What the customer has to do. */
export const nextActionText = (view: PaymentView): string => {
  const action = view.nextAction
  if (action === undefined) return ""
  return action.type === "redirect" ? `the customer opens ${action.url}` : `the customer approves on their device`
}

/** Events, one line each; the routing decision of an intent below it. */
export const history = (events: ReadonlyArray<Event.StoredEvent>): ReadonlyArray<string> =>
  events.flatMap((stored) => [
    `${String(stored.version).padStart(3)}  ${time(stored.recordedAt)}  ${eventText(stored.event)}`,
    ...decisionText(stored.event)
  ])

const eventText = (event: Event.PaymentEvent): string => {
  switch (event._tag) {
    case "PaymentInitiated": {
      const { amount: money, captureMethod, tenant } = event.details
      return `PaymentInitiated ${money.minor} ${money.currency}, ${captureMethod} capture, merchant ${tenant}`
    }
    case "OperationIntended": {
      const { amount: money, gateway, kind, number, purpose, requestKey } = event.intent
      return `OperationIntended ${number}: ${kind} (${purpose}) of ${money.minor} ${money.currency} at ${gateway}, reference ${requestKey}`
    }
    case "OperationSucceeded":
      return `OperationSucceeded ${event.operation}: ${event.amount.minor} ${event.amount.currency}, ${event.gatewayReference} (${event.source})`
    case "OperationDeclined":
      return `OperationDeclined ${event.operation}: ${event.category}: ${event.code}: ${event.message} (${event.source})`
    case "OperationUncertain":
      return `OperationUncertain ${event.operation}: ${event.reason}: ${event.message} (${event.source}, ${event.sends} sent)`
    case "OperationNotSent":
      return `OperationNotSent ${event.operation}: ${event.reason}: ${event.message}`
    case "OperationPending":
      return `OperationPending ${event.operation}: ${event.gatewayReference} (${event.source})`
    case "OperationAbsent":
      return `OperationAbsent ${event.operation}: the gateway knows nothing of it (${event.source})`
    case "ActionRequired":
      return `ActionRequired ${event.operation}: ${event.nextAction.type}${event.nextAction.type === "redirect" ? ` ${event.nextAction.url}` : ""}`
    case "ResendPermitted":
      return `ResendPermitted ${event.operation}: ${event.reason}`
    case "PaymentFailed":
      return `PaymentFailed ${[event.category, event.code, event.message].filter((part) => part !== null).join(": ")}`
    case "ReviewOpened":
      return `ReviewOpened ${event.operation}: ${event.reason}: ${event.evidence}`
    case "ReviewClosed":
      return `ReviewClosed ${event.operation}: ${event.reason}: ${event.note} (${event.by})`
    case "CaptureFailed":
    case "RefundFailed":
      return `${event._tag} ${event.operation}: ${event.message} (${event.source})`
    case "LateSuccess":
      return `LateSuccess ${event.operation}`
    case "DisputeOpened":
    case "DisputeWon":
    case "DisputeLost":
      return `${event._tag} ${event.disputeId}: ${event.amount.minor} ${event.amount.currency}`
    case "PaymentScreened":
      return `PaymentScreened ${[...event.checks, ...(event.verdicts ?? []).map(verdictText)].join(", ")}`
    case "PaymentBlocked":
      return `PaymentBlocked by ${event.by} (${event.check}): ${event.code}: ${event.message}${(event.verdicts ?? []).map((verdict) => `, ${verdictText(verdict)}`).join("")}`
    case "PaymentEnriched":
      return `PaymentEnriched ${event.fields.map(({ field, hook, to }) => `${field} = ${to} (${hook})`).join(", ")}`
    case "PostValidationFailed":
      return `PostValidationFailed by ${event.by}: ${event.code}: ${event.message}`
    case "CancelRequested":
    case "PaymentCancelled":
    case "PaymentExpired":
      return event._tag
  }
}

const fraudText = ({ action, score }: NonNullable<PaymentView["fraud"]>): string =>
  score === undefined ? action : `${action}, score ${score}`

const verdictText = ({ action, failure, hook, score }: RecordedVerdict): string =>
  `${hook}: ${action}${score === undefined ? "" : ` ${score}`}${failure === undefined ? "" : ` (${failure})`}`

const decisionText = (event: Event.PaymentEvent): ReadonlyArray<string> => {
  if (event._tag !== "OperationIntended" || event.intent.decision === undefined) return []
  const { excluded, policy, ranked, reason } = event.intent.decision
  return [
    `     routing (${policy}): ${reason}`,
    ...ranked.map((gateway, index) => `       ${index + 1}. ${gateway.gateway}, score ${gateway.score.toFixed(3)}: ${gateway.reason}`),
    ...excluded.map((gateway) => `       left out: ${gateway.gateway}: ${gateway.message}`)
  ]
}
