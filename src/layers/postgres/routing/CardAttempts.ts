/**
 * Declined attempts by card on Postgres, shared by all instances.
 *
 * What is recorded is kept in memory until it is stored; a background fiber stores it at once, and everything that came meanwhile in the
 * next statement. While the store is away it is kept, at most 10,000 attempts (then the oldest are dropped, and caps count too few), and tried again; nothing of a payment waits for it. Questions
 * of concurrent payments are asked in one statement (see `payment/Grouping.ts`). Every 10 min rows that no cap counts any more
 * are deleted, by each instance.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import { DeclineCategory } from "../../../domain/operation/Decline.ts"
import { bucketOfPayment, OperationNumber, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import * as Presets from "../../../domain/Presets.ts"
import {
  type Card,
  type CardAttempt,
  CardAttempts,
  CardAttemptsUnavailable,
  maxAttempts,
  type NewCardAttempt
} from "../../../services/routing/CardAttempts.ts"
import * as Grouping from "../payment/Grouping.ts"
import { paymentIdOf } from "../payment/Rows.ts"
import { describe, isInTransaction, repeatable } from "../SqlErrors.ts"

/** Rows of one statement, and questions of one. */
const maxStored = 500
const maxAsked = 100

const maxUnstored = Presets.routing.cardAttemptsUnstored.value
const cleanUpMillis = Presets.routing.cardAttemptsCleanUpMillis.value

/** Between two tries while the store is away. */
const retryMillis = 1_000
/** How long closing waits for what is not stored. */
const closeLimit = "5 seconds"

interface Row {
  readonly n: number
  readonly bucket: number
  readonly payment: string
  readonly operation: number
  readonly declined_at: bigint
  readonly category: string
  readonly network_forbids: boolean
}

type Found = Exit.Exit<ReadonlyArray<CardAttempt>, CardAttemptsUnavailable>

/** A merchant's name has no blank, so the text names one card. */
const cardOf = ({ fingerprint, tenant }: Card): string => `${tenant} ${fingerprint}`
const nameOf = ({ operation, payment }: CardAttempt): string => `${payment} ${operation}`
const digestOf = (text: string): string => `sha256(convert_to(${text}, 'UTF8'))`

const { bool, int4, int8, text, uuid } = PgTypes.OID
const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

const isCategory = Schema.is(DeclineCategory)

/** A category that this version does not know counts for no cap. */
const attemptOf = (row: Row): ReadonlyArray<CardAttempt> =>
  isCategory(row.category)
    ? [
        {
          payment: paymentIdOf(row),
          operation: OperationNumber.make(row.operation),
          at: Number(row.declined_at),
          category: row.category,
          ...(row.network_forbids ? { networkForbids: true } : {})
        }
      ]
    : []

/** The statements. */
const tableOf = (sql: SqlClient.SqlClient) => ({
  find: (cards: ReadonlyArray<Card>, now: number) =>
    sql.unsafe<Row>(
      `select asked.n::int as n, found.bucket, found.payment, found.operation, found.declined_at, found.category, found.network_forbids
       from unnest($1::text[]) with ordinality as asked(card, n)
       cross join lateral (
         select c.bucket, c.payment, c.operation, c.declined_at, c.category, c.network_forbids
         from aegispay.card_attempts c
         where c.card = ${digestOf("asked.card")} and c.keep_until > $2::bigint
         order by c.declined_at desc
         limit ${maxAttempts}) found`,
      [array(cards.map(cardOf), text), BigInt(Math.round(now))]
    ),
  store: (attempts: ReadonlyArray<NewCardAttempt>) =>
    sql.unsafe(
      `insert into aegispay.card_attempts (card, bucket, payment, operation, declined_at, category, keep_until, network_forbids)
       select ${digestOf("a.card")}, a.bucket, a.payment, a.operation, a.declined_at, a.category, a.keep_until, a.network_forbids
       from unnest($1::text[], $2::int[], $3::uuid[], $4::int[], $5::bigint[], $6::text[], $7::bigint[], $8::boolean[])
         as a(card, bucket, payment, operation, declined_at, category, keep_until, network_forbids)
       on conflict do nothing`,
      [
        array(
          attempts.map(({ card }) => cardOf(card)),
          text
        ),
        array(
          attempts.map(({ payment }) => bucketOfPayment(payment)),
          int4
        ),
        array(
          attempts.map(({ payment }) => uuidOfPayment(payment)),
          uuid
        ),
        array(
          attempts.map(({ operation }) => operation),
          int4
        ),
        array(
          attempts.map(({ at }) => BigInt(Math.round(at))),
          int8
        ),
        array(
          attempts.map(({ category }) => category),
          text
        ),
        array(
          attempts.map(({ keepUntil }) => BigInt(Math.round(keepUntil))),
          int8
        ),
        array(
          attempts.map(({ networkForbids }) => networkForbids === true),
          bool
        )
      ]
    ),
  cleanUp: (now: number) =>
    sql.unsafe(
      `delete from aegispay.card_attempts where ctid = any (array(
         select ctid from aegispay.card_attempts where keep_until <= $1::bigint limit 10000))`,
      [BigInt(Math.round(now))]
    )
})

const make = Effect.fnUntraced(function* (options: { readonly cleanUpMillis: number }) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const table = tableOf(sql)
  const context = yield* Effect.context()
  const scope = yield* Effect.scope
  /** Recorded and not stored yet, by operation, the oldest first. */
  const unstored = new Map<string, NewCardAttempt>()
  let storing = false
  let inTrouble = false

  const find = Effect.fnUntraced(
    function* (cards: ReadonlyArray<Card>) {
      const now = yield* Clock.currentTimeMillis
      const rows = yield* repeatable(sql, "CardAttempts.of", table.find(cards, now))
      const byCard = Map.groupBy(rows, ({ n }) => n)
      return cards.map((_, index) => (byCard.get(index + 1) ?? []).flatMap(attemptOf))
    },
    Effect.mapError((cause) => new CardAttemptsUnavailable({ cause }))
  )

  const grouped = yield* Grouping.make<Card, Found>({
    run: (cards) =>
      Effect.map(Effect.exit(find(cards)), (exit): ReadonlyArray<Found> =>
        Exit.isSuccess(exit) ? exit.value.map((found) => Exit.succeed(found)) : cards.map(() => Exit.failCause(exit.cause))
      ),
    keysOf: (card) => [cardOf(card)],
    maxGroup: maxAsked,
    closed: () => Exit.fail(new CardAttemptsUnavailable({ cause: new Error("the store was closed") }))
  })

  /** What of a card this process has in hand still. */
  const ownOf = (card: Card): ReadonlyArray<NewCardAttempt> => {
    const name = cardOf(card)
    return unstored.size === 0 ? [] : [...unstored.values()].filter((attempt) => cardOf(attempt.card) === name)
  }

  const storeNext = Effect.suspend(() => {
    const attempts = [...unstored.values()].slice(0, maxStored)
    return table.store(attempts).pipe(
      Effect.tapError((error) => {
        const first = !inTrouble
        inTrouble = true
        return first ? Effect.logWarning(`declined attempts of cards cannot be stored; they are kept: ${describe(error)}`) : Effect.void
      }),
      Effect.retry(Schedule.spaced(Duration.millis(retryMillis))),
      Effect.map(() => {
        for (const attempt of attempts) if (unstored.get(nameOf(attempt)) === attempt) unstored.delete(nameOf(attempt))
        inTrouble = false
        return true
      })
    )
  })

  /** Stores until nothing is left. The look and the end are one step: nothing is recorded between them. */
  const drain = Effect.repeat(
    Effect.suspend(() => {
      if (unstored.size > 0) return storeNext
      storing = false
      return Effect.succeed(false)
    }),
    { while: (more) => more }
  )

  /** Nothing of a caller belongs to it, its transaction least of all. */
  const startStoring = Effect.suspend(() => {
    if (storing || unstored.size === 0) return Effect.void
    storing = true
    return Effect.asVoid(
      Effect.forkIn(
        Effect.updateContext(drain, (_caller: Context.Context<never>) => context),
        scope
      )
    )
  })

  const record = (attempt: NewCardAttempt) =>
    Effect.suspend(() => {
      unstored.set(nameOf(attempt), attempt)
      // Told of when the trouble began: the store has been away for thousands of declines.
      const oldest = unstored.size > maxUnstored ? unstored.keys().next().value : undefined
      if (oldest !== undefined) unstored.delete(oldest)
      return startStoring
    })

  yield* Effect.addFinalizer(() =>
    unstored.size === 0 ? Effect.void : Effect.ignore(Effect.timeout(table.store([...unstored.values()]), closeLimit))
  )
  const cleanUp = Effect.ignore(Effect.flatMap(Clock.currentTimeMillis, table.cleanUp))
  yield* Effect.forkScoped(Effect.forever(Effect.delay(cleanUp, Duration.millis(options.cleanUpMillis))))

  return CardAttempts.of({
    record,
    of: Effect.fnUntraced(function* (card) {
      // Looked at before the question: what is stored while it is asked would be in neither.
      const own = ownOf(card)
      const stored = (yield* isInTransaction(sql)) ? (yield* find([card]))[0] : yield* Effect.flatten(grouped(card))
      return own.length === 0 ? (stored ?? []) : merge(own, stored ?? [], yield* Clock.currentTimeMillis)
    })
  })
})

const merge = (own: ReadonlyArray<NewCardAttempt>, stored: ReadonlyArray<CardAttempt>, now: number): ReadonlyArray<CardAttempt> => {
  const known = new Set(stored.map(nameOf))
  const added = own.flatMap(({ card: _card, keepUntil, ...attempt }) => {
    return keepUntil > now && !known.has(nameOf(attempt)) ? [attempt] : []
  })
  return [...added, ...stored].sort((left, right) => right.at - left.at).slice(0, maxAttempts)
}

/** As `layer`, with another time between two clean-ups. */
export const layerWith = (options: { readonly cleanUpMillis: number }): Layer.Layer<CardAttempts, never, SqlClient.SqlClient> =>
  Layer.effect(CardAttempts, make(options))

/** Attempts in the table `aegispay.card_attempts`. */
export const layer: Layer.Layer<CardAttempts, never, SqlClient.SqlClient> = layerWith({ cleanUpMillis })
