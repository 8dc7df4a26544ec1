/**
 * DBOS: a durable workflow of two steps per payment, the intent, and the call with the outcome.
 *
 * Each step stores its rows by one statement and is recorded by DBOS afterwards; the outcome checks the version, so a step that is repeated
 * after a crash changes nothing twice. Fewer steps would not be crash-safe.
 */
import { intentQuery, outcomeQuery, type Pg, type Pool, poolOf, prepare, written } from "./HandWritten.ts"
import { load, maxConnections, type Peer } from "./Peer.ts"
import * as Tables from "./Tables.ts"

interface Ids {
  readonly id: string
  readonly key: string
}
type Payment = (ids: Ids) => Promise<void>
interface DbosModule {
  readonly DBOS: {
    readonly setConfig: (config: object) => void
    readonly launch: () => Promise<void>
    readonly shutdown: () => Promise<void>
    readonly registerWorkflow: (workflow: Payment, options: { readonly name: string }) => Payment
    readonly startWorkflow: (
      workflow: Payment,
      options: { readonly workflowID: string }
    ) => (ids: Ids) => Promise<{ readonly getResult: () => Promise<void> }>
    readonly runStep: <A>(step: () => Promise<A>, options: { readonly name: string }) => Promise<A>
  }
}

const silence = () => {}

const launch = async (dbos: DbosModule["DBOS"], url: URL): Promise<void> => {
  dbos.setConfig({
    name: "aegispay-bench",
    systemDatabaseUrl: url.toString(),
    systemDatabasePoolSize: maxConnections,
    runAdminServer: false,
    logger: { info: silence, debug: silence, warn: silence, error: (text: unknown) => process.stderr.write(`DBOS: ${String(text)}\n`) }
  })
  await dbos.launch()
}

/** The peer; none where it is not installed. */
export const peers = async (): Promise<ReadonlyArray<Peer>> => {
  const [pg, module] = await Promise.all([load<Pg>("pg"), load<DbosModule>("@dbos-inc/dbos-sdk")])
  if (pg === undefined || module === undefined) return []
  const dbos = module.DBOS
  let pool: Pool | undefined
  const store = async (query: ReturnType<typeof intentQuery>) => {
    if (pool === undefined) throw new Error("DBOS runs a payment without a database")
    written(await pool.query(query))
  }
  const payment = dbos.registerWorkflow(
    async (ids) => {
      await dbos.runStep(() => store(intentQuery(ids)), { name: "intent" })
      await dbos.runStep(() => store(outcomeQuery(ids)), { name: "call and outcome" })
    },
    { name: "payment" }
  )
  return [
    {
      name: "DBOS",
      prepare: async (url) => {
        await prepare(pg, url)
        await launch(dbos, url)
        await dbos.shutdown()
      },
      open: async (url) => {
        const opened = (pool = poolOf(pg, url))
        await launch(dbos, url)
        return {
          pay: async () => {
            const ids = Tables.nextIds()
            const handle = await dbos.startWorkflow(payment, { workflowID: ids.key })(ids)
            await handle.getResult()
          },
          close: async () => {
            await dbos.shutdown()
            await opened.end()
          }
        }
      }
    }
  ]
}
