/**
 * The sandbox's webhooks: their signature, and what they tell.
 *
 * `Sandbox-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256(secret, "t.rawBody")>`, accepted within 300 s. An event carries the operation
 * and its charge as they were when it happened. A refund fails after it had succeeded, or while it is pending: one that is refused makes no event.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import { boundedMessage } from "../../domain/operation/Outcome.ts"
import * as Presets from "../../domain/Presets.ts"
import type { GatewayWebhooks, WebhookEvent, WebhookRequest, WebhookVerification } from "../../services/Gateway.ts"
import * as Wire from "./SandboxWire.ts"

/** Name of the header, in lower case. */
const headerName = "sandbox-signature"

const invalid = (reason: Extract<WebhookVerification, { _tag: "Invalid" }>["reason"]): WebhookVerification => ({ _tag: "Invalid", reason })

/** Whether one of the secrets signed the body. Every secret is tried, each in constant time. */
export const verify = (
  secrets: ReadonlyArray<Redacted.Redacted>,
  { body, headers }: WebhookRequest,
  nowSeconds: number
): WebhookVerification => {
  const header = headers[headerName]
  if (header === undefined) return invalid("missing")
  const parts = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(header)
  const time = parts?.[1]
  const given = parts?.[2]
  if (time === undefined || given === undefined) return invalid("malformed")
  const signature = Buffer.from(given, "hex")
  const matches = secrets.filter((secret) =>
    timingSafeEqual(createHmac("sha256", Redacted.value(secret)).update(`${time}.`).update(body).digest(), signature)
  )
  if (matches.length === 0) return invalid("wrong")
  return Math.abs(nowSeconds - Number(time)) <= Presets.webhooks.toleranceSeconds.value ? { _tag: "Valid" } : invalid("expired")
}

const EventId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,255}$/))
const Envelope = Schema.Struct({ id: EventId, object: Schema.Literal("event"), type: Schema.String, created: Schema.Int })
const Body = Schema.Struct({ ...Envelope.fields, data: Wire.ResultBody })

const decodeBody = Schema.decodeUnknownResult(Schema.fromJsonString(Body))
const decodeEnvelope = Schema.decodeUnknownResult(Schema.fromJsonString(Envelope))

/** Events about the money of a payment. What is added to the sandbox later is not read before this adapter knows it. */
const types: ReadonlySet<string> = new Set([
  "charge.succeeded",
  "charge.authorized",
  "charge.requires_action",
  "charge.pending",
  "charge.failed",
  "charge.captured",
  "charge.voided",
  "refund.succeeded",
  "refund.pending",
  "refund.failed"
])

/** What a body tells. Total: what cannot be read keeps its own id, or gets one from its digest. */
export const parse = (body: Uint8Array, exponents: Wire.Exponents): WebhookEvent => {
  const text = new TextDecoder().decode(body)
  const decoded = decodeBody(text)
  if (Result.isFailure(decoded)) {
    const eventId = Result.match(decodeEnvelope(text), {
      onFailure: () => `sha256:${createHash("sha256").update(body).digest("hex")}`,
      onSuccess: ({ id }) => id
    })
    return { eventId, occurredAt: undefined, news: { _tag: "Unreadable", reason: "it is not an event as this adapter knows them" } }
  }
  const { created: occurredAt, data, id: eventId, type } = decoded.success
  const { reference } = data.operation
  if (type === "charge.expired") return { eventId, occurredAt, news: { _tag: "Released", reference } }
  if (!types.has(type))
    return { eventId, occurredAt, news: { _tag: "Ignored", reason: `events of type ${type.slice(0, 64)} are not used` } }
  if (type === "refund.failed") {
    const failure = data.refund?.failure ?? data.operation.failure
    const message = boundedMessage(failure?.message ?? failure?.code ?? "the refund failed")
    return { eventId, occurredAt, news: { _tag: "FailedLater", reference, message } }
  }
  return { eventId, occurredAt, news: { _tag: "Answer", reference, answerFor: (intent) => Wire.outcomeOfResult(intent, data, exponents) } }
}

/** The webhooks of an account; several secrets during a rotation. */
export const make = (secrets: ReadonlyArray<Redacted.Redacted>, exponents: Wire.Exponents): GatewayWebhooks => ({
  trust: "news",
  verify: (request, nowSeconds) => verify(secrets, request, nowSeconds),
  parse: (body) => parse(body, exponents)
})
