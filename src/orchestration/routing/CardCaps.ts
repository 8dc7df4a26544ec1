/**
 * The card networks' retry caps in force for a payment: judged before every charge that is not its first send, and before the first, and
 * fed by every decline.
 *
 * Where the counts cannot be read the payment goes on and its decision says so: a cap that is exceeded costs a fee, a payment that is
 * refused costs the sale.
 */
import * as Effect from "effect/Effect"
import { isCharge } from "../../domain/operation/Operation.ts"
import type { PaymentDetails, PaymentEvent } from "../../domain/payment/Event.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import type { CapsApplied } from "../../domain/routing/Decision.ts"
import * as RetryCaps from "../../domain/routing/policy/RetryCaps.ts"
import type { Policy } from "../../domain/routing/policy/Policy.ts"
import { type Card, CardAttempts } from "../../services/routing/CardAttempts.ts"
import { RoutingPolicy } from "../../services/routing/RoutingPolicy.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"

/** What the caps say of one more attempt. `refused`: why it may not be made. */
export interface Judged {
  readonly applied: CapsApplied
  readonly refused: string | undefined
}

/** A payment whose next charge is judged, and the declined ones it has had. `now`: epoch milliseconds. */
interface Judging {
  readonly id: PaymentId
  readonly details: PaymentDetails
  readonly declined: ReadonlyArray<RetryCaps.DeclinedAttempt>
  readonly now: number
}

/** Judges one more charge of a payment; `undefined`: no cap concerns it. */
export const judge = (policy: Policy, payment: Judging): Effect.Effect<Judged | undefined, never, CardAttempts> => {
  const judged = judgeAtOnce(policy, payment)
  return judged._tag === "Judged" ? Effect.succeed(judged.verdict) : judgeCard(judged.caps, payment, judged.card)
}

/** The same where nobody has to be asked; else by which caps and for which card somebody has to be. */
export const judgeAtOnce = (policy: Policy, { declined, details, now }: Judging): JudgedAtOnce => {
  const caps = RetryCaps.capsFor(policy.retryCaps, details.method, now)
  if (caps === undefined) return unconcerned
  const { fingerprint } = details.method
  return fingerprint === undefined
    ? { _tag: "Judged", verdict: judged(caps, declined, "payment", now) }
    : { _tag: "Asks", caps, card: { tenant: details.tenant, fingerprint } }
}

type JudgedAtOnce =
  | { readonly _tag: "Judged"; readonly verdict: Judged | undefined }
  | { readonly _tag: "Asks"; readonly caps: RetryCaps.NetworkCaps; readonly card: Card }

const unconcerned: JudgedAtOnce = { _tag: "Judged", verdict: undefined }

const judgeCard = Effect.fnUntraced(function* (caps: RetryCaps.NetworkCaps, payment: Judging, card: Card) {
  const { declined, now } = payment
  const attempts = yield* CardAttempts
  const known = yield* attempts.of(card).pipe(
    Effect.tapError((error) =>
      PaymentLog.about(payment.id)(Effect.logWarning(`the payment is routed without the retry caps of its card: ${error.message}`))
    ),
    Effect.option
  )
  if (known._tag === "None") return judged(caps, declined, "unavailable", now)
  // Those of this payment are known better from its own events.
  return judged(caps, [...declined, ...known.value.filter((attempt) => attempt.payment !== payment.id)], "card", now)
})

const judged = (
  caps: RetryCaps.NetworkCaps,
  attempts: ReadonlyArray<RetryCaps.DeclinedAttempt>,
  basis: CapsApplied["basis"],
  now: number
): Judged => {
  const { declined, network, refused } = RetryCaps.judge(caps, attempts, now)
  return { applied: { network, basis, declined }, refused }
}

/** The declined charges of a payment. */
export const declinedOf = (payment: Payment): ReadonlyArray<RetryCaps.DeclinedAttempt> =>
  payment.operations.flatMap((operation) =>
    isCharge(operation) && operation.progress._tag === "Declined"
      ? [{ at: operation.intendedAt, ...saidOf(operation.progress.declined) }]
      : []
  )

const saidOf = ({ category, networkForbids }: Omit<RetryCaps.DeclinedAttempt, "at">): Omit<RetryCaps.DeclinedAttempt, "at"> => ({
  category,
  ...(networkForbids === undefined ? {} : { networkForbids })
})

/** Remembers the declined charges among events that are durable. Waits for nothing. */
export const remember = (payment: Payment, events: ReadonlyArray<PaymentEvent>, at: number): Effect.Effect<void, never, CardAttempts> =>
  events.some(({ _tag }) => _tag === "OperationDeclined") ? rememberDeclined(payment, events, at) : Effect.void

const rememberDeclined = Effect.fnUntraced(function* (payment: Payment, events: ReadonlyArray<PaymentEvent>, at: number) {
  const { method, tenant } = payment.details
  const { policy } = yield* RoutingPolicy
  const caps = RetryCaps.capsFor(policy.retryCaps, method, at)
  if (caps === undefined || method.fingerprint === undefined) return
  const attempts = yield* CardAttempts
  for (const event of events) {
    if (event._tag !== "OperationDeclined") continue
    const operation = operationOf(payment, event.operation)
    const keepMillis = RetryCaps.rememberMillis(caps, event)
    if (operation === undefined || !isCharge(operation) || keepMillis === 0) continue
    yield* attempts.record({
      card: { tenant, fingerprint: method.fingerprint },
      payment: payment.id,
      operation: event.operation,
      at,
      ...saidOf(event),
      keepUntil: at + keepMillis
    })
  }
})
