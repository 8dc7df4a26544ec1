/**
 * Metrics of gateways by segment, in place of those of whole gateways.
 *
 * One row is what one slot of one window counts; where the segment leaves something out it has an empty text. Rows live for two
 * hours at the most, and the old ones had other bins: they are dropped, and what they counted is learned from the events again.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `drop table aegispay.gateway_metrics`,
  `create table aegispay.routing_metrics (
    gateway text not null,
    method text not null,
    currency text not null,
    country text not null,
    minute integer not null,
    healthy integer not null,
    failed integer not null,
    limited integer not null,
    approved integer not null,
    declined integer not null,
    costs integer not null,
    cost_minor double precision not null,
    bins integer[] not null,
    times integer[] not null,
    last_failure_at bigint,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (gateway, method, currency, country, minute)
  ) with (fillfactor = 50)`,
  `comment on column aegispay.routing_metrics.minute is 'first minute of the slot, in minutes since the epoch'`,
  `comment on column aegispay.routing_metrics.cost_minor is 'sum of the costs, in minor units of the currency'`,
  `comment on column aegispay.routing_metrics.bins is 'bins of the sketch that are not empty; times has their counts'`,
  `comment on column aegispay.routing_metrics.last_failure_at is 'epoch milliseconds'`
]

export const routingMetrics: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
