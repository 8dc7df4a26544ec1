/**
 * docs/rate-limits.md: its program runs and is printed as it is, its configuration is one, and its presets are those in force.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { receipts } from "../../docs/examples/rate-limits.ts"
import * as Config from "../../src/edges/config/Config.ts"
import * as RateLimits from "../../src/edges/config/RateLimits.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/rate-limits.md")

describe("docs/rate-limits.md", () => {
  it.effect("its example limits as it says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* receipts, ["receipt for ada", "receipt for ada", "later, in 30 minutes", "receipt for ben"])
    })
  )

  it("prints the example as it is", () => {
    assert.include(Documents.blocksOf(document, "ts"), Documents.programOf("rate-limits"))
  })

  it("its configuration is taken", () => {
    const [json = ""] = Documents.blocksOf(document, "json")
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
      const [row = []] = Documents.rowsNamed(document, `\`${group}\``)
      const [limit] = limits[group]
      if (limit === undefined) assert.include(row, "none")
      else assert.match(row.join("|"), new RegExp(`\\b${Documents.shown(limit.limit)} (a minute|in 5 minutes) and ${limit.burst} more\\b`))
    }
  })
})
