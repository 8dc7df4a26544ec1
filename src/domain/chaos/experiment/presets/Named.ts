/**
 * The named experiments: each is about one thing that goes wrong, and passes with the engine's defaults because of what the engine has
 * against it.
 */
import { type Definition, gateways, lively, steadyState } from "./Setting.ts"
import { aboutGateways } from "./GatewayPresets.ts"

/** The database is away for seconds at a time. */
const databaseBlips: Definition = {
  name: "database-blips",
  description:
    "The database cannot be reached for three seconds of every minute, and now and then the acknowledgement of a commit is lost. Callers repeat their requests under their keys; outcomes in hand are kept until they can be stored.",
  durationMillis: 300_000,
  gateways,
  load: lively,
  chaos: {
    seed: 1,
    rules: [
      { name: "away", target: "eventStore", when: { type: "burst", everyMillis: 60_000, forMillis: 3_000 }, inject: { type: "network" } },
      {
        name: "acknowledgement lost",
        target: "eventStore",
        operations: ["commit"],
        when: { type: "random", rate: 0.01 },
        inject: { type: "response_lost" }
      }
    ]
  },
  steadyState,
  criteria: { minSuccessRate: 0.95, minFinalSuccessRate: 0.99, maxBreakerOpens: 0, minInjections: 20 }
}

/** By name. */
export const named: ReadonlyMap<string, Definition> = new Map(
  [...aboutGateways, databaseBlips].map((definition) => [definition.name, definition])
)
