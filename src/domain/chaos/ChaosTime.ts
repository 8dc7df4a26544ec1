/**
 * How far a plan moves the wall clock at a time. A function of the plan and the time since its start alone, so it needs no state and
 * repeats itself exactly.
 *
 * Faults of clocks count towards no bound but their rule's: `maxInjections` is a number of jumps, or of spells of a burst.
 */
import type { ChaosPlan, ChaosRule } from "./ChaosPlan.ts"
import { uniform } from "./Injector.ts"

/** What a rule does to the clock now. `count`: its jumps so far, or the number of the spell that lasts, from 1. */
export interface Move {
  readonly rule: number
  readonly type: "clock_jump" | "clock_skew"
  readonly count: number
  readonly offsetMillis: number
}

/** Every move of the clock that is in force. */
export const movesAt = (plan: ChaosPlan, atMillis: number): ReadonlyArray<Move> =>
  plan.rules.reduce<Array<Move>>((moves, rule, index) => {
    const move = rule.target === "clock" ? moveOf(plan.seed, rule, clockRulesBefore(plan, index), atMillis) : undefined
    return move === undefined ? moves : [...moves, { ...move, rule: index + 1 }]
  }, [])

/** By how much the wall clock is off. */
export const offsetOf = (moves: ReadonlyArray<Move>): number => moves.reduce((sum, { offsetMillis }) => sum + offsetMillis, 0)

/** What tells the draws of one rule from another's: its place among the clock's, which a repetition of the plan keeps. */
const clockRulesBefore = (plan: ChaosPlan, index: number): number =>
  plan.rules.slice(0, index).filter(({ target }) => target === "clock").length

const moveOf = (seed: number, rule: ChaosRule, salt: number, atMillis: number): Omit<Move, "rule"> | undefined => {
  const { fromMillis = 0, inject, maxInjections = Infinity, untilMillis = Infinity, when } = rule
  if (inject.type === "clock_jump" && when.type === "at") {
    const happened = countBefore(when.atMillis, Math.min(atMillis + 1, untilMillis)) - countBefore(when.atMillis, fromMillis)
    const count = Math.min(happened, maxInjections)
    return count <= 0 ? undefined : { type: inject.type, count, offsetMillis: count * inject.byMillis }
  }
  if (inject.type !== "clock_skew" || atMillis < fromMillis || atMillis >= untilMillis) return undefined
  const count = when.type === "burst" ? spellAt(seed, rule, salt, atMillis) : 1
  return count === undefined || count > maxInjections ? undefined : { type: inject.type, count, offsetMillis: inject.byMillis }
}

/** How many of ascending times are before this one. Found by halving: a clock is read often, and there may be 10,000. */
const countBefore = (ascending: ReadonlyArray<number>, before: number): number => {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? Infinity) < before) low = middle + 1
    else high = middle
  }
  return low
}

/** Which spell of a burst lasts, from 1; one draw decides each. */
const spellAt = (seed: number, { fromMillis = 0, when }: ChaosRule, salt: number, atMillis: number): number | undefined => {
  if (when.type !== "burst") return undefined
  const since = atMillis - fromMillis
  const spell = Math.floor(since / when.everyMillis) + 1
  return since % when.everyMillis < when.forMillis && uniform(seed, salt, clockStream, spell) < (when.rate ?? 1) ? spell : undefined
}

const clockStream = 0x636c_6f63
