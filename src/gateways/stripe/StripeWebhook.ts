/**
 * Stripe's webhooks: their signature, and what they tell.
 *
 * `Stripe-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256(secret, "t.rawBody")>`, accepted within 300 s both ways; there may be several `v1`
 * (Stripe signs with the old and the new secret for up to 24 h after a change) and other schemes, which are not looked at.
 * Source: https://docs.stripe.com/webhooks#verify-manually.
 *
 * An event tells of an object as it was. `payment_intent.succeeded` does not bring the charge, whose time decides whether it came late: it is a
 * hint, and `charge.succeeded` is the news. A dispute carries no name of ours; it is about the PaymentIntent that it names.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import type { Intent } from "../../domain/operation/Operation.ts"
import { boundedMessage } from "../../domain/operation/Outcome.ts"
import * as Money from "../../domain/Money.ts"
import * as Presets from "../../domain/Presets.ts"
import type {
  GatewayWebhooks,
  LookupAnswer,
  WebhookEvent,
  WebhookNews,
  WebhookRequest,
  WebhookVerification
} from "../../services/Gateway.ts"
import { unknown } from "../HttpGateway.ts"
import * as Bodies from "./StripeBodies.ts"
import { fromStripe } from "./StripeCurrencies.ts"
import { metadata } from "./StripeRequest.ts"
import { answerOf, answerOfOurRefund, referenceOf } from "./StripeWire.ts"

const headerName = "stripe-signature"
/** The most signatures of one header that are compared. */
const maxSignatures = 16

const invalid = (reason: Extract<WebhookVerification, { _tag: "Invalid" }>["reason"]): WebhookVerification => ({ _tag: "Invalid", reason })

/** Whether one of the secrets signed the body. Every secret is tried with every signature, each in constant time. */
export const verify = (
  secrets: ReadonlyArray<Redacted.Redacted>,
  { body, headers }: WebhookRequest,
  nowSeconds: number
): WebhookVerification => {
  const header = headers[headerName]
  if (header === undefined) return invalid("missing")
  const parts = header.split(",").map((part) => part.trim())
  const times = parts.filter((part) => /^t=\d{1,12}$/.test(part)).map((part) => part.slice(2))
  const time = times[0]
  const signatures = parts.filter((part) => /^v1=[0-9a-f]{64}$/.test(part)).slice(0, maxSignatures)
  if (time === undefined || times.length > 1 || signatures.length === 0) return invalid("malformed")
  const given = signatures.map((part) => Buffer.from(part.slice(3), "hex"))
  const matches = secrets.flatMap((secret) => {
    const expected = createHmac("sha256", Redacted.value(secret)).update(`${time}.`).update(body).digest()
    return given.filter((signature) => timingSafeEqual(expected, signature))
  })
  if (matches.length === 0) return invalid("wrong")
  return Math.abs(nowSeconds - Number(time)) <= Presets.webhooks.toleranceSeconds.value ? { _tag: "Valid" } : invalid("expired")
}

const Event = Schema.Struct({
  id: Schema.String.check(Schema.isPattern(/^evt_[A-Za-z0-9_]{1,250}$/)),
  object: Schema.Literal("event"),
  type: Schema.String,
  created: Schema.Int,
  data: Schema.Struct({ object: Schema.Unknown })
})
const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Event))

const ignored = (reason: string): WebhookNews => ({ _tag: "Ignored", reason })
const unreadable = (type: string): WebhookNews => ({
  _tag: "Unreadable",
  reason: `an event of type ${type} is not as this adapter knows it`
})
const notOurs = ignored("the object was not made by us")

/** What a body tells. Total: what cannot be read gets an id from its digest. */
export const parse = (body: Uint8Array): WebhookEvent => {
  const decoded = decode(new TextDecoder().decode(body))
  if (Result.isFailure(decoded)) {
    const eventId = `sha256:${createHash("sha256").update(body).digest("hex")}`
    return { eventId, occurredAt: undefined, news: { _tag: "Unreadable", reason: "it is not an event as this adapter knows them" } }
  }
  const { created, data, id: eventId, type } = decoded.success
  return { eventId, occurredAt: created * 1000, news: newsOf(type.slice(0, 64), data.object) }
}

const newsOf = (type: string, object: unknown): WebhookNews => {
  if (type.startsWith("payment_intent.")) return newsOfPaymentIntent(type, object)
  if (type === "charge.succeeded") return newsOfCharge(type, object)
  if (type.startsWith("refund.") || type === "charge.refund.updated") return newsOfRefund(type, object)
  if (type.startsWith("charge.dispute.")) return newsOfDispute(type, object)
  return ignored(`events of type ${type} are not used`)
}

const newsOfPaymentIntent = (type: string, value: unknown): WebhookNews => {
  const object = Bodies.toPaymentIntent(value)
  if (object === undefined) return unreadable(type)
  const reference = referenceOf(object)
  if (reference === "") return notOurs
  const captured = referenceOf(object, metadata.capture)
  switch (type) {
    case "payment_intent.succeeded":
      if (captured !== "") return { _tag: "Answer", reference: captured, answerFor: (intent) => answerOf(intent, object) }
      return typeof object.latest_charge === "object" && object.latest_charge !== null
        ? { _tag: "Answer", reference, answerFor: (intent) => answerOf(intent, object) }
        : { _tag: "Hint", reference }
    case "payment_intent.canceled":
      return { _tag: object.capture_method === "manual" ? "Released" : "Hint", reference }
    case "payment_intent.amount_capturable_updated":
    case "payment_intent.partially_funded":
      return { _tag: "Hint", reference }
    case "payment_intent.payment_failed":
    case "payment_intent.processing":
    case "payment_intent.requires_action":
      return { _tag: "Answer", reference, answerFor: (intent) => answerOf(intent, object) }
    default:
      return ignored(`events of type ${type} are not used`)
  }
}

/** The charge says what was reserved or taken, and when. What it does not say, the PaymentIntent is asked. */
const newsOfCharge = (type: string, value: unknown): WebhookNews => {
  const charge = Bodies.toCharge(value)
  if (charge === undefined) return unreadable(type)
  const reference = referenceOf(charge)
  const owner = charge.payment_intent
  if (reference === "" || owner === null || owner === undefined) return notOurs
  const answerFor = (intent: Intent): LookupAnswer => {
    const id = typeof owner === "string" ? Bodies.toListed({ id: owner, created: charge.created })?.id : owner.id
    const amount = fromStripe(charge)
    const fits = (intent.kind === "sale" && charge.captured) || (intent.kind === "authorize" && !charge.captured)
    if (intent.requestKey !== reference || !fits || charge.status !== "succeeded" || id === undefined || amount === undefined) {
      return unknown("inconclusive", "the charge alone does not tell")
    }
    return { _tag: "Succeeded", gatewayReference: id, amount, chargedAt: charge.created * 1000, named: true }
  }
  return { _tag: "Answer", reference, answerFor }
}

/** A refund fails days after it succeeded, or while it is pending; either way it is not to be taken for a success that comes late. */
const newsOfRefund = (type: string, value: unknown): WebhookNews => {
  const refund = Bodies.toRefund(value)
  if (refund === undefined) return unreadable(type)
  const reference = referenceOf(refund)
  if (reference === "") return newsOfOutsideRefund(type, refund)
  if (refund.status === "failed" || refund.status === "canceled") {
    return { _tag: "FailedLater", reference, message: boundedMessage(`the refund ${refund.status}: ${refund.failure_reason ?? "unknown"}`) }
  }
  return { _tag: "Answer", reference, answerFor: (intent) => answerOfOurRefund(intent, refund) }
}

/** A refund that nobody made through us, in the dashboard say: the payment's amounts do not hold any more, and a person has to know. */
const newsOfOutsideRefund = (type: string, refund: Bodies.Refund): WebhookNews => {
  const amount = fromStripe(refund)
  const inWords = amount === undefined ? `${refund.amount} ${refund.currency}` : Money.format(amount)
  const evidence = boundedMessage(
    `refund ${refund.id} of ${inWords} was not made by us; it is ${refund.status ?? "of unknown status"} at Stripe`
  )
  // That it failed is other news than that it was made: the money is back.
  const about = refund.status === "failed" || refund.status === "canceled" ? `${refund.id} ${refund.status}` : refund.id
  return aboutOwner(type, refund.payment_intent, (reference) => ({ _tag: "ForPerson", reference, evidence, about }))
}

/** News of the PaymentIntent that an object names, by its id or in full. */
const aboutOwner = (
  type: string,
  owner: string | { readonly id: string; readonly metadata?: Bodies.PaymentIntent["metadata"] } | null | undefined,
  news: (reference: string) => WebhookNews
): WebhookNews => {
  const newsOf = (reference: string): WebhookNews => (reference === "" ? notOurs : news(reference))
  if (owner === null || owner === undefined) return notOurs
  if (typeof owner !== "string") return newsOf(owner.metadata?.[metadata.reference] ?? "")
  const id = Bodies.toListed({ id: owner, created: 0 })?.id
  return id === undefined ? unreadable(type) : { _tag: "About", gatewayReference: id, newsOf }
}

const disputeStatuses: ReadonlyMap<string, "open" | "won" | "lost"> = new Map([
  ["needs_response", "open"],
  ["under_review", "open"],
  ["appeal_needs_response", "open"],
  ["appeal_under_review", "open"],
  ["won", "won"],
  ["lost", "lost"]
])
/** Inquiries take no money. */
const inquiries: ReadonlySet<string> = new Set(["warning_needs_response", "warning_under_review", "warning_closed"])

/**
 * A dispute that was settled before it became one: its money tells what it came to, and was given back to the customer, or returned to us.
 * `undefined` where no money of it moved that tells.
 */
const statusOfPrevented = ({ balance_transactions: moved }: Bodies.Dispute): "won" | "lost" | undefined => {
  if (moved === null || moved === undefined || moved.length === 0) return undefined
  return moved.reduce((sum, { amount }) => sum + amount, 0) < 0 ? "lost" : "won"
}

const newsOfDispute = (type: string, value: unknown): WebhookNews => {
  const dispute = Bodies.toDispute(value)
  if (dispute === undefined) return unreadable(type)
  const isPrevented = dispute.status === "prevented"
  const status = isPrevented ? statusOfPrevented(dispute) : disputeStatuses.get(dispute.status)
  const isInquiry = dispute.payment_method_details?.card?.case_type === "inquiry"
  if (inquiries.has(dispute.status) || (isPrevented && isInquiry && status === undefined)) return ignored("an inquiry takes no money")
  const amount = fromStripe(dispute)
  const { id: disputeId, payment_intent: owner } = dispute
  if (amount === undefined || owner === null || owner === undefined) return unreadable(type)
  if (status !== undefined) {
    return aboutOwner(type, owner, (reference) => ({ _tag: "Dispute", reference, disputeId, amount, status }))
  }
  if (!isPrevented) return unreadable(type)
  const evidence = boundedMessage(`dispute ${disputeId} over ${Money.format(amount)} was prevented; whether it was refunded is not told`)
  return aboutOwner(type, owner, (reference) => ({ _tag: "ForPerson", reference, evidence, about: disputeId }))
}

/** The webhooks of an account; several secrets during a rotation. */
export const make = (
  secrets: ReadonlyArray<Redacted.Redacted>,
  referenceOfObject: NonNullable<GatewayWebhooks["referenceOf"]>
): GatewayWebhooks => ({
  trust: "news",
  verify: (request, nowSeconds) => verify(secrets, request, nowSeconds),
  parse,
  referenceOf: referenceOfObject
})
