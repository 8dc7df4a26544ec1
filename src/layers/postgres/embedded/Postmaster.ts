/**
 * What the data directory says about its server: `postmaster.pid`, Postgres' own lock file.
 *
 * Postgres writes its process id, port and status there and removes the file when it stops; a server that was killed leaves it.
 * The process id may by then belong to another program, so a server counts as running only if that process is a postgres on
 * this directory. Processes are looked up on this machine and in this container: do not share a data directory between two.
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { readFile, readlink } from "node:fs/promises"
import * as Path from "node:path"

/** The state of the server of a data directory. `pid` of `Absent` is a process that is no server although the lock names it. */
export type State =
  | { readonly _tag: "Absent"; readonly mistakenPid: number | undefined }
  | { readonly _tag: "Starting"; readonly pid: number }
  | { readonly _tag: "Stopping"; readonly pid: number }
  | { readonly _tag: "Ready"; readonly pid: number; readonly port: number }

const absent: State = { _tag: "Absent", mistakenPid: undefined }

/** Reads the state of the server of `data` (a real path, without symbolic links). An unreadable or torn file is `Absent`. */
export const inspect = (data: string): Effect.Effect<State> =>
  Effect.promise(async () => {
    const text = await readFile(Path.join(data, "postmaster.pid"), "utf8").catch(() => undefined)
    if (text === undefined) return absent
    const lines = text.split("\n")
    const pid = Math.abs(Number(lines[0]))
    if (!Number.isSafeInteger(pid) || pid === 0 || !isAlive(pid)) return absent
    if (!(await isServerOf(pid, data))) return { _tag: "Absent", mistakenPid: pid }
    const port = Number(lines[3])
    const status = (lines[7] ?? "").trim()
    if (status === "ready" && Number.isSafeInteger(port)) return { _tag: "Ready", pid, port }
    return status === "stopping" ? { _tag: "Stopping", pid } : { _tag: "Starting", pid }
  })

/** Whether a process with this id exists. One that may not be signalled exists too. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** A process whose command line may not be read counts as the server: then Postgres' own check decides. */
const isServerOf = (pid: number, data: string): Promise<boolean> =>
  process.platform === "linux" ? isServerOnLinux(pid, data) : isServerByPs(pid, data)

const isServerOnLinux = async (pid: number, data: string): Promise<boolean> => {
  try {
    const [program = "", ...args] = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0")
    if (Path.basename(program) !== "postgres") return false
    return args.includes(data) || (await readlink(`/proc/${pid}/cwd`)) === data
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES"
  }
}

const isServerByPs = (pid: number, data: string): Promise<boolean> =>
  new Promise((resolve) => {
    execFile("ps", ["-o", "command=", "-p", String(pid)], (_, stdout) => resolve(stdout.includes(`postgres -D ${data} `)))
  })
