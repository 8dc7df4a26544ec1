/**
 * A world whose truth is known: gateways that approve, take time and take fees as a test says, for payments that the engine routes and
 * records.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as Chance from "../../src/domain/routing/plan/Chance.ts"
import type { Fees } from "../../src/domain/routing/policy/Cost.ts"
import * as Policy from "../../src/domain/routing/policy/Policy.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { RoutingPolicy } from "../../src/services/routing/RoutingPolicy.ts"
import { eur } from "./payments.ts"
import { name } from "./routing.ts"
import { chargeRequest, declined, success, testGateway } from "./TestEngine.ts"

/** What a gateway does. `basisPoints`: what it takes. */
export interface Behaviour {
  readonly approval: number
  readonly millis: number
  readonly basisPoints: number
}

/** `a` is the fastest and the cheapest, so that the preset weights choose it; `b` approves most. */
export const world: Readonly<Record<string, Behaviour>> = {
  a: { approval: 0.75, millis: 300, basisPoints: 100 },
  b: { approval: 0.92, millis: 600, basisPoints: 200 },
  c: { approval: 0.6, millis: 900, basisPoints: 300 }
}

/** What every payment is for: 20.00 EUR, which may be explored. */
export const amountMinor = 2_000

/** The gateways of the world. `pass`: lets the time of a call pass. */
export const gatewaysOf = (pass: (millis: number) => Effect.Effect<void>) =>
  Object.entries(world).map(([gateway, { approval, millis }], index) => {
    const uniform = Chance.streamOf((index + 1) / 7)
    return testGateway(gateway, {
      send: (intent) => Effect.map(pass(millis), () => (uniform() < approval ? success(intent) : declined("soft")))
    })
  })

const fees = new Map<GatewayName, Fees>(Object.entries(world).map(([gateway, { basisPoints }]) => [name(gateway), [{ basisPoints }]]))

/** A policy with the world's price lists, under which its cheapest gateway stays the best: neither approvals nor hope move payments. */
export const policyOf = (data: Policy.PolicyData): Policy.Policy =>
  Policy.make({ ...data, scoring: { approvalFloor: 0.5, optimism: 0, ...data.scoring } }, fees)

/** The routing that is in force while payments are recorded. */
export const recording = (data: Policy.PolicyData) => Layer.succeed(RoutingPolicy, { policy: policyOf(data), customRules: [] })

/** Charges one payment after the other. */
export const chargeMany = (options: { readonly prefix: string; readonly count: number; readonly seed: number }) =>
  Payments.use((payments) =>
    Effect.forEach(
      Array.from({ length: options.count }, (_, nth) => nth),
      (nth) => payments.charge(chargeRequest(`${options.prefix}-${nth}`, { amount: eur(BigInt(amountMinor)) })),
      { discard: true }
    )
  ).pipe(Random.withSeed(options.seed))
