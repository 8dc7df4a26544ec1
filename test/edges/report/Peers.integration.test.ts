/**
 * `aegispay chaos run` where the packages of the charts are not installed: it needs them for `--html` only, and says so before it begins.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { aegispay, directory } from "../cli/aegispay.ts"

/** Node finds neither package, as if nobody had installed them. */
const without = `import { registerHooks } from "node:module"
registerHooks({
  resolve: (specifier, context, next) => {
    if (!/^vega(-lite)?$/.test(specifier)) return next(specifier, context)
    throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: "ERR_MODULE_NOT_FOUND" })
  }
})`
const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(without)}` }

describe("without vega and vega-lite", () => {
  it("an experiment with --html is refused at once, with what to install", async () => {
    const folder = await directory()
    const [html, out] = [join(folder, "report.html"), join(folder, "result.json")]
    const ended = await aegispay(["chaos", "run", "resilience", "--duration", "24h", "--html", html, "--out", out], { env })
    assert.strictEqual(ended.code, 2)
    assert.include(ended.stderr, "npm install vega vega-lite")
    assert.strictEqual(ended.stdout, "")
    assert.isFalse(existsSync(html) || existsSync(out))
  })

  it("everything else of it works", async () => {
    const out = join(await directory(), "result.json")
    const ended = await aegispay(["chaos", "run", "gateway-outage", "--duration", "20s", "--out", out], { env })
    assert.notStrictEqual(ended.code, 2, ended.stderr)
    assert.include(readFileSync(out, "utf8"), '"name": "gateway-outage"')
  })
})
