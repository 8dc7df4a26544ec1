/**
 * The command line as real processes: run to their end, or kept running and stopped or killed.
 */
import { afterAll, assert } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("../../../src/edges/cli/main.ts", import.meta.url))
/** Nothing takes so long but on a machine that hardly gets to it: a start with a new database takes 2 s. */
const limitMillis = 100_000

const children = new Set<ChildProcess>()
const directories: Array<string> = []

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL")
  for (const directory of directories) await rm(directory, { recursive: true, force: true, maxRetries: 10 })
})

/** A new directory that the embedded server's account may enter; removed after the file's tests. */
export const directory = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), "aegispay-cli-"))
  await chmod(path, 0o711)
  directories.push(path)
  return path
}

export interface Options {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

const launch = (args: ReadonlyArray<string>, options: Options): ChildProcess => {
  // A plain environment: settings of whoever runs the tests would override the configuration.
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("AEGISPAY_"))
  const env = { ...Object.fromEntries(plain), ...options.env }
  const child = spawn(process.execPath, [program, ...args], { cwd: options.cwd ?? tmpdir(), env, stdio: ["ignore", "pipe", "pipe"] })
  children.add(child)
  child.once("exit", () => children.delete(child))
  return child
}

export interface Ended {
  readonly pid: number | undefined
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const collect = (child: ChildProcess) => {
  const texts = { stdout: "", stderr: "" }
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (texts.stdout += text))
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (texts.stderr += text))
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ pid: child.pid, code, ...texts })))
  return { texts, ended }
}

/** Runs a command to its end. */
export const aegispay = (args: ReadonlyArray<string>, options: Options = {}): Promise<Ended> => {
  const child = launch(args, options)
  setTimeout(() => child.kill("SIGKILL"), limitMillis).unref()
  return collect(child).ended
}

/** A server command that is up. */
export interface Running {
  /** What it printed with `--json`. */
  readonly announced: Announced
  readonly stdout: string
  /** What it has logged so far. */
  readonly log: () => string
  readonly stop: (signal: "SIGINT" | "SIGTERM" | "SIGKILL") => Promise<Ended>
}

interface Announced {
  readonly url: string
  readonly apiKey?: string
  readonly sandbox?: string
}

/** Starts `serve` or `sandbox` and waits until it says where it listens. */
export const start = async (args: ReadonlyArray<string>, options: Options = {}): Promise<Running> => {
  const child = launch(args, options)
  const { ended, texts } = collect(child)
  const json = args.includes("--json")
  await new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`not up: ${texts.stderr}`)), limitMillis)
    child.stdout?.on("data", () => {
      if (json ? texts.stdout.includes("\n") : texts.stdout.endsWith("\n")) {
        clearTimeout(limit)
        resolve()
      }
    })
    void ended.then((end) => reject(new Error(`ended with ${end.code}: ${end.stderr}`)))
  })
  return {
    announced: json ? (JSON.parse(texts.stdout) as Announced) : { url: "" },
    stdout: texts.stdout,
    log: () => texts.stderr,
    stop: (signal) => {
      child.kill(signal)
      return ended
    }
  }
}

/** A started command that is waited for later. */
export const begin = (args: ReadonlyArray<string>, options: Options = {}) => {
  const child = launch(args, options)
  return { ended: collect(child).ended, interrupt: () => child.kill("SIGINT"), kill: () => child.kill("SIGKILL") }
}

/** Asks a server. */
export const ask = async (running: Pick<Running, "announced">, path: string, options: { key: string; body?: unknown; under?: string }) => {
  const response = await fetch(`${running.announced.url}${path}`, {
    method: options.body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${options.key}`,
      "content-type": "application/json",
      ...(options.under === undefined ? {} : { "idempotency-key": options.under })
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) })
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** Looks until there is something, at most 60 s. */
export const waitFor = async <A>(look: () => Promise<A | undefined> | A | undefined, what: string): Promise<A> => {
  const deadline = performance.now() + 60_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Waits for the sandbox of a server, which another process may just be taking over. */
export const sandboxOf = (running: Pick<Running, "announced">) =>
  waitFor(() => fetch(running.announced.sandbox ?? "").catch(() => undefined), "the sandbox")

/** 49.90 EUR by a token. */
export const request = (token = "tok_success") => ({ amount: 4990, currency: "EUR", paymentMethod: { type: "card", token } })

export const apiKey = "test-key-0123456789"
const secrets = { TEST_API_KEY: apiKey, TEST_FINGERPRINT_KEY: "0123456789abcdef0123456789abcdef" }

/** A configuration file on a database server, with sandbox accounts `sandbox-<account>` at a URL, and the environment it refers to. */
export const configuration = async (options: {
  readonly databaseUrl: string
  readonly sandboxUrl: string
  readonly accounts?: ReadonlyArray<string>
  readonly extra?: object
}) => {
  const file = join(await directory(), "aegispay.json")
  const content = {
    database: { url: "env:TEST_DATABASE_URL" },
    gateways: (options.accounts ?? ["a"]).map((name) => ({
      name: `sandbox-${name}`,
      kind: "sandbox",
      baseUrl: `${options.sandboxUrl}/${name}`
    })),
    http: { port: 0, apiKeys: [{ merchant: "m1", key: "env:TEST_API_KEY" }] },
    fingerprintKey: "env:TEST_FINGERPRINT_KEY",
    ...options.extra
  }
  await writeFile(file, JSON.stringify(content))
  return { file, env: { ...secrets, TEST_DATABASE_URL: options.databaseUrl } }
}

/**
 * A port at which nobody listens, and which the system gives to nobody: where one that it chose is closed again, another test may get it
 * at once. Below it are those of development set-ups, above it those of the crash test and the demo.
 */
export const refusingPort = async (): Promise<number> => {
  for (;;) {
    const port = 10_000 + randomInt(9_000)
    const isFree = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" })
      socket.once("connect", () => resolve(false)).once("error", () => resolve(true))
      socket.once("connect", () => socket.destroy())
    })
    if (isFree) return port
  }
}

/**
 * The environment of a development set-up whose sandbox has a port of its own: the one by default goes to the next that starts as soon as its
 * process is killed, and that may be another file's.
 */
export const ownSandbox = async () => ({ AEGISPAY_SANDBOX_PORT: String(await refusingPort()) })

/** A port that another program has. */
export const takenPort = (): Promise<{ readonly port: number; readonly server: Server }> =>
  new Promise((resolve) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve({ port: typeof address === "object" && address !== null ? address.port : 0, server })
    })
  })

/** Exactly one line on stderr, from us, with this in it and without a stack. */
export const assertOneLine = (ended: Ended, expected: RegExp): void => {
  assert.match(ended.stderr, /^aegispay: [^\n]+\n$/)
  assert.match(ended.stderr, expected)
  assert.notMatch(ended.stderr, /\bat [\w.<>]+ \(/)
}
