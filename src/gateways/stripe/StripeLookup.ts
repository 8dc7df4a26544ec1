/**
 * Finding out at Stripe what became of an operation: by its id, or by our reference in the metadata.
 *
 * A PaymentIntent is looked for in one of two ways. `list` reads the PaymentIntents of the time in which the payment can have made one, newest
 * first: Stripe's lists show what was made at once. `search` asks Stripe's index, which is behind by less than a minute usually and by up to an
 * hour during outages (https://docs.stripe.com/api/payment_intents/search); it suits accounts that make more than about 1,000 PaymentIntents an
 * hour. Refunds are listed by their PaymentIntent.
 *
 * **Gotchas**: an empty list proves an absence only where the whole of it was read, in the right account, and of the right time. The time is the
 * database's, never that of a process; the `Date` of every page shows by how much Stripe's differs.
 */
import * as Effect from "effect/Effect"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { NotSent, Unknown } from "../../domain/operation/Outcome.ts"
import { type PaymentId, uuidOfPayment } from "../../domain/payment/Ids.ts"
import type { HoldAnswer, LookupAnswer, LookupRequest, MadeBetween } from "../../services/Gateway.ts"
import { type Answer, askedRetryAfterMillis, unknown } from "../HttpGateway.ts"
import { serverError, unreadable } from "./StripeAnswer.ts"
import * as Bodies from "./StripeBodies.ts"
import { metadata } from "./StripeRequest.ts"
import { answerOf, answerOfOurRefund, holdOf, referenceOf } from "./StripeWire.ts"

/** How a PaymentIntent is found without its id. */
export type Strategy = "list" | "search"

/** A GET below the base URL. */
export type Get = (path: string) => Effect.Effect<Answer, NotSent | Unknown>

const pageSize = 100
/** The most pages that one look-up reads: 2,000 objects. */
const maxPages = 20
/** How far before and after its time an object is looked for: the database's clock may be off by so much, or have been when the payment began. */
const skewMillis = 3_600_000
/** Of that, what is kept for a clock that was set since: while the question is asked the two clocks may differ by the rest at most. */
const reserveMillis = 300_000

/** The path of a PaymentIntent with its charge. */
const pathOf = (id: string): string => `/v1/payment_intents/${encodeURIComponent(id.toWellFormed())}?expand[]=latest_charge`

/** When the payment began, by the UUIDv7 of its id: the clock of some process, which proves nothing. */
const begunMillis = (payment: PaymentId): number => Number.parseInt(uuidOfPayment(payment).replaceAll("-", "").slice(0, 12), 16)

/** The list of what was made in that time. Stripe counts seconds. */
const listOf = (payment: PaymentId, made: MadeBetween | undefined): string => {
  const from = `/v1/payment_intents?created[gte]=${Math.floor(((made?.since ?? begunMillis(payment)) - skewMillis) / 1000)}`
  return made === undefined ? from : `${from}&created[lte]=${Math.ceil((made.until + skewMillis) / 1000)}`
}

/** Why what is not in the list may exist all the same: the time that was asked for may not be Stripe's. */
const doubtOfTime = (answer: Answer, made: MadeBetween | undefined): Unknown | undefined => {
  if (made === undefined) return unknown("inconclusive", "not found, and when it can have been made is not known")
  const theirs = Date.parse(answer.headers["date"] ?? "")
  if (Number.isNaN(theirs)) return unknown("inconclusive", "not found, and Stripe's answer does not tell the time")
  const aheadMillis = made.now - theirs
  if (Math.abs(aheadMillis) <= skewMillis - reserveMillis) return undefined
  return unknown(
    "inconclusive",
    `not found, and the database's clock is ${Math.round(aheadMillis / 1000)} s ahead of Stripe's: set it right`
  )
}

const notAsked = (failure: NotSent | Unknown): Unknown =>
  failure._tag === "NotSent" ? unknown("connection_lost", failure.message) : failure

/** Why an answer to a question is none. */
const noAnswer = (answer: Answer): Unknown => {
  if (answer.status >= 500) return serverError(answer)
  const error = Bodies.errorIn(answer.text)?.error
  const failed =
    error === undefined
      ? unreadable(answer)
      : unknown(
          answer.status === 404 ? "conflict" : "unreadable",
          `the look-up was answered ${answer.status} (${error.code ?? error.type}): ${error.message ?? ""}`
        )
  const retryAfter = answer.status === 429 ? askedRetryAfterMillis(answer) : undefined
  return retryAfter === undefined ? failed : { ...failed, retryAfterMillis: retryAfter }
}

const onlyOne = (found: ReadonlyArray<unknown>): Effect.Effect<unknown, Unknown> =>
  found.length > 1
    ? Effect.fail(unknown("conflict", `${found.length} objects at Stripe carry this reference; a person has to look`))
    : Effect.succeed(found[0])

/** Questions to one account. `isTheAccount` fails where the key may belong to another one, in which nothing is found. */
export const make = (options: { readonly get: Get; readonly strategy: Strategy; readonly isTheAccount: Effect.Effect<void, Unknown> }) => {
  const get = (path: string): Effect.Effect<Answer, Unknown> =>
    Effect.flatMap(Effect.mapError(options.get(path), notAsked), (answer) =>
      answer.status === 200 ? Effect.succeed(answer) : Effect.fail(noAnswer(answer))
    )

  const read = <A>(path: string, reader: (text: string) => A | undefined): Effect.Effect<A, Unknown> =>
    Effect.flatMap(get(path), (answer) => {
      const body = reader(answer.text)
      return body === undefined ? Effect.fail(unreadable(answer)) : Effect.succeed(body)
    })

  /** Every object with our reference on the pages. Fails where they cannot all be read, or `doubtOf` an answer says that they prove nothing. */
  const matching = Effect.fnUntraced(function* (
    list: string,
    reference: string,
    doubtOf: (answer: Answer) => Unknown | undefined = () => undefined
  ) {
    const found: Array<unknown> = []
    let after = ""
    for (let page = 0; page < maxPages; page++) {
      const answer = yield* get(`${list}&limit=${pageSize}${after}`)
      const body = Bodies.listIn(answer.text)
      if (body === undefined) return yield* Effect.fail(unreadable(answer))
      let last: string | undefined
      for (const object of body.data) {
        const listed = Bodies.toListed(object)
        if (listed === undefined) return yield* Effect.fail(unknown("unreadable", "an object of Stripe's list cannot be read"))
        last = listed.id
        if (referenceOf(listed) === reference) found.push(object)
      }
      // A reference is unique: what was found is not made certain by reading on, but several would be a matter for a person.
      if (found.length > 0) return found
      const doubt = body.has_more ? undefined : doubtOf(answer)
      if (doubt !== undefined) return yield* Effect.fail(doubt)
      if (!body.has_more) return found
      if (last === undefined) return yield* Effect.fail(unknown("unreadable", "an empty page of Stripe's list that has more"))
      after = `&starting_after=${last}`
    }
    return yield* Effect.fail(
      unknown("inconclusive", `not among the newest ${maxPages * pageSize} objects, and there are more: this account needs lookup "search"`)
    )
  })

  const searched = (reference: string) => {
    const query = `metadata["${metadata.reference}"]:"${reference}"`
    return Effect.map(read(`/v1/payment_intents/search?query=${encodeURIComponent(query)}&limit=10`, Bodies.listIn), ({ data }) => data)
  }

  /** The PaymentIntent that an operation made, with its charge, or `undefined` where there is certainly none now. */
  const find = Effect.fnUntraced(function* (payment: PaymentId, reference: string, made: MadeBetween | undefined) {
    const found =
      options.strategy === "search"
        ? yield* searched(reference)
        : yield* matching(listOf(payment, made), reference, (answer) => doubtOfTime(answer, made))
    const one = yield* onlyOne(found)
    if (one === undefined) {
      yield* options.isTheAccount
      return undefined
    }
    const listed = Bodies.toListed(one)
    if (listed === undefined) return yield* Effect.fail(unknown("unreadable", "the PaymentIntent that was found cannot be read"))
    const object = yield* byId(listed.id)
    return referenceOf(object) === reference
      ? object
      : yield* Effect.fail(unknown("unreadable", "the PaymentIntent that was found carries another reference"))
  })

  const byId = (id: string) => read(pathOf(id), Bodies.paymentIntentIn)

  const ofRefund = Effect.fnUntraced(function* ({ gatewayReference: id, intent }: LookupRequest) {
    if (id !== undefined) {
      return answerOfOurRefund(intent, yield* read(`/v1/refunds/${encodeURIComponent(id.toWellFormed())}`, Bodies.refundIn))
    }
    const { targetReference } = intent.details
    if (targetReference === undefined) return unknown("inconclusive", "the PaymentIntent of the refund is not known")
    const one = yield* onlyOne(yield* matching(`/v1/refunds?payment_intent=${encodeURIComponent(targetReference)}`, intent.requestKey))
    if (one === undefined) return yield* absent
    const refund = Bodies.toRefund(one)
    return refund === undefined ? unknown("unreadable", "the refund that was found cannot be read") : answerOfOurRefund(intent, refund)
  })

  const absent = Effect.as(options.isTheAccount, { _tag: "Absent" } as const)

  const ofPaymentIntent = Effect.fnUntraced(function* ({ gatewayReference, intent, made, payment }: LookupRequest) {
    const { targetReference, targetRequestKey } = intent.details
    const known = gatewayReference ?? targetReference
    if (known !== undefined) return answerOf(intent, yield* byId(known))
    const object = yield* find(payment, referenceOfObject(intent, targetRequestKey), made)
    return object === undefined ? ({ _tag: "Absent" } as const) : answerOf(intent, object)
  })

  const ofHold = Effect.fnUntraced(function* ({ gatewayReference, intent, made, payment }: LookupRequest) {
    const object = gatewayReference === undefined ? yield* find(payment, intent.requestKey, made) : yield* byId(gatewayReference)
    return object === undefined ? unknown("inconclusive", "the authorization is not found") : holdOf(intent, object)
  })

  return {
    byId,
    find,
    /** What is left of an authorization. Never fails. */
    hold: (request: LookupRequest): Effect.Effect<HoldAnswer> =>
      Effect.catch(ofHold(request), (failure) => Effect.succeed<HoldAnswer>(failure)),
    /** What became of an operation. Never fails. */
    answer: (request: LookupRequest): Effect.Effect<LookupAnswer> => {
      const asked: Effect.Effect<LookupAnswer, Unknown> = request.intent.kind === "refund" ? ofRefund(request) : ofPaymentIntent(request)
      return Effect.catch(asked, (failure) => Effect.succeed<LookupAnswer>(failure))
    }
  }
}

/** The reference that the operation's PaymentIntent carries: its own where it makes one. */
const referenceOfObject = (intent: Intent, target: string | undefined): string =>
  intent.kind === "sale" || intent.kind === "authorize" ? intent.requestKey : (target ?? intent.requestKey)
