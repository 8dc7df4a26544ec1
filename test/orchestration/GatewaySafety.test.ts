/**
 * What the engine refuses about a gateway.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import * as GatewaySafety from "../../src/orchestration/operation/GatewaySafety.ts"
import * as ScriptedGateway from "../../src/gateways/ScriptedGateway.ts"
import * as TestEngine from "../../src/public/TestEngine.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import { defaults, Settings } from "../../src/services/Settings.ts"

/** With attempts of 10 s and permissions of 30 s. */
const problemOf = (capabilities: Partial<OperationCapabilities>, connectLimitMillis?: number): string | undefined => {
  const gateway = { ...ScriptedGateway.make("psp", { capabilities }), connectLimitMillis }
  return GatewaySafety.problemOf(gateway, { attemptTimeoutMillis: 10_000, sendWindowMillis: 30_000 })
}

describe("start-up", () => {
  it("takes a gateway that can look up, replay or cancel", () => {
    assert.isUndefined(problemOf({}))
    for (const capabilities of [
      { replay: "none", cancelByReference: "none" },
      { lookupByReference: undefined, cancelByReference: "none" },
      { lookupByReference: undefined, replay: "none" }
    ] as const) {
      assert.isUndefined(problemOf(capabilities))
    }
  })

  it("refuses a gateway whose lost answers nobody could find out", () => {
    const problem = problemOf({ lookupByReference: undefined, replay: "none", cancelByReference: "none" })
    assert.match(problem ?? "", /gateway psp cannot look up, replay or cancel/)
  })

  it("counts a replay as none where a declined payment stays open and failures are not stored", () => {
    const capabilities = {
      lookupByReference: undefined,
      cancelByReference: "none",
      leavesOpenAfterDecline: true,
      cachesFailures: false
    } as const
    assert.isDefined(problemOf(capabilities))
  })

  it("refuses a settle time in which an attempt may still be answered and not be seen yet (rule 13)", () => {
    const lookupByReference = { lagMillis: 5_000 }
    assert.match(
      problemOf({ lookupByReference, settleTimeMillis: 14_999 }) ?? "",
      /settleTimeMillis \(14999\) of \w+ is below 15000.*attempt timeout \(10000\).*lag \(5000\)/
    )
    assert.isUndefined(problemOf({ lookupByReference, settleTimeMillis: 15_000 }))
    assert.isDefined(problemOf({ lookupByReference: undefined, settleTimeMillis: 9_999 }), "also where it cannot be asked")
  })

  const misdeclared: ReadonlyArray<readonly [field: string, changes: Readonly<Record<string, unknown>>]> = [
    ["name", { name: "My PSP" }],
    ["name", { name: undefined }],
    ["account", { account: "" }],
    ["account", { account: "x".repeat(129) }],
    ["adapterVersion", { adapterVersion: undefined }],
    ["apiVersion", { apiVersion: 3 }]
  ]
  for (const [field, changes] of misdeclared) {
    it(`refuses a gateway with ${field} ${JSON.stringify(changes[field])?.slice(0, 10)}: no payment could be stored`, () => {
      const gateway = { ...ScriptedGateway.make("psp"), ...changes } as Gateway
      const problem = GatewaySafety.problemOf(gateway, { attemptTimeoutMillis: 10_000, sendWindowMillis: 30_000 })
      assert.match(problem ?? "", new RegExp(`: ${field} has to be`))
    })
  }

  it("refuses times that are no numbers of milliseconds", () => {
    for (const millis of [Number.NaN, Infinity, -1, 60_000.5, "60000" as never, undefined as never]) {
      assert.match(problemOf({ settleTimeMillis: millis }) ?? "", /settleTimeMillis of \w+ has to be/)
      assert.match(problemOf({ replayWindowMillis: millis }) ?? "", /replayWindowMillis of \w+ has to be/)
      assert.match(problemOf({ lookupByReference: { lagMillis: millis } }) ?? "", /lagMillis of \w+ has to be/)
    }
  })

  it("refuses a gateway that may connect for as long as a permission lasts: nothing would ever be sent", () => {
    assert.match(problemOf({}, 30_000) ?? "", /connecting may take 30000 ms.*lasts 30000 ms/)
    assert.isUndefined(problemOf({}, 29_999))
    assert.isUndefined(problemOf({}, undefined))
  })
})

describe("the engine", () => {
  it.effect("is not made with a gateway that must not be used, whoever embeds it", () =>
    Effect.gen(function* () {
      const gateway = ScriptedGateway.make("psp", { capabilities: { settleTimeMillis: 1 } })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(TestEngine.layer([gateway]))))
      assert.instanceOf(error, GatewaySafety.UnsafeGateway)
      assert.match(error.message, /gateway psp: settleTimeMillis \(1\).*set it to at least that/)
      yield* Effect.scoped(
        Layer.build(Layer.provide(TestEngine.layer([gateway]), Layer.succeed(Settings, { ...defaults, allowUnsafeGateways: true })))
      )
    })
  )
})
