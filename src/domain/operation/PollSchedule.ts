/**
 * When an operation that waits for its gateway or its customer is asked about again: often at first, then ever less.
 *
 * The moments are a pure function of the operation's age: a round asks when one has passed since the last question. The first is at `firstMillis`; each following wait is `share` of the age then, in whole
 * milliseconds, at least `firstMillis` and at most `capMillis`.
 */

/** A schedule of questions. `firstMillis` and `capMillis` in milliseconds, `firstMillis <= capMillis`; `share` of the age, above 0 to 1. */
export interface PollSchedule {
  readonly firstMillis: number
  readonly share: number
  readonly capMillis: number
}

/**
 * How many moments have come at an age in milliseconds; it never falls as the age grows. Waits of the same length are counted in
 * one step, so the age may be years: about 50 steps with the defaults.
 */
export const questionsBy = (schedule: PollSchedule, ageMillis: number): number => {
  const { capMillis, firstMillis, share } = schedule
  let count = 0
  let next = firstMillis
  while (next <= ageMillis) {
    const wait = Math.min(Math.max(Math.floor(next * share), firstMillis), capMillis)
    // Waits are constant below firstMillis / share and from capMillis / share on; in between they grow with every step.
    const constantUntil = wait === capMillis ? ageMillis : wait === firstMillis ? Math.min(firstMillis / share, ageMillis) : next
    const steps = Math.max(1, Math.floor((constantUntil - next) / wait) + 1)
    count += steps
    next += steps * wait
  }
  return count
}

/** Has a moment come since it was asked about last, or since it was opened? Times in database time. */
export const isDue = (
  schedule: PollSchedule,
  times: { readonly openedAt: number; readonly askedAt: number; readonly now: number }
): boolean => questionsBy(schedule, times.now - times.openedAt) > questionsBy(schedule, times.askedAt - times.openedAt)
