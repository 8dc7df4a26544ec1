/**
 * docs/routing.md: its program runs and is printed as it is, and its configuration is one.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { routed } from "../../docs/examples/routing.ts"
import * as Config from "../../src/edges/config/Config.ts"

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")
const document = read("docs/routing.md")

describe("docs/routing.md", () => {
  it.effect("its example routes as it says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* routed, ["psp-a", "psp-b"])
    })
  )

  it("prints the example as it is", () => {
    const example = read("docs/examples/routing.ts")
      .replaceAll('"../../src/index.ts"', '"aegispay"')
      .replaceAll(/"\.\.\/\.\.\/src\/public\/(\w+)\.ts"/g, '"aegispay/$1"')
    assert.include(document, `\`\`\`ts\n${example}\`\`\``)
  })

  it("its configuration is taken", () => {
    const json = /```json\n([^]*?)```/.exec(document)?.[1] ?? ""
    const config = Config.decode({ input: JSON.parse(json), environment: {} })
    if (Result.isFailure(config)) assert.fail(config.failure.message)
    assert.lengthOf(config.success.routing.policy.rules, 5)
  })
})
