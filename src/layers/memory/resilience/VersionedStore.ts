/**
 * Versioned entities within one process, kept as the text they would have in a database: whoever changes a value it was given changes
 * nothing here.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { mismatch } from "../../../domain/Versioned.ts"
import {
  EntityExists,
  type EntityKind,
  EntityNotFound,
  OptimisticLockError,
  type VersionedStore,
  VersionedStoreError,
  VersionedStores
} from "../../../services/resilience/VersionedStore.ts"

interface Row {
  readonly body: string
  readonly version: number
  readonly status: string | undefined
}

const storeOf = <A>(rows: Map<string, Row>, { entity, schema, statusOf }: EntityKind<A>): VersionedStore<A> => {
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const failed = (id: string, problem: "unreadable" | "invalid") => (cause: Schema.SchemaError) =>
    new VersionedStoreError({ entity, id, problem, detail: cause.message, cause })
  const decode = (id: string, body: string) => Effect.mapError(Schema.decodeEffect(json)(body), failed(id, "unreadable"))
  const encode = (id: string, value: A) => Effect.mapError(Schema.encodeEffect(json)(value), failed(id, "invalid"))

  /** Every write of the map is one step: nothing is awaited between looking and writing. */
  const write = (id: string, { body, value, version }: { readonly body: string; readonly value: A; readonly version: number }) => {
    const status = statusOf?.(value)
    rows.set(id, { body, version, status })
    return { value, version, status }
  }

  return {
    entity,
    read: Effect.fn("VersionedStore.read")(function* (id: string) {
      const row = rows.get(id)
      if (row === undefined) return Option.none()
      return Option.some({ value: yield* decode(id, row.body), version: row.version, status: row.status })
    }),
    insert: Effect.fn("VersionedStore.insert")(function* (id: string, value: A) {
      const body = yield* encode(id, value)
      if (rows.has(id)) return yield* new EntityExists({ entity, id })
      return write(id, { body, value, version: 1 })
    }),
    update: Effect.fn("VersionedStore.update")(function* (id: string, { expected, value }: Parameters<VersionedStore<A>["update"]>[1]) {
      const body = yield* encode(id, value)
      const row = rows.get(id)
      if (row === undefined) return yield* new EntityNotFound({ entity, id })
      const failed = mismatch(row, expected)
      if (failed === undefined) return write(id, { body, value, version: row.version + 1 })
      return yield* new OptimisticLockError({
        entity,
        id,
        mismatch: failed,
        expectedVersion: expected.version,
        actualVersion: row.version,
        ...(expected.statuses === undefined ? {} : { expectedStatuses: expected.statuses }),
        ...(row.status === undefined ? {} : { actualStatus: row.status })
      })
    })
  }
}

/** Entities of this process, gone with it. */
export const layer: Layer.Layer<VersionedStores> = Layer.sync(VersionedStores, () => {
  const kinds = new Map<string, Map<string, Row>>()
  return VersionedStores.of({
    of: (kind) => {
      const rows = kinds.get(kind.entity) ?? new Map<string, Row>()
      kinds.set(kind.entity, rows)
      return storeOf(rows, kind)
    }
  })
})
