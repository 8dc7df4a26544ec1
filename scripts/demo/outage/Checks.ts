/**
 * What has to hold at the end of an outage. The demo fails where one does not.
 */
import type { Transition } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import type { Comparison } from "./Compare.ts"
import type { PhaseFigures, PhaseName, Round } from "./Figures.ts"

/** `detail`: what was found, in a sentence. */
export interface Check {
  readonly name: string
  readonly holds: boolean
  readonly detail: string
}

export type Phases = Readonly<Record<PhaseName, PhaseFigures>>

/**
 * What the checks look at. `limits`: the most calls of a round. `transitions`: of the breaker of the gateway that was down; `openings`: how
 * often it counted. `open`: operations without an outcome.
 */
export interface Checked {
  readonly limits: Readonly<Record<Round["kind"], number>>
  readonly phases: Phases
  readonly gateway: string
  readonly rounds: ReadonlyArray<Round>
  readonly transitions: ReadonlyArray<Transition>
  readonly openings: number
  readonly comparison: Comparison
  readonly returnedAfterMillis: number | undefined
  readonly open: number
  readonly unexpectedEnds: ReadonlyArray<string>
}

/** The least share of payments that must be answered as succeeded while the gateway is down. */
const leastSucceeded = 0.99
/** The traffic has returned when the gateway has at least this part of the share that it had before. */
export const leastReturned = 0.5

/** All of them. */
export const all = (checked: Checked): ReadonlyArray<Check> => [
  moved(checked),
  answered(checked),
  foundOut(checked),
  money(checked.comparison),
  returned(checked),
  seen(checked),
  {
    name: "no process ended by itself",
    holds: checked.unexpectedEnds.length === 0,
    detail: checked.unexpectedEnds.join("; ") || "all were told to"
  }
]

const moved = ({ limits, rounds }: Checked): Check => {
  const calls = rounds.map((round) => `${round.calls} of at most ${limits[round.kind]}`)
  return {
    name: "traffic moved within the breaker's threshold",
    holds: rounds.length > 0 && rounds[0]?.kind === "closed" && rounds.every((round) => round.calls <= limits[round.kind]),
    detail: `calls to the dead gateway, by round: ${calls.join(", ") || "none"}`
  }
}

/**
 * A refused connection is certainly not sent, so the payment goes to the next gateway at once. Whoever had a request at the gateway that
 * was never answered may have been charged: that payment stays in doubt and goes nowhere else until the gateway can be asked. Nobody has to
 * fail, since two gateways are there.
 */
const answered = ({ phases: { during } }: Checked): Check => {
  const others = during.payments - during.unanswered
  const paid = Math.round(during.succeededAtOnce * during.payments)
  return {
    name: `at least ${leastSucceeded * 100} % paid at once, but for requests that were never answered`,
    holds: others > 0 && paid / others >= leastSucceeded && during.failed === 0,
    detail: `${paid} of ${others} (${((paid / others) * 100).toFixed(1)} %), besides ${during.unanswered} in doubt; ${during.failed} failed`
  }
}

const foundOut = ({ comparison, open, phases }: Checked): Check => {
  const doubtful = phases.before.inDoubt + phases.during.inDoubt + phases.after.inDoubt
  return {
    name: "what was in doubt was found out",
    holds: open === 0 && comparison.wrong.length === 0,
    detail: `${doubtful} were in doubt, ${open} operations are open`
  }
}

const money = ({ charges, doubled, lost, payments, wrong }: Comparison): Check => ({
  name: "nothing lost, nobody charged twice",
  holds: payments > 0 && lost.length + doubled.length + wrong.length === 0,
  detail:
    [...lost, ...doubled, ...wrong].slice(0, 3).join("; ") ||
    `${payments} payments in the store, ${charges} charges in the ledgers, one each`
})

const returned = ({ gateway, phases, returnedAfterMillis }: Checked): Check => ({
  name: "traffic returned",
  holds: returnedAfterMillis !== undefined,
  detail:
    returnedAfterMillis === undefined
      ? `${gateway} got ${percent(phases.after.shares.get(gateway))} after the outage, ${percent(phases.before.shares.get(gateway))} before`
      : `${gateway} had half of its share again ${(returnedAfterMillis / 1_000).toFixed(1)} s after it was back`
})

const percent = (share = Number.NaN): string => `${(share * 100).toFixed(0)} %`

/** They follow from each other, begin and end closed, and are as many as the breaker counted. */
const seen = ({ openings, transitions }: Checked): Check => {
  const chain = transitions.every(({ from }, index) => from === (transitions[index - 1]?.to ?? "closed"))
  const last = transitions.at(-1)
  const opened = transitions.filter(({ to }) => to === "open").length
  return {
    name: "every transition of the breaker was seen",
    holds: chain && opened > 0 && opened === openings && last?.to === "closed" && last.reason === "recovered",
    detail: `${transitions.length}: ${["closed", ...transitions.map(({ to }) => to)].join(", ")}; it counted ${openings} openings`
  }
}
