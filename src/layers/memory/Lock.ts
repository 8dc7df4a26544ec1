/**
 * Locks within one process.
 *
 * Whoever waits for a key stands in a queue: only its head may take the key, and it wakes when the key is released or its lease
 * expires. So waiters are served in the order they came, and a waiter that gives up or is interrupted lets the next one pass.
 *
 * Gotcha: leases expire by `Clock`, the process' wall clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { type Lease, LeaseLost, Lock, LockNotAcquired } from "../../services/Lock.ts"
import { Leases } from "./Leases.ts"

/** More waiters for one key than this fail at once: whoever comes later would hardly be served in time. */
const maxWaitersPerKey = 1_000

type Waiter = Latch.Latch

const make = Effect.gen(function* () {
  const leases = yield* Leases
  const queues = new Map<string, Set<Waiter>>()

  const head = (key: string): Waiter | undefined => queues.get(key)?.values().next().value
  const wakeHead = (key: string) => head(key)?.openUnsafe()

  const join = (key: string): Waiter | undefined => {
    const queue = queues.get(key) ?? new Set<Waiter>()
    if (queue.size >= maxWaitersPerKey) return undefined
    const waiter = Latch.makeUnsafe(false)
    queue.add(waiter)
    queues.set(key, queue)
    return waiter
  }
  const leave = (key: string, waiter: Waiter) => {
    const queue = queues.get(key)
    queue?.delete(waiter)
    if (queue?.size === 0) queues.delete(key)
    else wakeHead(key)
  }

  /** Takes the key as soon as this waiter is the head and the key is free; `undefined` when the time is over. */
  const waitFor = Effect.fnUntraced(function* (
    options: { readonly key: string; readonly owner: string; readonly ttlMillis: number },
    waiter: Waiter,
    deadline: number
  ) {
    while (true) {
      const now = yield* Clock.currentTimeMillis
      const isHead = head(options.key) === waiter
      const holder = leases.current(options.key, now)
      if (isHead && holder === undefined) return leases.grant(options, now)
      if (now >= deadline) return undefined
      const wakeAt = isHead && holder !== undefined ? Math.min(deadline, holder.expiresAt) : deadline
      yield* Effect.timeoutOption(waiter.await, Math.ceil(wakeAt - now))
      waiter.closeUnsafe()
    }
  })

  const acquire = Effect.fn("Lock.acquire")(function* (options: Parameters<(typeof Lock.Service)["acquire"]>[0]) {
    const { key, owner, waitMillis = 0 } = options
    const startedAt = yield* Clock.currentTimeMillis
    const isFree = leases.current(key, startedAt) === undefined && !queues.has(key)
    if (isFree) return leases.grant(options, startedAt)
    const lease =
      waitMillis <= 0
        ? undefined
        : yield* Effect.acquireUseRelease(
            Effect.sync(() => join(key)),
            (waiter) => (waiter === undefined ? Effect.undefined : waitFor(options, waiter, startedAt + waitMillis)),
            (waiter) => Effect.sync(() => waiter !== undefined && leave(key, waiter))
          )
    if (lease !== undefined) return lease
    const waitedMillis = (yield* Clock.currentTimeMillis) - startedAt
    return yield* new LockNotAcquired({ key, owner, waitedMillis })
  })

  const release = Effect.fn("Lock.release")(function* (lease: Lease) {
    const released = leases.release(lease, yield* Clock.currentTimeMillis)
    if (released) wakeHead(lease.key)
    return released
  })

  const extend = Effect.fn("Lock.extend")(function* (lease: Lease, options: { readonly ttlMillis: number }) {
    const extended = leases.extend(lease, options, yield* Clock.currentTimeMillis)
    return extended ?? (yield* new LeaseLost({ key: lease.key, owner: lease.owner }))
  })

  return Lock.of({ acquire, release, extend })
})

/** Locks over the process' leases. */
export const layer: Layer.Layer<Lock, never, Leases> = Layer.effect(Lock, make)
