/**
 * docs/routing.md: its program runs and is printed as it is, and its configuration is one.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { routed } from "../../docs/examples/routing.ts"
import * as Config from "../../src/edges/config/Config.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/routing.md")

describe("docs/routing.md", () => {
  it.effect("its example routes as it says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* routed, ["psp-a", "psp-b"])
    })
  )

  it("prints the example as it is", () => {
    assert.include(Documents.blocksOf(document, "ts"), Documents.programOf("routing"))
  })

  it("its configuration is taken", () => {
    const [json = ""] = Documents.blocksOf(document, "json")
    const config = Config.decode({ input: JSON.parse(json), environment: {} })
    if (Result.isFailure(config)) assert.fail(config.failure.message)
    assert.lengthOf(config.success.routing.policy.rules, 5)
  })
})
