/**
 * The start of a worker thread: runs its part of a campaign and posts the report.
 */
import { parentPort, workerData } from "node:worker_threads"
import * as Campaign from "./Campaign.ts"
import * as Labs from "./Labs.ts"

/** A part of a campaign. */
export type Task = { readonly store: Campaign.Store } & (
  | ({ readonly _tag: "Seeds" } & Parameters<typeof Campaign.seeds>[0])
  | ({ readonly _tag: "Exhaustive" } & Parameters<typeof Campaign.exhaustive>[0])
)

const run = (task: Task, lab: Campaign.Lab): Campaign.Report =>
  task._tag === "Seeds" ? Campaign.seeds(task, lab) : Campaign.exhaustive(task, lab)

const task = workerData as Task
const report = run(task, await Labs.open(task.store))

// A thread's port, not a window's: it has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
parentPort?.postMessage(report)
