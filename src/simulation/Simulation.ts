/**
 * One simulation: the whole engine, several instances of it, hosts, customers, a PSP, a network and a database in one process and in
 * virtual time, everything by chance from one seed. The same seed gives the same run, step by step.
 *
 *     const { violations, stats, trace } = Simulation.run({ seed: 17 })
 *
 * First the hosts live and faults strike; then the faults end, and what has to hold is checked when nothing changes any more.
 */
import "effect/schema/SchemaJITCompiler/enable"
import type { Options, Outcome } from "./Options.ts"
import * as World from "./World.ts"
import * as Database from "./world/Database.ts"

export type { Options, Outcome } from "./Options.ts"

/** Runs one simulation: over tables in memory, or over the database that is given. */
export const run = (options: Options, storage: World.MakeStorage = Database.make): Outcome =>
  withoutStacks(options, () => {
    const { kernel, life } = World.make(options, storage)
    let step = life.next()
    while (step.done !== true) step = life.next(kernel.runUntil(step.value))
    return step.value
  })

/** A stack costs more than what throws it, and nobody reads it until a run is looked at with its schedule. */
const withoutStacks = <A>(options: Options, run: () => A): A => {
  const limit = Error.stackTraceLimit
  if (options.trace !== true) Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = limit
  }
}
