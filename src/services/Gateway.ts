/**
 * A gateway account, as the orchestration sees it. Adapters implement this.
 *
 * An adapter sends one request per call: no retry, no redirect (rule 2). It never fails: whatever it meets is an outcome, and
 * when in doubt it is `Unknown`. The request is made from the intent alone (rule 14).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Money } from "../domain/Money.ts"
import type { GatewayCapabilities } from "../domain/operation/Capabilities.ts"
import type { Intent } from "../domain/operation/Operation.ts"
import type { NotSent, Outcome, Unknown } from "../domain/operation/Outcome.ts"
import type { Absent } from "../domain/operation/Settle.ts"
import { type AccountFingerprint, GatewayName, type GatewayReference, type PaymentId } from "../domain/payment/Ids.ts"

/**
 * A request: the intent and whose it is.
 *
 * `leftMillis`: for how long from now something may be written that changes anything, by all clocks of the process (rule 12). For adapters that
 * have to find something out before they send; absent where nobody counts.
 */
export interface GatewayRequest {
  readonly payment: PaymentId
  readonly intent: Intent
  readonly leftMillis?: (() => number) | undefined
}

/**
 * When a payment can have made something at a gateway, in database time (epoch milliseconds): from its first intent until everything that was
 * permitted has settled. `now`: the same clock, before the question; a gateway that tells its own time shows by how much the two differ.
 */
export interface MadeBetween {
  readonly since: number
  readonly until: number
  readonly now: number
}

/** A question. `made`: where it is not known, an adapter that needs a range to look in answers no absence. */
export interface LookupRequest extends GatewayRequest {
  readonly gatewayReference: GatewayReference | undefined
  readonly made?: MadeBetween | undefined
}

/** What a look-up found. `Unknown`: the question could not be answered. */
export type LookupAnswer = Exclude<Outcome, NotSent> | Absent

/**
 * What is left of an authorization that took effect. `Held`: it can be captured still, or all of it was. `Released`: the gateway ended it, and
 * what was not captured of it never will be. `Unknown`: the question could not be answered.
 */
export type HoldAnswer = { readonly _tag: "Held" } | { readonly _tag: "Released" } | Unknown

/** A webhook as it arrived. Names of headers are in lower case; the body is what was received, byte for byte. */
export interface WebhookRequest {
  readonly body: Uint8Array
  readonly headers: { readonly [name: string]: string | undefined }
}

/** Whether the gateway sent a webhook. `expired`: signed too long ago, or with a clock too far away. */
export type WebhookVerification =
  | { readonly _tag: "Valid" }
  | { readonly _tag: "Invalid"; readonly reason: "missing" | "malformed" | "expired" | "wrong" }

/**
 * What a webhook tells. `reference`: our reference of the operation, the request key, as the gateway repeats it.
 *
 * - `Answer`: what became of the operation, read against its intent.
 * - `Hint`: something changed; the gateway has to be asked.
 * - `FailedLater`: a capture or refund that had succeeded failed.
 * - `Released`: the gateway ended a hold by itself, or after our cancel.
 * - `ForPerson`: something that nobody did through us and that the payment's amounts do not show; it opens a review. `about`: the gateway's name
 *   of it, 1 to 255 characters; told again it opens none.
 * - `About`: news of an object that is named by the gateway's id alone; `referenceOf` tells whose it is.
 * - `Ignored`: nothing that concerns payments. `Unreadable`: not what this version of the adapter knows; a person has to look.
 */
export type WebhookNews =
  | { readonly _tag: "Answer"; readonly reference: string; readonly answerFor: (intent: Intent) => LookupAnswer }
  | { readonly _tag: "Hint"; readonly reference: string }
  | { readonly _tag: "FailedLater"; readonly reference: string; readonly message: string }
  | {
      readonly _tag: "Dispute"
      readonly reference: string
      readonly disputeId: string
      readonly amount: Money
      readonly status: "open" | "won" | "lost"
    }
  | { readonly _tag: "Released"; readonly reference: string }
  | { readonly _tag: "ForPerson"; readonly reference: string; readonly evidence: string; readonly about?: string }
  | {
      readonly _tag: "About"
      readonly gatewayReference: GatewayReference
      readonly newsOf: (reference: string) => WebhookNews
    }
  | { readonly _tag: "Ignored"; readonly reason: string }
  | { readonly _tag: "Unreadable"; readonly reason: string }

/** A webhook, read. `eventId`: the gateway's own, 1 to 255 characters; where it has none, a digest of the body. */
export interface WebhookEvent {
  readonly eventId: string
  /** When it happened, by the gateway's clock (epoch milliseconds). */
  readonly occurredAt: number | undefined
  readonly news: WebhookNews
}

/**
 * The webhooks of a gateway account (rule 18).
 *
 * - `trust`: `news` where `verify` proves the sender. `hint` where nothing does: then whatever an event says only makes us ask the
 *   gateway, and `eventId` must be a digest of the body, so that nobody can take the place of a true event.
 * - `verify`: over the raw body, in constant time, against every secret in force (several during a rotation). `nowSeconds`: Unix time.
 * - `parse`: total and pure; the same body always reads the same.
 * - `referenceOf`: our reference that an object of the gateway carries, "" where it carries none. Needed where `parse` answers `About`.
 */
export interface GatewayWebhooks {
  readonly trust: "news" | "hint"
  readonly verify: (request: WebhookRequest, nowSeconds: number) => WebhookVerification
  readonly parse: (body: Uint8Array) => WebhookEvent
  readonly referenceOf?: ((gatewayReference: GatewayReference) => Effect.Effect<string, Unknown>) | undefined
}

/**
 * A charge or a refund as the gateway lists it.
 *
 * `reference`: ours, as the gateway repeats it; whatever it holds for what was not made by us. `answer`: what the record says of the
 * operation that made it, as a look-up would. `totals` of a charge, in minor units of its currency: what is reserved or captured, what
 * is captured, what was given back; all 0 for one that was cancelled.
 */
export interface GatewayRecord {
  readonly kind: "charge" | "refund"
  readonly reference: string
  readonly gatewayReference: GatewayReference
  /** By the gateway's clock, epoch milliseconds. */
  readonly createdAt: number
  readonly answer: LookupAnswer
  readonly totals?: { readonly authorized: bigint; readonly captured: bigint; readonly refunded: bigint }
}

/** The gateway's list could not be read. */
export class GatewayListFailed extends Schema.TaggedError<GatewayListFailed>()("GatewayListFailed", {
  gateway: GatewayName,
  detail: Schema.String
}) {
  override get message(): string {
    return `the list of gateway "${this.gateway}" could not be read: ${this.detail}`
  }
}

/**
 * One gateway account.
 *
 * - `send`: carries out the intent's operation with one request under the intent's request key. `NotSent` only where no byte can
 *   have been acted on.
 * - `lookup`: asks what became of the intent's operation: by the PSP's id where `gatewayReference` is given, otherwise by our
 *   reference. Has no side effect. `Absent` means that the PSP knows nothing of it now; whether that is certain is for `settle`.
 *   `Unknown` with the failure's reason when the PSP could not be asked.
 * - `hold`: whether an authorization still holds; by the PSP's id, otherwise by our reference. Has no side effect. A look-up cannot tell: it
 *   answers what became of the request, and that it succeeded is true for ever. `undefined` where the gateway cannot be asked that.
 * - `webhooks`: how its webhooks are verified and read; `undefined` where it sends none, or no secret is configured.
 * - `list`: charges and refunds that the gateway made in [from, to) of its own clock (epoch milliseconds), page by page, each with its
 *   state at the time of its page. `undefined` where the gateway cannot list.
 *
 * No call has a time limit of its own: the caller interrupts, and an interrupted call closes its connection.
 */
export interface Gateway {
  readonly name: GatewayName
  readonly account: AccountFingerprint
  readonly adapterVersion: string
  readonly apiVersion: string
  readonly capabilities: GatewayCapabilities
  /**
   * The first byte of a request is written at most this many milliseconds after `send` begins, or before `leftMillis` of the request has come
   * to nothing, or never: then the outcome is `NotSent`. No send begins later than this before its permission ends (rule 12). Default: the preset `gatewayCall.connectLimitMillis`, which the
   * HTTP client for gateways keeps; 0 where nothing has to be connected.
   */
  readonly connectLimitMillis?: number | undefined
  readonly send: (request: GatewayRequest) => Effect.Effect<Outcome>
  readonly lookup: (request: LookupRequest) => Effect.Effect<LookupAnswer>
  readonly hold?: ((request: LookupRequest) => Effect.Effect<HoldAnswer>) | undefined
  readonly webhooks?: GatewayWebhooks | undefined
  readonly list?: ((range: { readonly from: number; readonly to: number }) => Stream.Stream<GatewayRecord, GatewayListFailed>) | undefined
}

/** No gateway of that name is configured. */
export class GatewayNotConfigured extends Schema.TaggedError<GatewayNotConfigured>()("GatewayNotConfigured", {
  gateway: GatewayName,
  configured: Schema.Array(GatewayName)
}) {
  override get message(): string {
    return `no gateway named "${this.gateway}" is configured; configured: ${this.configured.join(", ") || "none"}`
  }
}

/** The configured gateways, in the order of the configuration. The type of an adapter's outcome is closed: `Unknown` is the last resort. */
export class Gateways extends Context.Service<
  Gateways,
  {
    readonly all: ReadonlyArray<Gateway>
    readonly get: (name: GatewayName) => Effect.Effect<Gateway, GatewayNotConfigured>
  }
>()("aegispay/services/Gateway/Gateways") {}

/** The outcome of a call that was given up. */
export const gaveUp = (reason: Unknown["reason"], message: string): Unknown => ({ _tag: "Unknown", reason, message })
