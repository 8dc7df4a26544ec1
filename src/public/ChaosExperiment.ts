/**
 * Chaos experiments in a host's own tests: the whole engine on virtual time under load and faults, and whether what has to hold held.
 *
 * ```ts
 * const outage = ChaosExperiment.named.get("gateway-outage")
 * const findings = yield* ChaosExperiment.run(outage, { invariants: [noPaymentAbove(50_000)] })
 * assert.strictEqual(findings.verdict.outcome, "passed")
 * ```
 *
 * Definitions are data: the same as in files of `aegispay chaos run`, decoded by the schema `Experiment`. Findings are the result without the time of
 * day. The same definition gives the same findings, byte for byte.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Experiment } from "../domain/chaos/experiment/Experiment.ts"
import type { Findings } from "../domain/chaos/experiment/Findings.ts"
import type { Options } from "../simulation/experiment/Virtual.ts"

export { Experiment } from "../domain/chaos/experiment/Experiment.ts"
export { ExperimentResult } from "../domain/chaos/experiment/ExperimentResult.ts"
export type { Findings } from "../domain/chaos/experiment/Findings.ts"
export { named } from "../domain/chaos/experiment/presets/Named.ts"
export type { Invariant, QuietWorld } from "../simulation/experiment/Virtual.ts"

/** An experiment as a file has it. */
export type Definition = typeof Experiment.Encoded

/**
 * Runs an experiment. `invariants`: what has to hold beside what always has. Fails where the definition is none.
 *
 * **Gotchas**: it works for a second or more without giving way.
 */
export const run = (definition: Definition, options: Pick<Options, "invariants"> = {}): Effect.Effect<Findings, Schema.SchemaError> =>
  Effect.gen(function* () {
    const experiment = yield* Schema.decodeUnknownEffect(Experiment)(definition, { errors: "all", onExcessProperty: "error" })
    // Loaded when it is run: a test that runs none need not wait for the simulator.
    const Virtual = yield* Effect.promise(() => import("../simulation/experiment/Virtual.ts"))
    return Virtual.run(experiment, options)
  })
