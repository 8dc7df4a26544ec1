/**
 * An experiment on virtual time: the engine under load while faults are injected, judged by what has to hold.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Experiment } from "../../../src/domain/chaos/experiment/Experiment.ts"
import type { Findings } from "../../../src/domain/chaos/experiment/Findings.ts"
import * as Bugs from "../../../src/simulation/bugs/Bugs.ts"
import * as Virtual from "../../../src/simulation/experiment/Virtual.ts"
import type { Section } from "../Section.ts"

const minute = 60_000

/** Two minutes of quiet, five of faults, some to recover, two of quiet. */
const experiment = Schema.decodeUnknownSync(Experiment)({
  name: "demo",
  description: "One gateway of three does not answer or refuses connections; another one is slow.",
  seed: 20_261_121,
  durationMillis: 5 * minute,
  load: { ratePerSecond: 2 },
  chaos: {
    seed: 20_261_121,
    rules: [
      { target: "gateway", gateways: ["gateway-a"], when: { type: "random", rate: 0.3 }, inject: { type: "timeout", executed: true } },
      { target: "gateway", gateways: ["gateway-a"], when: { type: "random", rate: 0.3 }, inject: { type: "network" } },
      {
        target: "gateway",
        gateways: ["gateway-b"],
        when: { type: "random", rate: 0.2 },
        inject: { type: "latency", minMillis: 1_000, maxMillis: 4_000 }
      }
    ]
  },
  steadyState: { beforeMillis: 2 * minute, recoverMillis: 2 * minute, afterMillis: 2 * minute, criteria: { minSuccessRate: 0.95 } },
  criteria: { minFinalSuccessRate: 0.9, minBreakerOpens: 1, minInjections: 20 }
})

/** What does not hold is told with the first cases; they can be many. */
const shownOfDetail = 200

/** A bug of the kind that charges twice: a request that timed out is taken for one that was declined. */
const planted = Bugs.all.find(({ name }) => name === "timeout-as-declined")

export const section: Section = {
  name: "chaos",
  title: "A chaos experiment",
  shows: [
    "The real engine on virtual time: minutes of load take seconds, and the same seed gives the same run. One gateway does not answer or refuses",
    "connections, another is slow. Criteria say how well it has to go; invariants, checked against the gateways' ledgers, what must never happen.",
    "`aegispay chaos run` does the same with an experiment from a file."
  ],
  sabotage: "an answer that does not come is taken for a decline",
  run: Effect.fnUntraced(function* ({ sabotaged, say }) {
    const life = Virtual.steps(experiment, sabotaged && planted !== undefined ? { bug: planted } : {})
    let step = life.next()
    while (step.done !== true) {
      // So that Ctrl-C is heard.
      yield* Effect.sleep(0)
      step = life.next()
    }
    const findings = step.value
    for (const line of linesOf(findings)) say(line)
    const broken = findings.invariants.filter(({ status }) => status !== "held")
    return [
      {
        name: "the criteria are met",
        holds: findings.criteria.every(({ met }) => met),
        detail: findings.criteria
          .map(({ bound, limit, measured, name }) => `${name} ${show(measured)} (${bound.replace("_", " ")} ${show(limit)})`)
          .join(", ")
      },
      {
        name: "every invariant holds",
        holds: findings.invariants.length > 0 && broken.length === 0,
        detail:
          broken[0] === undefined
            ? `${findings.invariants.length} of ${findings.invariants.length}`
            : `${broken[0].name}: ${broken[0].detail.slice(0, shownOfDetail)}`
      },
      {
        name: "it is as well after the faults as before",
        holds:
          findings.steadyState.before?.held === true && findings.steadyState.after?.held === true && findings.verdict.outcome !== "aborted",
        detail: `success ${show(findings.steadyState.before?.figures.successRate)} before, ${show(findings.figures.successRate)} during, ${show(findings.steadyState.after?.figures.successRate)} after`
      }
    ]
  })
}

const show = (figure: number | null | undefined): string =>
  figure === null || figure === undefined ? "-" : String(Number(figure.toFixed(3)))

const linesOf = ({ experiment: { seed, summary }, invariants, totals, verdict }: Findings): ReadonlyArray<string> => [
  ...summary,
  "",
  `seed ${seed}: ${totals.charges} charges and ${totals.requests - totals.charges} other requests, ${totals.gatewayCalls} calls to gateways, ${totals.injections} faults injected,`,
  `breakers opened ${totals.breakerOpens} times, ${totals.failovers} failovers, ${totals.recovered} charges in doubt turned out to have succeeded`,
  ...invariants.map(({ name, status }) => `  ${status === "held" ? "held  " : status.toUpperCase()} ${name}`),
  `verdict: ${verdict.outcome}${verdict.reasons[0] === undefined ? "" : `: ${verdict.reasons[0].message.slice(0, shownOfDetail)}`}`
]
