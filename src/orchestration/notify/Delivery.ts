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

/** How far the events of a payment were delivered: the last one and how many, and what did not work, if that ended it. */
interface Progress {
  delivered: StoredEvent | undefined
  count: number
  delivery: Exclude<Delivery, { _tag: "Delivered" }> | undefined
}

const died = (defect: unknown): Effect.Effect<Delivery> =>
  Effect.as(Effect.logError("a notifier died", defect), { _tag: "Retry", reason: "the notifier died" })

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

  /**
   * Delivers a batch in version order while the lease surely holds, and says what was delivered. This runs with every event, so an
   * interruption is noticed around all of them: `sending` tells whether one is at the notifier.
   */
  const deliverInOrder = (endpoint: string, batch: OutboxBatch, leasedAt: number): Effect.Effect<Progress> => {
    const until = leasedAt + leaseMillis - Presets.relay.deliveryTimeoutMillis.value
    const progress: Progress = { delivered: undefined, count: 0, delivery: undefined }
    let sending = false

    const ended = (delivery: Delivery, event: StoredEvent, now: number): Effect.Effect<void> => {
      sending = false
      settle(endpoint, delivery, now)
      if (delivery._tag === "Delivered") {
        progress.delivered = event
        progress.count += 1
      } else progress.delivery = delivery
      return Metrics.notified(delivery._tag === "Delivered" ? "delivered" : "retry")
    }

    const all = Effect.gen(function* () {
      const clock = yield* Clock.Clock
      for (const event of batch.events) {
        const now = clock.currentTimeMillisUnsafe()
        const health = healthOf(endpoint)
        if (isStopping() || now >= until || EndpointHealth.waitMillis(health, now) > 0) break
        const notification = notificationOf(batch.tenant, event)
        if (Result.isFailure(notification)) {
          progress.delivery = { _tag: "Rejected", reason: notification.failure }
          break
        }
        endpoints.set(endpoint, EndpointHealth.started(health))
        sending = true
        const delivery = yield* Effect.catchDefect(notifier.deliver(endpoint, notification.success), died)
        yield* ended(delivery, event, clock.currentTimeMillisUnsafe())
        if (delivery._tag !== "Delivered") break
      }
      return progress
    })
    return Effect.onInterrupt(all, () => Effect.sync(() => sending && settle(endpoint, undefined, 0)))
  }

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
    if (Unwanted.isStuck(batch)) return { delivered: 0, end: yield* failed(batch, { _tag: "Retry", reason: batch.unreadable }) }
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
