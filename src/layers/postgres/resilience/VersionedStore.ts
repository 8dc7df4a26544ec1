/**
 * Versioned entities as rows: of one table of ours, for whatever has no table of its own (`layer`), or of a host's own table (`ofTable`).
 *
 * An update is one statement that names the version it was decided from, so of several at once the database lets one through; only
 * a refused one costs a second statement, which asks what is there now. Both join the caller's transaction.
 *
 * **Gotchas**: inside a transaction of level REPEATABLE READ or above a conflict is no `OptimisticLockError`: the database ends the whole
 * transaction (`VersionedStoreError`, `unavailable`), and it has to be run again from its beginning.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { type Expected, mismatch } from "../../../domain/Versioned.ts"
import {
  EntityExists,
  type EntityKind,
  EntityNotFound,
  OptimisticLockError,
  type VersionedStore,
  VersionedStoreError,
  VersionedStores
} from "../../../services/resilience/VersionedStore.ts"
import { describe, effectsOf } from "../SqlErrors.ts"

/** Where the rows of one kind are and which of their columns is what. */
interface Rows<A> {
  readonly entity: string
  readonly table: Fragment
  /** Names one row; `unique` names the columns that do. */
  readonly where: (id: string) => Fragment
  readonly unique: Fragment
  readonly version: Fragment
  /** The status as text, `null` where there is none. */
  readonly status: Fragment
  /** The columns of a value, and of a new row besides. */
  readonly schema: Schema.ConstraintCodec<A, Record<string, unknown>>
  readonly columnsOf: (value: A) => Record<string, unknown>
  /** What an update sets besides. */
  readonly alsoSet: Fragment
  readonly columnsOfNew: (id: string) => Record<string, unknown>
  /** Columns of the value that an update leaves alone. */
  readonly fixed: ReadonlyArray<string>
}

/** What every statement returns of a row. The version is text, so that it does not matter which integer the column is. */
interface Row {
  readonly "aegispay.version": string
  readonly "aegispay.status": string | null
}

const problems = { transient: "unavailable", ambiguous: "ambiguous", conflict: "refused", permanent: "refused" } as const

const stateOf = (row: Row) => ({ version: Number(row["aegispay.version"]), status: row["aegispay.status"] ?? undefined })

const storeOf = <A>(sql: SqlClient.SqlClient, rows: Rows<A>): VersionedStore<A> => {
  const { entity, status, table, version, where } = rows
  const decode = Schema.decodeUnknownEffect(rows.schema)
  const encode = Schema.encodeEffect(rows.schema)
  const state = sql`${version}::text as "aegispay.version", ${status} as "aegispay.status"`

  const failed = (id: string, problem: VersionedStoreError["problem"]) => (cause: Schema.SchemaError) =>
    new VersionedStoreError({ entity, id, problem, detail: cause.message, cause })
  const ask = <B>(id: string, statement: Effect.Effect<B, SqlError>) =>
    Effect.mapError(
      statement,
      (cause) => new VersionedStoreError({ entity, id, problem: problems[effectsOf(cause)], detail: describe(cause), cause })
    )
  const columnsOf = (id: string, value: A) =>
    Effect.mapBoth(encode(value), { onFailure: failed(id, "invalid"), onSuccess: (columns) => ({ ...columns, ...rows.columnsOf(value) }) })

  /** What is there, after an update that found nothing to change: a statement of its own, since that one saw what was before. */
  const conflict = Effect.fnUntraced(function* (id: string, expected: Expected) {
    const [row] = yield* ask(id, sql<Row>`select ${state} from ${table} where ${where(id)}`)
    if (row === undefined) return yield* new EntityNotFound({ entity, id })
    const found = stateOf(row)
    return yield* new OptimisticLockError({
      entity,
      id,
      // Nothing to complain about any more: it was something else a moment ago.
      mismatch: mismatch(found, expected) ?? "version",
      expectedVersion: expected.version,
      actualVersion: found.version,
      ...(expected.statuses === undefined ? {} : { expectedStatuses: expected.statuses }),
      ...(found.status === undefined ? {} : { actualStatus: found.status })
    })
  })

  return {
    entity,
    read: Effect.fn("VersionedStore.read")(function* (id: string) {
      const [row] = yield* ask(id, sql<Row>`select *, ${state} from ${table} where ${where(id)}`)
      if (row === undefined) return Option.none()
      return Option.some({ value: yield* Effect.mapError(decode(row), failed(id, "unreadable")), ...stateOf(row) })
    }),
    insert: Effect.fn("VersionedStore.insert")(function* (id: string, value: A) {
      const columns = sql.insert({ ...(yield* columnsOf(id, value)), ...rows.columnsOfNew(id) })
      const [row] = yield* ask(id, sql<Row>`insert into ${table} ${columns} on conflict (${rows.unique}) do nothing returning ${state}`)
      return row === undefined ? yield* new EntityExists({ entity, id }) : { value, ...stateOf(row) }
    }),
    update: Effect.fn("VersionedStore.update")(function* (id: string, { expected, value }: Parameters<VersionedStore<A>["update"]>[1]) {
      const columns = yield* columnsOf(id, value)
      const [row] = yield* ask(
        id,
        sql<Row>`
          update ${table} set ${version} = ${version} + 1, ${sql.update(columns, rows.fixed)}${rows.alsoSet}
          where ${where(id)} and ${version} = ${expected.version} and ${isOneOf(sql, status, expected.statuses)}
          returning ${state}`
      )
      return row === undefined ? yield* conflict(id, expected) : { value, ...stateOf(row) }
    })
  }
}

const isOneOf = (sql: SqlClient.SqlClient, status: Fragment, wanted: ReadonlyArray<string> | undefined): Fragment => {
  if (wanted === undefined) return sql`true`
  return wanted.length === 0 ? sql`false` : sql`${status} in ${sql.in(wanted)}`
}

/** Entities in the table `aegispay.entities`, each kind under its name. */
export const layer: Layer.Layer<VersionedStores, never, SqlClient.SqlClient> = Layer.effect(
  VersionedStores,
  Effect.map(SqlClient.SqlClient, (client) => {
    const sql = client.withoutTransforms()
    return VersionedStores.of({
      of: <A>({ entity, schema, statusOf }: EntityKind<A>) =>
        storeOf(sql, {
          entity,
          table: sql`aegispay.entities`,
          where: (id) => sql`entity = ${entity} and id = ${id}`,
          unique: sql`entity, id`,
          version: sql`version`,
          status: sql`status`,
          schema: bodyOf(schema),
          columnsOf: (value) => ({ status: statusOf?.(value) ?? null }),
          alsoSet: sql`, updated_at = clock_timestamp()`,
          columnsOfNew: (id) => ({ entity, id, version: 1 }),
          fixed: []
        })
    })
  })
)

/** A value as the column `body`. */
const bodyOf = <A>(schema: Schema.ConstraintCodec<A, unknown>): Schema.ConstraintCodec<A, Record<string, unknown>> =>
  Schema.Struct({ body: Schema.fromJsonString(Schema.toCodecJson(schema)) }).pipe(
    Schema.decodeTo(Schema.toType(schema), SchemaTransformation.transform({ decode: ({ body }) => body, encode: (body) => ({ body }) }))
  )

/**
 * A host's own table.
 *
 * - `table`: its name, with its schema where needed (`shop.orders`).
 * - `idColumn`: default `id`; unique. `versionColumn`: default `version`; an integer or bigint. Both are kept by the store.
 * - `statusColumn`: the column that a change may insist on, if there is one; text or an enum.
 * - `schema`: from a row's columns, as the client decodes them (int8 is a bigint, timestamptz a Date), to the value and back. Columns it does
 *   not name are left alone.
 *
 * Names are quoted, so they may be any but contain no dot; they come from the program, like the schema.
 */
export interface TableDefinition<A> {
  readonly entity: string
  readonly table: string
  readonly idColumn?: string
  readonly versionColumn?: string
  readonly statusColumn?: string
  readonly schema: Schema.ConstraintCodec<A, Record<string, unknown>>
}

/** The entities in a host's own table; whatever else writes to it has to raise the version, too. */
export const ofTable = <A>(definition: TableDefinition<A>): Effect.Effect<VersionedStore<A>, never, SqlClient.SqlClient> =>
  Effect.map(SqlClient.SqlClient, (client) => {
    const sql = client.withoutTransforms()
    const { entity, idColumn = "id", schema, statusColumn, table, versionColumn = "version" } = definition
    return storeOf(sql, {
      entity,
      table: sql`${sql(table)}`,
      where: (id) => sql`${sql(idColumn)} = ${id}`,
      unique: sql`${sql(idColumn)}`,
      version: sql`${sql(versionColumn)}`,
      status: statusColumn === undefined ? sql`null::text` : sql`${sql(statusColumn)}::text`,
      schema,
      columnsOf: () => ({}),
      alsoSet: sql``,
      columnsOfNew: (id) => ({ [idColumn]: id, [versionColumn]: 1 }),
      fixed: [idColumn, versionColumn]
    })
  })
