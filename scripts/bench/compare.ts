/**
 * `npm run bench:compare -- <base> [workload]... [options]`: the work tree beside another commit, in alternated rounds.
 *
 *     npm run bench:compare -- main engine --only "engine, memory" --rounds 5
 *
 * The base is checked out into a temporary directory that shares `node_modules`, and measured by its own benchmarks: a case that only one of
 * the two has is left out. Each round measures both, in turns first. Everything but `--rounds` and `--json` is passed on.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { differences, type Results, type Round } from "./report/Results.ts"
import * as Text from "./report/Text.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const shared = ["node_modules", "scripts/bench/peers/node_modules"]

const usage = `Usage: npm run bench:compare -- <base> [workload]... [--rounds <n>] [--json <file>] [options of npm run bench]

  <base>          a commit, branch or tag
  --rounds <n>    rounds, in which both are measured once (default 5)
  --json <file>   also writes the comparison as JSON
`

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}

/** Takes an option with its value out of the arguments. */
const take = (args: Array<string>, name: string): string | undefined => {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args.splice(at, 2)[1]
}

const git = (...args: ReadonlyArray<string>): string => {
  const done = spawnSync("git", args, { cwd: root, encoding: "utf8" })
  if (done.status !== 0) fail(`git ${args.join(" ")} failed: ${done.stderr.trim()}`)
  return done.stdout.trim()
}

let running: ReturnType<typeof spawn> | undefined

/** One run of a tree's benchmarks. */
const measure = (tree: string, args: ReadonlyArray<string>, file: string): Promise<Results> =>
  new Promise((resolve, reject) => {
    const program = join(tree, "scripts/bench/main.ts")
    running = spawn(process.execPath, [program, ...args, "--rounds", "1", "--json", file], {
      cwd: tree,
      stdio: ["ignore", "ignore", "inherit"]
    })
    running.once("error", reject)
    running.once("exit", (code, signal) => {
      if (code === 0) resolve(JSON.parse(readFileSync(file, "utf8")) as Results)
      else reject(new Error(`the benchmarks in ${tree} ended with ${code ?? signal}`))
    })
  })

const compare = async (trees: { readonly base: string; readonly now: string }, args: ReadonlyArray<string>, rounds: number) => {
  const measured: Array<Round> = []
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    const file = join(trees.base, "..", "result.json")
    const first = await measure(round % 2 === 0 ? trees.base : trees.now, args, file)
    const second = await measure(round % 2 === 0 ? trees.now : trees.base, args, file)
    measured.push(round % 2 === 0 ? { base: first, now: second } : { base: second, now: first })
  }
  return measured
}

const print = (base: string, rounds: ReadonlyArray<Round>) => {
  const found = differences(rounds)
  const rows = found.map(({ base: before, name, now, number, ratio, workload }) => ({
    name: `${workload}: ${name}: ${number}`,
    numbers: { base: before, now, ratio }
  }))
  process.stdout.write(`base: ${base}, ${rounds.length} rounds; median of the rounds [smallest - largest]; ratio: now / base\n\n`)
  process.stdout.write(`${Text.table(rows)}\n`)
  return found
}

const args = process.argv.slice(2)
const rounds = Number(take(args, "--rounds") ?? 5)
const json = take(args, "--json")
const [base, ...rest] = args
if (base === undefined || base.startsWith("-")) fail(usage)
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) fail(`--rounds is not a number from 1 to 100\n\n${usage}`)
const commit = git("rev-parse", "--verify", `${base ?? ""}^{commit}`)

const directory = mkdtempSync(join(tmpdir(), "aegispay-compare-"))
const tree = join(directory, "base")
process.once("exit", () => {
  spawnSync("git", ["worktree", "remove", "--force", tree], { cwd: root })
  rmSync(directory, { recursive: true, force: true })
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(signal, () => {
    running?.kill("SIGTERM")
    process.exit(1)
  })
git("worktree", "add", "--detach", tree, commit)
for (const path of shared)
  if (existsSync(join(root, path)) && existsSync(join(tree, path, ".."))) symlinkSync(join(root, path), join(tree, path), "junction")
const measured = await compare({ base: tree, now: root }, rest, rounds)
const found = print(`${base ?? ""} (${commit.slice(0, 10)})`, measured)
if (json !== undefined) writeFileSync(json, `${JSON.stringify({ base: commit, differences: found, rounds: measured }, undefined, 2)}\n`)
