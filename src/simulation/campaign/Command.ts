/**
 * What `aegispay simulate` runs: ranges of seeds and exhaustive scenarios over worker threads, one run with its schedule.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Worker } from "node:worker_threads"
import * as Campaign from "./Campaign.ts"
import type { Task } from "./Thread.ts"

/** A worker thread ended without a report. */
export class WorkerFailed extends Schema.TaggedError<WorkerFailed>()("WorkerFailed", { detail: Schema.String }) {
  override get message(): string {
    return `a worker of the simulation ended without a report: ${this.detail}`
  }
}

/** The sources run as they are, the package runs compiled. */
const threadUrl = new URL(import.meta.url.endsWith(".ts") ? "./Thread.ts" : "./Thread.js", import.meta.url)

const inThread = (task: Task): Effect.Effect<Campaign.Report, WorkerFailed> =>
  Effect.callback<Campaign.Report, WorkerFailed>((resume) => {
    const worker = new Worker(threadUrl, { workerData: task })
    const failed = (detail: string) => resume(Effect.fail(new WorkerFailed({ detail })))
    worker.once("message", (report: Campaign.Report) => resume(Effect.succeed(report)))
    worker.once("error", (error) => failed(error instanceof Error ? error.message : String(error)))
    worker.once("exit", (code) => failed(`exit code ${code}`))
    return Effect.promise(() => worker.terminate())
  })

const spread = (workers: number, taskOf: (part: { readonly offset: number; readonly stride: number }) => Task) =>
  Effect.map(
    Effect.forEach(
      Array.from({ length: workers }, (_, offset) => offset),
      (offset) => inThread(taskOf({ offset, stride: workers })),
      { concurrency: "unbounded" }
    ),
    (reports) => reports.reduce(Campaign.merge, Campaign.empty)
  )

/** Simulates `count` seeds from `from` on `workers` threads, 1 to 64. */
export const seeds = (range: { readonly from: number; readonly count: number; readonly workers: number }) =>
  spread(range.workers, (part) => ({ _tag: "Seeds", from: range.from, count: range.count, ...part }))

/** Crashes the scenario of a seed at every operation of it. */
export const exhaustive = (options: { readonly seed: number; readonly workers: number }) =>
  Effect.flatMap(
    Effect.sync(() => Campaign.operationsOf(options.seed)),
    (operations) => spread(options.workers, (part) => ({ _tag: "Exhaustive", seed: options.seed, operations, ...part }))
  )
