/**
 * docs/chaos-experiments.md: its definition is one, it names every named experiment, criterion and invariant, and its program runs and is
 * printed as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { program } from "../../docs/examples/chaos-experiment.ts"
import { Criteria } from "../../src/domain/chaos/experiment/Criteria.ts"
import { Experiment } from "../../src/domain/chaos/experiment/Experiment.ts"
import { kinds } from "../../src/domain/chaos/experiment/load/Load.ts"
import { named } from "../../src/domain/chaos/experiment/presets/Named.ts"
import * as Virtual from "../../src/simulation/experiment/Virtual.ts"
import { limitMillis, short } from "../simulation/experiment/experiments.ts"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
const document = read("docs/chaos-experiments.md")

const block = (language: string): string => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(document)?.[1] ?? ""

describe("docs/chaos-experiments.md", () => {
  it("shows a definition that is one", () => {
    const decoded = Schema.decodeUnknownResult(Experiment)(JSON.parse(block("json")), { errors: "all", onExcessProperty: "error" })
    assert.isTrue(Result.isSuccess(decoded), Result.isFailure(decoded) ? decoded.failure.message : "")
  })

  it("names every named experiment, criterion and kind of load", () => {
    for (const name of [...named.keys(), ...Object.keys(Criteria.fields), ...kinds]) assert.include(document, `\`${name}\``)
  })

  it(
    "names every invariant",
    () => {
      for (const { name } of Virtual.run(short({ durationMillis: 5_000 })).invariants) assert.include(document, `| ${name} |`)
    },
    limitMillis
  )

  it.effect(
    "its program passes, with its own invariant",
    () => Effect.map(program, (answer) => assert.deepStrictEqual(answer, { outcome: "passed", reasons: [], held: 10 })),
    limitMillis
  )

  it("prints the program as it is", () => {
    const example = read("docs/examples/chaos-experiment.ts")
    assert.strictEqual(block("ts"), example.replace("../../src/public/testing.ts", "aegispay/testing"))
  })
})
