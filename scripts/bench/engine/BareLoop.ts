/**
 * The database's share of a payment: the engine's own statements in a plain loop over `@effect/sql-pg`.
 *
 * Two commits of a real payment are recorded and turned into their SQL once. The loop sends these two statements with new identifiers, so it
 * writes the same rows in the same two transactions; it decides, folds, encodes and calls nothing. No engine over the same statements can be
 * faster.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { bucketOf, IdempotencyKey } from "../../../src/domain/payment/Ids.ts"
import { commitStatement, eventIdsParameter, parameterOf, type Statement } from "../../../src/layers/postgres/payment/CommitStatement.ts"
import type { Commit } from "../../../src/services/EventStore.ts"
import type { Ids } from "../../../src/services/Ids.ts"
import * as Engine from "./Engine.ts"

interface NewIds {
  readonly bucket: number
  readonly uuid: string
  readonly key: string
  readonly eventIds: ReadonlyArray<string>
}

/** A statement whose identifiers can be replaced. */
interface Template {
  readonly statement: Statement
  readonly events: number
  readonly parameters: (ids: NewIds) => ReadonlyArray<unknown>
}

const templateOf = (commit: Commit): Template => {
  const statement = commitStatement([commit], { lockTimeoutMillis: 2_000 })
  const { int4, text, uuid } = PgTypes.OID
  return {
    statement,
    events: commit.events.length,
    parameters: (ids) => {
      const parameters = [...statement.parameters]
      const put = (index: number, values: ReadonlyArray<unknown>, oid: number) => {
        parameters[index] = Result.getOrThrow(PgTypes.array(values, oid))
      }
      put(parameterOf("items", "bucket"), [ids.bucket], int4)
      put(parameterOf("items", "id"), [ids.uuid], uuid)
      put(eventIdsParameter, ids.eventIds, uuid)
      if (commit.claim !== undefined) {
        put(parameterOf("claims", "claim_bucket"), [ids.bucket], int4)
        put(parameterOf("claims", "key"), [ids.key], text)
      }
      return parameters
    }
  }
}

const record = Effect.gen(function* () {
  const engine = yield* Engine.build(Engine.memoryStores, Engine.instantGateways)
  yield* Engine.chargeOne(engine)
  const [first, second, ...more] = engine.commits.first
  if (first === undefined || second === undefined || more.length > 0) return yield* Effect.die(new Error("a payment has not two commits"))
  return [templateOf(first), templateOf(second)] as const
}).pipe(Effect.scoped)

let lastKey = 0

/** One payment of the loop over a client. */
export const make = Effect.fnUntraced(function* (sql: PgClient.PgClient, ids: Ids["Service"]) {
  const [first, second] = yield* record
  return Effect.gen(function* () {
    const uuids = yield* ids.uuids(1 + first.events + second.events)
    const key = IdempotencyKey.make(`bare-${process.pid}-${++lastKey}`)
    const bucket = bucketOf({ tenant: Engine.tenant, key })
    const [uuid = ""] = uuids
    const begun = yield* sql.unsafe(
      first.statement.text,
      first.parameters({ bucket, uuid, key, eventIds: uuids.slice(1, 1 + first.events) })
    )
    const ended = yield* sql.unsafe(
      second.statement.text,
      second.parameters({ bucket, uuid, key, eventIds: uuids.slice(1 + first.events) })
    )
    if (begun.length !== 1 || ended.length !== 1) return yield* Effect.die(new Error("a recorded statement wrote nothing"))
  }).pipe(Effect.orDie)
})
