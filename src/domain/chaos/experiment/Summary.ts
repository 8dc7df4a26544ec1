/**
 * What an experiment does, in words: one line for the load, one for every rule and cascade of the plan.
 */
import * as Presets from "../../Presets.ts"
import type { Cascade, ChaosRule } from "../ChaosPlan.ts"
import type { Injection } from "../Injection.ts"
import type { CompleteExperiment } from "./Experiment.ts"
import { kinds } from "./load/Load.ts"

const maxLines = 50
const maxLength = 300

/** The lines, cut to what a result holds. */
export const of = (experiment: CompleteExperiment): ReadonlyArray<string> => {
  const { cascades = [], maxInjections = Presets.chaos.maxInjections.value, rules, script = [] } = experiment.chaos
  const lines = [
    loadOf(experiment),
    `at most ${maxInjections} faults in all: whatever comes after them meets none`,
    ...rules.map(ofRule),
    ...cascades.map(ofCascade),
    ...(script.length === 0 ? [] : [`${script.length} faults as they were written down`]),
    ...settingsOf(experiment)
  ]
  return lines.slice(0, maxLines).map((line) => line.slice(0, maxLength))
}

const loadOf = ({ durationMillis, load }: CompleteExperiment): string => {
  const total = kinds.reduce((sum, kind) => sum + load.mix[kind], 0)
  const mix = kinds
    .filter((kind) => load.mix[kind] > 0)
    .map((kind) => `${percent(load.mix[kind] / total)} ${words[kind]}`)
    .join(", ")
  const arrival = load.arrival === "bursts" ? `in bursts of ${load.burstSize}` : load.arrival === "poisson" ? "at random times" : "evenly"
  return `${load.ratePerSecond} payments per second ${arrival}, faults for ${time(durationMillis)}: ${mix}; ${percent(load.declinedShare)} refused by the bank`
}

const words = {
  charge: "charged",
  authorizeAndCapture: "captured later",
  refund: "refunded",
  duplicate: "asked for twice",
  cancel: "cancelled"
}

/** What a rule does: also its label where it has no name. */
export const ofRule = (rule: ChaosRule): string => {
  const { fromMillis = 0, gateways, operations, target, untilMillis, when } = rule
  const where = target === "gateway" ? (gateways?.join(", ") ?? "every gateway") : targets[target]
  const what = operations === undefined ? "" : ` (${operations.join(", ")})`
  const from = fromMillis > 0 ? ` from ${time(fromMillis)}` : ""
  const until = untilMillis === undefined ? "" : ` until ${time(untilMillis)}`
  return `${rule.name === undefined ? "" : `${rule.name}: `}${faultOf(rule.inject)} at ${where}${what}, ${whenOf(when)}${from}${until}`
}

const ofCascade = ({ afterMillis = 0, from, inject, rate = 1, to }: Cascade): string =>
  `${faultOf(inject)} at ${to.join(", ")} (${percent(rate)} of the calls) ${afterMillis > 0 ? `${time(afterMillis)} after` : "as soon as"} ${from} fails`

const targets = { eventStore: "the database", lock: "the locks", clock: "the clock" }

const whenOf = (when: ChaosRule["when"]): string => {
  switch (when.type) {
    case "random":
      return `${percent(when.rate)} of the calls`
    case "at":
      return `at ${when.atMillis.length} times`
    case "calls":
      return `${when.calls.length} calls`
    case "burst":
      return `for ${time(when.forMillis)} of every ${time(when.everyMillis)}, ${percent(when.rate ?? 1)} of the calls`
  }
}

/** A fault in words. */
const faultOf = (injection: Injection): string => {
  switch (injection.type) {
    case "latency":
      return injection.maxMillis === undefined ? "latency" : `latency of ${injection.minMillis ?? 0} to ${injection.maxMillis} ms`
    case "server_error":
      return `error ${injection.status}`
    default:
      return injection.type.replaceAll("_", " ")
  }
}

const settingsOf = ({ settings }: CompleteExperiment): ReadonlyArray<string> => {
  const changed = Object.entries(settings).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return changed.length === 0 ? [] : [`other settings than the presets: ${changed.join(", ")}`]
}

const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`

const time = (millis: number): string =>
  millis < 1_000 ? `${millis} ms` : millis < 120_000 ? `${Math.round(millis / 100) / 10} s` : `${Math.round(millis / 6_000) / 10} min`
