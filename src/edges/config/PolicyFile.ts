/**
 * A routing policy in a file of its own: what the section `routing` of the configuration would be.
 *
 * ```json
 * { "policy": "thompson", "weights": { "success": 8, "latency": 1, "cost": 1 } }
 * ```
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Policy from "../../domain/routing/policy/Policy.ts"
import type { Fees } from "../../domain/routing/policy/Cost.ts"
import { ConfigInvalid, read } from "./Config.ts"
import { problemsOf } from "./Issues.ts"
import * as Routing from "./Routing.ts"

/** What the policy is of: the configured gateways with their price lists, and what messages call the configuration. */
export interface Configured {
  readonly gateways: ReadonlyArray<{ readonly name: GatewayName; readonly fees?: Fees }>
  readonly source: string
}

/** Reads a policy. Fails with `ConfigInvalid`, which names every problem. */
export const load = Effect.fnUntraced(function* (file: string, { gateways, source }: Configured) {
  const input = yield* read(file)
  const decoded = Schema.decodeUnknownResult(Routing.Section)(input, { errors: "all", onExcessProperty: "error" })
  if (Result.isFailure(decoded)) {
    // It is a policy: there are no secrets in it.
    return yield* new ConfigInvalid({ source: file, problems: problemsOf(decoded.failure.issue, input, { showValue: () => true }) })
  }
  const routing = decoded.success
  const problems = Routing.problemsOf({ gateways, routing }, { prefix: "", where: source })
  if (problems.length > 0) return yield* new ConfigInvalid({ source: file, problems })
  return Policy.make(routing, new Map(gateways.flatMap(({ fees, name }) => (fees === undefined ? [] : [[name, fees]]))))
})
