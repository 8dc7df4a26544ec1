/**
 * Delivering what a relay has leased: the events of one payment, in version order, to the endpoint of its merchant.
 *
 * What was delivered is acknowledged after the delivery: a crash in between delivers again. What fails waits with backoff; after
 * `maxAttempts` the payment becomes a dead letter. Nothing is sent when the lease may end before the answer.
 *
 * What has no receiver in this process may have one in another: it is left to the others, and taken off only when it is old.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { TenantId } from "../../domain/payment/Ids.ts"
import * as PublicEvent from "../../domain/payment/PublicEvent.ts"
import * as Presets from "../../domain/Presets.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import type { EventStoreError } from "../../services/EventStore.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type Delivery, type Notification, Notifier } from "../../services/notify/Notifier.ts"
import { Outbox, type OutboxBatch } from "../../services/Outbox.ts"
import * as Backoff from "./Backoff.ts"
import * as EndpointHealth from "./EndpointHealth.ts"
import * as Unwanted from "./Unwanted.ts"

/** What became of one payment. `postponed`: not tried, its endpoint is paused or it has none here. `lost`: another relay has it. */
export interface Handled {
  /** Events. */
  readonly delivered: number
  readonly end: "done" | "retried" | "postponed" | "dead" | "lost"
}

const backoff: Backoff.Backoff = {
  baseMillis: Presets.relay.retryBaseMillis.value,
  capMillis: Presets.relay.retryCapMillis.value,
  jitter: Presets.relay.retryJitter.value
}

/** What a relay delivers with. `isStopping`: no further event is sent. Answers a program that handles a batch and never fails. */
export const make = Effect.fnUntraced(function* (options: {
  readonly leaseMillis: number
  readonly maxAttempts: number
  readonly discardAfterMillis: number
  readonly isStopping: () => boolean
}) {
  const outbox = yield* Outbox
  const notifier = yield* Notifier
  const { discardAfterMillis, isStopping, leaseMillis, maxAttempts } = options
  const endpoints = new Map<string, EndpointHealth.Endpoint>()

  const healthOf = (endpoint: string) => endpoints.get(endpoint) ?? EndpointHealth.unknown

  const deliver = Effect.fnUntraced(function* (endpoint: string, tenant: TenantId, event: StoredEvent) {
    const notification = notificationOf(tenant, event)
    if (Result.isFailure(notification)) return { _tag: "Rejected", reason: notification.failure } satisfies Delivery
    endpoints.set(endpoint, EndpointHealth.started(healthOf(endpoint)))
    const delivery = yield* notifier.deliver(endpoint, notification.success).pipe(
      Effect.catchDefect((defect) =>
        Effect.as(Effect.logError("a notifier died", defect), {
          _tag: "Retry",
          reason: "the notifier died"
        } satisfies Delivery)
      ),
      Effect.onInterrupt(() => Effect.sync(() => settle(endpoint, undefined, 0)))
    )
    settle(endpoint, delivery, yield* Clock.currentTimeMillis)
    yield* Metrics.notified(delivery._tag === "Delivered" ? "delivered" : "retry")
    return delivery
  })

  /** An endpoint that refuses an event is not failing; one whose answer was not awaited is not known to. */
  const settle = (endpoint: string, delivery: Delivery | undefined, now: number): void => {
    const health = healthOf(endpoint)
    if (delivery === undefined) endpoints.set(endpoint, { ...health, inFlight: health.inFlight - 1 })
    else endpoints.set(endpoint, EndpointHealth.ended(health, delivery._tag !== "Retry", now))
    if (healthOf(endpoint).failuresInRow === 0 && healthOf(endpoint).inFlight === 0) endpoints.delete(endpoint)
  }

  /** What follows from a delivery that did not work. Called with nothing of this lease left to acknowledge. */
  const failed = Effect.fnUntraced(function* (batch: OutboxBatch, delivery: Exclude<Delivery, { _tag: "Delivered" }>) {
    const lease = { payment: batch.payment, token: batch.token }
    if (delivery._tag === "Rejected" || batch.attempts + 1 >= maxAttempts) {
      yield* Effect.logError(`notifications are given up after ${batch.attempts + 1} attempts: ${delivery.reason}`)
      return (yield* outbox.deadLetter({ ...lease, reason: delivery.reason })) ? "dead" : "lost"
    }
    const delay = Math.max(yield* Backoff.delayMillis(backoff, batch.attempts + 1), delivery.retryAfterMillis ?? 0)
    return (yield* outbox.retryLater({ ...lease, delayMillis: Math.min(delay, backoff.capMillis) })) ? "retried" : "lost"
  })

  /** Delivers a batch in version order while the lease surely holds, and says what was delivered. */
  const deliverInOrder = Effect.fnUntraced(function* (endpoint: string, batch: OutboxBatch, leasedAt: number) {
    let delivered: StoredEvent | undefined
    let count = 0
    const until = leasedAt + leaseMillis - Presets.relay.deliveryTimeoutMillis.value
    for (const event of batch.events) {
      const now = yield* Clock.currentTimeMillis
      if (isStopping() || now >= until || EndpointHealth.waitMillis(healthOf(endpoint), now) > 0) break
      const delivery = yield* deliver(endpoint, batch.tenant, event)
      if (delivery._tag !== "Delivered") return { delivered, count, delivery }
      delivered = event
      count += 1
    }
    return { delivered, count, delivery: undefined }
  })

  const handle = Effect.fnUntraced(function* (batch: OutboxBatch, leasedAt: number): Effect.fn.Return<Handled, EventStoreError> {
    const { payment, token } = batch
    const endpoint = notifier.endpointOf(batch.tenant)
    const acknowledge = (upToVersion: number) => outbox.acknowledge({ payment, token, upToVersion })
    if (endpoint === undefined)
      return { delivered: 0, end: (yield* Effect.provideService(Unwanted.handled(batch, discardAfterMillis), Outbox, outbox)).end }
    const { count, delivered, delivery } = yield* deliverInOrder(endpoint, batch, leasedAt)
    yield* CrashPoint.reach("relay/after-delivery")
    // The acknowledgement frees the payment: what is left of it is leased anew, with its own count of attempts.
    if (delivered !== undefined) return { delivered: count, end: (yield* acknowledge(delivered.version)) ? "done" : "lost" }
    if (delivery !== undefined) return { delivered: 0, end: yield* failed(batch, delivery) }
    const wait = EndpointHealth.waitMillis(healthOf(endpoint), yield* Clock.currentTimeMillis)
    const delayMillis = yield* Backoff.delayMillis({ ...backoff, baseMillis: wait }, 1)
    return { delivered: 0, end: (yield* outbox.retryLater({ payment, token, delayMillis, failed: false })) ? "postponed" : "lost" }
  })

  return (batch: OutboxBatch, leasedAt: number) =>
    handle(batch, leasedAt).pipe(
      Effect.catch((error) =>
        Effect.as(Effect.logWarning(`notifications are delivered again when their lease is over: ${error.message}`), {
          delivered: 0,
          end: "lost"
        } satisfies Handled)
      ),
      Effect.catchDefect((defect) =>
        Effect.as(Effect.logError("notifying died; it is tried again when its lease is over", defect), {
          delivered: 0,
          end: "lost"
        } satisfies Handled)
      ),
      Effect.tap(({ end }) => (end === "dead" || end === "lost" ? Metrics.notified(end) : Effect.void)),
      // The token is one lease of one payment, so it tells which lines belong together.
      Effect.annotateLogs({ correlationId: `relay-${batch.token}`, payment: batch.payment, merchant: batch.tenant })
    )
})

const notificationOf = (tenant: TenantId, event: StoredEvent): Result.Result<Notification, string> =>
  Result.mapBoth(PublicEvent.of(event), {
    onFailure: () => `event ${event.version} cannot be written`,
    onSuccess: (shown): Notification => ({
      id: event.eventId,
      tenant,
      payment: event.paymentId,
      version: event.version,
      type: shown.type,
      body: JSON.stringify(shown)
    })
  })
