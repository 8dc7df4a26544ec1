/**
 * When an experiment is ended early: the success rate within the last while was too low.
 */
import type { CompleteExperiment } from "./Experiment.ts"
import type { Reason } from "./ExperimentResult.ts"
import type { Charge } from "./Recorder.ts"

/** Looks at answers as they come. */
export interface Watch {
  readonly rule: NonNullable<CompleteExperiment["abort"]>
  /** Charges answered within the last while, oldest first. */
  readonly recent: Array<{ readonly at: number; readonly good: boolean }>
  good: number
}

/** A watch for this rule; `undefined` where there is none. */
export const make = ({ abort }: CompleteExperiment): Watch | undefined =>
  abort === undefined ? undefined : { rule: abort, recent: [], good: 0 }

/** Notes an answer; tells why the experiment is to end, if it is. What the customer's bank refused does not count. */
export const answered = (watch: Watch, { answer, answeredAt }: Charge): Reason | undefined => {
  if (answeredAt === undefined || answer === "declined") return undefined
  const { minimumCharges, overMillis, whenSuccessRateBelow } = watch.rule
  const good = answer === "succeeded"
  watch.recent.push({ at: answeredAt, good })
  if (good) watch.good++
  while (watch.recent[0] !== undefined && watch.recent[0].at <= answeredAt - overMillis)
    if (watch.recent.shift()?.good === true) watch.good--
  const rate = watch.good / watch.recent.length
  if (watch.recent.length < minimumCharges || rate >= whenSuccessRateBelow) return undefined
  const percent = (share: number) => `${Math.round(share * 1_000) / 10} %`
  return {
    code: "aborted",
    message: `ended after ${Math.round(answeredAt / 1_000)} s: within ${Math.round(overMillis / 1_000)} s only ${percent(rate)} of ${watch.recent.length} payments succeeded, the limit is ${percent(whenSuccessRateBelow)}`
  }
}
