/**
 * Emmett's event store: a stream per payment, named by its idempotency key, and the payment's row as an inline projection.
 *
 * That the stream must not exist yet is the idempotency check; its messages are the outbox, which Emmett's consumers read by position. So
 * it has neither of the two tables: a payment is one stream, three messages and one row of the projection.
 */
import { type Pg, poolOf } from "./HandWritten.ts"
import { load, type Peer } from "./Peer.ts"
import * as Tables from "./Tables.ts"

interface PaymentEvent {
  readonly type: string
  readonly data: Readonly<Record<string, string>>
}
interface Store {
  readonly appendToStream: (
    stream: string,
    events: ReadonlyArray<PaymentEvent>,
    options: { readonly expectedStreamVersion: unknown }
  ) => Promise<{ readonly nextExpectedStreamVersion: bigint }>
  readonly schema: { readonly migrate: () => Promise<unknown> }
  readonly close: () => Promise<void>
}
interface EmmettPostgres {
  readonly getPostgreSQLEventStore: (url: string, options: object) => Store
  readonly postgreSQLRawSQLProjection: (options: object) => unknown
}
interface Emmett {
  readonly STREAM_DOES_NOT_EXIST: unknown
  readonly projections: { readonly inline: (definitions: ReadonlyArray<unknown>) => unknown }
}
interface Dumbo {
  readonly sql: (text: string, ...values: ReadonlyArray<unknown>) => unknown
  readonly rawSql: (text: string) => unknown
}

const table = `create table if not exists payments (id uuid primary key, tenant text not null, status text not null, version integer not null,
  amount bigint not null, currency text not null, created_at timestamptz not null default now(), updated_at timestamptz not null default now())
  with (fillfactor = 70)`

/** The peer; none where it is not installed. */
export const peers = async (): Promise<ReadonlyArray<Peer>> => {
  const [pg, emmett, postgres, dumbo] = await Promise.all([
    load<Pg>("pg"),
    load<Emmett>("@event-driven-io/emmett"),
    load<EmmettPostgres>("@event-driven-io/emmett-postgresql"),
    load<Dumbo>("@event-driven-io/dumbo")
  ])
  if (pg === undefined || emmett === undefined || postgres === undefined || dumbo === undefined) return []
  const projection = postgres.postgreSQLRawSQLProjection({
    name: "payments",
    canHandle: ["PaymentCreated", "OperationSucceeded"],
    init: () => dumbo.rawSql(table),
    evolve: ({ data: { id }, type }: PaymentEvent) =>
      type === "PaymentCreated"
        ? dumbo.sql(
            "insert into payments (id, tenant, status, version, amount, currency) values (%L, 'benchmark', 'processing', 2, 4990, 'EUR')",
            id
          )
        : dumbo.sql("update payments set status = 'succeeded', version = 3, updated_at = now() where id = %L and version = 2", id)
  })
  const storeOf = (url: URL) => {
    const pool = poolOf(pg, url)
    const store = postgres.getPostgreSQLEventStore(url.toString(), {
      projections: emmett.projections.inline([projection]),
      connectionOptions: { pool }
    })
    return { store, close: () => store.close().then(() => pool.end()) }
  }
  return [
    {
      name: "Emmett",
      prepare: async (url) => {
        const { close, store } = storeOf(url)
        await store.schema.migrate()
        await close()
      },
      open: async (url) => {
        const { close, store } = storeOf(url)
        await store.schema.migrate()
        return {
          pay: async () => {
            const { id, key } = Tables.nextIds()
            const data = { id, ...Tables.payload }
            const begun = await store.appendToStream(
              `payment-${key}`,
              [
                { type: "PaymentCreated", data },
                { type: "OperationIntended", data }
              ],
              { expectedStreamVersion: emmett.STREAM_DOES_NOT_EXIST }
            )
            await store.appendToStream(`payment-${key}`, [{ type: "OperationSucceeded", data }], {
              expectedStreamVersion: begun.nextExpectedStreamVersion
            })
          },
          close
        }
      }
    }
  ]
}
