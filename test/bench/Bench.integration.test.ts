/**
 * The benchmarks in their shortest form: they run, and say how what they measured compares. What they measured is of no interest here.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { spawn } from "node:child_process"
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as OpenLoop from "../../scripts/bench/load/OpenLoop.ts"
import type { Results } from "../../scripts/bench/report/Results.ts"

const programOf = (name: string) => fileURLToPath(new URL(`../../scripts/bench/${name}.ts`, import.meta.url))

interface Ended {
  readonly code: number | null
  readonly output: string
}

const run = (name: string, args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--no-warnings", programOf(name), ...args], {
      env: { NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache"), ...process.env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.once("close", (code) => resolve({ code, output }))
  })

const inDirectory = async (use: (directory: string) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), "aegispay-bench-run-"))
  try {
    await use(directory)
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** One round of what is over in a moment. */
const shortest = [
  "--rounds",
  "1",
  "--seconds",
  "0.05",
  "--payments",
  "100",
  "--in-flight",
  "20",
  "--calls",
  "2000",
  "--concurrency",
  "2",
  "--gateway-ms",
  "1",
  "--rate",
  "50"
]

/** Workloads by what they need; `ratios`: the least that each prints without any peer. */
const workloads = [
  { name: "engine", ratios: 6 },
  { name: "latency", ratios: 0 },
  { name: "peers", ratios: 4 },
  { name: "memory", ratios: 0 },
  { name: "outbox", ratios: 1 },
  { name: "recovery", ratios: 0 },
  { name: "breaker", ratios: 1 },
  { name: "limiter", ratios: 1 },
  { name: "sketch", ratios: 3 },
  { name: "routing", ratios: 1 },
  { name: "cold-start", ratios: 1 }
] as const

describe("npm run bench", () => {
  it("runs every workload that is named, prints ratios, and writes what it printed as JSON", { timeout: 300_000 }, () =>
    inDirectory(async (directory) => {
      const file = join(directory, "result.json")
      const { code, output } = await run("main", [...workloads.map(({ name }) => name), ...shortest, "--json", file])
      assert.strictEqual(code, 0, output)
      const { commit, machine, reports } = JSON.parse(await readFile(file, "utf8")) as Results
      assert.isString(commit)
      assert.include(Object.keys(machine), "fdatasync of 8 KiB")
      assert.deepStrictEqual(
        reports.map(({ workload }) => workload),
        workloads.map(({ name }) => name)
      )
      for (const { name, ratios } of workloads) {
        const report = reports.find(({ workload }) => workload === name)
        assert.include(output, `== ${name} ==`)
        assert.isNotEmpty(report?.cases ?? [])
        assert.isAtLeast(report?.ratios.length ?? 0, ratios, name)
        for (const ratio of report?.ratios ?? []) {
          assert.include(output, ratio.name)
          assert.isTrue(ratio.median > 0 && Number.isFinite(ratio.median), ratio.name)
        }
      }
      // What is not installed is not passed over in silence.
      for (const missing of ["pg", "pg-boss"]) {
        const isMeasured = new RegExp(`^${missing}[ ,]`, "m").test(output)
        assert.isTrue(isMeasured || output.includes(`${missing} is not installed and was left out`), missing)
      }
    })
  )

  it("measures what the database can do beside the engine", () =>
    inDirectory(async (directory) => {
      const file = join(directory, "result.json")
      const { code, output } = await run("main", ["pgbench", ...shortest, "--only", "one CTE per transaction, 8", "--json", file])
      assert.strictEqual(code, 0, output)
      const { reports } = JSON.parse(await readFile(file, "utf8")) as Results
      assert.deepStrictEqual(
        reports[0]?.cases.map(({ name }) => name),
        ["AegisPay, c=2", "one CTE per transaction, 8 clients"]
      )
    }))

  it("refuses options that it does not understand, and names that there are not", async () => {
    for (const args of [["--rounds", "0"], ["--fast"], ["nothing"], ["engine", "--concurrency", "many"]]) {
      const { code, output } = await run("main", args)
      assert.strictEqual(code, 2, output)
      assert.match(output, /Usage: npm run bench/)
    }
  })
})

describe("npm run bench:report", () => {
  it("writes results into the document and draws them, and writes the same again", () =>
    inDirectory(async (directory) => {
      const [docs, file] = [join(directory, "docs"), join(directory, "result.json")]
      await cp(fileURLToPath(new URL("../../docs/performance.md", import.meta.url)), join(docs, "performance.md"))
      const measured = await run("main", ["latency", ...shortest, "--json", file])
      assert.strictEqual(measured.code, 0, measured.output)
      const written = await run("report", [file, "--docs", docs])
      assert.strictEqual(written.code, 0, written.output)
      const document = await readFile(join(docs, "performance.md"), "utf8")
      assert.include(document, "### latency")
      assert.include(document, "(plots/performance-latency.svg)")
      assert.sameMembers(await readdir(join(docs, "plots")), ["performance-latency.svg", "performance.json"])
      assert.match(await readFile(join(docs, "plots/performance-latency.svg"), "utf8"), /^<svg[^]*AegisPay[^]*<\/svg>\s*$/)
      assert.strictEqual((await run("report", ["--docs", docs])).code, 0)
      assert.strictEqual(await readFile(join(docs, "performance.md"), "utf8"), document)
    }))
})

describe("npm run bench:compare", () => {
  it("refuses a base that there is not, and leaves no work tree behind", async () => {
    for (const args of [[], ["no-such-commit"], ["HEAD", "--rounds", "0"]]) {
      const { code, output } = await run("compare", args)
      assert.strictEqual(code, 2, output)
    }
  })
})

describe("an open loop", () => {
  const workMillis = 20
  const due = [0, 1, 2, 3, 4]

  it("begins a payment when it is due, whatever became of those before it", () =>
    Effect.gen(function* () {
      const turn = yield* Semaphore.make(1)
      const { latencies, mostInFlight } = yield* OpenLoop.run(turn.withPermit(Effect.sleep(workMillis)), due)
      assert.strictEqual(latencies.length, due.length)
      assert.isAbove(mostInFlight, 1)
      // Each waits for all before it: a loop that began the next one when the last had ended would have seen 20 ms five times.
      latencies.forEach((latency, index) => assert.isAtLeast(latency, (index + 1) * (workMillis - 1) - (due[index] ?? 0)))
    }).pipe(Effect.runPromise))

  it("counts from the time a payment was due, also where this process was too busy to begin it", () =>
    Effect.gen(function* () {
      const cell = new Int32Array(new SharedArrayBuffer(4))
      const block = Effect.sync(() => void Atomics.wait(cell, 0, 0, workMillis))
      const { delays, latencies } = yield* OpenLoop.run(block, due)
      assert.strictEqual(delays.length, due.length)
      latencies.forEach((latency, index) => assert.isAtLeast(latency, (index + 1) * (workMillis - 1) - (due[index] ?? 0)))
      assert.isAtLeast(delays.at(-1) ?? 0, (due.length - 1) * (workMillis - 1) - (due.at(-1) ?? 0))
    }).pipe(Effect.runPromise))

  it("says it where a payment fails, and ends at once where nothing is due", async () => {
    assert.strictEqual((await Effect.runPromiseExit(OpenLoop.run(Effect.die(new Error("no")), [0, 1])))._tag, "Failure")
    assert.deepStrictEqual(await Effect.runPromise(OpenLoop.run(Effect.void, [])), { latencies: [], delays: [], mostInFlight: 0 })
  })
})
