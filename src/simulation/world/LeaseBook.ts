/**
 * Who held which lease, and when: written where the tables grant and extend them, whatever those who hold them believe.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Leases } from "../../layers/memory/Leases.ts"
import type { Fence } from "../../services/EventStore.ts"

/** The leases of one database. */
export interface LeaseBook {
  /** The leases that it is written from. */
  readonly layer: Layer.Layer<Leases, never, Leases>
  /** Did that token hold its key at that moment of database time: not expired, and without a newer holder? */
  readonly held: (fence: Fence, at: number) => boolean
}

interface Entry {
  readonly token: bigint
  readonly from: number
  until: number
}

export const make = (): LeaseBook => {
  const entries = new Map<string, Array<Entry>>()
  const entryOf = ({ key, token }: Fence) => entries.get(key)?.find((entry) => entry.token === token)
  return {
    layer: Layer.effect(
      Leases,
      Effect.map(Leases, (real) =>
        Leases.of({
          ...real,
          grant: (wanted, now) => {
            const lease = real.grant(wanted, now)
            const entry = { token: lease.token, from: now, until: lease.expiresAt }
            const others = entries.get(lease.key)
            if (others === undefined) entries.set(lease.key, [entry])
            else others.push(entry)
            return lease
          },
          extend: (lease, options, now) => {
            const extended = real.extend(lease, options, now)
            const entry = entryOf(lease)
            if (extended !== undefined && entry !== undefined) entry.until = extended.expiresAt
            return extended
          }
        })
      )
    ),
    held: (fence, at) => {
      const entry = entryOf(fence)
      const newer = entries.get(fence.key)?.some(({ from, token }) => token > fence.token && from < at) === true
      return entry !== undefined && at <= entry.until && !newer
    }
  }
}
