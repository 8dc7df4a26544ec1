/**
 * What the named experiments share.
 */
import type { Experiment } from "../Experiment.ts"

/** An experiment as a file has it. */
export type Definition = typeof Experiment.Encoded

/** Three gateways: the first is the fastest and the cheapest, so that most payments go there as long as it works. */
export const gateways: NonNullable<Definition["gateways"]> = [
  { name: "gateway-a", latencyMillis: 80, feeBasisPoints: 100 },
  { name: "gateway-b", latencyMillis: 140, feeBasisPoints: 120 },
  { name: "gateway-c", latencyMillis: 220, feeBasisPoints: 140 }
]

/** Two payments a second, like a shop on a good day. */
export const lively: NonNullable<Definition["load"]> = { ratePerSecond: 2 }

/** A minute before the faults and a minute after it was given time to recover: nearly everything succeeds, quickly. */
export const steadyState: NonNullable<Definition["steadyState"]> = {
  beforeMillis: 60_000,
  recoverMillis: 90_000,
  afterMillis: 60_000,
  criteria: { minSuccessRate: 0.99, maxP95LatencyMillis: 1_500 }
}
