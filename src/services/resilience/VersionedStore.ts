/**
 * Stores of versioned entities: whatever is read, decided on and written back by several processes at once.
 *
 * Payments have a store of their own, the event store. This is for everything else that a host or a program keeps as one value: a
 * merchant's settings, a mandate, an order.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Expected, Versioned } from "../../domain/Versioned.ts"

/** A conditional update met something else: `actualVersion` and `actualStatus` are what is there now. Nothing was written. */
export class OptimisticLockError extends Schema.TaggedError<OptimisticLockError>()("OptimisticLockError", {
  entity: Schema.String,
  id: Schema.String,
  mismatch: Schema.Literals(["version", "status"]),
  expectedVersion: Schema.Int,
  actualVersion: Schema.Int,
  expectedStatuses: Schema.optionalKey(Schema.Array(Schema.String)),
  actualStatus: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.mismatch === "version"
      ? `${this.entity} ${this.id} was changed meanwhile: version ${this.expectedVersion} was expected, it is at ${this.actualVersion}; read it and decide again`
      : `${this.entity} ${this.id} has status ${this.actualStatus ?? "none"}, expected was ${(this.expectedStatuses ?? []).join(" or ")}`
  }
}

/** There is no such entity. */
export class EntityNotFound extends Schema.TaggedError<EntityNotFound>()("EntityNotFound", {
  entity: Schema.String,
  id: Schema.String
}) {
  override get message(): string {
    return `there is no ${this.entity} ${this.id}`
  }
}

/** An entity of this id was inserted before. */
export class EntityExists extends Schema.TaggedError<EntityExists>()("EntityExists", {
  entity: Schema.String,
  id: Schema.String
}) {
  override get message(): string {
    return `there is a ${this.entity} ${this.id} already`
  }
}

/**
 * The store did not do it.
 *
 * - `unavailable`: nothing was written; the same may work in a moment.
 * - `ambiguous`: the answer was lost; it may have been written. Read before doing it again.
 * - `refused`: nothing was written, and the store will refuse it again (a constraint, a missing table or right).
 * - `unreadable`: what is stored does not fit the schema.
 * - `invalid`: the value to be written does not fit the schema.
 */
export class VersionedStoreError extends Schema.TaggedError<VersionedStoreError>()("VersionedStoreError", {
  entity: Schema.String,
  id: Schema.String,
  problem: Schema.Literals(["unavailable", "ambiguous", "refused", "unreadable", "invalid"]),
  detail: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the store of ${this.entity} ${this.id}: ${texts[this.problem]}: ${this.detail}`
  }
  /** Doing it again may work and cannot do harm. */
  get isRetryable(): boolean {
    return this.problem === "unavailable"
  }
  /** It may have been written. */
  get isAmbiguous(): boolean {
    return this.problem === "ambiguous"
  }
}

const texts = {
  unavailable: "it did not answer; try again",
  ambiguous: "its answer was lost; read before trying again",
  refused: "it refused",
  unreadable: "what is stored does not fit the schema",
  invalid: "the value does not fit the schema"
} as const

/**
 * The entities of one kind.
 *
 * - `read`: the value, its version and status; none where it was never inserted.
 * - `insert`: version 1; fails with `EntityExists`, and of several at once one wins.
 * - `update`: writes the value if what is expected holds, as one step, with the next version. Otherwise nothing is written:
 *   `EntityNotFound`, or `OptimisticLockError` with what is there.
 *
 * Ids: 1 to 255 characters. All join the caller's transaction where the store has one.
 */
export interface VersionedStore<A> {
  /** The kind of entity, for errors and metrics: a word of the program, such as "order". */
  readonly entity: string
  readonly read: (id: string) => Effect.Effect<Option.Option<Versioned<A>>, VersionedStoreError>
  readonly insert: (id: string, value: A) => Effect.Effect<Versioned<A>, EntityExists | VersionedStoreError>
  readonly update: (
    id: string,
    options: { readonly value: A; readonly expected: Expected }
  ) => Effect.Effect<Versioned<A>, OptimisticLockError | EntityNotFound | VersionedStoreError>
}

/**
 * A kind of entity: its name (1 to 64 characters, the same for ever), the schema of its values and which part of them is the status.
 *
 * The schema decodes what was stored by earlier versions of the program, too.
 */
export interface EntityKind<A> {
  readonly entity: string
  readonly schema: Schema.ConstraintCodec<A, unknown>
  readonly statusOf?: (value: A) => string
}

/** Makes the store of a kind of entity. Kinds with different names do not see each other's entities. */
export class VersionedStores extends Context.Service<
  VersionedStores,
  {
    readonly of: <A>(kind: EntityKind<A>) => VersionedStore<A>
  }
>()("aegispay/services/resilience/VersionedStore/VersionedStores") {}
