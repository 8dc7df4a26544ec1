/**
 * Receiving a webhook: verify, read, store; only then it may be acknowledged (rule 18). What it means is found out by `WebhookProcessing`.
 *
 * A verified event that this version of an adapter cannot read is stored too: it becomes a dead letter, and is not lost.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { GatewayName } from "../../domain/payment/Ids.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { Gateways, type WebhookRequest, type WebhookVerification } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { maxBodyBytes, WebhookInbox, type WebhookKey } from "../../services/notify/WebhookInbox.ts"

/** `Accepted` is durable: acknowledge it. All others have written nothing. */
export type Receipt =
  | ({ readonly _tag: "Accepted"; readonly duplicate: boolean } & WebhookKey)
  /** No such gateway, or one whose webhooks are not configured. */
  | { readonly _tag: "UnknownGateway" }
  | { readonly _tag: "NotVerified"; readonly reason: Extract<WebhookVerification, { _tag: "Invalid" }>["reason"] }
  | { readonly _tag: "TooLarge" }
  /** Too many wait to be processed; the gateway sends it again. */
  | { readonly _tag: "Full" }

const decodeName = Schema.decodeUnknownOption(GatewayName)

/** Takes a webhook. Fails with `EventStoreError` where it cannot be stored: then the gateway has to send it again. */
export const receive = Effect.fn("WebhookReceipt.receive")(function* (request: WebhookRequest & { readonly gateway: string }) {
  const gateways = yield* Gateways
  const inbox = yield* WebhookInbox
  const name = Option.getOrUndefined(decodeName(request.gateway))
  const gateway = name === undefined ? Option.none() : yield* Effect.option(gateways.get(name))
  if (Option.isNone(gateway) || gateway.value.webhooks === undefined) return { _tag: "UnknownGateway" } satisfies Receipt
  const { webhooks, name: known } = gateway.value
  const counted = (result: "refused" | "stored" | "duplicate" | "full") => Metrics.webhook({ gateway: known, result })
  if (request.body.length > maxBodyBytes) return { _tag: "TooLarge" } satisfies Receipt
  const nowSeconds = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const verification = webhooks.verify({ body: request.body, headers: request.headers }, nowSeconds)
  if (verification._tag === "Invalid") {
    yield* counted("refused")
    return { _tag: "NotVerified", reason: verification.reason } satisfies Receipt
  }
  const { eventId } = webhooks.parse(request.body)
  const stored = yield* inbox.store({ gateway: known, eventId, body: request.body })
  yield* CrashPoint.reach("webhook/after-store")
  yield* counted(stored)
  return stored === "full"
    ? ({ _tag: "Full" } satisfies Receipt)
    : ({ _tag: "Accepted", duplicate: stored === "duplicate", gateway: known, eventId } satisfies Receipt)
})
