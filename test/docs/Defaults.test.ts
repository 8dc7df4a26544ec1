/**
 * docs/DEFAULTS.md says what the presets are.
 */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { render } from "../../scripts/defaults.ts"

it("docs/DEFAULTS.md is up to date; npm run defaults writes it anew", () => {
  const page = render()
  assert.strictEqual(readFileSync(new URL("../../docs/DEFAULTS.md", import.meta.url), "utf8"), page)
  for (const name of ["`attemptTimeoutMillis`", "`sendWindowMillis`", "`failureThreshold`"]) assert.include(page, name)
  assert.notInclude(page, "undefined")
})
