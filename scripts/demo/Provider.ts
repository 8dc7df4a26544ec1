/**
 * A payment provider that can be taken down: a child process with a sandbox account (psp.ts), its ledger on disk.
 *
 * It is killed without a warning and started again on the same port, like a provider's data centre that goes dark; or it stays up and
 * misbehaves. It ends with the scope, and with this process however that ends (leash.mjs).
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type ChildProcess, spawn } from "node:child_process"
import { createServer } from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("./psp.ts", import.meta.url))
const leash = fileURLToPath(new URL("../crash/leash.mjs", import.meta.url))

/** Starting takes half a second; a busy machine needs longer. */
const startLimitMillis = 20_000
const requestLimitMillis = 5_000
const ledgerPage = 10_000
const chargesPage = 100

/** What the provider takes and how quick it is. The price in minor units and hundredths of a percent. */
export interface Account {
  readonly name: string
  readonly price: { readonly fixedMinor: number; readonly basisPoints: number }
  /** Mean; each request takes between half and one and a half of it. */
  readonly latencyMillis: number
}

/** One line of the provider's own ledger. */
export interface Entry {
  readonly kind: string
  readonly charge_id: string
  readonly payment: string
  readonly amount: number
  readonly currency: string
}

/** What the provider took for a charge, by its own list. */
export interface ChargeFee {
  readonly payment: string
  readonly fee: number
}

/**
 * How a provider is down. `killed`: nobody listens any more. `reset`: connections are accepted and reset. `errors`: everything is answered
 * with 503. `silent`: nothing is answered.
 */
export const outages = ["killed", "reset", "errors", "silent"] as const
export type Outage = (typeof outages)[number]

const controls = { reset: "refuse", errors: "5xx", silent: "timeout" } as const

/** A provider could not be started or asked. */
export class ProviderFailed extends Schema.TaggedError<ProviderFailed>()("ProviderFailed", {
  provider: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the provider ${this.provider}: ${this.detail}`
  }
}

/** A provider that runs. `unexpectedEnd`: how its process ended without being told to, if it did. */
export interface Provider {
  readonly account: Account
  readonly url: string
  readonly apiKey: string
  readonly takeDown: (outage: Outage) => Effect.Effect<void, ProviderFailed>
  /** Ends when it answers requests again. */
  readonly bringBack: (outage: Outage) => Effect.Effect<void, ProviderFailed>
  readonly ledger: Effect.Effect<ReadonlyArray<Entry>, ProviderFailed>
  readonly fees: Effect.Effect<ReadonlyArray<ChargeFee>, ProviderFailed>
  readonly unexpectedEnd: () => string | undefined
}

/** Starts a provider for as long as the scope lives. `directory` holds its ledger. */
export const start = Effect.fnUntraced(function* (account: Account, directory: string) {
  const { name } = account
  const apiKey = `sk_sandbox_${name}`
  const running: Running = { child: undefined, told: false, unexpected: undefined }
  const launchAt = (port: number) =>
    Effect.suspend(() => launched(name, { accounts: [account], directory: join(directory, name), port, control: true }, running))
  // Between finding a free port and binding it another run may take it.
  const first = Effect.flatMap(freePort, (port) => Effect.as(launchAt(port), port)).pipe(
    Effect.retry({ times: 5, while: ({ detail }) => detail.includes("EADDRINUSE") })
  )
  const port = yield* Effect.acquireRelease(first, () => kill(running))
  running.unexpected = undefined
  const launch = launchAt(port)
  const url = `http://127.0.0.1:${port}/${name}`
  const setOutage = (outage: string) => ask(account, `${url}/control`, { method: "PUT", body: JSON.stringify({ outage }) })
  const get = (path: string) => ask(account, `${url}${path}`, { headers: { authorization: `Bearer ${apiKey}` } })
  return {
    account,
    url,
    apiKey,
    takeDown: (outage) => (outage === "killed" ? kill(running) : Effect.asVoid(setOutage(controls[outage]))),
    bringBack: (outage) => (outage === "killed" ? launch : Effect.asVoid(setOutage("none"))),
    ledger: pages<Entry>((after) => get(`/ledger?after=${after}&limit=${ledgerPage}`)),
    fees: pages<ChargeFee>((cursor) => get(`/v1/charges?cursor=${cursor}&limit=${chargesPage}`)),
    unexpectedEnd: () => running.unexpected
  } satisfies Provider
})

/** The process as it is now. `told`: its end was asked for. */
interface Running {
  child: ChildProcess | undefined
  told: boolean
  unexpected: string | undefined
}

const launched = (name: string, settings: object, running: Running): Effect.Effect<void, ProviderFailed> =>
  Effect.callback<void, ProviderFailed>((resume) => {
    const child = spawn(process.execPath, ["--no-warnings", "--import", leash, program, JSON.stringify(settings)], {
      stdio: ["ignore", "pipe", "pipe", "ipc"]
    })
    running.child = child
    running.told = false
    let said = ""
    const hear = (text: string) => (said = (said + text).slice(-500))
    child.stderr?.setEncoding("utf8").on("data", hear)
    // Its address; or why it ends.
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (text.startsWith("http://") ? resume(Effect.void) : hear(text)))
    child.once("error", (error) => resume(Effect.fail(new ProviderFailed({ provider: name, detail: error.message }))))
    child.once("close", (code, signal) => {
      running.child = undefined
      const detail = `its process ended with ${signal ?? code}${said === "" ? "" : `: ${said.trim()}`}`
      if (!running.told) running.unexpected = detail
      resume(Effect.fail(new ProviderFailed({ provider: name, detail })))
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: startLimitMillis,
      orElse: () => Effect.fail(new ProviderFailed({ provider: name, detail: `it did not start within ${startLimitMillis} ms` }))
    })
  )

/** Without a warning. Ends when the process has gone. */
const kill = (running: Running): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { child } = running
    if (child === undefined) return resume(Effect.void)
    running.told = true
    child.once("close", () => resume(Effect.void))
    child.kill("SIGKILL")
    return undefined
  })

interface Body {
  readonly data?: ReadonlyArray<never>
  readonly next_after?: number
  readonly next_cursor?: string
}

const ask = (account: Account, url: string, init: RequestInit): Effect.Effect<Body, ProviderFailed> =>
  Effect.tryPromise({
    try: async () => {
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(requestLimitMillis) })
      if (response.status !== 200) throw new Error(`${url} was answered with ${response.status}`)
      return (await response.json()) as Body
    },
    catch: (error) => new ProviderFailed({ provider: account.name, detail: error instanceof Error ? error.message : String(error) })
  })

const pages = <A>(page: (cursor: string) => Effect.Effect<Body, ProviderFailed>): Effect.Effect<ReadonlyArray<A>, ProviderFailed> =>
  Effect.gen(function* () {
    const all: Array<A> = []
    for (let cursor: string | undefined = "0"; cursor !== undefined;) {
      const body: Body = yield* page(cursor)
      all.push(...((body.data ?? []) as ReadonlyArray<A>))
      cursor = body.next_cursor ?? body.next_after?.toString()
    }
    return all
  })

const given = new Set<number>()

/**
 * A port that is free now, below those that systems give to outgoing connections: a provider that was killed must get its port again, and
 * a connection to a port of that range where nobody listens may meet itself. No port is given twice: providers start at the same time.
 */
const freePort: Effect.Effect<number> = Effect.suspend(() => {
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  if (given.has(port)) return freePort
  given.add(port)
  return Effect.callback<boolean>((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resume(Effect.succeed(true))))
  }).pipe(Effect.flatMap((free) => (free ? Effect.succeed(port) : freePort)))
})
