/**
 * The command line as child processes that can be killed, stopped and continued.
 *
 * Every child hangs on a leash (leash.mjs): it ends with this process. An end that nobody asked for is kept.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("../../src/edges/cli/main.ts", import.meta.url))
const leash = fileURLToPath(new URL("./leash.mjs", import.meta.url))

/** Bytes of output that are kept, from the end. */
const keptBytes = 16_384

const children = new Set<ChildProcess>()

/** Ends every child there is. */
export const killAll = (): Promise<unknown> =>
  Promise.all(
    [...children].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once("close", () => resolve())
          child.kill("SIGKILL")
        })
    )
  )

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Child {
  readonly ended: Promise<Ended>
  /** Resolves with the first line it prints; `undefined` when it ends without one. */
  readonly firstLine: Promise<string | undefined>
  readonly signal: (signal: NodeJS.Signals) => void
  /** Stops its process for a while. A process of its own sees to it that it goes on, even when this one has been killed meanwhile. */
  readonly suspend: (millis: number) => Promise<void>
}

/** A child that has loaded its code and waits for `go`. */
export interface Standby extends Child {
  readonly go: () => void
}

/** Starts `aegispay` with these arguments. `environment` is added to a plain one. */
export const launch = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>>): Child => start(args, environment)

/** The same, but it waits for `go` before it does anything. */
export const standby = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>>): Standby =>
  start(args, { ...environment, CRASH_STANDBY: "1" })

const start = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>>): Standby => {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("AEGISPAY_"))
  const child = spawn(process.execPath, ["--no-warnings", "--import", leash, program, ...args], {
    env: { ...Object.fromEntries(plain), ...environment },
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  children.add(child)
  const output = { stdout: "", stderr: "" }
  const keep = (name: keyof typeof output) => (text: string) => (output[name] = (output[name] + text).slice(-keptBytes))
  const firstLine = new Promise<string | undefined>((resolve) => {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      keep("stdout")(text)
      const end = output.stdout.indexOf("\n")
      if (end >= 0) resolve(output.stdout.slice(0, end))
    })
    child.once("close", () => resolve(undefined))
  })
  child.stderr?.setEncoding("utf8").on("data", keep("stderr"))
  const ended = new Promise<Ended>((resolve) => {
    child.once("error", () => {})
    child.once("close", (code, signal) => {
      children.delete(child)
      resolve({ code, signal, ...output })
    })
  })
  const suspend = (millis: number) =>
    new Promise<void>((resolve) => {
      const agent = spawn(
        "/bin/sh",
        ["-c", 'kill -STOP "$1" && sleep "$2"; kill -CONT "$1"', "sh", String(child.pid), String(millis / 1000)],
        {
          stdio: "ignore"
        }
      )
      agent.once("error", () => resolve())
      agent.once("close", () => resolve())
    })
  // A standby that has just ended cannot be told; its end is noticed.
  const go = () => void (child.connected && child.send("go", () => {}))
  return { ended, firstLine, signal: (signal) => void child.kill(signal), suspend, go }
}
