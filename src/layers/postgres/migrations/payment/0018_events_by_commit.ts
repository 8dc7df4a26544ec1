/**
 * The events of a commit are one row.
 *
 * Commits are what is written, and events are only ever read in the order in which they were written; a row for each event cost a payment twice
 * the rows and twice the entries of indexes. The row is keyed by its first version: a commit goes on exactly where the history ends, so of
 * two commits from one version only one row can exist, whatever became of the head.
 *
 * `data` is a JSON list of the events, each as type, time at which it occurred (epoch milliseconds of the process) and what it says. What was stored
 * before becomes a row for each event: versions, ids, times and positions stay. `events` is a view for people, with a row for each event as
 * the table of that name had it; the code reads `commits`. It cuts the text and converts none of it: a character that Postgres cannot represent
 * fails in `jsonb` and in the operators of `json`.
 *
 * **Gotchas**: the events of before are copied while nothing can be committed, some seconds for a million events.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `lock table aegispay.payments, aegispay.events in access exclusive mode`,
  `create table aegispay.commits (
     payment uuid not null,
     recorded_at bigint not null,
     position bigint not null,
     bucket integer not null,
     version integer not null,
     schema_version smallint not null,
     event_ids uuid[] not null,
     data text not null
   )`,
  `comment on column aegispay.commits.version is 'of its first event'`,
  `comment on column aegispay.commits.position is 'of its last event; those before it have the positions before'`,
  `comment on column aegispay.commits.data is 'JSON: for each event its type, when it occurred (epoch milliseconds) and what it says'`,
  `insert into aegispay.commits (payment, recorded_at, position, bucket, version, schema_version, event_ids, data)
   select payment, recorded_at, position, bucket, version, schema_version, array[event_id],
     '[[' || to_json(type) || ',' || occurred_at || ',' || data || ']]'
   from aegispay.events order by position`,
  `alter table aegispay.commits add constraint commits_pkey primary key (payment, bucket, version)`,
  `create unique index commits_position on aegispay.commits (position)`,
  `drop table aegispay.events`,
  `create view aegispay.events as
   select c.bucket, c.payment, c.version + e.n::integer - 1 as version, c.event_ids[e.n] as event_id, btrim(parts.of[1], '"') as type,
     c.schema_version::integer as schema_version, parts.of[2]::bigint as occurred_at, c.recorded_at,
     c.position - cardinality(c.event_ids) + e.n as position, parts.of[3] as data
   from aegispay.commits c
   cross join lateral json_array_elements(c.data::json) with ordinality as e(event, n)
   cross join lateral (select array_agg(p.part::text order by p.n) from json_array_elements(e.event) with ordinality as p(part, n)) as parts(of)`
]

/** Makes one row of the events of a commit. */
export const eventsByCommit: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
