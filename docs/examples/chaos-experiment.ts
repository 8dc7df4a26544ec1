import * as Effect from "effect/Effect"
import { ChaosExperiment } from "../../src/public/testing.ts"

/** Every third answer is lost: a short one, for a test. */
const lostAnswers: ChaosExperiment.Definition = {
  name: "lost-answers",
  durationMillis: 60_000,
  load: { ratePerSecond: 1, mix: { charge: 80, refund: 20 } },
  chaos: {
    seed: 7,
    rules: [{ target: "gateway", when: { type: "random", rate: 0.33 }, inject: { type: "response_lost" } }]
  },
  criteria: { minFinalSuccessRate: 0.99, minInjections: 5 }
}

/** Something that has to hold in this shop, beside what always has. */
const nothingPartial: ChaosExperiment.Invariant = {
  name: "payments are captured as a whole or not at all",
  check: ({ payments }) => {
    const partial = payments.filter(({ amount, amountCaptured }) => amountCaptured > 0 && amountCaptured < amount)
    return partial.length === 0 ? undefined : `${partial.length} payments are captured in part`
  }
}

export const program = ChaosExperiment.run(lostAnswers, { invariants: [nothingPartial] }).pipe(
  Effect.map(({ invariants, verdict }) => ({ ...verdict, held: invariants.filter(({ status }) => status === "held").length }))
)
