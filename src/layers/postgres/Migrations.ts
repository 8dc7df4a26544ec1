/**
 * The database schema, apart from the layers that use it: only the role that migrates needs the right to change it.
 *
 * Everything lives in the schema `aegispay`, beside the host's own tables. `run` brings it up to date under a lock of its own, so
 * any number of processes may do so at once; `check` tells whether it is what this version of the code expects.
 *
 * A runtime role needs: USAGE on the schema and on its sequences, SELECT, INSERT, UPDATE and DELETE on its tables.
 *
 * **Gotchas**: positions in the global log are made from transaction ids. `pg_dump` and restore into a new server begins with
 * small transaction ids, so after it run the migrations once more: they raise the base of the positions.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { payments } from "./migrations/0001_payments.ts"
import { locksAndMetrics } from "./migrations/0002_locks_and_metrics.ts"
import { webhooks } from "./migrations/0003_webhooks.ts"
import { routingMetrics } from "./migrations/0004_routing_metrics.ts"
import { breakers } from "./migrations/0005_breakers.ts"
import { rateLimits } from "./migrations/0006_rate_limits.ts"
import { cardAttempts } from "./migrations/0007_card_attempts.ts"
import { entities } from "./migrations/0008_entities.ts"
import { questions } from "./migrations/0009_questions.ts"
import { leanCommits } from "./migrations/0010_lean_commits.ts"
import { reviews } from "./migrations/0011_reviews.ts"
import { networkForbids } from "./migrations/0012_network_forbids.ts"
import { customerCounts } from "./migrations/payment/0013_customer_counts.ts"
import { holds } from "./migrations/payment/0014_holds.ts"
import { holdsFollowAmounts } from "./migrations/payment/0015_holds_follow_amounts.ts"
import { roomForUpdates } from "./migrations/payment/0016_room_for_updates.ts"
import { claimsByKey } from "./migrations/payment/0017_claims_by_key.ts"
import { eventsByCommit } from "./migrations/payment/0018_events_by_commit.ts"
import { viewsWithOutcomes } from "./migrations/payment/0019_views_with_outcomes.ts"
import { sqlStateOf } from "./SqlErrors.ts"

/** The migrations by number and name. Ones that were released never change. */
const migrations: Record<string, Effect.Effect<void, SqlError, SqlClient>> = {
  "0001_payments": payments,
  "0002_locks_and_metrics": locksAndMetrics,
  "0003_webhooks": webhooks,
  "0004_routing_metrics": routingMetrics,
  "0005_breakers": breakers,
  "0006_rate_limits": rateLimits,
  "0007_card_attempts": cardAttempts,
  "0008_entities": entities,
  "0009_questions": questions,
  "0010_lean_commits": leanCommits,
  "0011_reviews": reviews,
  "0012_network_forbids": networkForbids,
  "0013_customer_counts": customerCounts,
  "0014_holds": holds,
  "0015_holds_follow_amounts": holdsFollowAmounts,
  "0016_room_for_updates": roomForUpdates,
  "0017_claims_by_key": claimsByKey,
  "0018_events_by_commit": eventsByCommit,
  "0019_views_with_outcomes": viewsWithOutcomes
}

/** The schema version this code expects: the number of its last migration. */
export const expectedVersion = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

/** The schema is missing (`found` is 0), older or newer than this code. */
export class SchemaOutdated extends Schema.TaggedError<SchemaOutdated>()("SchemaOutdated", {
  found: Schema.Int,
  expected: Schema.Int
}) {
  override get message(): string {
    return this.found > this.expected
      ? `the database schema is at version ${this.found}, this version of aegispay knows only ${this.expected}: upgrade aegispay`
      : `the database schema is ${this.found === 0 ? "missing" : `at version ${this.found}`}, version ${this.expected} is needed: run aegispay migrate`
  }
}

/** Distinguishes this advisory lock from the host's: the first eight bytes of "aegispay" as an integer. */
const lockKey = 0x61656769_73706179n

const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: "aegispay.migrations" })

/**
 * Positions must keep growing, and those of finished transactions must lie below the horizon. A restored log may hold larger ones
 * than this server's transaction ids would make: then the base is raised above them.
 */
const raisePositions = Effect.gen(function* () {
  const sql = (yield* SqlClient).withoutTransforms()
  const [row] = yield* sql<{ readonly base: bigint | null }>`
    select (max(position) >> 20) + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint as base
    from aegispay.commits
    having (max(position) >> 20) >= aegispay.position_base() + pg_snapshot_xmax(pg_current_snapshot())::text::bigint`
  if (typeof row?.base !== "bigint") return
  yield* sql.unsafe(
    `create or replace function aegispay.position_base() returns bigint language sql immutable parallel safe as 'select ${row.base}::bigint'`
  )
})

/** Brings the schema up to date; answers the migrations it ran. Safe to run from several processes at once. */
export const run: Effect.Effect<
  ReadonlyArray<readonly [id: number, name: string]>,
  Migrator.MigrationError | SqlError,
  SqlClient
> = Effect.gen(function* () {
  const sql = yield* SqlClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`select pg_advisory_xact_lock(${lockKey}::bigint)`
      yield* sql`create schema if not exists aegispay`
      const ran = yield* migrate
      yield* raisePositions
      return ran
    })
  )
})

/** Brings the schema up to date when it is built. */
export const layer: Layer.Layer<never, Migrator.MigrationError | SqlError, SqlClient> = Layer.effectDiscard(run)

/** Fails with `SchemaOutdated` unless the schema is the one this code expects. Changes nothing. */
export const check: Effect.Effect<void, SchemaOutdated | SqlError, SqlClient> = Effect.gen(function* () {
  const sql = (yield* SqlClient).withoutTransforms()
  const found = yield* sql<{ readonly version: number | null }>`select max(migration_id) as version from aegispay.migrations`.pipe(
    Effect.map(([row]) => row?.version ?? 0),
    // undefined_table, invalid_schema_name: nothing was ever migrated.
    Effect.catchIf(
      (error) => sqlStateOf(error) === "42P01" || sqlStateOf(error) === "3F000",
      () => Effect.succeed(0)
    )
  )
  if (found !== expectedVersion) return yield* new SchemaOutdated({ found, expected: expectedVersion })
})
