/**
 * Counts of the newest payments of merchants and of customers; concurrent questions are asked in one statement (see
 * `GroupedStatement.ts`).
 *
 * A merchant's are counted in `payments_newest`, from the newest back; a customer's in `payments_of_customer`, slot by slot of its index from
 * the newest back. Either stops where the time is over or the limit is reached, so that no question reads more rows than its limit.
 *
 * **Gotchas**: pages that were written a moment ago are not known to be visible to all, so a row that is counted is looked up in the table too.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { EventStoreError } from "../../../services/EventStore.ts"
import { maxCount, maxCountMillis, type PaymentRepository } from "../../../services/PaymentRepository.ts"
import { repeatable } from "../SqlErrors.ts"
import { looked } from "./CommitText.ts"
import * as GroupedStatement from "./GroupedStatement.ts"
import { customerKeyOf, nowMillis } from "./Rows.ts"

type Asked = Parameters<PaymentRepository["Service"]["count"]>[0]

const name = "PaymentRepository.count"

/** As many as a group of commits. */
const maxGroup = 100

const nameOf = ({ customer, limit, tenant, withinMillis }: Asked): string =>
  `${tenant} ${withinMillis} ${limit}${customer === undefined ? "" : ` ${customer}`}`

/** The width of a slot of the index is 2^22 ms. */
const slotOf = (time: string): string => `(${time} >> 22)`

const text = `select a.n::int as n, (case when a.customer is null
    then (select count(*) from (select from aegispay.payments p
      where p.tenant = a.tenant and p.created_at > s.at - a.within order by p.created_at desc limit a.most) newest)
    else (select count(*) from (select from generate_series(${slotOf("s.at")}, ${slotOf("s.at - a.within")}, -1) slot
      cross join lateral (select from aegispay.payments p
        where p.customer is not null and ${slotOf("p.created_at")} = slot and p.customer = a.customer and p.created_at > s.at - a.within
        order by p.created_at desc limit a.most) newest
      limit a.most) newest)
    end)::int as counted
  from (select ${nowMillis} as at offset 0) s,
    ${looked("unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) with ordinality as asked(tenant, customer, within, most, n)")} a`

/** The count of a repository. */
export const make = (sql: SqlClient): Effect.Effect<PaymentRepository["Service"]["count"], never, Scope.Scope> => {
  const { int8, text: texts } = PgTypes.OID
  const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))
  const integers = (values: ReadonlyArray<number>) =>
    array(
      values.map((value) => BigInt(value)),
      int8
    )

  /** Payments of one merchant ask the same: it is counted once for all of them. */
  const run = (callers: ReadonlyArray<Asked>): Effect.Effect<ReadonlyArray<number>, EventStoreError> => {
    const questions = new Map(callers.map((asked) => [nameOf(asked), asked]))
    const group = [...questions.values()]
    return Effect.map(
      repeatable(
        sql,
        name,
        sql.unsafe<{ readonly n: number; readonly counted: number }>(text, [
          array(
            group.map(({ tenant }) => tenant),
            texts
          ),
          array(
            group.map(({ customer, tenant }) => (customer === undefined ? null : customerKeyOf({ tenant, customer: { id: customer } }))),
            int8
          ),
          integers(group.map(({ withinMillis }) => Math.min(maxCountMillis, Math.max(0, Math.ceil(withinMillis))))),
          integers(group.map(({ limit }) => Math.min(maxCount, Math.max(1, Math.floor(limit)))))
        ])
      ),
      (rows) => {
        const counted = new Map(rows.map((row) => [row.n, row.counted]))
        const byName = new Map([...questions.keys()].map((question, index) => [question, counted.get(index + 1) ?? 0]))
        return callers.map((asked) => byName.get(nameOf(asked)) ?? 0)
      }
    )
  }

  return GroupedStatement.make(sql, { operation: name, maxGroup, run })
}
