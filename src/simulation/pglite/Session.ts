/**
 * The one session of an in-process Postgres, shared by every connection of a simulation.
 *
 * Connections take turns: whoever has begun a transaction keeps the session until it is idle again, the others wait in the order they came.
 * So a statement never waits for another's lock, and what is checked is the SQL and what crashes leave behind, not locking.
 *
 * The session's clock is the simulation's: a schema that comes before the server's own in the search path has functions of the names that the
 * statements use. After every turn the session is asked for what became durable in it.
 */
import * as Result from "effect/Result"
import * as Event from "../../domain/payment/Event.ts"
import { EventId, IdempotencyKey, makePaymentId } from "../../domain/payment/Ids.ts"
import type { Durable } from "../world/Storage.ts"
import * as Wire from "./Wire.ts"

/** An in-process Postgres: takes messages of the protocol and answers at once. */
export interface Postgres {
  readonly execProtocolRawSync: (message: Uint8Array) => Uint8Array
}

/** A batch that waits. */
interface Turn {
  readonly owner: object
  readonly bytes: Uint8Array
  readonly onAnswer: (answer: Uint8Array) => void
}

export interface Session {
  /** Carries out a batch in its turn. */
  readonly run: (owner: object, bytes: Uint8Array, onAnswer: (answer: Uint8Array) => void) => void
  /** The owner is gone: what it began is rolled back. What it has sent before is carried out. */
  readonly leave: (owner: object) => void
}

export interface SessionOptions {
  readonly postgres: Postgres
  /** Epoch milliseconds. */
  readonly now: () => number
  /** None while there are no tables. */
  readonly onDurable: ((durable: Durable) => void) | undefined
}

/** A statement of our own; an error is a defect of the simulation. */
export const execute = (postgres: Postgres, text: string): Wire.Answer["rows"] => {
  const { error, rows } = Wire.readAnswer(postgres.execProtocolRawSync(Wire.query(text)))
  if (error !== undefined) throw new Error(`${error}: ${text}`)
  return rows
}

/** What is asked for the time in place of the server's own clock. */
const clockStatements = [
  "create schema if not exists simulated",
  ...["clock_timestamp", "statement_timestamp"].map(
    (name) =>
      `create or replace function simulated.${name}() returns timestamptz language sql as
       'select to_timestamp(current_setting(''simulated.now'')::float8 / 1000)'`
  )
]

const searchPath = "set search_path = simulated, pg_catalog"

/** Puts the simulation's clock before the server's, for good: expressions that are stored (a default of a column) find it as well. */
export const withClock = (postgres: Postgres): void => {
  for (const statement of [...clockStatements, searchPath]) execute(postgres, statement)
}

/** An empty database as it was after the migrations; nothing that an earlier simulation left in the session is there. */
export const reset = (postgres: Postgres): void => {
  for (const statement of ["discard all", searchPath]) execute(postgres, statement)
  const tables = execute(postgres, "select tablename from pg_tables where schemaname = 'aegispay' and tablename <> 'migrations'")
  execute(postgres, `truncate ${tables.map(([table]) => `aegispay.${table}`).join(", ")}`)
  const sequences = execute(postgres, "select sequencename from pg_sequences where schemaname = 'aegispay'")
  for (const [sequence] of sequences) execute(postgres, `alter sequence aegispay.${sequence} restart`)
}

/** The columns of `eventsAfter`, by their place. */
const columns = {
  bucket: 0,
  payment: 1,
  version: 2,
  eventId: 3,
  schemaVersion: 4,
  recordedAt: 5,
  event: 6,
  position: 7,
  key: 8
} as const

const eventsAfter = (position: string) =>
  `select e.bucket, e.payment, e.version + d.n - 1, e.event_ids[d.n], e.schema_version, e.recorded_at, d.event, e.position,
     case when e.version + d.n = 2 then (select c.key from aegispay.claims c where c.payment = e.payment and c.command = 'charge') end
   from aegispay.commits e cross join json_array_elements(e.data::json) with ordinality as d(event, n)
   where e.position > ${position} order by e.position, d.n`

const durableOf = (row: ReadonlyArray<string | null>): Durable => {
  const text = (column: keyof typeof columns) => row[columns[column]] ?? ""
  const [type, , data]: ReadonlyArray<unknown> = JSON.parse(text("event"))
  const event = Event.decode({ type: String(type), schemaVersion: Number(text("schemaVersion")), data })
  const stored = {
    eventId: EventId.make(text("eventId")),
    version: Number(text("version")),
    recordedAt: Number(text("recordedAt")),
    event: Result.getOrThrow(event)
  }
  return {
    payment: makePaymentId({ bucket: Number(text("bucket")), uuid: text("payment") }),
    events: [stored],
    key: text("key") === "" ? undefined : IdempotencyKey.make(text("key")),
    held: undefined
  }
}

export const make = ({ now, onDurable, postgres }: SessionOptions): Session => {
  const waiting: Array<Turn> = []
  const gone = new WeakSet<object>()
  let holder: object | undefined
  let shownNow: number | undefined
  let position = "0"

  const setClock = (): void => {
    const at = now()
    if (at === shownNow) return
    postgres.execProtocolRawSync(Wire.query(`set simulated.now = '${at}'`))
    shownNow = at
  }

  const tell = (): void => {
    if (onDurable === undefined) return
    for (const row of execute(postgres, eventsAfter(position))) {
      position = row[columns.position] ?? position
      onDurable(durableOf(row))
    }
  }

  /** The session is for others again. What was set in a transaction that failed is not set any more, the clock included. */
  const idle = (afterTransaction: boolean): void => {
    holder = undefined
    if (afterTransaction) shownNow = undefined
    tell()
  }

  const rollBack = (): void => {
    postgres.execProtocolRawSync(Wire.query("rollback"))
    idle(true)
  }

  const carryOut = ({ bytes, onAnswer, owner }: Turn): void => {
    const inTransaction = holder !== undefined
    setClock()
    holder = owner
    // A copy: the buffer is used again.
    const answer = Buffer.from(postgres.execProtocolRawSync(bytes))
    if (Wire.statusOf(answer) === "I") idle(inTransaction)
    else if (gone.has(owner) && !waiting.some((turn) => turn.owner === owner)) rollBack()
    onAnswer(answer)
  }

  /** Whose turn it is: the holder's next batch, or the first of all. */
  const pump = (): void => {
    for (;;) {
      const index = holder === undefined ? 0 : waiting.findIndex(({ owner }) => owner === holder)
      const [turn] = index < 0 ? [] : waiting.splice(index, 1)
      if (turn === undefined) return
      carryOut(turn)
    }
  }

  return {
    run: (owner, bytes, onAnswer) => {
      waiting.push({ owner, bytes, onAnswer })
      pump()
    },
    leave: (owner) => {
      gone.add(owner)
      if (holder !== owner || waiting.some((turn) => turn.owner === owner)) return
      rollBack()
      pump()
    }
  }
}
