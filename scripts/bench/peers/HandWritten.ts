/**
 * What a careful team would write with `pg` and nothing else: prepared statements, one by one in a transaction, or one per transaction.
 */
import { load, maxConnections, type Peer } from "./Peer.ts"
import * as Tables from "./Tables.ts"

interface Query {
  readonly text: string
  readonly values?: ReadonlyArray<unknown>
  /** Prepares the statement under this name. */
  readonly name?: string
}
interface Client {
  readonly query: (query: Query | string) => Promise<{ readonly rowCount: number | null }>
  readonly release: () => void
}
/** A pool of `pg`. */
export interface Pool {
  readonly query: Client["query"]
  readonly connect: () => Promise<Client>
  readonly end: () => Promise<void>
}
/** What is used of `pg`. */
export interface Pg {
  readonly default: { readonly Pool: new (options: { readonly connectionString: string; readonly max: number }) => Pool }
}

/** A pool of as many connections as everybody has. */
export const poolOf = (pg: Pg, url: URL): Pool => new pg.default.Pool({ connectionString: url.toString(), max: maxConnections })

/** Makes the tables of `Tables.ts`. */
export const prepare = async (pg: Pg, url: URL): Promise<void> => {
  const pool = poolOf(pg, url)
  await pool.query(Tables.ddl)
  await pool.end()
}

const { intent, intentAtOnce, outcome, outcomeAtOnce } = Tables.statementsOf("$1::uuid", "$2::text", "$3::text")

/** Each statement with those of the parameters that it has, numbered anew. */
const own = (text: string, prefix: string) => {
  const used = ([1, 2, 3] as const).filter((number) => text.includes(`$${number}`))
  const renumbered = used.reduce((current, number, index) => current.replaceAll(`$${number}`, `$${index + 1}`), text)
  return (ids: Ids, name: string): Query => {
    const all = [ids.id, ids.key, Tables.data]
    return { name: `${prefix}-${name}`, text: renumbered, values: used.map((number) => all[number - 1]) }
  }
}

interface Ids {
  readonly id: string
  readonly key: string
}

const steps = (texts: ReadonlyArray<string>, prefix: string) =>
  texts.map((text, index) => {
    const query = own(text, prefix)
    return (ids: Ids) => query(ids, String(index))
  })
const [intentSteps, outcomeSteps] = [steps(intent, "intent"), steps(outcome, "outcome")]

const [atOnceIntent, atOnceOutcome] = [own(intentAtOnce, "intent"), own(outcomeAtOnce, "outcome")]

/** The first transaction as one prepared statement. */
export const intentQuery = (ids: Ids): Query => atOnceIntent(ids, "at-once")
/** The second one. */
export const outcomeQuery = (ids: Ids): Query => atOnceOutcome(ids, "at-once")

/** A statement that wrote nothing is no payment. */
export const written = (result: { readonly rowCount: number | null }): void => {
  if (result.rowCount === 0 || result.rowCount === null) throw new Error("a statement of the payment wrote nothing")
}

const transaction = async (pool: Pool, queries: ReadonlyArray<Query>): Promise<void> => {
  const client = await pool.connect()
  try {
    await client.query("begin")
    for (const query of queries) written(await client.query(query))
    await client.query("commit")
  } finally {
    client.release()
  }
}

/** The faster form's name. */
export const atOnce = "pg, one CTE per transaction"

/** Both forms; none where `pg` is not installed. */
export const peers = async (): Promise<ReadonlyArray<Peer>> => {
  const pg = await load<Pg>("pg")
  if (pg === undefined) return []
  const opened = (pay: (pool: Pool, ids: Ids) => Promise<void>) => (url: URL) => {
    const pool = poolOf(pg, url)
    return Promise.resolve({ pay: () => pay(pool, Tables.nextIds()), close: () => pool.end() })
  }
  return [
    {
      name: "pg, statement by statement",
      prepare: (url) => prepare(pg, url),
      open: opened(async (pool, ids) => {
        const queries = (all: typeof intentSteps) => all.map((step) => step(ids))
        await transaction(pool, queries(intentSteps))
        await transaction(pool, queries(outcomeSteps))
      })
    },
    {
      name: atOnce,
      prepare: (url) => prepare(pg, url),
      open: opened(async (pool, ids) => {
        written(await pool.query(intentQuery(ids)))
        written(await pool.query(outcomeQuery(ids)))
      })
    }
  ]
}
