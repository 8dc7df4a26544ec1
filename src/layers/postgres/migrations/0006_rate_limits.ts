/**
 * The table of the rate limits, and the function that asks them: one round trip for a check of several limits.
 *
 * The function takes the rows of its keys in the keys' order, so that two checks cannot deadlock, brings each to the present, and takes of all
 * or of none. It is the same arithmetic as RateLimitState.ts, held to it by the contract of the store; `counts` is its list of times of expiry
 * and counts. `bigint` has room: the largest product is a million requests times a day's milliseconds, twice over.
 *
 * The table is unlogged: nothing waits for the disk, and after a crash or on a replica that was promoted it is empty, so all keys
 * start fresh. It carries no money.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create unlogged table aegispay.rate_limits (
     key bytea primary key,
     name text not null,
     used bigint not null default 0,
     at bigint not null default 0,
     counts bigint[] not null default '{}',
     refusals integer not null default 0,
     refused_at bigint not null default 0,
     blocked_until bigint not null default 0,
     fresh_at bigint not null default 0
   ) with (fillfactor = 50)`,
  `comment on column aegispay.rate_limits.key is 'hash of limit, algorithm and key'`,
  `comment on column aegispay.rate_limits.name is 'of the limit'`,
  `comment on column aegispay.rate_limits.fresh_at is 'epoch milliseconds, as all times here: from then on the row is as good as absent'`,
  // Rows that are blocked are few, and an update that leaves the block alone stays in its page.
  `create index rate_limits_blocked on aegispay.rate_limits (blocked_until) where blocked_until > 0`,
  `create type aegispay.rate_limit_question as (
     place integer, key bytea, name text, algorithm text, "limit" bigint, window_millis bigint, burst bigint,
     block_refusals integer, block_within bigint, block_duration bigint
   )`,
  `create function aegispay.rate_limit_expiry(q aegispay.rate_limit_question, now bigint) returns bigint
   language sql immutable parallel safe as $$
     select case when q.algorithm = 'fixed_window' then now + q.window_millis
       else (now / ((q.window_millis + 59) / 60) + 61) * ((q.window_millis + 59) / 60) end
   $$`,
  `create function aegispay.rate_limit_advance(s aegispay.rate_limits, q aegispay.rate_limit_question, now bigint)
   returns aegispay.rate_limits language plpgsql immutable parallel safe as $$
   declare
     latest bigint;
     length integer := coalesce(array_length(s.counts, 1), 0);
     over integer := 0;
   begin
     if s.blocked_until <> 0 then
       s.blocked_until := least(s.blocked_until, now + coalesce(q.block_duration, 0));
       if s.blocked_until <= now then s.blocked_until := 0; end if;
     end if;
     if s.refusals <> 0 then
       s.refused_at := least(s.refused_at, now);
       if now - s.refused_at >= coalesce(q.block_within, 0) then s.refusals := 0; end if;
     end if;
     if q.algorithm = 'token_bucket' then
       if now > s.at and s.used <> 0 then s.used := greatest(0, s.used - (now - s.at) * q.limit); end if;
       s.at := now;
     elsif length > 0 then
       latest := aegispay.rate_limit_expiry(q, now);
       if s.counts[length - 1] > latest then
         latest := s.counts[length - 1] - latest;
         for i in 1 .. length by 2 loop s.counts[i] := s.counts[i] - latest; end loop;
       end if;
       while over < length and s.counts[over + 1] <= now loop
         s.used := s.used - s.counts[over + 2];
         over := over + 2;
       end loop;
       if over > 0 then s.counts := s.counts[over + 1 : length]; end if;
     end if;
     return s;
   end $$`,
  `create function aegispay.rate_limit_changed(
     s aegispay.rate_limits, q aegispay.rate_limit_question, change text, cost bigint, now bigint
   ) returns aegispay.rate_limits language plpgsql immutable parallel safe as $$
   declare
     length integer := coalesce(array_length(s.counts, 1), 0);
     units bigint := cost * case when q.algorithm = 'token_bucket' then q.window_millis else 1 end;
     latest bigint;
     given bigint;
   begin
     if change = 'take' then
       s.used := s.used + units;
       if q.algorithm <> 'token_bucket' then
         latest := aegispay.rate_limit_expiry(q, now);
         if length > 0 and (q.algorithm = 'fixed_window' or s.counts[length - 1] = latest) then
           s.counts[length] := s.counts[length] + cost;
         else
           s.counts := s.counts || array[latest, cost];
         end if;
       end if;
     elsif change = 'refund' then
       units := least(s.used, units);
       s.used := s.used - units;
       while q.algorithm <> 'token_bucket' and units > 0 and length > 0 loop
         given := least(units, s.counts[length]);
         units := units - given;
         s.counts[length] := s.counts[length] - given;
         if s.counts[length] = 0 then
           length := length - 2;
           s.counts := s.counts[1 : length];
         end if;
       end loop;
     elsif change = 'refuse' then
       if s.refusals = 0 then s.refused_at := now; end if;
       s.refusals := s.refusals + 1;
       if s.refusals >= q.block_refusals then
         s.blocked_until := now + q.block_duration;
         s.refusals := 0;
       end if;
     end if;
     length := coalesce(array_length(s.counts, 1), 0);
     s.fresh_at := greatest(
       s.blocked_until,
       case when s.refusals = 0 then 0 else s.refused_at + coalesce(q.block_within, 0) end,
       case when q.algorithm = 'token_bucket' then s.at + (s.used + q.limit - 1) / q.limit when length > 0 then s.counts[length - 1] else 0 end
     );
     return s;
   end $$`,
  `create function aegispay.rate_limit_ask(asked jsonb, cost bigint, is_refund boolean, at_millis bigint)
   returns table (place integer, refused boolean, now_millis float8, used float8, counts float8[], blocked_until float8)
   language plpgsql as $$
   #variable_conflict use_column
   declare
     questions aegispay.rate_limit_question[];
     states aegispay.rate_limits[];
     refusing boolean[];
     q aegispay.rate_limit_question;
     s aegispay.rate_limits;
     now bigint;
     unit bigint;
   begin
     select array_agg(p order by p.key) into questions from jsonb_populate_recordset(null::aegispay.rate_limit_question, asked) p;
     foreach q in array questions loop
       loop
         select r.* into s from aegispay.rate_limits r where r.key = q.key for no key update;
         exit when found;
         insert into aegispay.rate_limits (key, name) values (q.key, q.name) on conflict do nothing;
       end loop;
       states := states || s;
     end loop;
     -- Read when all rows are held, so that it is not before what their last holder wrote.
     now := coalesce(at_millis, floor(extract(epoch from clock_timestamp()) * 1000));
     for i in 1 .. cardinality(questions) loop
       q := questions[i];
       s := aegispay.rate_limit_advance(states[i], q, now);
       unit := case when q.algorithm = 'token_bucket' then q.window_millis else 1 end;
       states[i] := s;
       refusing := refusing || (not is_refund and (s.blocked_until <> 0 or s.used + cost * unit > (q.limit + q.burst) * unit));
     end loop;
     for i in 1 .. cardinality(questions) loop
       q := questions[i];
       s := states[i];
       if is_refund or not (true = any(refusing)) then
         s := aegispay.rate_limit_changed(s, q, case when is_refund then 'refund' else 'take' end, cost, now);
       elsif refusing[i] and q.block_refusals is not null and s.blocked_until = 0 then
         s := aegispay.rate_limit_changed(s, q, 'refuse', cost, now);
       end if;
       update aegispay.rate_limits r set used = s.used, at = s.at, counts = s.counts, refusals = s.refusals, refused_at = s.refused_at,
           blocked_until = s.blocked_until, fresh_at = s.fresh_at
         where r.key = q.key and r is distinct from s;
       place := q.place;
       refused := refusing[i];
       now_millis := now;
       used := s.used;
       counts := s.counts;
       blocked_until := s.blocked_until;
       return next;
     end loop;
   end $$`
]

export const rateLimits: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
