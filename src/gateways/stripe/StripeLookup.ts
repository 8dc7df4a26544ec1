/**
 * Finding out at Stripe what became of an operation: by its id, or by our reference in the metadata.
 *
 * A PaymentIntent is looked for in one of two ways. `list` reads the PaymentIntents made since the payment began, newest first: Stripe's lists
 * show what was made at once, and absence counts only where the whole of it was read. `search` asks Stripe's index, which is behind by less
 * than a minute usually and by up to an hour during outages (https://docs.stripe.com/api/payment_intents/search); it suits accounts that make
 * more than a few thousand PaymentIntents while an answer is being looked for. Refunds are listed by their PaymentIntent.
 */
import * as Effect from "effect/Effect"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { NotSent, Unknown } from "../../domain/operation/Outcome.ts"
import { type GatewayReference, type PaymentId, uuidOfPayment } from "../../domain/payment/Ids.ts"
import type { LookupAnswer } from "../../services/Gateway.ts"
import { type Answer, unknown } from "../HttpGateway.ts"
import { serverError, unreadable } from "./StripeAnswer.ts"
import * as Bodies from "./StripeBodies.ts"
import { metadata } from "./StripeRequest.ts"
import { answerOf, answerOfOurRefund, referenceOf } from "./StripeWire.ts"

/** How a PaymentIntent is found without its id. */
export type Strategy = "list" | "search"

/** A GET below the base URL. */
export type Get = (path: string) => Effect.Effect<Answer, NotSent | Unknown>

const pageSize = 100
/** The most pages that one look-up reads: 2,000 objects. */
const maxPages = 20
/** How far Stripe's clock may be behind ours, in seconds; the tolerance of its signatures. */
const skewSeconds = 300

/** The path of a PaymentIntent with its charge. */
const pathOf = (id: string): string => `/v1/payment_intents/${encodeURIComponent(id.toWellFormed())}?expand[]=latest_charge`

/** When the payment began, in seconds, by the UUIDv7 of its id. */
const begunSeconds = (payment: PaymentId): number =>
  Math.floor(Number.parseInt(uuidOfPayment(payment).replaceAll("-", "").slice(0, 12), 16) / 1000)

const notAsked = (failure: NotSent | Unknown): Unknown =>
  failure._tag === "NotSent" ? unknown("connection_lost", failure.message) : failure

/** Why an answer to a question is none. */
const noAnswer = (answer: Answer): Unknown => {
  if (answer.status >= 500) return serverError(answer)
  const error = Bodies.errorIn(answer.text)?.error
  if (error === undefined) return unreadable(answer)
  const reason = `the look-up was answered ${answer.status} (${error.code ?? error.type}): ${error.message ?? ""}`
  return unknown(answer.status === 404 ? "conflict" : "unreadable", reason)
}

/** Questions to one account. */
export const make = (options: { readonly get: Get; readonly strategy: Strategy }) => {
  const get = (path: string): Effect.Effect<Answer, Unknown> =>
    Effect.flatMap(Effect.mapError(options.get(path), notAsked), (answer) =>
      answer.status === 200 ? Effect.succeed(answer) : Effect.fail(noAnswer(answer))
    )

  const read = <A>(path: string, reader: (text: string) => A | undefined): Effect.Effect<A, Unknown> =>
    Effect.flatMap(get(path), (answer) => {
      const body = reader(answer.text)
      return body === undefined ? Effect.fail(unreadable(answer)) : Effect.succeed(body)
    })

  /** Every object with our reference on the pages, or a failure where they cannot all be read. */
  const matching = Effect.fnUntraced(function* (list: string, reference: string) {
    const found: Array<unknown> = []
    let after = ""
    for (let page = 0; page < maxPages; page++) {
      const { data, has_more: more } = yield* read(`${list}&limit=${pageSize}${after}`, Bodies.listIn)
      let last: string | undefined
      for (const object of data) {
        const listed = Bodies.toListed(object)
        if (listed === undefined) return yield* Effect.fail(unknown("unreadable", "an object of Stripe's list cannot be read"))
        last = listed.id
        if (referenceOf(listed) === reference) found.push(object)
      }
      // A reference is unique: what was found is not made certain by reading on, but several would be a matter for a person.
      if (!more || found.length > 0) return found
      if (last === undefined) return yield* Effect.fail(unknown("unreadable", "an empty page of Stripe's list that has more"))
      after = `&starting_after=${last}`
    }
    return yield* Effect.fail(
      unknown("inconclusive", `not among the newest ${maxPages * pageSize} objects, and there are more: this account needs lookup "search"`)
    )
  })

  const onlyOne = (found: ReadonlyArray<unknown>): Effect.Effect<unknown, Unknown> =>
    found.length > 1
      ? Effect.fail(unknown("conflict", `${found.length} objects at Stripe carry this reference; a person has to look`))
      : Effect.succeed(found[0])

  /** The PaymentIntent that an operation made, with its charge, or `undefined` where there is none now. */
  const find = Effect.fnUntraced(function* (payment: PaymentId, reference: string) {
    const query = `metadata["${metadata.reference}"]:"${reference}"`
    const found =
      options.strategy === "search"
        ? (yield* read(`/v1/payment_intents/search?query=${encodeURIComponent(query)}&limit=10`, Bodies.listIn)).data
        : yield* matching(`/v1/payment_intents?created[gte]=${begunSeconds(payment) - skewSeconds}`, reference)
    const one = yield* onlyOne(found)
    if (one === undefined) return undefined
    const listed = Bodies.toListed(one)
    if (listed === undefined) return yield* Effect.fail(unknown("unreadable", "the PaymentIntent that was found cannot be read"))
    return yield* byId(listed.id)
  })

  const byId = (id: string) => read(pathOf(id), Bodies.paymentIntentIn)

  const ofRefund = Effect.fnUntraced(function* (intent: Intent, id: GatewayReference | undefined) {
    if (id !== undefined) {
      return answerOfOurRefund(intent, yield* read(`/v1/refunds/${encodeURIComponent(id.toWellFormed())}`, Bodies.refundIn))
    }
    const { targetReference } = intent.details
    if (targetReference === undefined) return unknown("inconclusive", "the PaymentIntent of the refund is not known")
    const one = yield* onlyOne(yield* matching(`/v1/refunds?payment_intent=${encodeURIComponent(targetReference)}`, intent.requestKey))
    if (one === undefined) return { _tag: "Absent" } as const
    const refund = Bodies.toRefund(one)
    return refund === undefined ? unknown("unreadable", "the refund that was found cannot be read") : answerOfOurRefund(intent, refund)
  })

  const ofPaymentIntent = Effect.fnUntraced(function* (payment: PaymentId, intent: Intent, id: GatewayReference | undefined) {
    const { targetReference, targetRequestKey } = intent.details
    const known = id ?? targetReference
    if (known !== undefined) return answerOf(intent, yield* byId(known))
    const isCharge = intent.kind === "sale" || intent.kind === "authorize"
    const object = yield* find(payment, isCharge ? intent.requestKey : (targetRequestKey ?? intent.requestKey))
    return object === undefined ? ({ _tag: "Absent" } as const) : answerOf(intent, object)
  })

  return {
    byId,
    find,
    /** What became of an operation. Never fails. */
    answer: (request: {
      readonly payment: PaymentId
      readonly intent: Intent
      readonly gatewayReference: GatewayReference | undefined
    }): Effect.Effect<LookupAnswer> => {
      const { gatewayReference, intent, payment } = request
      const asked: Effect.Effect<LookupAnswer, Unknown> =
        intent.kind === "refund" ? ofRefund(intent, gatewayReference) : ofPaymentIntent(payment, intent, gatewayReference)
      return Effect.catch(asked, (failure) => Effect.succeed<LookupAnswer>(failure))
    }
  }
}
