/**
 * The look-up of an idempotency key. Concurrent ones are asked in one statement (see `GroupedStatement.ts`), of one key as well.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { bucketOf, type IdempotencyKey, type TenantId } from "../../../domain/payment/Ids.ts"
import type { EventStoreError, StoredClaim } from "../../../services/EventStore.ts"
import { repeatable } from "../SqlErrors.ts"
import { looked } from "./CommitText.ts"
import * as GroupedStatement from "./GroupedStatement.ts"
import { claimColumns, claimOf, type ClaimRow } from "./Rows.ts"

interface Asked {
  readonly tenant: TenantId
  readonly key: IdempotencyKey
}

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

  return GroupedStatement.make(sql, { operation: name, maxGroup, run: find })
}
