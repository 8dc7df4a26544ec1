/**
 * The inbox of webhooks: stored, then acknowledged, then processed (rule 18).
 *
 * An event is known by gateway and event id. It is a duplicate once it is stored; it counts as seen only when it was processed:
 * what a crash leaves half done is leased again. A message that cannot be processed waits for its own retry and blocks no other;
 * when it is given up it becomes a dead letter that can be replayed.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { EventStoreError } from "../EventStore.ts"

/** Which webhook. */
export interface WebhookKey {
  readonly gateway: GatewayName
  /** 1 to 255 characters. */
  readonly eventId: string
}

/** A webhook that this process holds. */
export interface LeasedWebhook extends WebhookKey {
  readonly token: bigint
  /** The raw body as it was received; at most 64 KiB. */
  readonly body: Uint8Array
  /** Database time, epoch milliseconds. */
  readonly receivedAt: number
  /** How often it has been leased, this time included, without those that were handed back as not failed. */
  readonly attempts: number
  /** How long ago it was received, in milliseconds of database time. */
  readonly ageMillis: number
}

/** A webhook that was given up. `diedAt`: database time. */
export interface DeadWebhook extends WebhookKey {
  readonly receivedAt: number
  readonly diedAt: number
  readonly reason: string
}

/** Answers to storing. `duplicate`: it is stored already, processed or not. `full`: too many wait; nothing was written. */
export type WebhookStored = "stored" | "duplicate" | "full"

/** The most webhooks that may wait to be processed; more are refused, and the gateway sends them again. */
export const maxWaiting = 100_000

/** The largest body, in bytes: 64 KiB. An event is a few kilobytes. */
export const maxBodyBytes = 65_536

/** The most webhooks of one lease, of one page of dead letters. */
export const maxPage = 1_000

/**
 * The inbox.
 *
 * - `store`: durable when it answers `stored` or `duplicate`. A repeated delivery of a dead letter brings it back.
 * - `lease`: takes up to `limit` (1 to 1,000) webhooks that wait, whose time has come and whom nobody holds, longest due first, for
 *   `ttlMillis`. Counts an attempt, so that one that kills its process is counted too.
 * - `done`: processed; kept as known until it is purged. False when the lease had been lost.
 * - `retryLater`: hands it back for `delayMillis`; `failed: false` gives the attempt back. False when the lease had been lost.
 * - `bury`: gives it up as a dead letter, with a reason of at most 1,000 characters and no secrets. False when the lease had been lost.
 * - `deadLetters`: the newest first, at most `limit` (1 to 1,000).
 * - `replay`: a dead letter waits again, as if it had just been received for the first time, but with its own time of receipt. False
 *   when there is no such dead letter.
 * - `purge`: forgets at most `limit` (1 to 1,000) webhooks that were processed or given up longer ago than `olderThanMillis`; how many.
 *   An event that comes once more after that is processed once more, which changes nothing (rule 17).
 * - `summary`: how many wait, since when the oldest does, and how many dead letters there are.
 */
export class WebhookInbox extends Context.Service<
  WebhookInbox,
  {
    readonly store: (webhook: WebhookKey & { readonly body: Uint8Array }) => Effect.Effect<WebhookStored, EventStoreError>
    readonly lease: (options: {
      readonly limit: number
      readonly ttlMillis: number
    }) => Effect.Effect<ReadonlyArray<LeasedWebhook>, EventStoreError>
    readonly done: (webhook: WebhookKey & { readonly token: bigint }) => Effect.Effect<boolean, EventStoreError>
    readonly retryLater: (
      webhook: WebhookKey & { readonly token: bigint },
      options: { readonly delayMillis: number; readonly failed: boolean }
    ) => Effect.Effect<boolean, EventStoreError>
    readonly bury: (webhook: WebhookKey & { readonly token: bigint }, reason: string) => Effect.Effect<boolean, EventStoreError>
    readonly deadLetters: (options: { readonly limit: number }) => Effect.Effect<ReadonlyArray<DeadWebhook>, EventStoreError>
    readonly replay: (webhook: WebhookKey) => Effect.Effect<boolean, EventStoreError>
    readonly purge: (options: { readonly olderThanMillis: number; readonly limit: number }) => Effect.Effect<number, EventStoreError>
    readonly summary: Effect.Effect<
      { readonly waiting: number; readonly oldestReceivedAt: number | undefined; readonly dead: number },
      EventStoreError
    >
  }
>()("aegispay/services/notify/WebhookInbox") {}
