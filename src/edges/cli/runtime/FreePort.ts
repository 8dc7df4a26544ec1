/**
 * A port for a sandbox that will listen on it only later.
 *
 * Between the choice and the first listening a new database is made, which takes seconds: so the choice is claimed by a file in the
 * system's temporary directory, which names the process, and whoever chooses meanwhile takes another port. A claim ends with its process,
 * however that ends.
 */
import { rmSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { isAlive } from "../../../layers/postgres/embedded/Postmaster.ts"

const host = "127.0.0.1"

/** How many ports are looked at. */
const candidates = 100
/** A port that neither refuses nor answers is not free. */
const connectLimitMillis = 1_000

/**
 * The preferred port, or the next that is free now. Not one that the system chooses: those are given to others at any moment, this one
 * has to be free still when the sandbox starts. Where no claim can be made, ports are only tried.
 */
export const freePort = async (preferred: number): Promise<number> => {
  for (let port = preferred; port < preferred + candidates; port++) {
    if ((await isFree(port)) && (await claim(port))) return port
  }
  return preferred
}

/** Asked by a connection, which takes it from nobody: a sandbox that starts again on its port would not get it from one who tries it. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = Net.connect({ port, host })
    const answer = (isRefused: boolean) => {
      socket.destroy()
      resolve(isRefused)
    }
    socket.setTimeout(connectLimitMillis, () => answer(false))
    socket.once("connect", () => answer(false)).once("error", (error: NodeJS.ErrnoException) => answer(error.code === "ECONNREFUSED"))
  })

/**
 * False where another process that lives claims it, too. Each has a file of its own and makes it before it looks for those of others: of
 * two that claim at once one at least sees the other, even where both find a claim that a killed process has left.
 */
const claim = async (port: number): Promise<boolean> => {
  const path = Path.join(tmpdir(), `${prefixOf(port)}${process.pid}`)
  try {
    await Fs.writeFile(path, "", { mode: 0o600 })
  } catch {
    return true
  }
  if (await isClaimedByOther(port)) {
    await Fs.rm(path, { force: true })
    return false
  }
  process.once("exit", () => rmSync(path, { force: true }))
  return true
}

const prefixOf = (port: number): string => `aegispay-sandbox-port-${port}.`

/** Removes the claims of processes that have ended. */
const isClaimedByOther = async (port: number): Promise<boolean> => {
  const prefix = prefixOf(port)
  const names = await Fs.readdir(tmpdir()).catch(() => [])
  const others = names.filter((name) => name.startsWith(prefix) && name !== `${prefix}${process.pid}`)
  const dead = others.filter((name) => !isAlive(Number(name.slice(prefix.length))))
  for (const name of dead) await Fs.rm(Path.join(tmpdir(), name), { force: true }).catch(() => {})
  return dead.length < others.length
}
