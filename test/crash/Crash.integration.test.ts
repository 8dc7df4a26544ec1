/**
 * The short form of `npm run test:crash`: servers, sandbox and Postgres as real processes, killed and cut off under load, then compared
 * with the PSP's ledger. With AEGISPAY_LONG it runs for a minute.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("../../scripts/crash/main.ts", import.meta.url))
const seconds = process.env["AEGISPAY_LONG"] === "1" ? 60 : 10
/** Starting, recovering and comparing on a busy machine, besides the run itself. */
const limitMillis = (seconds + 210) * 1000

interface Ended {
  readonly code: number | null
  readonly output: string
}

/**
 * Runs it in a temporary directory of its own, in which nothing may be left: not even what a run before it had left, which was killed. What
 * a run that still goes on has there stays.
 */
const crash = async (args: ReadonlyArray<string>): Promise<Ended> => {
  const directory = await mkdtemp(join(tmpdir(), "aegispay-crashes-"))
  const ofOther = `aegispay-crash-${process.pid}-going-on`
  try {
    await chmod(directory, 0o711)
    for (const name of [ofOther, `aegispay-crash-${await endedProcess()}-killed`]) {
      await mkdir(join(directory, name))
      await writeFile(join(directory, name, "file"), "")
    }
    const ended = await runIn(directory, args)
    const left = (await readdir(directory)).filter((name) => name.startsWith("aegispay-"))
    assert.deepStrictEqual(left, [ofOther], ended.output)
    return ended
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** The id of a process that has ended. */
const endedProcess = (): Promise<number | undefined> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--version"], { stdio: "ignore" })
    child.once("close", () => resolve(child.pid))
  })

const runIn = (directory: string, args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--no-warnings", program, ...args], {
      // The cache of compiled code stays the common one: starting servers is most of the work.
      env: { NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache"), ...process.env, TMPDIR: directory },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const limit = setTimeout(() => child.kill("SIGTERM"), limitMillis - 20_000)
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.once("close", (code) => {
      clearTimeout(limit)
      resolve({ code, output })
    })
  })

describe("real processes", () => {
  it("killed, suspended and cut off under load lose nothing and charge nobody twice", { timeout: limitMillis }, async () => {
    const { code, output } = await crash(["--seconds", String(seconds), ...(seconds > 10 ? [] : ["--workers", "16"])])
    assert.strictEqual(code, 0, output)
    const last = output.trimEnd().split("\n").at(-1) ?? ""
    assert.match(last, /^passed: .*, lost 0, doubled 0, wrong 0$/)
    const count = (what: string) => Number(new RegExp(`(\\d+) ${what}`).exec(last)?.[1])
    assert.isAbove(count("payments"), 0, last)
    assert.isAbove(count("kills"), 0, last)
    assert.isAbove(count("Postgres kills"), 0, last)
    assert.isAbove(count("network changes"), 0, last)
  })

  it("a second charge, a charge nobody intended and a forged acknowledgement are noticed", { timeout: limitMillis }, async () => {
    const { code, output } = await crash(["--seconds", "4", "--servers", "1", "--workers", "4", "--seed", "1", "--plant", "1"])
    assert.strictEqual(code, 1, output)
    assert.match(output, /^DOUBLED pay_\w+ I1: 2 charges stand/m)
    assert.match(output, /^LOST nobody I7: the PSP knows a payment that the database does not$/m)
    assert.match(output, /^LOST pay_\w+ I3: .* was answered/m)
    assert.match(output, /^FAILED: .* doubled 1, wrong 0$/m)
  })
})
