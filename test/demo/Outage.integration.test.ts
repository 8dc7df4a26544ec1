/**
 * The short form of `npm run demo:outage`: three providers and the engine as real processes, one provider killed under load and started
 * again.
 */
import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("../../scripts/demo/main.ts", import.meta.url))

/** Under the load of a whole test run. */
const limitMillis = 420_000

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Runs it in a temporary directory of its own, in which nothing may be left. `onOutput`: told all output so far. */
const demo = async (args: ReadonlyArray<string>, onOutput: (output: string, child: ChildProcess) => void = () => {}): Promise<Ended> => {
  const directory = await mkdtemp(join(tmpdir(), "aegispay-demo-run-"))
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
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
        onOutput?.(output, child)
      })
    }
    // Once its providers have gone too: they hold the pipe of its errors no longer.
    child.once("close", (code) => resolve({ code, output }))
  })

/**
 * Payments that are slow or fail where the demo had to leave others out, because the machine did not get to them, tell nothing of an outage: it
 * says so itself, and is run again. On a machine that keeps up nothing is left out, and what fails has failed. A charge that is lost, doubled or
 * not found out has no such excuse anywhere.
 */
const onAMachineThatKeepsUp = async (args: ReadonlyArray<string>): Promise<Ended> => {
  for (let attempt = 1; ; attempt++) {
    const ended = await demo(args)
    const failed = [...ended.output.matchAll(/^FAILED {2}(.*?):/gm)].map(([, name = ""]) => name)
    const isOfTime = failed.every((name) => /^(at least \d+ % paid|traffic moved|traffic returned)/.test(name))
    if (ended.code !== 1 || attempt === 5 || !isOfTime || !ended.output.includes("This machine could not keep up")) return ended
  }
}

describe("an outage of one gateway", () => {
  it(
    "traffic moves within the breaker's threshold, returns after recovery, and the ledgers agree with the store",
    { timeout: limitMillis },
    async () => {
      const { code, output } = await onAMachineThatKeepsUp(["--seconds", "2,3,1.5", "--rate", "30"])
      assert.strictEqual(code, 0, output)
      assert.match(output, /low-fee goes down: its process is killed/)
      assert.match(output, /breaker low-fee\.sale: closed -> open \(consecutive failures\)/)
      assert.match(output, /breaker low-fee\.sale: half-open -> closed \(recovered\)/)
      const row = (label: string): ReadonlyArray<number> => {
        const found = new RegExp(`^${label} +(.*)$`, "m").exec(output)?.[1] ?? ""
        return found.replaceAll(" %", "").split(/ +/).map(Number)
      }
      const [before = Number.NaN, during = Number.NaN, after = Number.NaN] = row("mean fee, EUR")
      assert.isAbove(during, before, "the others are dearer")
      assert.isBelow(after, during, "the cheapest is back")
      assert.isBelow(row("charged at low-fee")[1] ?? Number.NaN, 10)
      assert.match(output.trimEnd().split("\n").at(-1) ?? "", /^passed: \d+ checks$/)
    }
  )

  it("stopped in the middle it leaves nothing behind and does not say that it passed", { timeout: limitMillis }, async () => {
    const { code, output } = await demo([], (text, child) => {
      if (/^ *1\.00 /m.test(text)) child.kill("SIGTERM")
    })
    assert.notStrictEqual(code, 0, output)
    assert.notMatch(output, /passed/)
  })

  it("refuses options that it does not understand", { timeout: limitMillis }, async () => {
    for (const args of [["--outage", "flood"], ["--rate", "0"], ["--seconds", "1,2"], ["--seconds", "1,2,0"], ["--verbose"]]) {
      const { code, output } = await demo(args)
      assert.strictEqual(code, 2, output)
      assert.match(output, /Usage: npm run demo:outage/)
    }
  })
})
