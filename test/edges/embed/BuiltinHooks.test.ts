/**
 * The built-in hooks of an embedded engine: those of its configuration.
 */
import { assert, describe, it } from "@effect/vitest"
import { AegisPay, ConfigInvalid } from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"

const limit = { per: "customer", most: 2, withinMillis: 60_000, action: "block" } as const

describe("an embedded engine", () => {
  it("runs the hooks of its configuration", async () => {
    const gateway = ScriptedGateway.make("psp")
    await using aegis = await AegisPay.make(
      { database: "memory", hooks: { velocity: { limits: [limit] } } },
      { merchant: "m1", gateways: [gateway], log: () => {} }
    )
    const pay = (key: string, id: string) =>
      aegis.charge({ key, amount: 4990, currency: "EUR", paymentMethod: { type: "card", token: "tok_1" }, customer: { id } })
    const outcomes = [await pay("k1", "c-1"), await pay("k2", "c-1"), await pay("k3", "c-1"), await pay("k4", "c-2")]
    assert.deepStrictEqual(
      outcomes.map(({ outcome }) => outcome),
      ["charged", "charged", "declined", "charged"]
    )
    assert.lengthOf(gateway.sent, 3)
  })

  it("does not start with settings of hooks that are none", async () => {
    const made = AegisPay.make(
      { database: "memory", hooks: { velocity: { limits: [{ ...limit, most: 0 }] } } },
      { merchant: "m1", gateways: [ScriptedGateway.make("psp")], log: () => {} }
    )
    const error: unknown = await made.then(
      () => undefined,
      (reason: unknown) => reason
    )
    assert.instanceOf(error, ConfigInvalid)
    assert.include(error.message, "hooks.velocity.limits[0].most")
  })
})
