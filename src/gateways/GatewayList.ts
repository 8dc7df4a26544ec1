/**
 * The gateways of a program, from a list of them.
 *
 * ```ts
 * const gateways = GatewayList.layer([cheap, reliable])   // routing decides which is tried first
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Gateway, GatewayNotConfigured, Gateways } from "../services/Gateway.ts"

/** The service over a list; two gateways of one name are a defect. */
export const make = (all: ReadonlyArray<Gateway>): Gateways["Service"] =>
  Gateways.of({
    all,
    get: (name) => {
      const found = all.find((gateway) => gateway.name === name)
      return found === undefined
        ? Effect.fail(new GatewayNotConfigured({ gateway: name, configured: all.map((gateway) => gateway.name) }))
        : Effect.succeed(found)
    }
  })

/** `Gateways` over a list. Its order counts only for the policy `fixed`. */
export const layer = (all: ReadonlyArray<Gateway>): Layer.Layer<Gateways> =>
  Layer.effect(
    Gateways,
    Effect.suspend(() => {
      const names = new Set(all.map((gateway) => gateway.name))
      return names.size < all.length ? Effect.die(new Error("two gateways have the same name")) : Effect.succeed(make(all))
    })
  )
