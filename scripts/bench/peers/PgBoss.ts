/**
 * pg-boss: the intent and a job in one transaction; a worker calls the gateway and stores the outcome.
 *
 * `work` polls every half second at best, so the worker is a loop over `fetch`, the fastest way that the library offers. A payment counts when its
 * outcome is durable, before the job is marked complete, which happens for a whole batch at once: both are in pg-boss's favour.
 */
import { intentQuery, outcomeQuery, type Pg, type Pool, poolOf, prepare, written } from "./HandWritten.ts"
import { load, maxConnections, type Peer } from "./Peer.ts"
import * as Tables from "./Tables.ts"

interface Job {
  readonly id: string
  readonly data: { readonly id: string; readonly key: string }
}
interface Executor {
  readonly executeSql: (text: string, values?: ReadonlyArray<unknown>) => Promise<unknown>
}
interface Boss {
  readonly start: () => Promise<unknown>
  readonly stop: (options: object) => Promise<unknown>
  readonly on: (event: "error", listener: (error: Error) => void) => unknown
  readonly createQueue: (name: string) => Promise<unknown>
  readonly send: (name: string, data: Job["data"], options: { readonly db: Executor }) => Promise<string | null>
  readonly fetch: (name: string, options: { readonly batchSize: number }) => Promise<ReadonlyArray<Job>>
  readonly complete: (name: string, ids: ReadonlyArray<string>) => Promise<unknown>
}
interface PgBossModule {
  readonly PgBoss: new (options: object) => Boss
}

const queue = "payments"
const batchSize = 64
/** Between two looks at an empty queue. */
const idleMillis = 1

const bossOf = (module: PgBossModule, url: URL): Boss => {
  const boss = new module.PgBoss({ connectionString: url.toString(), max: maxConnections / 2, schedule: false })
  boss.on("error", (error) => process.stderr.write(`pg-boss: ${error.message}\n`))
  return boss
}

/** Stores the intent and sends the job in one transaction. */
const send = async (boss: Boss, pool: Pool, ids: Job["data"]): Promise<void> => {
  const client = await pool.connect()
  try {
    await client.query("begin")
    written(await client.query(intentQuery(ids)))
    await boss.send(queue, ids, { db: { executeSql: (text, values = []) => client.query({ text, values }) } })
    await client.query("commit")
  } finally {
    client.release()
  }
}

/** Fetches, calls and stores until it is stopped. */
const work = async (options: {
  readonly boss: Boss
  readonly pool: Pool
  readonly isStopped: () => boolean
  readonly done: (key: string) => void
}): Promise<void> => {
  const { boss, done, isStopped, pool } = options
  while (!isStopped()) {
    const jobs = await boss.fetch(queue, { batchSize })
    if (jobs.length === 0) await new Promise((resolve) => setTimeout(resolve, idleMillis))
    const settle = async ({ data }: Job) => {
      written(await pool.query(outcomeQuery(data)))
      done(data.key)
    }
    await Promise.all(jobs.map(settle))
    if (jobs.length > 0)
      await boss.complete(
        queue,
        jobs.map(({ id }) => id)
      )
  }
}

/** The peer; none where it is not installed. */
export const peers = async (): Promise<ReadonlyArray<Peer>> => {
  const [pg, module] = await Promise.all([load<Pg>("pg"), load<PgBossModule>("pg-boss")])
  if (pg === undefined || module === undefined) return []
  return [
    {
      name: "pg-boss",
      prepare: async (url) => {
        await prepare(pg, url)
        const boss = bossOf(module, url)
        await boss.start()
        await boss.createQueue(queue)
        await boss.stop({ graceful: false })
      },
      open: async (url) => {
        const pool = poolOf(pg, url)
        const boss = bossOf(module, url)
        await boss.start()
        const waiting = new Map<string, () => void>()
        let stopped = false
        const done = (key: string) => {
          waiting.get(key)?.()
          waiting.delete(key)
        }
        const worker = work({ boss, pool, isStopped: () => stopped, done })
        return {
          pay: async () => {
            const ids = Tables.nextIds()
            const settled = new Promise<void>((resolve) => waiting.set(ids.key, resolve))
            await Promise.race([send(boss, pool, ids), worker])
            await Promise.race([settled, worker])
          },
          close: async () => {
            stopped = true
            await worker
            await boss.stop({ graceful: false })
            await pool.end()
          }
        }
      }
    }
  ]
}
