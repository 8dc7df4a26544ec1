/**
 * docs/rate-limits.md: its program runs and is printed as it is, its configuration is one, and its presets are those in force.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { receipts } from "../../docs/examples/rate-limits.ts"
import * as Config from "../../src/edges/config/Config.ts"
import * as RateLimits from "../../src/edges/config/RateLimits.ts"

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")
const document = read("docs/rate-limits.md")

describe("docs/rate-limits.md", () => {
  it.effect("its example limits as it says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* receipts, ["receipt for ada", "receipt for ada", "later, in 30 minutes", "receipt for ben"])
    })
  )

  it("prints the example as it is", () => {
    const example = read("docs/examples/rate-limits.ts")
      .replaceAll('"../../src/index.ts"', '"aegispay"')
      .replaceAll(/"\.\.\/\.\.\/src\/public\/(\w+)\.ts"/g, '"aegispay/$1"')
    assert.include(document, `\`\`\`ts\n${example}\`\`\``)
  })

  it("its configuration is taken", () => {
    const json = /```json\n([^]*?)```/.exec(document)?.[1] ?? ""
    const config = Config.decode({ input: JSON.parse(json), environment: {} })
    if (Result.isFailure(config)) assert.fail(config.failure.message)
    const { limits } = config.success.http.rateLimits ?? RateLimits.settingsOf({})
    assert.deepStrictEqual(
      Object.values(limits).map((group) => group.length),
      [2, 0, 1, 1, 0, 1, 1]
    )
  })

  it("its table of presets is what is in force", () => {
    const { limits } = RateLimits.settingsOf({})
    for (const group of RateLimits.routeGroups) {
      const row = document.split("\n").find((line) => line.startsWith(`| \`${group}\` |`)) ?? ""
      const [limit] = limits[group]
      if (limit === undefined) assert.include(row, "| none |")
      else assert.match(row, new RegExp(`\\| ${limit.limit.toLocaleString("en")} (a minute|in 5 minutes) and ${limit.burst} more \\|`))
    }
  })
})
