/**
 * Pauses that gateways ask for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Presets from "../../../src/domain/Presets.ts"
import * as Pause from "../../../src/domain/resilience/Pause.ts"

describe("a pause", () => {
  it("holds for its kind of operation, until it is over", () => {
    const pauses = Pause.make()
    Pause.begin(pauses, "sale", { millis: 5_000, now: 1_000 })
    assert.deepStrictEqual(
      [1_000, 4_000, 6_000, 9_000].map((now) => Pause.leftMillis(pauses, "sale", now)),
      [5_000, 2_000, 0, 0]
    )
    assert.strictEqual(Pause.leftMillis(pauses, "refund", 1_000), 0)
  })

  it("is the longest that was asked for, and bounded", () => {
    const pauses = Pause.make()
    Pause.begin(pauses, "sale", { millis: 5_000, now: 0 })
    Pause.begin(pauses, "sale", { millis: 1_000, now: 1_000 })
    assert.strictEqual(Pause.leftMillis(pauses, "sale", 1_000), 4_000)
    Pause.begin(pauses, "sale", { millis: Infinity, now: 2_000 })
    assert.strictEqual(Pause.leftMillis(pauses, "sale", 2_000), Presets.gatewayCall.maxPauseMillis.value)
  })
})
