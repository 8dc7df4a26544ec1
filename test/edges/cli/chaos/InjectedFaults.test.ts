/**
 * Whether faults may be injected into a server: never without the flag, at real gateways only with a second word.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import type { GatewayConfig } from "../../../../src/edges/config/Config.ts"
import * as InjectedFaults from "../../../../src/edges/cli/runtime/chaos/InjectedFaults.ts"
import type { Target } from "../../../../src/edges/cli/runtime/Target.ts"
import { Chaos } from "../../../../src/services/chaos/Chaos.ts"
import { collecting } from "../../../support/logs.ts"

const targetWith = (...kinds: ReadonlyArray<GatewayConfig["kind"]>) =>
  ({ source: "aegispay.json", config: { gateways: kinds.map((kind, index) => ({ kind, name: `${kind}-${index}` })) } }) as unknown as Target

const off = { allowChaos: false, allowChaosAtAllGateways: false }
const on = { ...off, allowChaos: true }

describe("serve --allow-chaos", () => {
  it.effect("is refused where a gateway is real, unless that is meant", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(InjectedFaults.check(targetWith("sandbox", "stripe"), on))
      assert.include(refused.message, "stripe-1: not a sandbox, and faults there make real payments in doubt")
      assert.notInclude(refused.message, "sandbox-0")
      yield* InjectedFaults.check(targetWith("sandbox", "stripe"), { ...on, allowChaosAtAllGateways: true })
      yield* InjectedFaults.check(targetWith("sandbox"), on)
      yield* InjectedFaults.check(targetWith("stripe"), off)
      assert.include(
        (yield* Effect.flip(InjectedFaults.check(targetWith("sandbox"), { ...off, allowChaosAtAllGateways: true }))).message,
        "--allow-chaos"
      )
    })
  )

  it.effect("warns at the start, and names the real gateways", () =>
    Effect.gen(function* () {
      const { kept, lines } = collecting()
      yield* InjectedFaults.check(targetWith("sandbox", "stripe"), { allowChaos: true, allowChaosAtAllGateways: true }).pipe(kept)
      yield* InjectedFaults.check(targetWith("stripe"), off).pipe(kept)
      assert.lengthOf(lines, 1)
      assert.include(lines[0]?.message, "--allow-chaos")
      assert.include(lines[0]?.message, "at stripe-1 with real money")
    })
  )

  it.effect("is the switch and a clock; without it there is neither", () =>
    Effect.gen(function* () {
      const seen = Effect.all([Clock.Clock, Effect.serviceOption(Chaos)])
      const [clock, none] = yield* Effect.provide(seen, InjectedFaults.layer(off))
      assert.isTrue(Option.isNone(none))
      assert.strictEqual(clock, yield* Clock.Clock)
      const [moved, some] = yield* Effect.provide(seen, InjectedFaults.layer(on))
      assert.isTrue(Option.isSome(some))
      assert.notStrictEqual(moved, clock)
    })
  )
})
