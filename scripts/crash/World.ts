/**
 * What the crash test runs on: a Postgres server of its own, the sandbox PSP as a process, a fault proxy in front of it, and servers
 * of the engine. All of it on loopback, in one temporary directory, and gone afterwards.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { chmod, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/layers/postgres/EmbeddedPostgres.ts"
import * as Postmaster from "../../src/layers/postgres/embedded/Postmaster.ts"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as Child from "./Child.ts"
import { type Chance, stream } from "./Chance.ts"
import { type FaultProxy, pause, start as startProxy } from "./FaultProxy.ts"
import * as Instance from "./Instance.ts"

/** The accounts of the sandbox, as the gateways are configured. */
export const accounts = [
  { name: "a", captures: "single", leavesOpenAfterDecline: false },
  { name: "b", captures: "multiple", leavesOpenAfterDecline: false },
  { name: "c", captures: "multiple", leavesOpenAfterDecline: true }
] as const

export const merchant = "m1"
export const apiKey = "crash-test-key-0123456789"
const secrets = { CRASH_API_KEY: apiKey, CRASH_FINGERPRINT_KEY: "0123456789abcdef0123456789abcdef" }

/**
 * Times of the engine, in milliseconds: short, so that permissions, leases and settle times pass many times in a run. The sandbox executes a
 * late request 2,000 after its caller left, which is 1,000 after its last byte at most; 4,000 leaves a second for the rest.
 */
export const times = {
  attemptTimeout: 1_000,
  sendWindow: 2_500,
  connectLimit: 500,
  settle: 4_000,
  lease: 3_000,
  olderThan: 3_000,
  recoveryInterval: 2_000
}

export interface World {
  /** Where the sandbox is, without a proxy. */
  readonly sandboxUrl: string
  readonly sandboxProxy: FaultProxy
  readonly instances: ReadonlyArray<Instance.Instance>
  /** `kill -9` of the postmaster, and a start. Answers once it accepts connections again. */
  readonly killPostgres: (downMillis: number) => Promise<void>
  readonly databaseUrl: () => Redacted.Redacted
  /** Runs `aegispay recover` to its end, past all faults. */
  readonly recover: () => Promise<Child.Ended>
  readonly stopServers: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface WorldOptions {
  readonly servers: number
  readonly seed: number
  readonly onUnexpectedEnd: (what: string) => void
}

/** Starts everything but the servers' load. What was started is closed again when it fails. */
export const start = async (options: WorldOptions): Promise<World> => {
  const scope = Scope.makeUnsafe()
  await sweep()
  const directory = await realpath(await mkdtemp(Path.join(tmpdir(), `${prefix}${process.pid}-`)))
  const closers: Array<() => Promise<unknown>> = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
    await Child.killAll()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
  }
  try {
    // Root's server runs as another account, which must be able to enter.
    await chmod(directory, 0o711)
    return await build(options, { scope, directory, closers, close })
  } catch (error) {
    await close()
    throw error
  }
}

const prefix = "aegispay-crash-"

/** Removes what runs left that were killed before they could: the name has the id of their process. */
const sweep = async (): Promise<void> => {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid === undefined || Postmaster.isAlive(Number(pid))) continue
    await rm(Path.join(tmpdir(), name), { recursive: true, force: true }).catch(() => {})
  }
}

interface Parts {
  readonly scope: Scope.Closeable
  readonly directory: string
  readonly closers: Array<() => Promise<unknown>>
  readonly close: () => Promise<void>
}

const build = async (options: WorldOptions, parts: Parts): Promise<World> => {
  const { closers, directory } = parts
  const dataDir = Path.join(directory, "postgres")
  const postgres = await Effect.runPromise(Scope.provide(EmbeddedPostgres.start({ dataDir, durable: false }), parts.scope))
  let endpoint: EmbeddedPostgres.Running["port"] = postgres.port
  let databaseIsUp = true
  const databaseUrl = (port = endpoint) => {
    const url = new URL(Redacted.value(postgres.url))
    url.port = String(port)
    return Redacted.make(url.toString())
  }
  await Effect.runPromise(Effect.provide(Migrations.run, Layer.orDie(PgClient.layer({ url: databaseUrl() }))))

  const ports = stream(options.seed, "ports")
  const sandboxPort = await freePort(ports)
  const names = accounts.map(({ name }) => name).join(",")
  const sandbox = Child.launch(
    ["sandbox", "--port", String(sandboxPort), "--directory", Path.join(directory, "sandbox"), "--accounts", names, "--json"],
    {}
  )
  if ((await sandbox.firstLine) === undefined) throw new Error(`the sandbox did not start: ${(await sandbox.ended).stderr}`)
  let closing = false
  void sandbox.ended.then(
    (end) => closing || options.onUnexpectedEnd(`the sandbox ended with ${end.signal ?? end.code}: ${end.stderr.slice(-2_000)}`)
  )
  closers.push(async () => void (closing = true))
  const sandboxProxy = await startProxy(sandboxPort)
  closers.push(sandboxProxy.close)

  const config = Path.join(directory, "aegispay.json")
  await writeFile(config, JSON.stringify(configuration(`http://127.0.0.1:${sandboxProxy.port}`)))
  const instances: Array<Instance.Instance> = []
  for (let number = 1; number <= options.servers; number++) {
    const proxy = await startProxy(endpoint)
    closers.push(proxy.close)
    instances.push(
      Instance.start({
        name: `server ${number}`,
        port: await freePort(ports),
        config,
        proxy,
        chance: stream(options.seed, `server ${number}`),
        databaseIsUp: () => databaseIsUp,
        environment: { ...secrets, CRASH_DATABASE_URL: Redacted.value(databaseUrl(proxy.port)) },
        onUnexpectedEnd: options.onUnexpectedEnd
      })
    )
  }
  const stopServers = async () => void (await Promise.all(instances.map((instance) => instance.stop())))
  closers.push(stopServers)

  return {
    sandboxUrl: `http://127.0.0.1:${sandboxPort}`,
    sandboxProxy,
    instances,
    databaseUrl,
    killPostgres: async (downMillis) => {
      databaseIsUp = false
      const state = await Effect.runPromise(Postmaster.inspect(Path.join(dataDir, "data")))
      if (state._tag !== "Absent") process.kill(state.pid, "SIGKILL")
      await pause(downMillis)
      endpoint = (await Effect.runPromise(postgres.current)).port
      for (const instance of instances) instance.proxy.target = endpoint
      databaseIsUp = true
    },
    recover: () =>
      Child.launch(["recover", "--config", config, "--older-than", "0", "--json"], {
        ...secrets,
        CRASH_DATABASE_URL: Redacted.value(databaseUrl())
      }).ended,
    stopServers,
    close: parts.close
  }
}

const configuration = (sandboxUrl: string) => ({
  database: { url: "env:CRASH_DATABASE_URL" },
  gateways: accounts.map(({ captures, leavesOpenAfterDecline, name }) => ({
    name: `sandbox-${name}`,
    kind: "sandbox",
    baseUrl: `${sandboxUrl}/${name}`,
    captures,
    leavesOpenAfterDecline,
    settleTimeMillis: times.settle
  })),
  retries: {
    maxRetries: 2,
    baseMillis: 100,
    capMillis: 500,
    attemptTimeoutMillis: times.attemptTimeout,
    sendWindowMillis: times.sendWindow,
    connectLimitMillis: times.connectLimit
  },
  idempotency: { waitMillis: 2_000 },
  outcomes: { storeWaitMillis: 2_000 },
  recovery: { intervalMillis: times.recoveryInterval, olderThanMillis: times.olderThan, leaseMillis: times.lease },
  http: { apiKeys: [{ merchant, key: "env:CRASH_API_KEY" }] },
  fingerprintKey: "env:CRASH_FINGERPRINT_KEY"
})

const given = new Set<number>()

/**
 * A port that is free now, below those that systems give to outgoing connections: a restarted server must get it again. No port is given
 * twice: nobody listens yet on those of servers that are just starting.
 */
const freePort = async (chance: Chance): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    // The process' id keeps two runs with one seed apart.
    const port = 20_000 + ((chance.between(0, 11_999) + process.pid * 37) % 12_000)
    if (given.has(port)) continue
    given.add(port)
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer()
      server.once("error", () => resolve(false))
      server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
  throw new Error("no free port between 20,000 and 32,000")
}
