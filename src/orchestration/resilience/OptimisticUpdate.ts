/**
 * Updates of versioned entities without a lock: read, decide, write if nobody else wrote meanwhile, otherwise again.
 *
 * A conflict means that somebody else made progress, so of any number of writers one always gets through; the others wait a little,
 * longer each time and each for another time, and decide on what is there then.
 *
 * ```ts
 * const paid = yield* OptimisticUpdate.run(orders, id, (order) => Effect.succeed({ ...order, status: "paid" }), { statuses: ["open"] })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Presets from "../../domain/Presets.ts"
import { delayMillis, type RetryStrategy } from "../../domain/resilience/RetryStrategy.ts"
import { hasStatus, type Versioned } from "../../domain/Versioned.ts"
import {
  EntityNotFound,
  OptimisticLockError,
  type VersionedStore,
  type VersionedStoreError
} from "../../services/resilience/VersionedStore.ts"
import * as Conflicts from "../observability/Conflicts.ts"

/** Every attempt met somebody else's newer version; nothing was written. The last conflict is kept. */
export class MaxRetriesExceededError extends Schema.TaggedError<MaxRetriesExceededError>()("MaxRetriesExceededError", {
  entity: Schema.String,
  id: Schema.String,
  attempts: Schema.Int,
  last: OptimisticLockError
}) {
  override get message(): string {
    return `${this.entity} ${this.id} was changed by others in each of ${this.attempts} attempts; try again later, or have fewer writers`
  }
}

/** What is waited for after a conflict: the presets `conflicts`, 5 retries after 10, 20, 40, 80 and 160 ms, spread by a tenth. */
export const onConflict: RetryStrategy = {
  kind: "exponential",
  retries: Presets.conflicts.retries.value,
  baseMillis: Presets.conflicts.retryBaseMillis.value,
  factor: Presets.conflicts.retryFactor.value,
  capMillis: Presets.conflicts.retryCapMillis.value,
  jitter: Presets.conflicts.retryJitter.value
}

/** Waits before a retry (from 0) after a conflict. */
export const wait = (retry: number, strategy: RetryStrategy = onConflict): Effect.Effect<void> =>
  Effect.flatMap(Random.next, (random) => Effect.sleep(delayMillis(strategy, { retry, random })))

/** `statuses`: the change is only made where the entity has one of them. `strategy`: default `onConflict`. */
export interface OptimisticOptions {
  readonly statuses?: ReadonlyArray<string>
  readonly strategy?: RetryStrategy
}

/**
 * Replaces an entity by what `change` makes of it; answers what is stored then.
 *
 * `change` runs once for every attempt, so it must do nothing that cannot be done twice; what it fails with ends the update. When it answers
 * the very value it was given, nothing is written.
 *
 * Fails with `MaxRetriesExceededError` when all attempts met newer versions, with `OptimisticLockError` (`mismatch: "status"`) when the
 * status is none of those wanted, with `EntityNotFound`, and with `VersionedStoreError`: never tried again here, because an ambiguous
 * one may have been written.
 */
export const run = Effect.fnUntraced(function* <A, E, R>(
  store: VersionedStore<A>,
  id: string,
  change: (value: A, version: number) => Effect.Effect<A, E, R>,
  options: OptimisticOptions = {}
): Effect.fn.Return<Versioned<A>, E | EntityNotFound | OptimisticLockError | MaxRetriesExceededError | VersionedStoreError, R> {
  const { statuses, strategy = onConflict } = options
  const { entity } = store
  const conflicts = Conflicts.of(entity)
  for (let attempt = 1; ; attempt++) {
    const current = yield* existing(store, id, statuses)
    const value = yield* change(current.value, current.version)
    if (Object.is(value, current.value)) return current
    const expected = { version: current.version, ...(statuses === undefined ? {} : { statuses }) }
    const written = yield* Effect.catchTag(store.update(id, { value, expected }), "OptimisticLockError", (conflict) =>
      Effect.succeed(conflict)
    )
    if (!(written instanceof OptimisticLockError)) {
      yield* conflicts.written
      return written
    }
    const isLast = attempt > strategy.retries
    yield* conflicts.met({ exhausted: isLast })
    if (isLast) return yield* new MaxRetriesExceededError({ entity, id, attempts: attempt, last: written })
    yield* wait(attempt - 1, strategy)
  }
})

/** The entity as it is, if its status is one of those wanted. */
const existing = Effect.fnUntraced(function* <A>(store: VersionedStore<A>, id: string, statuses: ReadonlyArray<string> | undefined) {
  const found = yield* store.read(id)
  if (Option.isNone(found)) return yield* new EntityNotFound({ entity: store.entity, id })
  const { status, version } = found.value
  if (hasStatus(status, statuses)) return found.value
  return yield* new OptimisticLockError({
    entity: store.entity,
    id,
    mismatch: "status",
    expectedVersion: version,
    actualVersion: version,
    expectedStatuses: statuses ?? [],
    ...(status === undefined ? {} : { actualStatus: status })
  })
})
