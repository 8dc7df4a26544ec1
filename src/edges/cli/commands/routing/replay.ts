/**
 * `aegispay routing replay`: what another policy would have chosen over recorded decisions, and what it would have achieved.
 *
 * Reads the database only. Exit code 1: the record does not carry an answer; what can be told without one is printed all the same.
 */
import "effect/schema/SchemaJITCompiler/enable"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as OffPolicy from "../../../../domain/routing/replay/OffPolicy.ts"
import type { Interval } from "../../../../domain/routing/replay/WeightedSums.ts"
import * as Replay from "../../../../orchestration/routing/Replay.ts"
import * as PolicyFile from "../../../config/PolicyFile.ts"
import { cannotRun, notDone, orCannotRun } from "../../Failure.ts"
import { print, table, time } from "../../Output.ts"
import * as Progress from "../../Progress.ts"
import * as Storage from "../../runtime/Storage.ts"
import * as Target from "../../runtime/Target.ts"

export interface Input {
  readonly policy: string
  /** Epoch milliseconds. */
  readonly from: number
  readonly to: Option.Option<number>
  readonly drawnOnly: boolean
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const target = yield* Target.load
  const { from } = input
  const to = Option.isSome(input.to) ? input.to.value : DateTime.toEpochMillis(yield* DateTime.now)
  if (from >= to) return yield* cannotRun(`the range is empty: ${time(from)} is not before ${time(to)}`)
  const { gateways } = target.config
  const policy = yield* orCannotRun(PolicyFile.load(input.policy, { gateways, source: target.source }))
  const progress = yield* Progress.make
  const report = yield* orCannotRun(
    Replay.replay({
      policy,
      from,
      to,
      gateways: gateways.map(({ name }) => name),
      decisions: input.drawnOnly ? "drawn" : "all",
      // What is read begins somewhat before the range, and ends somewhat after it.
      onProgress: ({ at, decisions }) => {
        const reached = Math.min(Math.max(at, from), to)
        return progress.show(`${Progress.bar({ done: reached - from, total: to - from })} ${decisions} decisions, ${time(reached)}`)
      }
    })
  ).pipe(Effect.ensuring(progress.end), Effect.provide(Storage.layer(target, "existing")))
  const range = { file: input.policy, policy: policy.kind, from, to }
  yield* print({ json: { ...range, drawnOnly: input.drawnOnly, ...report }, text: textOf(range, report) })
  if (report.refusals.length > 0) return yield* notDone(`no estimate: ${report.refusals.map(reasonOf).join("; ")}`)
})

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
const count = (decisions: number): string => String(Math.round(decisions))

const textOf = (
  range: { readonly file: string; readonly policy: string; readonly from: number; readonly to: number },
  report: Replay.ReplayReport
): ReadonlyArray<string> => [
  `${report.decisions} decisions from ${time(range.from)} to ${time(range.to)}`,
  ...report.recorded.map(
    ({ decisions, policy, version }) => `  ${decisions} by ${policy}${version === undefined ? "" : `, version ${version}`}`
  ),
  ...(report.certain === 0 ? [] : [`  ${report.certain} more were certain, and are passed over`]),
  ...report.leftOut.map(({ decisions, why }) => `  ${decisions} are left out: ${leftOutTexts[why]}`),
  "",
  `first choices of ${range.policy}, version ${report.version}, of ${range.file}`,
  ...changesOf(report),
  "",
  ...(report.estimates === undefined
    ? ["no estimate of what it would have achieved", ...report.refusals.map((refusal) => `  ${reasonOf(refusal)}`)]
    : estimatesOf(report, report.estimates))
]

const leftOutTexts: { readonly [Why in OffPolicy.LeftOut]: string } = {
  no_propensity: "an earlier version stored no probability with them",
  support_not_stored: "an earlier version did not store who else could have been chosen",
  undecided: "what became of their first charge is not known yet",
  elsewhere: "their charge did not go to the first gateway of the plan",
  unreadable: "the payment's history is damaged",
  left_out_by_rule: "the policy would consider a gateway that a rule left out then, and nothing of it was stored",
  signals_not_stored: "the signals of a gateway were not stored",
  fee_not_stored: "the fee of a gateway that was failing then was not stored, and is not configured"
}

const changesOf = ({ changed, decisions, leftOut, unchargedShare }: OffPolicy.Answer): ReadonlyArray<string> => {
  const used = decisions - leftOut.reduce((sum, one) => sum + one.decisions, 0)
  if (used === 0) return ["  there is no decision to compare"]
  const rows = changed.flows.filter((flow) => flow.decisions > 0)
  return [
    `  differ in ${percent(changed.decisions / used)} of ${used} decisions (expected, over what the policy draws)`,
    ...table([
      ["  from", "to", "decisions", "share"],
      ...rows.map((flow) => [`  ${flow.from}`, flow.to ?? "no gateway", count(flow.decisions), percent(flow.decisions / used)])
    ]).slice(0, rows.length === 0 ? 0 : undefined),
    ...(unchargedShare > 0 ? [`  ${percent(unchargedShare)} would not have been charged at all; they count as failed`] : [])
  ]
}

/** How a quantity is written. `difference`: its unit where it is a difference. */
interface Unit {
  readonly text: (value: number) => string
  readonly difference: (value: number) => string
}

/** Without a sign where nothing is left of it. */
const signed = (value: number, digits: number): string => {
  const text = value.toFixed(digits)
  return Number(text) === 0 ? (0).toFixed(digits) : value > 0 ? `+${text}` : text
}
const rate: Unit = {
  text: (value) => `${(value * 100).toFixed(2)} %`,
  difference: (value) => signed(value * 100, 2)
}
const millis: Unit = { text: (value) => `${value.toFixed(0)} ms`, difference: (value) => signed(value, 0) }
const minor: Unit = { text: (value) => value.toFixed(1), difference: (value) => signed(value, 1) }

const row = (
  name: string,
  unit: Unit,
  estimate: (OffPolicy.Estimate & { readonly difference?: Interval }) | undefined
): ReadonlyArray<string> => {
  if (estimate === undefined) return [`  ${name}`, "-", "too few", "", ""]
  const { difference, high, low, recorded, value } = estimate
  return [
    `  ${name}`,
    unit.text(recorded),
    unit.text(value),
    `${unit.text(low)} to ${unit.text(high)}`,
    difference === undefined
      ? ""
      : `${unit.difference(difference.value)} (${unit.difference(difference.low)} to ${unit.difference(difference.high)})`
  ]
}

const estimatesOf = (report: OffPolicy.Answer, estimates: OffPolicy.Estimates): ReadonlyArray<string> => {
  const { fees, feesUnknown, latencyMean, latencyP95, plainSuccess, success } = estimates
  return [
    "first charges, as recorded and as it would have had them",
    ...table([
      ["", "recorded", "estimated", "95 % interval", "difference"],
      row("success (difference in points)", rate, success),
      row("latency, mean", millis, latencyMean),
      row("latency, p95", millis, latencyP95),
      ...fees.map(({ currency, ...fee }) => row(`fee of a success, minor units of ${currency}`, minor, fee)),
      ...feesUnknown.map((currency) => row(`fee of a success, minor units of ${currency}`, minor, undefined))
    ]),
    `  success by plain weighting, weights cut at ${plainSuccess.clip}: ${rate.text(plainSuccess.value)} (${rate.text(plainSuccess.low)} to ${rate.text(plainSuccess.high)})${plainSuccess.cutShare > 0 ? `; ${percent(plainSuccess.cutShare)} of the weight was cut off` : ""}`,
    `  worth ${count(report.effectiveSamples)} decisions of its own; mean weight ${report.meanWeight.toFixed(3)}; ${percent(report.unsupportedShare)} of its choices were never tried`,
    "  Only first charges count, by what was known at each decision. How a policy in force would go on learning is not told."
  ]
}

const reasonOf = (refusal: OffPolicy.Refusal): string => {
  switch (refusal._tag) {
    case "NoDecisions":
      return "there is no decision in the range"
    case "TooManyLeftOut":
      return `${percent(refusal.share)} of the decisions cannot be used, more than ${percent(refusal.limit)}`
    case "Unsupported": {
      const most = refusal.gateways.slice(0, 3).map(({ gateway, share }) => `${gateway} ${percent(share)}`)
      return `${percent(refusal.share)} of its choices were never or hardly tried (${most.join(", ")}), more than ${percent(refusal.limit)}; explore more, or ask with --drawn-only about the payments that were explored`
    }
    case "WeightsOff":
      return `the weights average ${refusal.meanWeight.toFixed(3)} where ${refusal.expected.toFixed(3)} is due: the recorded probabilities do not describe the choices that were made`
    case "TooFewSamples":
      return `what was explored is worth ${refusal.effectiveSamples.toFixed(0)} decisions of this policy, fewer than ${refusal.limit}; take a longer range, or explore more`
  }
}
