/**
 * The registry of breakers: what goes when there is no more room.
 */
import { assert, it } from "@effect/vitest"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { of } from "../../../src/domain/resilience/BreakerName.ts"
import { gatewayDefault } from "../../../src/domain/resilience/BreakerSettings.ts"
import * as Registry from "../../../src/orchestration/resilience/BreakerRegistry.ts"

const gateway = GatewayName.make("a")

it("a breaker that had to go is found by no name, by no gateway and not by itself", () => {
  const registry = Registry.make({ settingsOf: () => gatewayDefault, maxBreakers: 2 })
  const [sale, refund] = [Registry.add(registry, of(gateway, "sale"), 0), Registry.add(registry, of(gateway, "refund"), 1)]
  assert.strictEqual(Registry.entryOf(registry, sale.breaker), sale)
  const other = GatewayName.make("b")
  Registry.add(registry, of(other, "sale"), 2)
  assert.isUndefined(Registry.entryOf(registry, sale.breaker))
  assert.deepStrictEqual(registry.byGateway.get(gateway), { refund })
  Registry.add(registry, of(other, "refund"), 3)
  assert.deepStrictEqual([...registry.byGateway.keys()], [other])
  assert.deepStrictEqual([...registry.byName.keys()], [of(other, "sale"), of(other, "refund")])
})

it("a breaker of the same name that is made again is another one", () => {
  const registry = Registry.make({ settingsOf: () => gatewayDefault, maxBreakers: 1 })
  const first = Registry.add(registry, of(gateway, "sale"), 0)
  Registry.add(registry, of(gateway, "void"), 1)
  const again = Registry.add(registry, of(gateway, "sale"), 2)
  assert.isUndefined(Registry.entryOf(registry, first.breaker))
  assert.strictEqual(Registry.entryOf(registry, again.breaker), again)
})
