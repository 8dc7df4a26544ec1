/**
 * A port for a sandbox that will listen on it only later.
 *
 * Between the choice and the first listening a new database is made, which takes seconds: so the choice is claimed by a file in the
 * system's temporary directory, and whoever chooses meanwhile takes another port. A claim ends with its process, however that ends.
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

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = Net.createServer()
    server.once("error", () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })

/** False where another process that lives has claimed it. */
const claim = async (port: number): Promise<boolean> => {
  const path = Path.join(tmpdir(), `aegispay-sandbox-port-${port}`)
  const owner = await Fs.readFile(path, "utf8").catch(() => undefined)
  if (owner !== undefined) {
    // Nothing in it yet: it is just being made.
    if (owner === "" || isAlive(Number(owner))) return false
    await Fs.rm(path, { force: true }).catch(() => {})
  }
  try {
    await Fs.writeFile(path, String(process.pid), { mode: 0o600, flag: "wx" })
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EEXIST"
  }
  process.once("exit", () => rmSync(path, { force: true }))
  return true
}
