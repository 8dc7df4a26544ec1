/**
 * What start-up refuses about a gateway.
 */
import { assert, describe, it } from "@effect/vitest"
import { problemOf } from "../../../src/edges/cli/runtime/GatewayRegistry.ts"
import * as ScriptedGateway from "../../../src/gateways/ScriptedGateway.ts"

describe("start-up", () => {
  it("takes a gateway that can look up, replay or cancel", () => {
    assert.isUndefined(problemOf(ScriptedGateway.make("psp")))
    for (const capabilities of [
      { replay: "none", cancelByReference: "none" },
      { lookupByReference: undefined, cancelByReference: "none" },
      { lookupByReference: undefined, replay: "none" }
    ] as const) {
      assert.isUndefined(problemOf(ScriptedGateway.make("psp", { capabilities })))
    }
  })

  it("refuses a gateway whose lost answers nobody could find out", () => {
    const gateway = ScriptedGateway.make("psp", {
      capabilities: { lookupByReference: undefined, replay: "none", cancelByReference: "none" }
    })
    assert.match(problemOf(gateway) ?? "", /gateway psp cannot look up, replay or cancel/)
  })

  it("counts a replay as none where a declined payment stays open and failures are not stored", () => {
    const capabilities = {
      lookupByReference: undefined,
      cancelByReference: "none",
      leavesOpenAfterDecline: true,
      cachesFailures: false
    } as const
    assert.isDefined(problemOf(ScriptedGateway.make("psp", { capabilities })))
  })

  it("refuses a settle time below the look-up lag", () => {
    const gateway = ScriptedGateway.make("psp", { capabilities: { lookupByReference: { lagMillis: 5_001 }, settleTimeMillis: 5_000 } })
    assert.match(problemOf(gateway) ?? "", /settleTimeMillis \(5000\).*lag \(5001\)/)
    assert.isUndefined(
      problemOf(ScriptedGateway.make("psp", { capabilities: { lookupByReference: { lagMillis: 5_000 }, settleTimeMillis: 5_000 } }))
    )
  })
})
