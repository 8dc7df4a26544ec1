/**
 * `cold-start`: how long `aegispay --help` takes, against the aim of half a second with Node's compile cache.
 *
 * It runs the built command line (`npm run build`) where there is one, and the sources otherwise. An empty program shows Node's own
 * share. The cache is a directory of its own that the warm-up round has filled.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { alternate, type Case, type Options, ratioOf, type Report, resultsOf, type Sample } from "../Harness.ts"

/** The aim for `--help` with a filled compile cache, in milliseconds. */
const aimMillis = 500

/** Starts of every case. */
const startsPerRound = 2

const root = fileURLToPath(new URL("../../..", import.meta.url))
const programs = {
  built: join(root, "dist/edges/cli/main.js"),
  sources: join(root, "src/edges/cli/main.ts")
}

const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "aegispay-bench-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** Runs a program to its end and answers how long that took. A program that fails ends the run. */
const start = (args: ReadonlyArray<string>, cache: string | undefined): Effect.Effect<Sample> =>
  Effect.sync(() => {
    const { NODE_COMPILE_CACHE: _inherited, ...environment } = process.env
    const started = performance.now()
    const done = spawnSync(process.execPath, [...args], {
      cwd: root,
      // The program switches the cache on by itself: without it has to be forbidden.
      env: { ...environment, ...(cache === undefined ? { NODE_DISABLE_COMPILE_CACHE: "1" } : { NODE_COMPILE_CACHE: cache }) },
      encoding: "utf8",
      timeout: 60_000
    })
    const millis = performance.now() - started
    if (done.status !== 0) throw new Error(`${args.join(" ")} ended with ${done.status ?? done.signal}:\n${done.stderr}`)
    return { ms: millis }
  })

/** Runs the workload. */
export const run = ({ rounds }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const starts = rounds * startsPerRound
    const cache = yield* temporaryDirectory
    const found = Object.entries(programs).filter(([, path]) => existsSync(path))
    const cases: ReadonlyArray<Case> = [
      { name: "empty program", measure: start(["--eval", "0"], undefined) },
      ...found.flatMap(([name, path]) => [
        { name: `${name}, without cache`, measure: start([path, "--help"], undefined) },
        { name: `${name}, with cache`, measure: start([path, "--help"], cache) }
      ])
    ]
    const samples = yield* alternate("cold start", cases, starts)
    const results = resultsOf(samples)
    const best = results.find(({ name }) => name.endsWith(", with cache"))
    const millis = best?.numbers["ms"]?.median
    return {
      workload: "cold-start",
      facts: {
        aim: `${aimMillis} ms with the compile cache`,
        ...(best === undefined || millis === undefined
          ? {}
          : { result: `${best.name}: ${millis.toFixed(0)} ms: the aim is ${millis < aimMillis ? "met" : "MISSED"}` })
      },
      cases: results,
      ratios: found.map(([name]) =>
        ratioOf(samples, { name: `${name}: with cache / without`, of: `${name}, with cache`, over: `${name}, without cache`, number: "ms" })
      ),
      notes: [`Each program was started once before and then ${starts} times; ms: from the start of the process to its end.`]
    } satisfies Report
  }).pipe(Effect.scoped)
