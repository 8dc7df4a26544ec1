/**
 * The section `routing` of the configuration, and what a gateway says of itself for it.
 *
 * ```json
 * { "gateways": [{ "name": "psp-a", "methods": ["card"], "fees": [{ "currency": "EUR", "fixedMinor": 25, "basisPoints": 140 }] }],
 *   "routing": {
 *     "weights": { "success": 5, "latency": 2, "cost": 3 },
 *     "exploration": { "share": 0.02, "maxAmount": { "EUR": 5000 } },
 *     "rules": [{ "name": "large", "when": { "amount": { "currency": "EUR", "min": 100000 } }, "then": { "strategy": "most_reliable" } }] } }
 * ```
 *
 * What it means is in docs/routing.md; shape and ranges are those of the domain's policy.
 */
import * as Schema from "effect/Schema"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import { Methods } from "../../domain/routing/policy/Bounds.ts"
import { Fees } from "../../domain/routing/policy/Cost.ts"
import * as Policy from "../../domain/routing/policy/Policy.ts"
import type { Routing } from "../../services/routing/RoutingPolicy.ts"
import type { Problem } from "./Issues.ts"

/** Fields of every gateway. `methods`: the kinds of payment method it takes; default: all. `fees`: its price list. */
export const gatewayFields = { methods: Schema.optionalKey(Methods), fees: Schema.optionalKey(Fees) }

/** The section. */
export const Section = Policy.PolicyData

/** What a decoded file says of routing. */
interface Sections {
  readonly routing?: typeof Section.Type
  readonly gateways?: ReadonlyArray<{ readonly name: GatewayName; readonly fees?: Fees }>
}

/** The routing in force: the policy with its presets and the gateways' fees. */
export const settingsOf = ({ gateways = [], routing }: Sections): Routing => ({
  policy: Policy.make(routing, new Map(gateways.flatMap(({ fees, name }) => (fees === undefined ? [] : [[name, fees]])))),
  customRules: []
})

/**
 * Gateways that are named and not configured, and rules of the same name: decisions name the rule. `where` the gateways are, and what the
 * paths of the section begin with.
 */
export const problemsOf = (
  { gateways = [], routing = {} }: Sections,
  { prefix = "routing.", where = "this file" }: { readonly prefix?: string; readonly where?: string } = {}
): ReadonlyArray<Problem> => {
  const known = new Set<string>(gateways.map(({ name }) => name))
  const problems: Array<Problem> = []
  const check = (names: ReadonlyArray<GatewayName> | undefined, path: string) =>
    names?.forEach((name, index) => {
      if (!known.has(name)) problems.push({ path: `${path}[${index}]`, message: `is not the name of a gateway in ${where}` })
    })
  check(routing.order, `${prefix}order`)
  const names = new Map<string, number>()
  routing.rules?.forEach(({ name, then: action }, index) => {
    const path = `${prefix}rules[${index}]`
    const earlier = names.get(name)
    if (earlier === undefined) names.set(name, index)
    else problems.push({ path: `${path}.name`, message: `is the same as ${prefix}rules[${earlier}].name` })
    check(action.prefer, `${path}.then.prefer`)
    check(action.exclude, `${path}.then.exclude`)
    check(action.only, `${path}.then.only`)
    check(
      action.split?.map(({ gateway }) => gateway),
      `${path}.then.split`
    )
  })
  return problems
}
