/**
 * `aegispay chaos`: experiments on virtual time, and in real time against a server with a sandbox.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ExperimentResult } from "../../../../src/domain/chaos/experiment/ExperimentResult.ts"
import { aegispay, assertOneLine, begin, directory, start, waitFor } from "../aegispay.ts"

const resultOf = Schema.decodeUnknownSync(ExperimentResult)

const limitMillis = 120_000

const short = {
  name: "short",
  durationMillis: 3_000,
  load: { ratePerSecond: 8, followUpMillis: 200 },
  chaos: {
    seed: 1,
    rules: [{ target: "gateway", when: { type: "random", rate: 0.3 }, inject: { type: "latency", minMillis: 10, maxMillis: 50 } }]
  },
  steadyState: { beforeMillis: 4_000, recoverMillis: 500, afterMillis: 1_000, criteria: { minSuccessRate: 0.9 } },
  criteria: { minSuccessRate: 0.9, minInjections: 1 }
}

/** An experiment in a file. */
const written = async (definition: unknown) => {
  const folder = await directory()
  const file = join(folder, "experiment.json")
  await writeFile(file, typeof definition === "string" ? definition : JSON.stringify(definition))
  return { file, folder }
}

describe("aegispay chaos run on virtual time", () => {
  it(
    "prints the verdict first, writes result and report, and ends with 0",
    async () => {
      const { file, folder } = await written({ ...short, name: "mine", durationMillis: 60_000 })
      const [out, html] = [join(folder, "result.json"), join(folder, "report.html")]
      const ended = await aegispay(["chaos", "run", file, "--seed", "7", "--duration", "20s", "--out", out, "--html", html])
      assert.strictEqual(ended.stderr, "")
      assert.strictEqual(ended.code, 0)
      assert.match(ended.stdout, /^PASSED {2}mine \(seed 7, virtual time\)\n/)
      const result = resultOf(JSON.parse(await readFile(out, "utf8")))
      assert.deepInclude(result.experiment, { seed: 7, mode: "virtual", durationMillis: 20_000 })
      const report = await readFile(html, "utf8")
      assert.match(report, /^<!doctype html>/)
      assert.include(report, "mine")
    },
    limitMillis
  )

  it(
    "ends with 1 and the reasons when it fails; --json has the same result",
    async () => {
      const { file } = await written({ ...short, criteria: { maxAverageLatencyMillis: 1 } })
      const [text, json] = [await aegispay(["chaos", "run", file]), await aegispay(["chaos", "run", file, "--json"])]
      assert.deepStrictEqual([text.code, json.code], [1, 1])
      assert.match(text.stdout, /^FAILED {2}short .*\n {2}average latency: [0-9.]+ ms, wanted at most 1 ms\n/)
      assert.match(text.stderr, /^aegispay: the experiment short failed: average latency/)
      assert.strictEqual(resultOf(JSON.parse(json.stdout)).verdict.outcome, "failed")
    },
    limitMillis
  )

  it("names what is wrong with a file, with paths, and ends with 2", async () => {
    const { file } = await written({ ...short, load: { ratePerSecond: -1, speed: 3 }, durationMillis: 5 })
    const ended = await aegispay(["chaos", "run", file])
    assert.strictEqual(ended.code, 2)
    assert.strictEqual(ended.stdout, "")
    for (const path of [
      "load.ratePerSecond: expected a number",
      "load.speed: is not a known field",
      "durationMillis: expected an integer"
    ]) {
      assert.include(ended.stderr, path)
    }
    const unknown = await written({ ...short, chaos: { seed: 1, rules: [{ ...short.chaos.rules[0], gateways: ["nobody"] }] } })
    const refused = await aegispay(["chaos", "run", unknown.file])
    assert.strictEqual(refused.code, 2)
    assert.include(refused.stderr, 'names the gateway "nobody", which is not among the gateways: gateway-a')
    for (const length of ["0", "999ms", "2d", "soon"]) {
      const wrong = await aegispay(["chaos", "run", "gateway-outage", "--duration", length])
      assert.strictEqual(wrong.code, 2)
      assert.include(wrong.stderr, "a duration from 1s to 1d, such as 30s or 5m", length)
    }
    const mistyped = await aegispay(["chaos", "run", "gateway-outtage"])
    assert.strictEqual(mistyped.code, 2)
    assertOneLine(mistyped, /there is no experiment "gateway-outtage".*gateway-outage/)
  })

  it("says before it runs what it could not write, and what is for a running server", async () => {
    const { file, folder } = await written({ ...short, criteria: { minInjections: 1_000_000 } })
    const refused = async (flags: ReadonlyArray<string>, expected: RegExp) => {
      const ended = await aegispay(["chaos", "run", file, ...flags])
      assert.deepStrictEqual([ended.code, ended.stdout], [2, ""], flags.join(" "))
      assertOneLine(ended, expected)
    }
    await refused(["--out", join(folder, "none", "r.json")], /r\.json: cannot be written \(ENOENT\)/)
    await refused(["--html", folder], /cannot be written \(EISDIR\)/)
    await refused(["--out", join(folder, "r"), "--html", `${folder}/./r`], /--out and --html name the same file/)
    await refused(["--ledger", "http://127.0.0.1:1"], /--ledger is for a running server: name it with --target/)
    await refused(["--settle", "5m"], /--settle is for a running server/)
  })

  it("lists the named experiments and prints one to start from", async () => {
    const listed = await aegispay(["chaos", "list"])
    assert.include(listed.stdout, "lost-responses")
    const { folder } = await written("")
    const own = join(folder, "own.json")
    await writeFile(own, (await aegispay(["chaos", "list", "brown-out"])).stdout)
    const ended = await aegispay(["chaos", "run", own, "--duration", "1s", "--json"])
    assert.strictEqual(resultOf(JSON.parse(ended.stdout)).experiment.name, "brown-out")
  })
})

describe("aegispay chaos run --target", () => {
  it(
    "runs against a server, checks the sandbox's ledger, and leaves no faults behind",
    async () => {
      const dataDir = await directory()
      const running = await start(["serve", "--allow-chaos", "--data-dir", dataDir, "--port", "0", "--json"])
      const { apiKey = "", sandbox = "", url } = running.announced
      const env = { AEGISPAY_API_KEY: apiKey }
      const { file } = await written(short)
      const ended = await aegispay(["chaos", "run", file, "--target", url, "--ledger", sandbox, "--json"], { env })
      assert.strictEqual(ended.stderr, "")
      assert.strictEqual(ended.code, 0)
      const result = resultOf(JSON.parse(ended.stdout))
      assert.strictEqual(result.experiment.mode, "server")
      assert.deepStrictEqual([...result.experiment.gateways].sort(), ["sandbox-a", "sandbox-b", "sandbox-c"])
      assert.isAbove(result.totals.charges, 20)
      assert.isAbove(result.injections["latency"] ?? 0, 0)
      const statuses = Object.fromEntries(result.invariants.map(({ name, status }) => [name, status]))
      assert.deepInclude(statuses, {
        "at most one charge per key": "held",
        "records and gateways agree": "held",
        "nothing acknowledged is lost": "held",
        "nothing in flight": "held",
        "every event delivered, in order": "not_checked"
      })
      assert.notInclude(`${ended.stdout}${ended.stderr}`, apiKey)

      const blind = await aegispay(["chaos", "run", file, "--target", url, "--duration", "1s"], { env })
      assert.match(blind.stdout, /not checked {2}at most one charge per key .*--ledger/)

      const elsewhere = await aegispay(["chaos", "run", "gateway-outage", "--target", url], { env })
      assert.strictEqual(elsewhere.code, 2)
      assertOneLine(elsewhere, /the plan names the gateway "gateway-a"; those of the server are sandbox-a, sandbox-b, sandbox-c/)

      // Ctrl-C in the middle of the faults: they end.
      const isOn = async () => {
        const answer = await fetch(`${url}/ops/chaos`, { headers: { authorization: `Bearer ${apiKey}` } })
        return ((await answer.json()) as { readonly running: boolean }).running
      }
      const long = await written({ ...short, durationMillis: 60_000, steadyState: undefined })
      const interrupted = begin(["chaos", "run", long.file, "--target", url], { env })
      await waitFor(async () => ((await isOn()) ? true : undefined), "the faults")
      interrupted.interrupt()
      assert.strictEqual((await interrupted.ended).code, 130)
      assert.isFalse(await isOn())

      // One that is killed ends nothing: the next is told when its faults lapse.
      const killed = begin(["chaos", "run", long.file, "--target", url], { env })
      await waitFor(async () => ((await isOn()) ? true : undefined), "the faults")
      killed.kill()
      await killed.ended
      const second = await aegispay(["chaos", "run", long.file, "--target", url], { env })
      assert.strictEqual(second.code, 2)
      assertOneLine(second, /injects faults already, for another run: they end (1[0-5]|[1-9]) s from now where that run is gone/)
      const end = await fetch(`${url}/ops/chaos`, { method: "DELETE", headers: { authorization: `Bearer ${apiKey}` } })
      assert.strictEqual(end.status, 200)

      // An early end: nothing succeeds.
      const hopeless = await written({
        ...short,
        durationMillis: 60_000,
        steadyState: undefined,
        chaos: { seed: 1, rules: [{ target: "gateway", when: { type: "random", rate: 1 }, inject: { type: "network" } }] },
        abort: { whenSuccessRateBelow: 0.5, overMillis: 2_000, minimumCharges: 5 }
      })
      const aborted = await aegispay(["chaos", "run", hopeless.file, "--target", url], { env })
      assert.strictEqual(aborted.code, 1)
      assert.match(aborted.stdout, /^ABORTED/)
      assert.isFalse(await isOn())
      await running.stop("SIGTERM")
    },
    limitMillis
  )

  it("says what is missing, and never sends a key in the clear", async () => {
    const { file } = await written(short)
    const env = { AEGISPAY_API_KEY: "test-key-0123456789" }
    for (const [args, expected] of [
      [["--target", "http://pay.example.com"], /plain http is for this machine only/],
      [["--target", "https://user:secret@pay.example.com"], /without a user name/],
      [["--target", "http://127.0.0.1:1", "--api-key", "test-key-0123456789"], /--api-key: expected a reference/],
      [["--target", "http://127.0.0.1:1", "--api-key", "env:NOBODY"], /environment variable NOBODY is not set/],
      [["--target", "http://127.0.0.1:1"], /does not answer/]
    ] as const) {
      const refused = await aegispay(["chaos", "run", file, ...args], { env })
      assert.strictEqual(refused.code, 2)
      assertOneLine(refused, expected)
      assert.notInclude(refused.stderr, "test-key")
      assert.notInclude(refused.stderr, "secret")
    }
    const settings = await written({ ...short, settings: { maxCharges: 1 } })
    const refused = await aegispay(["chaos", "run", settings.file, "--target", "http://127.0.0.1:1"], { env })
    assertOneLine(refused, /a running server has its own/)
  })
})
