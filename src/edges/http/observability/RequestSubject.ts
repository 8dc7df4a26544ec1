/**
 * What a request turns out to be about while it is handled, for its line in the log: the payment and its gateway, or the webhook.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { GatewayName, PaymentId } from "../../../domain/payment/Ids.ts"
import type { PaymentView } from "../../../domain/payment/View.ts"

/** `webhook`: the gateway's own id of the event. */
export interface Subject {
  payment?: PaymentId
  gateway?: GatewayName
  webhook?: string
}

/** Of the request in hand: one object per request, filled as more is known. */
export const RequestSubject = Context.Reference<Subject | undefined>("aegispay/edges/http/observability/RequestSubject", {
  defaultValue: () => undefined
})

/** Notes what the request is about. */
export const learned = (known: Readonly<Subject>): Effect.Effect<void> =>
  Effect.map(RequestSubject, (subject) => {
    if (subject !== undefined) Object.assign(subject, known)
  })

/** Notes the payment that is answered. */
export const answered = ({ gateway, id }: PaymentView): Effect.Effect<void> =>
  learned(gateway === undefined ? { payment: id } : { payment: id, gateway })

/** Annotates a line with what is known of the subject by now. */
export const annotated = <A, E, R>(line: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(RequestSubject, (subject) => Effect.annotateLogs(line, { ...subject }))
