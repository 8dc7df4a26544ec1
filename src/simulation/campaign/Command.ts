/**
 * What `aegispay simulate` runs: ranges of seeds and exhaustive scenarios over worker threads, one run with its schedule.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Worker } from "node:worker_threads"
import * as Campaign from "./Campaign.ts"
import * as Labs from "./Labs.ts"
import type { Task } from "./Thread.ts"

/** A worker thread ended without a report. */
export class WorkerFailed extends Schema.TaggedError<WorkerFailed>()("WorkerFailed", { detail: Schema.String }) {
  override get message(): string {
    return `a worker of the simulation ended without a report: ${this.detail}`
  }
}

/** What the simulations are to run over cannot be loaded. */
export class LabUnavailable extends Schema.TaggedError<LabUnavailable>()("LabUnavailable", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** The sources run as they are, the package runs compiled. */
const threadUrl = new URL(import.meta.url.endsWith(".ts") ? "./Thread.ts" : "./Thread.js", import.meta.url)

/** Everything of a simulation is garbage soon: with room for several of them hardly any of it is ever moved, which saves a quarter of the time. */
const maxYoungGenerationSizeMb = 192

const inThread = (task: Task): Effect.Effect<Campaign.Report, WorkerFailed> =>
  Effect.callback<Campaign.Report, WorkerFailed>((resume) => {
    const worker = new Worker(threadUrl, { workerData: task, resourceLimits: { maxYoungGenerationSizeMb } })
    const failed = (detail: string) => resume(Effect.fail(new WorkerFailed({ detail })))
    worker.once("message", (report: Campaign.Report) => resume(Effect.succeed(report)))
    worker.once("error", (error) => failed(error instanceof Error ? error.message : String(error)))
    worker.once("exit", (code) => failed(`exit code ${code}`))
    return Effect.promise(() => worker.terminate())
  })

/** Fails with what to install where something cannot be loaded. */
const loaded = <A>(load: () => Promise<A>): Effect.Effect<A, LabUnavailable> =>
  Effect.tryPromise({
    try: load,
    catch: (cause) => new LabUnavailable({ detail: cause instanceof Error ? cause.message : String(cause) })
  })

/** Where simulations run. */
export const lab = (store: Campaign.Store): Effect.Effect<Campaign.Lab, LabUnavailable> => loaded(() => Labs.open(store))

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
export const seeds = (range: {
  readonly from: number
  readonly count: number
  readonly workers: number
  readonly store: Campaign.Store
}) => {
  const { count, from, store, workers } = range
  return Effect.andThen(
    loaded(() => Labs.check(store)),
    spread(workers, (part) => ({ _tag: "Seeds", store, from, count, ...part }))
  )
}

/** Crashes the scenario of a seed at every operation of it. */
export const exhaustive = (options: { readonly seed: number; readonly workers: number; readonly store: Campaign.Store }) =>
  Effect.gen(function* () {
    const { seed, store, workers } = options
    const here = yield* lab(store)
    const operations = yield* Effect.sync(() => Campaign.operationsOf({ seed }, here))
    return yield* spread(workers, (part) => ({ _tag: "Exhaustive", store, seed, operations, ...part }))
  })
