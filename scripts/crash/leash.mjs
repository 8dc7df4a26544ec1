/**
 * Loaded into every child (`node --import`): a child ends when the program that started it is gone, however that ended.
 *
 * A standby has loaded what a server is made of, and waits for a word to go on: so a killed server is replaced at once, by a new process, as
 * fast as the machine would be if it did nothing but start it.
 *
 * It also writes the cache of compiled code while the child runs: Node does so at a program's end, which a child that is killed never
 * reaches, and loading the code is a third cheaper with it.
 */
import { enableCompileCache, flushCompileCache } from "node:module"

/** By then a server has loaded what it needs. */
const startedMillis = 3_000

process.on("disconnect", () => process.kill(process.pid, "SIGKILL"))
if (process.env.CRASH_STANDBY === "1") {
  enableCompileCache()
  for (const module of ["Cli.ts", "commands/serve.ts"]) await import(new URL(`../../src/edges/cli/${module}`, import.meta.url).href)
  await new Promise((resolve) => process.once("message", resolve))
}
process.channel?.unref()
setTimeout(() => flushCompileCache(), startedMillis).unref()
