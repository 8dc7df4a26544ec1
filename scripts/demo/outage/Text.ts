/**
 * How the demo reads on a terminal.
 */
import type { BreakerHealth } from "../../../src/domain/resilience/Health.ts"
import type { Transition } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import type { EngineSettings } from "../../../src/services/Settings.ts"
import type { PhaseFigures } from "./Figures.ts"
import type { Asked } from "./Load.ts"
import type { OutageOptions, OutageResult } from "../Outage.ts"
import type { Account, Outage } from "../Provider.ts"

/** A time span in seconds, with one digit. */
export const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

/** A line with the time since the start. */
export const line = (sinceMillis: number, text: string): string => `${(sinceMillis / 1_000).toFixed(2).padStart(6)}  ${text}`

const percent = (share: number, digits = 0): string => (Number.isFinite(share) ? `${(share * 100).toFixed(digits)} %` : "-")

const feeMinor = ({ price }: Account, amountMinor: number): number =>
  price.fixedMinor + Math.floor((amountMinor * price.basisPoints) / 10_000 + 0.5)

const cents = (minor: number): string => (Number.isFinite(minor) ? (minor / 100).toFixed(3) : "-")

/** What is about to be shown. */
export const introduction = (options: {
  readonly accounts: ReadonlyArray<Account>
  readonly options: OutageOptions
  readonly settings: EngineSettings
  readonly amountMinor: number
}): ReadonlyArray<string> => {
  const { accounts, amountMinor, settings } = options
  const { perSecond, store } = options.options
  const { settings: breaker } = settings.breakers
  return [
    `An outage of one gateway. ${perSecond} payments a second of EUR ${(amountMinor / 100).toFixed(2)}, over three payment providers:`,
    ...accounts.map(
      (account) =>
        `  ${account.name.padEnd(9)} takes EUR ${cents(feeMinor(account, amountMinor))} a payment, answers in about ${account.latencyMillis} ms`
    ),
    `Each is a process with its own ledger, reached by HTTP over loopback. The engine keeps its payments in ${store === "memory" ? "memory" : "an embedded Postgres"}.`,
    "Routing: by score (success 0.5, latency 0.3, cost 0.2), 5 % of the payments explore the others.",
    `Breakers: open after ${breaker.failureThreshold} failures in a row, for ${seconds(breaker.openTimeoutMillis)} (the default is 60 s); ${breaker.successThreshold} successful probes close them.`,
    `At most ${settings.bulkhead.concurrency} calls to a gateway at a time.`,
    ""
  ]
}

const reasons: Readonly<Record<Outage, string>> = {
  killed: "its process is killed (SIGKILL)",
  reset: "it accepts connections and resets them",
  errors: "it answers everything with 503",
  silent: "it accepts requests and never answers"
}

export const goesDown = (gateway: string, outage: Outage): string => `${gateway} goes down: ${reasons[outage]}`

export const transition = ({ breaker, from, reason, to }: Transition): string =>
  `  breaker ${breaker}: ${from} -> ${to} (${reason.replaceAll("_", " ")})`

/** A part of the run: the payments that were asked for in it and have been answered. */
export const progress = (options: {
  readonly asked: ReadonlyArray<Asked>
  readonly gateways: ReadonlyArray<Account>
  readonly breakers: ReadonlyArray<BreakerHealth>
  readonly from: number
  readonly to: number
  readonly startedAt: number
}): string => {
  const own = options.asked.filter(({ askedAt }) => askedAt >= options.from && askedAt < options.to)
  const paid = own.filter(({ answer }) => answer?.status === "succeeded")
  const shares = options.gateways.map(
    ({ name }) => `${name} ${percent(paid.filter(({ answer }) => answer?.gateway === name).length / paid.length).padStart(5)}`
  )
  const open = options.breakers.filter(({ state }) => state !== "closed").map(({ name, state }) => `${name} ${state}`)
  return line(
    options.to - options.startedAt,
    `${String(own.length).padStart(4)} answered, ${percent(paid.length / own.length).padStart(5)} paid   ${shares.join("   ")}   ${
      open.length === 0 ? "breakers closed" : open.join(", ")
    }`
  )
}

const columns = ["before", "during", "after"] as const
const labelWidth = 36
const columnWidth = 14

const row = (label: string, cells: ReadonlyArray<string>): string =>
  label.padEnd(labelWidth) + cells.map((cell) => cell.padStart(columnWidth)).join("")

type Row = readonly [label: string, cell: (figures: PhaseFigures) => string]

const rows: ReadonlyArray<Row> = [
  ["seconds", ({ seconds }) => seconds.toFixed(1)],
  ["payments", ({ payments }) => String(payments)],
  ["answered as succeeded", ({ succeededAtOnce }) => percent(succeededAtOnce, 1)],
  ["answered as in doubt", ({ inDoubt }) => String(inDoubt)],
  ["failed", ({ failed }) => String(failed)],
  ["succeeded in the end", ({ succeeded }) => percent(succeeded, 1)],
  ["failovers", ({ failovers }) => String(failovers)],
  ["mean fee, EUR", ({ meanFeeMinor }) => cents(meanFeeMinor)],
  ["latency p50, ms", ({ p50Millis }) => p50Millis.toFixed(1)],
  ["latency p95, ms", ({ p95Millis }) => p95Millis.toFixed(1)]
]

const share = (gateway: string): Row => [`charged at ${gateway}`, ({ shares }) => percent(shares.get(gateway) ?? Number.NaN, 1)]

const scoreOf = (standing: number | string | undefined): string => (typeof standing === "number" ? standing.toFixed(3) : (standing ?? "-"))

/** The table, the times, and the checks. */
export const report = (result: OutageResult, gateways: ReadonlyArray<Account>): ReadonlyArray<string> => {
  const { checks, leftOut, phases, refused, standings } = result
  return [
    "",
    row("", columns),
    ...[...rows, ...gateways.map(({ name }) => share(name))].map(([label, cell]) =>
      row(
        label,
        columns.map((name) => cell(phases[name]))
      )
    ),
    ...gateways.map(({ name }) =>
      row(
        `score of ${name} at the end`,
        columns.map((phase) => scoreOf(standings[phase].get(name)))
      )
    ),
    "",
    ...course(result),
    ...(leftOut === 0 ? [] : [`${leftOut} payments were not asked for: this machine was too busy for the rate.`]),
    ...(refused.length === 0 ? [] : [`${refused.length} payments were refused: ${refused[0]}`]),
    "",
    ...checks.map(({ detail, holds, name }) => `${holds ? "ok    " : "FAILED"}  ${name}: ${detail}`)
  ]
}

/** When what happened. */
const course = (result: OutageResult): ReadonlyArray<string> => {
  const { closedAfterMillis, outage, phases, returnedAfterMillis, rounds, settledAfterMillis, victim } = result
  const [first, ...probes] = rounds
  const since = (millis: number | undefined) => (millis === undefined ? "not at all" : `after ${seconds(millis)}`)
  const left = first?.openedAt === undefined ? "did not leave" : `left ${first.openedAt - outage.from} ms after it went down`
  const doubtful = phases.before.inDoubt + phases.during.inDoubt + phases.after.inDoubt
  return [
    `Traffic to ${victim}: ${left}; until then ${first?.calls ?? 0} calls had met the outage.`,
    probes.length === 0
      ? "Its breaker let no probe through while it was down."
      : `Its breaker let ${probes.map(({ calls }) => calls).join(" + ")} probes through while it was down.`,
    `Once it was back, its breaker closed ${since(closedAfterMillis)}, and it had half of its share again ${since(returnedAfterMillis)}.`,
    doubtful === 0
      ? "No payment was in doubt."
      : `${doubtful} payments were in doubt until ${victim} could be asked; the last was found out ${since(settledAfterMillis)}.`
  ]
}
