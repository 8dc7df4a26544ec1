/**
 * Experiments for tests.
 */
import * as Schema from "effect/Schema"
import { Experiment } from "../../../src/domain/chaos/experiment/Experiment.ts"
import type { ExperimentResult } from "../../../src/domain/chaos/experiment/ExperimentResult.ts"
import type { Findings } from "../../../src/domain/chaos/experiment/Findings.ts"
import { named } from "../../../src/domain/chaos/experiment/presets/Named.ts"

/** An experiment takes a second or two of a core that is not shared. */
export const limitMillis = 60_000

type Definition = typeof Experiment.Encoded

/** A definition as a file would be read. */
export const decode = (definition: Definition): Experiment =>
  Schema.decodeUnknownSync(Experiment)(definition, { onExcessProperty: "error" })

/** A named one, with changes. */
export const experimentOf = (name: string, changes: Partial<Definition> = {}): Experiment => {
  const definition = named.get(name)
  if (definition === undefined) throw new Error(`no experiment ${name}`)
  return decode({ ...definition, ...changes })
}

/** A short one, so that a test of how it ends takes little. */
export const short = (changes: Partial<Definition> = {}): Experiment =>
  decode({
    name: "short",
    durationMillis: 30_000,
    load: { ratePerSecond: 2, declinedShare: 0 },
    chaos: { seed: 3, rules: [{ target: "gateway", when: { type: "random", rate: 0.2 }, inject: { type: "response_lost" } }] },
    ...changes
  })

/** The result of findings. */
export const stamped = (findings: Findings): ExperimentResult => ({
  ...findings,
  timestamps: { startedAt: "2026-01-01T00:00:00.000Z", finishedAt: "2026-01-01T00:00:01.000Z", runMillis: 1_000 }
})

/** Answers of gateways and acknowledgements of commits are lost, the database is away now and then, and the server crashes twice. */
export const harsh = (): Experiment =>
  decode({
    name: "harsh",
    durationMillis: 60_000,
    load: { ratePerSecond: 3, mix: { charge: 50, authorizeAndCapture: 20, refund: 20, duplicate: 10, cancel: 5 } },
    chaos: {
      seed: 3,
      rules: [
        {
          target: "gateway",
          operations: ["sale", "authorize", "capture", "void", "refund"],
          when: { type: "random", rate: 0.15 },
          inject: { type: "response_lost" }
        },
        { target: "gateway", when: { type: "random", rate: 0.03 }, inject: { type: "timeout", executed: true } },
        { target: "eventStore", when: { type: "random", rate: 0.02 }, inject: { type: "network" } },
        { target: "eventStore", operations: ["commit"], when: { type: "random", rate: 0.03 }, inject: { type: "response_lost" } },
        { target: "gateway", when: { type: "at", atMillis: [20_000, 40_000] }, inject: { type: "crash", executed: true } }
      ]
    }
  })
