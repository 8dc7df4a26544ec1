/**
 * The relay: delivers the events of the outbox to the merchants' endpoints, at least once, those of a payment in version order (rule 19).
 *
 * It leases payments, so any number of relays may run. What was delivered is acknowledged after the delivery: a crash in between
 * delivers again. A payment that fails waits with backoff and holds back nobody else; after `maxAttempts` it becomes a dead letter,
 * which `Outbox.replay` brings back. An endpoint that fails time after time is tried by one delivery at a time. Events that have no
 * receiver here are left to other relays, and taken off when nobody took them for long. A process that has none at all runs no relay,
 * but `Unwanted.run`.
 *
 *     const relay = yield* Relay.make()
 *     yield* relay.run          // until it is interrupted; then what is under way is finished first
 *
 * **Gotchas**: a relay that was paused for longer than its lease may repeat an event after another relay went on. A receiver that keeps
 * the last version of a payment leaves it out.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Semaphore from "effect/Semaphore"
import * as Presets from "../../domain/Presets.ts"
import { Ids } from "../../services/Ids.ts"
import { Outbox } from "../../services/Outbox.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import * as Delivery from "./Delivery.ts"

/** All optional; the presets `relay`. Times in milliseconds. */
export interface RelayOptions {
  /** Payments at a time, 1 to 1,000. */
  readonly concurrency?: number
  readonly leaseMillis?: number
  readonly pollMillis?: number
  readonly maxAttempts?: number
  /** How old an event gets that has no receiver here before it is taken off. */
  readonly discardAfterMillis?: number
}

/** What became of the payments of one run. `postponed`: not tried, their endpoint is paused or they have none here. `lost`: another relay has it. */
export interface RelayReport {
  readonly payments: number
  /** Events. */
  readonly delivered: number
  readonly retried: number
  readonly postponed: number
  readonly dead: number
  readonly lost: number
}

/**
 * A relay.
 *
 * - `runOnce`: leases payments once, delivers them, and reports.
 * - `run`: does so until it is interrupted. The database being away is waited for.
 */
export const make = Effect.fnUntraced(function* (options: RelayOptions = {}) {
  const outbox = yield* Outbox
  const [owner = ""] = yield* (yield* Ids).uuids(1)
  const concurrency = Math.min(1000, Math.max(1, options.concurrency ?? Presets.relay.concurrency.value))
  const leaseMillis = options.leaseMillis ?? Presets.relay.leaseMillis.value
  const maxAttempts = options.maxAttempts ?? Presets.relay.maxAttempts.value
  const discardAfterMillis = options.discardAfterMillis ?? Presets.relay.discardAfterMillis.value
  let stopping = false

  const handle = yield* Delivery.make({ leaseMillis, maxAttempts, discardAfterMillis, isStopping: () => stopping })

  const lease = (payments: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (leasedAt) =>
      Effect.map(outbox.lease({ owner, payments, ttlMillis: leaseMillis }), (batches) => ({ batches, leasedAt }))
    )

  const runOnce = Effect.gen(function* () {
    yield* outsideTransaction("Relay.runOnce")
    const { batches, leasedAt } = yield* lease(concurrency)
    const handled = yield* Effect.forEach(batches, (batch) => handle(batch, leasedAt), { concurrency })
    return reportOf(handled)
  })

  const idle = Effect.sleep(Duration.millis(options.pollMillis ?? Presets.relay.pollMillis.value))

  /** One loop leases as much as there is room for; each payment is delivered in a fiber of its own. */
  const run = Effect.gen(function* () {
    yield* outsideTransaction("Relay.run")
    const room = yield* Semaphore.make(concurrency)
    const fibers = yield* FiberSet.make<Delivery.Handled>()
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.sync(() => (stopping = true)),
        Effect.timeoutOption(FiberSet.awaitEmpty(fibers), Duration.millis(Presets.relay.deliveryTimeoutMillis.value * 2))
      )
    )
    let busy = 0
    stopping = false
    // Between a lease and the start of its deliveries a stop is not noticed: otherwise the payments would wait for the end of the lease.
    const leaseAndStart = Effect.uninterruptible(
      Effect.gen(function* () {
        const { batches, leasedAt } = yield* lease(concurrency - busy)
        for (const batch of batches) {
          yield* room.take(1)
          busy += 1
          const release = Effect.andThen(
            Effect.sync(() => (busy -= 1)),
            room.release(1)
          )
          yield* FiberSet.run(fibers, Effect.interruptible(Effect.ensuring(handle(batch, leasedAt), release)))
        }
        return batches.length
      })
    )
    const step = Effect.gen(function* () {
      yield* room.withPermit(Effect.void)
      if ((yield* leaseAndStart) === 0) yield* idle
    }).pipe(Effect.catch((error) => Effect.andThen(Effect.logWarning(`the outbox cannot be read: ${error.message}`), idle)))
    return yield* Effect.forever(step)
  }).pipe(Effect.scoped)

  return { runOnce, run }
})

const reportOf = (handled: ReadonlyArray<Delivery.Handled>): RelayReport => {
  const count = (end: Delivery.Handled["end"]) => handled.filter((one) => one.end === end).length
  return {
    payments: handled.length,
    delivered: handled.reduce((sum, one) => sum + one.delivered, 0),
    retried: count("retried"),
    postponed: count("postponed"),
    dead: count("dead"),
    lost: count("lost")
  }
}

/** `make` and `run`: delivers until it is interrupted. */
export const run = (options: RelayOptions = {}) => Effect.flatMap(make(options), (relay) => relay.run)
