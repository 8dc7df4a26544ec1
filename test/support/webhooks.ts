/**
 * Webhooks that a test scripts: the body names an entry of the script, the signature is the word "signed".
 */
import * as Effect from "effect/Effect"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as WebhookReceipt from "../../src/orchestration/notify/WebhookReceipt.ts"
import type { GatewayWebhooks, LookupAnswer, WebhookEvent } from "../../src/services/Gateway.ts"
import { WebhookInbox } from "../../src/services/notify/WebhookInbox.ts"
import type { TestGateway } from "./TestEngine.ts"

/** What each event id tells. An id that is not in it makes `parse` throw. */
export type Script = Map<string, Omit<WebhookEvent, "eventId">>

/** The webhooks of a script. */
export const scripted = (script: Script, trust: GatewayWebhooks["trust"] = "news"): GatewayWebhooks => ({
  trust,
  verify: ({ headers }) => (headers["signature"] === "signed" ? { _tag: "Valid" } : { _tag: "Invalid", reason: "wrong" }),
  parse: (body) => {
    const eventId = new TextDecoder().decode(body)
    const told = script.get(eventId)
    if (told === undefined) throw new Error("a bug of the adapter")
    return { eventId, ...told }
  }
})

/** A gateway with these webhooks. */
export const withWebhooks = (gateway: TestGateway, webhooks: GatewayWebhooks): TestGateway => ({ ...gateway, webhooks })

/** What an answer about an operation looks like when it comes by webhook. */
export const tells = (reference: string, answer: LookupAnswer, occurredAt?: number): Omit<WebhookEvent, "eventId"> => ({
  occurredAt,
  news: { _tag: "Answer", reference, answerFor: () => answer }
})

const bytes = (text: string) => new TextEncoder().encode(text)

/** A webhook arrives, as the HTTP interface takes it. */
export const arrives = (gateway: string, eventId: string) =>
  WebhookReceipt.receive({ gateway, body: bytes(eventId), headers: { signature: "signed" } })

/** A webhook is in the inbox without having been read. */
export const isStored = (gateway: string, eventId: string) =>
  Effect.flatMap(WebhookInbox, (inbox) => inbox.store({ gateway: GatewayName.make(gateway), eventId, body: bytes(eventId) }))
