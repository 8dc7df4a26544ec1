/**
 * The adapter of a simulated account: the sandbox's own, where the account tells less of itself than it can, or tells by webhook what
 * the sandbox does not know.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import * as Currency from "../domain/Currency.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../domain/operation/Capabilities.ts"
import { GatewayName } from "../domain/payment/Ids.ts"
import * as SandboxGateway from "../gateways/sandbox/SandboxGateway.ts"
import type { Gateway, GatewayWebhooks, WebhookEvent } from "../services/Gateway.ts"
import { captureFailedType, disputeTypes } from "./world/Aftermath.ts"
import { type Account, settleTimeMillis } from "./world/Psp.ts"

/** The gateway of an account, over the `HttpClient` in context. */
export const make = (account: Account, replayWindowMillis: number) =>
  Effect.map(
    SandboxGateway.make({
      name: GatewayName.make(account.name),
      baseUrl: `http://psp/${account.name}`,
      secretKey: Redacted.make(`sk_sandbox_${account.name}`),
      ...(account.webhooks === "none" ? {} : { webhookSecret: Redacted.make(`whsec_sandbox_${account.name}`) }),
      captures: account.captures,
      leavesOpenAfterDecline: account.leavesOpenAfterDecline,
      lookupLagMillis: account.lookupLagMillis,
      settleTimeMillis,
      replayWindowMillis
    }),
    (gateway: Gateway): Gateway => ({
      ...gateway,
      capabilities: declared(gateway.capabilities, account),
      webhooks: gateway.webhooks === undefined ? undefined : told(gateway.webhooks, account.webhooks)
    })
  )

/** What an account tells of itself: all that holds, or less. */
const declared = (capabilities: GatewayCapabilities, account: Account): GatewayCapabilities => {
  if (account.declares === "all") return capabilities
  const { authorize, capture, confirm, refund, sale, void: cancel } = capabilities.operations
  const less = (one: OperationCapabilities): OperationCapabilities => ({
    ...one,
    ...(account.declares === "no look-up" || account.declares === "neither" ? { lookupByReference: undefined } : {}),
    ...(account.declares === "no replay" || account.declares === "neither" ? { replay: "none" } : {})
  })
  return {
    ...capabilities,
    operations: {
      authorize: less(authorize),
      capture: less(capture),
      confirm: less(confirm),
      refund: less(refund),
      sale: less(sale),
      void: less(cancel)
    }
  }
}

/** Signed ones with what the sandbox does not know; of unsigned ones nothing can be believed, not even their id. */
const told = (webhooks: GatewayWebhooks, how: Account["webhooks"]): GatewayWebhooks =>
  how === "unsigned"
    ? {
        trust: "hint",
        verify: () => ({ _tag: "Valid" }),
        parse: (body) => ({ ...webhooks.parse(body), eventId: createHash("sha256").update(body).digest("hex") })
      }
    : { ...webhooks, parse: (body) => later(body) ?? webhooks.parse(body) }

interface Later {
  readonly id: string
  readonly type: string
  readonly created: number
  readonly data: { readonly operation: { readonly reference: string }; readonly dispute?: { readonly id: string; readonly amount: number } }
}

/** What becomes of a charge long after it was made. Only the simulation writes these: they are what they look like. */
const later = (body: Uint8Array): WebhookEvent | undefined => {
  const { created, data, id, type } = JSON.parse(new TextDecoder().decode(body)) as Later
  const { reference } = data.operation
  const event = { eventId: id, occurredAt: created }
  if (type === captureFailedType) return { ...event, news: { _tag: "FailedLater", reference, message: "the capture failed" } }
  const status = disputeTypes.get(type)
  if (status === undefined || data.dispute === undefined) return undefined
  const amount = { currency: Currency.CurrencyCode.make("EUR"), minor: BigInt(data.dispute.amount) }
  return { ...event, news: { _tag: "Dispute", reference, disputeId: data.dispute.id, amount, status } }
}
