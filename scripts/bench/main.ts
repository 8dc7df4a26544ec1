/**
 * `npm run bench`: runs the workloads that are named, or all, and prints what they measured.
 *
 *     npm run bench -- engine --rounds 5 --seconds 1.2 --concurrency 1,64 --json result.json
 *
 * Every workload runs in a process of its own, so that none meets another's heap and compiled code; one that fails does not keep the others
 * from running. It ends when it is through, when it
 * is stopped, and when this process goes away, however that happens; its database ends with it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { fork } from "node:child_process"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Options, Report } from "./Harness.ts"
import * as Machine from "./Machine.ts"
import type { Results } from "./report/Results.ts"
import * as Text from "./report/Text.ts"

/** The workloads. A process loads only its own. */
const workloads: Readonly<Record<string, () => Promise<{ readonly run: (options: Options) => Effect.Effect<Report> }>>> = {
  engine: () => import("./engine/EngineWorkload.ts"),
  "cold-start": () => import("./process/ColdStartWorkload.ts"),
  breaker: () => import("./parts/BreakerWorkload.ts"),
  latency: () => import("./load/LatencyWorkload.ts"),
  limiter: () => import("./parts/LimiterWorkload.ts"),
  memory: () => import("./process/MemoryWorkload.ts"),
  outbox: () => import("./load/OutboxWorkload.ts"),
  peers: () => import("./peers/PeersWorkload.ts"),
  pgbench: () => import("./limit/PgbenchWorkload.ts"),
  recovery: () => import("./engine/RecoveryWorkload.ts"),
  routing: () => import("./routing/RoutingWorkload.ts"),
  "routing-study": () => import("./routing/RoutingStudy.ts"),
  sketch: () => import("./parts/SketchWorkload.ts")
}

/** It measures no time, and writes into the documentation. */
const onlyWhenNamed = ["routing-study"]

const usage = `Usage: npm run bench -- [${Object.keys(workloads).join(" | ")}]... [options]

Without names: all but routing-study, which is no measurement.

  --rounds <n>            rounds, in which every case is measured once (default 5)
  --seconds <s>           duration of one measurement (default 1.2; of latency four times as long)
  --concurrency <n,...>   payments at a time (default: engine 1,64,256; peers 64, and 1 for two of them; pgbench 256)
  --gateway-ms <n,...>    times that gateways take in the workload engine, beside none (default 20)
  --rate <n,...>          payments per second in the workload latency (default 150,1000)
  --calls <n>             calls recorded before the workloads sketch and routing measure (default 10000000)
  --only <text>           of engine, peers, pgbench and breaker only the cases whose name contains the text
  --payments <n>          payments of the memory and outbox workloads (default 100000; outbox at most 10000)
  --in-flight <n>         payments under way in the memory and recovery workloads (default 10000)
  --wal-mb <n>            megabytes of log that an embedded server has written before, so that its files are made; 0: none (default 1024)
  --seeds <n>             simulated days of the routing study (default 20)
  --plot <file.svg>       where the routing study writes its picture, and its numbers beside it (default docs/plots/routing-study.svg)
  --json <file>           also writes everything as JSON
  --cpu-prof <directory>  writes a CPU profile of each workload's process
`

const fail = (message: string): never => {
  process.stderr.write(`${message}\n\n${usage}`)
  process.exit(2)
}

const numberOf = (
  name: string,
  text: string,
  limits: { readonly min: number; readonly max: number; readonly integer?: boolean }
): number => {
  const value = Number(text)
  const isUsable = value >= limits.min && value <= limits.max && (limits.integer === false || Number.isInteger(value))
  return isUsable ? value : fail(`--${name}: ${text} is not a number from ${limits.min} to ${limits.max}`)
}

const parse = () => {
  try {
    return parseArgs({
      args: process.argv.slice(2),
      allowPositionals: true,
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "1.2" },
        concurrency: { type: "string" },
        "gateway-ms": { type: "string", default: "20" },
        rate: { type: "string", default: "150,1000" },
        payments: { type: "string", default: "100000" },
        "in-flight": { type: "string", default: "10000" },
        calls: { type: "string", default: "10000000" },
        "wal-mb": { type: "string", default: "1024" },
        only: { type: "string", default: "" },
        seeds: { type: "string", default: "20" },
        plot: { type: "string", default: "docs/plots/routing-study.svg" },
        json: { type: "string" },
        "cpu-prof": { type: "string" },
        help: { type: "boolean", default: false }
      }
    })
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}

/** A workload has no result; the message says why. Details are on stderr. */
class WorkloadFailed extends Data.TaggedError("WorkloadFailed")<{ readonly message: string }> {}

/** Runs a workload in a process of its own. Being interrupted stops that process and waits for its end. */
const inProcess = (name: string, options: Options, execArgv: ReadonlyArray<string>) =>
  Effect.callback<Report, WorkloadFailed>((resume) => {
    const child = fork(fileURLToPath(import.meta.url), ["--worker", name, JSON.stringify(options)], { execArgv: [...execArgv] })
    let report: Report | undefined
    child.on("message", (message) => (report = message as Report))
    child.on("error", (error) => resume(Effect.fail(new WorkloadFailed({ message: error.message }))))
    const ended = new Promise<void>((resolve) => {
      child.on("exit", (code, signal) => {
        resolve()
        resume(
          report !== undefined && code === 0
            ? Effect.succeed(report)
            : Effect.fail(new WorkloadFailed({ message: `the workload ${name} ended with ${code ?? signal}` }))
        )
      })
    })
    return Effect.promise(() => {
      child.kill("SIGTERM")
      return ended
    })
  })

/** The process of one workload: runs it and hands over its report. */
const worker = (name: string, options: Options) =>
  Effect.gen(function* () {
    const load = workloads[name]
    if (load === undefined) return yield* Effect.die(new Error(`there is no workload ${name}`))
    const { run } = yield* Effect.promise(load)
    const abandoned = Effect.callback<never, WorkloadFailed>((resume) => {
      process.once("disconnect", () => resume(Effect.fail(new WorkloadFailed({ message: "the benchmark was stopped" }))))
    })
    const report = yield* Effect.raceFirst(run(options), abandoned)
    yield* Effect.callback<void, WorkloadFailed>((resume) => {
      process.send?.(report, undefined, {}, (error) =>
        resume(error === null ? Effect.void : Effect.fail(new WorkloadFailed({ message: error.message })))
      )
    })
    process.disconnect()
  })

const main = Effect.gen(function* () {
  const { positionals, values } = parse()
  if (values.help) return void process.stdout.write(usage)
  const names = positionals.length === 0 ? Object.keys(workloads).filter((name) => !onlyWhenNamed.includes(name)) : positionals
  for (const name of names) if (!Object.hasOwn(workloads, name)) fail(`there is no workload "${name}"`)
  const options: Options = {
    rounds: numberOf("rounds", values.rounds, { min: 1, max: 1000 }),
    seconds: numberOf("seconds", values.seconds, { min: 0.05, max: 600, integer: false }),
    concurrency:
      values.concurrency === undefined
        ? []
        : values.concurrency.split(",").map((text) => numberOf("concurrency", text, { min: 1, max: 10_000 })),
    payments: numberOf("payments", values.payments, { min: 100, max: 10_000_000 }),
    inFlight: numberOf("in-flight", values["in-flight"], { min: 1, max: 1_000_000 }),
    calls: numberOf("calls", values.calls, { min: 2_000, max: 1_000_000_000 }),
    gatewayMillis: values["gateway-ms"].split(",").map((text) => numberOf("gateway-ms", text, { min: 0, max: 10_000 })),
    rates: values.rate.split(",").map((text) => numberOf("rate", text, { min: 1, max: 100_000 })),
    walMegabytes: numberOf("wal-mb", values["wal-mb"], { min: 0, max: 16_384 }),
    only: values.only,
    seeds: numberOf("seeds", values.seeds, { min: 1, max: 10_000 }),
    plot: values.plot
  }
  const profile = values["cpu-prof"] === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values["cpu-prof"]}`]
  const machine = Machine.facts()
  process.stdout.write(`${Text.facts(machine).join("\n")}\nNumbers: median of the rounds [smallest - largest].\n`)
  const reports: Array<Report> = []
  for (const name of names) {
    const report = yield* Effect.result(inProcess(name, options, profile))
    if (Result.isFailure(report)) {
      process.stderr.write(`${report.failure.message}\n`)
      process.exitCode = 1
      continue
    }
    process.stdout.write(Text.report(report.success))
    reports.push(report.success)
    // After each, so that a run that is stopped keeps what it has.
    if (values.json !== undefined) {
      const results: Results = { at: new Date().toISOString(), commit: Machine.commit(), machine, options, reports }
      writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`)
    }
  }
})

const [mode, name = "", options = ""] = process.argv.slice(2)
const program: Effect.Effect<void, WorkloadFailed> = mode === "--worker" ? worker(name, JSON.parse(options) as Options) : main
NodeRuntime.runMain(program)
