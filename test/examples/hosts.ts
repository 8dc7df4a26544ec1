/**
 * Host programs as real processes: started until they say where they listen, stopped or killed; or run to their end.
 */
import { afterAll } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"

const children = new Set<ChildProcess>()
const limitMillis = 110_000

afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
})

export type Environment = Readonly<Record<string, string>>

const launch = (program: string, env: Environment): ChildProcess => {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("AEGISPAY_"))
  const path = fileURLToPath(new URL(`../../${program}`, import.meta.url))
  const child = spawn(process.execPath, ["--no-warnings", path], {
    cwd: tmpdir(),
    env: { ...Object.fromEntries(plain), ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  const limit = setTimeout(() => child.kill("SIGKILL"), limitMillis)
  child.once("exit", () => {
    clearTimeout(limit)
    children.delete(child)
  })
  return child
}

/** A host that listens. */
export interface Host {
  readonly url: string
  /** Waits for the end. `signal` is what ended it. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  readonly kill: (signal: "SIGKILL" | "SIGTERM") => void
  readonly output: () => string
}

/** Starts a host, which prints its address, as JSON or as a URL. */
export const start = async (program: string, env: Environment): Promise<Host> => {
  const child = launch(program, env)
  let output = ""
  const ended = once(child, "close").then(([code, signal]) => ({ code: code as number | null, signal: signal as string | null }))
  const port = await new Promise<number>((resolve, reject) => {
    const hear = (text: string) => {
      output += text
      const found = /("port"|http:\/\/127\.0\.0\.1):(\d+)/.exec(output)?.[2]
      if (found !== undefined) resolve(Number(found))
    }
    child.stdout?.setEncoding("utf8").on("data", hear)
    child.stderr?.setEncoding("utf8").on("data", hear)
    void ended.then(() => reject(new Error(`${program} did not start: ${output}`)))
  })
  return { url: `http://127.0.0.1:${port}`, ended, kill: (signal) => void child.kill(signal), output: () => output }
}

/** Runs a program to its end. */
export const run = async (program: string, env: Environment) => {
  const child = launch(program, env)
  let output = ""
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text))
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output += text))
  const [code] = (await once(child, "close")) as [number | null]
  return { code, output }
}
