/**
 * Rate limits as rows that all instances share, on the database's clock.
 *
 * A check is one statement that calls `aegispay.rate_limit_ask` (migration 0006): it locks the rows of its keys in one order, takes of all or of
 * none, and answers where they stand. Every statement runs on its own, never in the caller's transaction, where the rows of a busy key would
 * stay locked until its end. It waits 250 ms at the most, then fails with `RateLimitStoreError`.
 *
 * A key is kept as the first 16 bytes of a SHA-256 of limit, algorithm and key: rows do not tell of whom they are. Each instance walks the table
 * in steps and deletes rows that are as good as absent, so the table holds the keys of about the longest window.
 *
 * **Gotchas**: a limit that all requests share (`global`) is one row, which they update one after the other. The table is unlogged: after a
 * crash of the server or a failover it is empty, and all keys start fresh, blocked ones too.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { createHash } from "node:crypto"
import * as Presets from "../../../domain/Presets.ts"
import type { Decision, RateLimit } from "../../../domain/resilience/RateLimit.ts"
import * as Check from "../../../domain/resilience/RateLimitCheck.ts"
import * as State from "../../../domain/resilience/RateLimitState.ts"
import { type Question, RateLimitStore, RateLimitStoreError } from "../../../services/resilience/RateLimitStore.ts"
import { effectsOf } from "../SqlErrors.ts"

const cleanUpEveryMillis = Presets.rateLimits.cleanUpIntervalMillis.value
const cleanUpPage = Presets.rateLimits.cleanUpPage.value
/** Pages of one walk at the most; the next one goes on where it stopped. */
const pagesPerWalk = 100
/** Rows are kept this much longer, so that a check under way does not make a row that is deleted at once. */
const keepMillis = 10_000

/** A row as it is stored. */
interface Row {
  readonly key: string
  readonly used: number
  readonly at: number
  readonly counts: Array<number>
  readonly refusals: number
  readonly refused_at: number
  readonly blocked_until: number
  readonly now_millis: number
}

/** What the function answers of one key. */
interface Answer extends Pick<Row, "used" | "counts" | "blocked_until" | "now_millis"> {
  readonly place: number
  readonly refused: boolean
}

const keyOf = ({ algorithm, name }: RateLimit, key: string): string =>
  // A text that is no Unicode has no UTF-8 of its own; as UTF-16 every text has one.
  createHash("sha256").update(`${name}\n${algorithm}\n`).update(Buffer.from(key, "utf16le")).digest("hex").slice(0, 32)

const keysOf = ({ keys, limits }: Omit<Question, "cost">) => limits.map((limit, index) => keyOf(limit, keys[index] ?? ""))

const askedOf = (question: Question): string => {
  const keys = keysOf(question)
  return JSON.stringify(
    question.limits.map(({ algorithm, block, burst, limit, name, windowMillis }, place) => ({
      place,
      key: `\\x${keys[place]}`,
      name,
      algorithm,
      limit,
      window_millis: windowMillis,
      burst,
      block_refusals: block?.refusals ?? null,
      block_within: block?.withinMillis ?? null,
      block_duration: block?.durationMillis ?? null
    }))
  )
}

const decisionOf = ({ cost, limits }: Question, answers: ReadonlyArray<Answer>): Decision => ({
  allowed: !answers.some(({ refused }) => refused),
  standings: limits.flatMap((limit, index) => {
    const answer = answers.find(({ place }) => place === index)
    if (answer === undefined) return []
    const { blocked_until: blockedUntil, counts, now_millis: now, refused, used } = answer
    const state = { ...State.make(), used, at: now, counts, blockedUntil }
    return [refused ? State.refusal(limit, state, { cost, now }) : State.standing(limit, state, { cost, now })]
  })
})

/**
 * `timeoutMillis`: of one statement, the wait for a connection included; default the preset (250). `now`: counts by this time instead of the
 * database's, in epoch milliseconds; for tests.
 */
export interface Options {
  readonly timeoutMillis?: number
  readonly now?: Effect.Effect<number>
}

const make = Effect.fnUntraced(function* ({ now, timeoutMillis = Presets.rateLimits.storeTimeoutMillis.value }: Options) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const at: Effect.Effect<number | null> = now ?? Effect.succeed(null)
  const nowMillis = sql`floor(extract(epoch from clock_timestamp()) * 1000)`

  /** Runs a statement outside of any transaction of the caller, again where the server says that nothing was written. */
  const ask = <A>(operation: string, statement: Effect.Effect<A, SqlError>): Effect.Effect<A, RateLimitStoreError> =>
    statement.pipe(
      Effect.updateContext((context: Context.Context<never>) => Context.omit(sql.transactionService)(context)),
      Effect.retry({ times: 2, while: (error) => effectsOf(error) === "transient" }),
      Effect.timeout(timeoutMillis),
      Effect.mapError((cause) => new RateLimitStoreError({ operation, cause }))
    )

  const run = (operation: "take" | "refund", question: Question) =>
    Effect.flatMap(at, (atMillis) =>
      ask(
        operation,
        sql<Answer>`
          select * from aegispay.rate_limit_ask(
            ${askedOf(question)}::jsonb, ${question.cost}::int, ${operation === "refund"}::boolean, ${atMillis}::float8::bigint)`
      )
    )

  const peek = Effect.fnUntraced(function* (question: Question) {
    const keys = keysOf(question)
    const atMillis = yield* at
    const rows = yield* ask(
      "peek",
      sql<Row>`
        select asked.key, coalesce(${atMillis}::float8, ${nowMillis}::float8) as now_millis, used::float8, at::float8, counts::float8[],
          refusals, refused_at::float8, blocked_until::float8
        from unnest(string_to_array(${keys.join(",")}, ',')) as asked(key)
        left join aegispay.rate_limits r on r.key = decode(asked.key, 'hex')`
    )
    const states = keys.map((key): State.RateLimitState => {
      const row = rows.find((row) => row.key === key && row.used !== null)
      return row === undefined ? State.make() : { ...row, refusedAt: row.refused_at, blockedUntil: row.blocked_until }
    })
    return Check.peek(question.limits, states, { cost: question.cost, now: rows[0]?.now_millis ?? 0 })
  })

  const reset = (subject: Omit<Question, "cost">) =>
    Effect.asVoid(
      ask(
        "reset",
        sql`
          delete from aegispay.rate_limits
          where key in (select decode(key, 'hex') from unnest(string_to_array(${keysOf(subject).join(",")}, ',')) as asked(key))`
      )
    )

  const blocked = Effect.flatMap(at, (atMillis) =>
    ask(
      "blocked",
      sql<{ readonly count: number }>`
        select count(*)::int as count from aegispay.rate_limits
        where blocked_until > 0 and blocked_until > coalesce(${atMillis}::float8, ${nowMillis}::float8)`
    )
  ).pipe(Effect.map(([row]) => row?.count ?? 0))

  yield* Effect.forkScoped(Effect.delay(Effect.repeat(makeCleanUp(sql, at), Schedule.spaced(cleanUpEveryMillis)), cleanUpEveryMillis))

  return RateLimitStore.of({
    take: (question) => Effect.map(run("take", question), (answers) => decisionOf(question, answers)),
    peek,
    refund: (question) => Effect.asVoid(run("refund", question)),
    reset,
    blocked,
    takeUnsafe: undefined
  })
})

/** Walks the table in the order of its keys, a page after the other; the next walk goes on where this one stopped. */
const makeCleanUp = (sql: SqlClient.SqlClient, at: Effect.Effect<number | null>): Effect.Effect<void> => {
  let after = ""
  const page = Effect.flatMap(
    at,
    (atMillis) => sql<{ readonly looked: number; readonly last: string | null }>`
      with page as materialized (
        select key from aegispay.rate_limits where key > decode(${after}, 'hex') order by key limit ${cleanUpPage}),
      idle as materialized (
        select r.key from aegispay.rate_limits r join page on page.key = r.key
        where r.fresh_at < coalesce(${atMillis}::float8, extract(epoch from clock_timestamp()) * 1000) - ${keepMillis}::int
        for update of r skip locked),
      gone as (delete from aegispay.rate_limits r using idle where r.key = idle.key)
      select count(*)::int as looked, (select encode(key, 'hex') from page order by key desc limit 1) as last from page`
  )
  return Effect.gen(function* () {
    for (let pages = 0; pages < pagesPerWalk; pages++) {
      const [row] = yield* page
      const isLast = row === undefined || row.looked < cleanUpPage
      after = isLast ? "" : (row.last ?? "")
      if (isLast) return
    }
  }).pipe(
    Effect.tapError((error) => Effect.logDebug("idle rate limits could not be deleted; trying again later", error)),
    Effect.ignore
  )
}

/** As `layer`, with other settings. */
export const layerWith = (options: Options): Layer.Layer<RateLimitStore, never, SqlClient.SqlClient> =>
  Layer.effect(RateLimitStore, make(options))

/** Rate limits in the table `aegispay.rate_limits`. */
export const layer: Layer.Layer<RateLimitStore, never, SqlClient.SqlClient> = layerWith({})
