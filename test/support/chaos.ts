/**
 * Plans of faults, and calls that meet them.
 */
import type { ChaosPlan, ChaosRule } from "../../src/domain/chaos/ChaosPlan.ts"
import * as Injector from "../../src/domain/chaos/Injector.ts"
import { GatewayName } from "../../src/domain/payment/Ids.ts"

export const psp = GatewayName.make("psp")
export const other = GatewayName.make("other")

/** A plan of these rules, for gateways unless they say otherwise. */
export const planOf = (
  rules: ReadonlyArray<Pick<ChaosRule, "when" | "inject"> & Partial<ChaosRule>>,
  overrides: Partial<ChaosPlan> = {}
): ChaosPlan => ({ seed: 7, rules: rules.map((rule) => ({ target: "gateway", ...rule })), ...overrides })

/** A call to a gateway. */
export const sale = (atMillis = 0, gateway = psp): Injector.Call => ({ target: "gateway", gateway, operation: "sale", atMillis })

/** What each of these calls meets: the type of its fault, or undefined. */
export const meet = (injector: Injector.Injector, calls: ReadonlyArray<Injector.Call>): ReadonlyArray<string | undefined> =>
  calls.map((call) => Injector.decide(injector, call)?.injection.type)

/** So many equal calls. */
export const times = (count: number, call: Injector.Call = sale()): ReadonlyArray<Injector.Call> =>
  Array.from({ length: count }, () => call)
