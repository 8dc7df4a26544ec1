/**
 * A mounted interface that could not be made once.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Handler from "../../../src/edges/embed/Handler.ts"
import { AegisPay } from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"
import { vi } from "vitest"

const failures = vi.hoisted(() => ({ left: 1 }))

vi.mock("../../../src/edges/embed/Handler.ts", async (original) => {
  const real = await original<typeof Handler>()
  const build: typeof real.build = (...args) =>
    Effect.suspend(() => (failures.left-- > 0 ? Effect.die("no interface") : real.build(...args)))
  return { ...real, build }
})

describe("an interface that cannot be made", () => {
  it("is refused, and made for the next request", async () => {
    await using aegis = await AegisPay.make(
      { database: "memory" },
      { gateways: [ScriptedGateway.make("psp")], environment: {}, background: false, log: () => {} }
    )
    const handle = aegis.webHandler()
    const health = async () => (await handle(new Request("http://host/health"))).status
    assert.deepStrictEqual([await health(), await health()], [503, 200])
  })
})
