/**
 * Distributed locks as leases: a key, an owner, a time to live, and a fencing token that grows with every acquisition.
 *
 * A lease saves work, it carries no safety: whoever pauses past its lease finds a newer token in the way of its commit.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A held lock. `expiresAt`: the time of the lock's own clock (the database's where there is one), epoch milliseconds. */
export interface Lease {
  readonly key: string
  readonly owner: string
  readonly token: bigint
  readonly expiresAt: number
}

/** The lock was held by somebody else for the whole time one was ready to wait. */
export class LockNotAcquired extends Schema.TaggedError<LockNotAcquired>()("LockNotAcquired", {
  key: Schema.String,
  owner: Schema.String,
  waitedMillis: Schema.Number
}) {
  override get message(): string {
    return `lock ${this.key} is held by another owner; ${this.owner} waited ${this.waitedMillis} ms`
  }
}

/** The lease expired or has a newer holder. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {
  key: Schema.String,
  owner: Schema.String
}) {
  override get message(): string {
    return `lease ${this.key} of ${this.owner} was lost`
  }
}

/** The store behind the lock did not answer. */
export class LockUnavailable extends Schema.TaggedError<LockUnavailable>()("LockUnavailable", {
  key: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the store of lock ${this.key} did not answer; try again`
  }
}

/**
 * Locks.
 *
 * - `acquire`: takes a free or expired lock, with a token greater than every earlier one of that key. While it is held it waits
 *   up to `waitMillis` (default 0), then fails with `LockNotAcquired`. The same owner gets no second lease.
 * - `release`: frees the lock if this lease still holds it; false when it did not.
 * - `extend`: a new expiry for a lease that still holds; fails with `LeaseLost` otherwise, also when it has merely expired.
 *
 * Keys and owners: 1 to 255 characters. `ttlMillis`: 1 to 86,400,000.
 */
export class Lock extends Context.Service<
  Lock,
  {
    readonly acquire: (options: {
      readonly key: string
      readonly owner: string
      readonly ttlMillis: number
      readonly waitMillis?: number
    }) => Effect.Effect<Lease, LockNotAcquired | LockUnavailable>
    readonly release: (lease: Lease) => Effect.Effect<boolean, LockUnavailable>
    readonly extend: (lease: Lease, options: { readonly ttlMillis: number }) => Effect.Effect<Lease, LeaseLost | LockUnavailable>
  }
>()("aegispay/services/Lock") {}
