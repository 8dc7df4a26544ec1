/**
 * How payments are routed: the policy of the configuration, and a host's own rules as functions. The presets unless provided.
 *
 * ```ts
 * const night: CustomRule = {
 *   name: "night shift",
 *   decide: ({ details, now }) => (isNight(now) && details.amount.minor > 100_000n ? { prefer: [reliable] } : undefined)
 * }
 * const routing = Layer.succeed(RoutingPolicy, { policy: Policy.make({ exploration: { share: 0.02 } }), customRules: [night] })
 * ```
 */
import * as Context from "effect/Context"
import * as Policy from "../../domain/routing/policy/Policy.ts"
import type { RuleAction, RuleContext } from "../../domain/routing/policy/Rules.ts"

/**
 * A host's own rule. `decide`: what it does with a payment, or `undefined` when it does not concern it. It must be quick and pure: it runs
 * with every payment, before anything is written. One that throws is logged and passed over. `priority`: lowest first, default 100; among
 * equals before the rules of the policy.
 */
export interface CustomRule {
  readonly name: string
  readonly priority?: number
  readonly decide: (context: RuleContext) => RuleAction | undefined
}

export interface Routing {
  readonly policy: Policy.Policy
  readonly customRules: ReadonlyArray<CustomRule>
}

/** The routing in force. */
export const RoutingPolicy = Context.Reference<Routing>("aegispay/services/routing/RoutingPolicy", {
  defaultValue: () => ({ policy: Policy.make(), customRules: [] })
})
