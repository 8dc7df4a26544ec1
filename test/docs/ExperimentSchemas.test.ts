/**
 * docs/schemas holds the JSON Schemas of experiments and their results as they are.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFile } from "node:fs/promises"
import * as JsonSchemas from "../../src/edges/cli/commands/chaos/JsonSchemas.ts"

const files = { experiment: "experiment.schema.json", result: "experiment-result.schema.json" } as const

describe("docs/schemas", () => {
  for (const of of ["experiment", "result"] as const) {
    it(`${files[of]} is current (aegispay chaos schema ${of} > docs/schemas/${files[of]}, then npm run format)`, async () => {
      const published = await readFile(new URL(`../../docs/schemas/${files[of]}`, import.meta.url), "utf8")
      assert.deepStrictEqual(JSON.parse(published), JSON.parse(JsonSchemas.text(of)))
    })
  }

  it("numbers are numbers, and what is not known is refused in definitions", () => {
    assert.notInclude(JsonSchemas.text("experiment"), "Infinity")
    const { $defs } = JSON.parse(JsonSchemas.text("experiment")) as { readonly $defs: { readonly Experiment: Record<string, unknown> } }
    assert.strictEqual($defs.Experiment["additionalProperties"], false)
  })
})
