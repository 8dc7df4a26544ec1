/**
 * Every named experiment passes with the engine's defaults, and injects what it is about.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { ExperimentResult } from "../../../src/domain/chaos/experiment/ExperimentResult.ts"
import { named } from "../../../src/domain/chaos/experiment/presets/Named.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Virtual from "../../../src/simulation/experiment/Virtual.ts"
import { experimentOf, limitMillis, stamped } from "./experiments.ts"

const isResult = Schema.is(ExperimentResult)

describe("named experiments", () => {
  for (const name of named.keys()) {
    it(
      `${name} passes`,
      () => {
        const findings = Virtual.run(experimentOf(name))
        assert.deepStrictEqual(findings.verdict, { outcome: "passed", reasons: [] })
        assert.isTrue(isResult(stamped(findings)), "the result is as its schema says")
        assert.isTrue(findings.invariants.every(({ status }) => status === "held"))
        assert.isAbove(findings.totals.injections, 0)
        assert.strictEqual(findings.totals.unsettled, 0)
        const { slices } = findings.series
        assert.strictEqual(
          slices.reduce((total, { charges }) => total + charges, 0),
          findings.totals.charges,
          "every charge is in one slice"
        )
        assert.strictEqual(
          slices.reduce((total, { injections }) => total + Object.values(injections).reduce((sum, count) => sum + count, 0), 0),
          findings.totals.injections,
          "every fault is in one slice"
        )
      },
      limitMillis
    )
  }

  it(
    "flapping-gateway: the breaker opens each time and closes in between, and the payments return",
    () => {
      const { series } = Virtual.run(experimentOf("flapping-gateway"))
      const faults = series.phases.find(({ name }) => name === "faults")!
      const states = series.breakers.filter(({ breaker }) => breaker === "gateway-a.sale").map(({ state }) => state)
      assert.deepStrictEqual(states, [
        "closed",
        "open",
        "half-open",
        "closed",
        "open",
        "half-open",
        "closed",
        "open",
        "half-open",
        "closed"
      ])
      // The last slices before it is gone again.
      for (const goneAt of [300_000, 600_000]) {
        const before = series.slices.filter(({ fromMillis }) => {
          const ahead = faults.fromMillis + goneAt - fromMillis
          return ahead > series.sliceMillis && ahead <= 4 * series.sliceMillis
        })
        assert.isAbove(before.length, 1)
        // Authorizations have a breaker of their own, with fewer calls to close it.
        for (const { charges, firstChoices } of before) assert.isAbove(firstChoices[GatewayName.make("gateway-a")] ?? 0, charges / 2)
      }
    },
    limitMillis
  )
})
