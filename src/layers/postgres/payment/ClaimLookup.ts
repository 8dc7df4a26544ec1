/**
 * The look-up of an idempotency key, which every command begins with; concurrent ones are asked in one statement (see `Grouping.ts`).
 *
 * A look-up is sent after it was asked for, so it sees whatever was committed before. Inside a host's transaction it goes alone, on
 * the transaction's own connection.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { bucketOf, type IdempotencyKey, type TenantId } from "../../../domain/payment/Ids.ts"
import { EventStoreError, type StoredClaim } from "../../../services/EventStore.ts"
import { isInTransaction, repeatable } from "../SqlErrors.ts"
import { looked } from "./CommitText.ts"
import * as Grouping from "./Grouping.ts"
import { claimColumns, claimOf, type ClaimRow } from "./Rows.ts"

interface Asked {
  readonly tenant: TenantId
  readonly key: IdempotencyKey
}

type Found = Exit.Exit<Option.Option<StoredClaim>, EventStoreError>

const name = "PaymentRepository.findClaim"

/** As many as a group of commits. */
const maxGroup = 100

const nameOf = ({ key, tenant }: Asked): string => `${tenant} ${key}`

/** The look-up of a repository. */
export const make = (
  sql: SqlClient
): Effect.Effect<(asked: Asked) => Effect.Effect<Option.Option<StoredClaim>, EventStoreError>, never, Scope.Scope> => {
  const { int4, text } = PgTypes.OID
  const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

  const find = (group: ReadonlyArray<Asked>) =>
    Effect.map(
      repeatable(
        sql,
        name,
        sql.unsafe<ClaimRow>(
          `select ${claimColumns}
           from ${looked("unnest($1::int[], $2::text[], $3::text[]) with ordinality as asked(bucket, tenant, key, n)")} a
           join aegispay.claims c on c.bucket = a.bucket and c.tenant = a.tenant and c.key = a.key`,
          [
            array(group.map(bucketOf), int4),
            array(
              group.map(({ tenant }) => tenant),
              text
            ),
            array(
              group.map(({ key }) => key),
              text
            )
          ]
        )
      ),
      (rows) => {
        const claims = new Map(rows.map((row) => [`${row.tenant} ${row.key}`, claimOf(row)]))
        return group.map((asked) => Option.fromUndefinedOr(claims.get(nameOf(asked))))
      }
    )

  const run = (group: ReadonlyArray<Asked>) =>
    Effect.map(Effect.exit(find(group)), (exit): ReadonlyArray<Found> =>
      Exit.isSuccess(exit) ? exit.value.map((claim) => Exit.succeed(claim)) : group.map(() => Exit.failCause(exit.cause))
    )

  const closed = (): Found =>
    Exit.fail(new EventStoreError({ operation: name, reason: { _tag: "Unavailable", detail: "the store was closed" } }))

  return Effect.map(
    Grouping.make<Asked, Found>({ run, keysOf: (asked) => [nameOf(asked)], maxGroup, closed }),
    (grouped) => (asked) =>
      Effect.flatMap(isInTransaction(sql), (inside) =>
        inside ? Effect.map(find([asked]), ([claim]) => claim ?? Option.none()) : Effect.flatten(grouped(asked))
      )
  )
}
