/**
 * Where simulations run, by the name of their store. What the Postgres one needs is loaded when it is asked for.
 */
import * as Simulation from "../Simulation.ts"
import * as Campaign from "./Campaign.ts"

/** Loads what a store needs, without starting it. Rejects as `open` does. */
export const check = async (store: Campaign.Store): Promise<void> => {
  if (store !== "memory") await (await import("../pglite/Pglite.ts")).load()
}

/** Rejects with `PgliteUnavailable` where the in-process Postgres is not installed. */
export const open = async (store: Campaign.Store): Promise<Campaign.Lab> => {
  if (store === "memory") return Campaign.inMemory
  const [{ open: start }, PgliteDatabase] = await Promise.all([import("../pglite/Pglite.ts"), import("../pglite/PgliteDatabase.ts")])
  const database = PgliteDatabase.make(await start())
  return { store, run: (options) => Simulation.run(options, database) }
}
