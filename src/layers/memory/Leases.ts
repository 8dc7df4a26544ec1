/**
 * The leases of one process: what the memory lock grants and what the memory event store's fence asks.
 *
 * Tokens come from one counter for all keys, so a released or expired lease can be forgotten and the key's next token is still
 * greater. Times are epoch milliseconds of `Clock`.
 *
 * Gotcha: the lock and the event store must be given the same build of this layer; provide it once, below both.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Lease } from "../../services/Lock.ts"

/** Above this many leases the expired ones are forgotten before one more is granted. */
const sweepAt = 1_000

/**
 * The leases.
 *
 * - `current`: the lease that holds a key now, if one does.
 * - `holds`: does this token still hold its key? What a fence asks.
 * - `grant`: a new lease with a new token, whoever held the key.
 * - `extend`: a new expiry; `undefined` when the token no longer holds.
 * - `release`: forgets the lease; false when the token no longer held.
 */
export class Leases extends Context.Service<
  Leases,
  {
    readonly current: (key: string, now: number) => Lease | undefined
    readonly holds: (fence: { readonly key: string; readonly token: bigint }, now: number) => boolean
    readonly grant: (options: { readonly key: string; readonly owner: string; readonly ttlMillis: number }, now: number) => Lease
    readonly extend: (lease: Lease, options: { readonly ttlMillis: number }, now: number) => Lease | undefined
    readonly release: (lease: Lease, now: number) => boolean
  }
>()("aegispay/layers/memory/Leases") {}

/** Memory is bounded by the leases that are held, plus at most as many expired ones again. */
export const layer: Layer.Layer<Leases> = Layer.effect(
  Leases,
  Effect.sync(() => {
    const leases = new Map<string, Lease>()
    let lastToken = 0n
    let nextSweep = sweepAt

    const current = (key: string, now: number) => {
      const lease = leases.get(key)
      return lease !== undefined && lease.expiresAt > now ? lease : undefined
    }
    const holds = (fence: { readonly key: string; readonly token: bigint }, now: number) => current(fence.key, now)?.token === fence.token
    const sweep = (now: number) => {
      for (const lease of leases.values()) if (lease.expiresAt <= now) leases.delete(lease.key)
      nextSweep = Math.max(sweepAt, leases.size * 2)
    }

    return Leases.of({
      current,
      holds,
      grant: ({ key, owner, ttlMillis }, now) => {
        if (leases.size >= nextSweep) sweep(now)
        const lease: Lease = { key, owner, token: ++lastToken, expiresAt: now + ttlMillis }
        leases.set(key, lease)
        return lease
      },
      extend: (lease, { ttlMillis }, now) => {
        if (!holds(lease, now)) return undefined
        const extended: Lease = { ...lease, expiresAt: now + ttlMillis }
        leases.set(lease.key, extended)
        return extended
      },
      release: (lease, now) => {
        const held = holds(lease, now)
        if (held) leases.delete(lease.key)
        return held
      }
    })
  })
)
