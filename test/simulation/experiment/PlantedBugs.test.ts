/**
 * Invariants are broken by an engine that breaks them: bugs of the simulator, planted into an experiment. The true engine breaks none.
 */
import { assert, describe, it } from "@effect/vitest"
import * as DeliveryBugs from "../../../src/simulation/bugs/DeliveryBugs.ts"
import * as GatewayBugs from "../../../src/simulation/bugs/GatewayBugs.ts"
import * as HistoryBugs from "../../../src/simulation/bugs/HistoryBugs.ts"
import * as Virtual from "../../../src/simulation/experiment/Virtual.ts"
import { harsh, limitMillis } from "./experiments.ts"

const once = "at most one charge per key"
const agree = "records and gateways agree"

const planted = [
  [GatewayBugs.failoverAfterUnknown, [once, agree]],
  [GatewayBugs.timeoutAsDeclined, [once, agree]],
  [GatewayBugs.newKeyOnRetry, [once, agree]],
  [HistoryBugs.noIntent, ["nothing charged without a record", "nothing acknowledged is lost"]],
  [DeliveryBugs.outboxOutsideTransaction, ["every event delivered, in order"]]
] as const

const brokenOf = (findings: ReturnType<typeof Virtual.run>) =>
  findings.invariants.filter(({ status }) => status === "broken").map(({ name }) => name)

describe("lost answers, lost acknowledgements and crashes", () => {
  it(
    "break nothing",
    () => {
      const findings = Virtual.run(harsh())
      assert.deepStrictEqual(findings.verdict, { outcome: "passed", reasons: [] })
      assert.deepStrictEqual(Object.keys(findings.injections), ["crash", "network", "response_lost", "timeout"])
    },
    limitMillis
  )

  for (const [bug, names] of planted) {
    it(
      `with an engine where ${bug.breaks}: ${names.join("; ")}`,
      () => {
        const findings = Virtual.run(harsh(), { bug })
        assert.includeMembers(brokenOf(findings), [...names])
        assert.strictEqual(findings.verdict.outcome, "failed")
      },
      limitMillis
    )
  }
})
