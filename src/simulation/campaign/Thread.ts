/**
 * The start of a worker thread: runs its part of a campaign and posts the report.
 */
import { parentPort, workerData } from "node:worker_threads"
import * as Campaign from "./Campaign.ts"

/** A part of a campaign. */
export type Task =
  | ({ readonly _tag: "Seeds" } & Parameters<typeof Campaign.seeds>[0])
  | ({ readonly _tag: "Exhaustive" } & Parameters<typeof Campaign.exhaustive>[0])

const run = (task: Task): Campaign.Report => (task._tag === "Seeds" ? Campaign.seeds(task) : Campaign.exhaustive(task))

// A thread's port, not a window's: it has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
parentPort?.postMessage(run(workerData as Task))
