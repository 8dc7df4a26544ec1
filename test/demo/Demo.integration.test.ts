/**
 * `npm run demo` as real processes: all sections but "outage", which Outage.integration.test.ts runs at length.
 */
import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { DemoResult } from "../../scripts/demo/Tour.ts"

const program = fileURLToPath(new URL("../../scripts/demo/demo.ts", import.meta.url))

/** Under the load of a whole test run. */
const limitMillis = 420_000

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs it in a temporary directory of its own, in which nothing may be left. `onOutput`: told what it says. */
const demo = async (args: ReadonlyArray<string>, onOutput: (text: string, child: ChildProcess) => void = () => {}): Promise<Ended> => {
  const directory = await mkdtemp(join(tmpdir(), "aegispay-tour-run-"))
  try {
    const ended = await runIn(directory, args, onOutput)
    assert.isEmpty((await readdir(directory)).filter((name) => name.startsWith("aegispay-")))
    return ended
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

const runIn = (directory: string, args: ReadonlyArray<string>, onOutput: Parameters<typeof demo>[1]): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--no-warnings", program, ...args], {
      env: { NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache"), ...process.env, TMPDIR: directory },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const said = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        said[name] += text
        onOutput?.(said[name], child)
      })
    }
    // Once its children have gone too: they hold the pipe of its errors no longer.
    child.once("close", (code) => resolve({ code, ...said }))
  })

const resultOf = ({ stdout }: Ended): DemoResult => JSON.parse(stdout)

/** The sections that `--list` names, but for the long one. */
const listed = async () => {
  const { code, stdout } = await demo(["--list"])
  assert.strictEqual(code, 0)
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "")
}

const short = ["routing", "locking", "idempotency", "crash", "chaos", "hooks", "rate-limits", "rates"]

describe("the demo", () => {
  it("shows every feature", async () => {
    assert.sameMembers(await listed(), [...short, "outage"])
  })

  it("passes, and says what it has found", { timeout: limitMillis }, async () => {
    const ended = await demo(["--json", "--only", short.join(",")])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { passed, sections } = resultOf(ended)
    assert.isTrue(passed)
    assert.deepStrictEqual(
      sections.map(({ name }) => name),
      short
    )
    for (const { checks, name } of sections) assert.isAtLeast(checks.length, 2, name)
    for (const seen of [
      /pay_\w+: succeeded, EUR 49.9 captured/,
      /50 requests: 1 charged/,
      /verdict: passed/,
      /blocked by blocked-customers/
    ]) {
      assert.match(ended.stderr, seen)
    }
  })

  it("fails where protection is taken away, in every section, and names them", { timeout: limitMillis }, async () => {
    const ended = await demo(["--json", "--only", short.join(","), "--sabotage", "all"])
    assert.strictEqual(ended.code, 1, ended.stderr)
    const { passed, sections } = resultOf(ended)
    assert.isFalse(passed)
    assert.deepStrictEqual(
      sections.filter((section) => !section.passed).map(({ name }) => name),
      short,
      ended.stderr
    )
    assert.include(ended.stderr, `FAILED: ${short.join(", ")}`)
    const crash = sections.find(({ name }) => name === "crash")?.checks.find(({ name }) => name === "the customer is charged once")
    assert.deepInclude(crash, { holds: false, detail: "2 charges in the ledger" })
  })

  it("stopped in the middle it leaves nothing behind and does not say that it passed", { timeout: limitMillis }, async () => {
    const { code, stdout } = await demo(["--only", "routing,crash"], (text, child) => {
      if (text.includes("25 payments")) child.kill("SIGTERM")
    })
    assert.notStrictEqual(code, 0, stdout)
    assert.notMatch(stdout, /passed/)
  })

  it("refuses options that it does not understand", async () => {
    for (const args of [["--only", "magic"], ["--only", ""], ["--sabotage", "magic"], ["--verbose"], ["now"]]) {
      const { code, stderr } = await demo(args)
      assert.strictEqual(code, 2, stderr)
      assert.match(stderr, /Usage: npm run demo/)
    }
  })
})
