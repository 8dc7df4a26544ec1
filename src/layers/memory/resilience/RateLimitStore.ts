/**
 * Rate limits within one process, in bounded memory.
 *
 * At most `maxKeys` keys are kept (RateLimitKeys.ts says which go). A key that was evicted starts fresh: with more keys in use at once than
 * fit, some get more than their limit.
 *
 * A check happens in one go, so it is atomic. Time is the process' clock; what happens when it steps back is told in
 * RateLimitState.ts. Every process counts for itself: n of them admit up to n times a limit.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Presets from "../../../domain/Presets.ts"
import { type Decision, maxLimitsOfCheck } from "../../../domain/resilience/RateLimit.ts"
import * as Check from "../../../domain/resilience/RateLimitCheck.ts"
import * as State from "../../../domain/resilience/RateLimitState.ts"
import { type Question, RateLimitStore } from "../../../services/resilience/RateLimitStore.ts"
import * as Keys from "./RateLimitKeys.ts"

/**
 * `maxKeys`: 20 to 16,000,000, default the preset: 100,000, which is 23 MB, 28 MB with windows, and up to 1 KB a key more for sliding windows that
 * are in use all the time.
 */
export interface Options {
  readonly maxKeys?: number
}

type Subject = Omit<Question, "cost">

/** Where a check works: a slot and a copy of its state for each of its limits. */
interface Desk {
  readonly slots: Array<number>
  readonly states: Array<State.RateLimitState>
}

/** Takes of every limit or of none. */
const take = (table: Keys.RateLimitKeys, { slots, states }: Desk, { cost, keys, limits }: Question, now: number): Decision => {
  table.check++
  for (let index = 0; index < limits.length; index++) {
    const limit = limits[index]
    const state = states[index]
    if (limit === undefined || state === undefined) continue
    const slot = Keys.hold(table, limit, keys[index] ?? "", now)
    slots[index] = slot
    Keys.load(table, slot, state)
  }
  const decision = Check.take(limits, states, { cost, now })
  for (let index = 0; index < limits.length; index++) {
    const slot = slots[index]
    const state = states[index]
    if (slot === undefined || state === undefined) continue
    Keys.save(table, slot, state)
    // What passed is not blocked; one whose block is over changes its pool when it is looked at there.
    if (!decision.allowed) Keys.settle(table, slot)
  }
  return decision
}

const stateOf = (table: Keys.RateLimitKeys, slot: number | undefined): State.RateLimitState => {
  const state = State.make()
  if (slot === undefined) return state
  Keys.load(table, slot, state)
  // Bringing it to the present must not change the table.
  return { ...state, counts: [...state.counts] }
}

const peek = (table: Keys.RateLimitKeys, { cost, keys, limits }: Question, now: number): Decision => {
  const states = limits.map((limit, index) => stateOf(table, Keys.find(table, limit, keys[index] ?? "")))
  return Check.peek(limits, states, { cost, now })
}

/** The limits whose keys have a slot. */
const known = (table: Keys.RateLimitKeys, { keys, limits }: Subject) =>
  limits.flatMap((limit, index) => {
    const slot = Keys.find(table, limit, keys[index] ?? "")
    return slot === undefined ? [] : [{ limit, slot }]
  })

const refund = (table: Keys.RateLimitKeys, question: Question, now: number): void => {
  for (const { limit, slot } of known(table, question)) {
    const state = stateOf(table, slot)
    State.advance(limit, state, now)
    State.refund(limit, state, { cost: question.cost, now })
    Keys.save(table, slot, state)
  }
}

const nowOf = (fiber: Fiber.Fiber<unknown, unknown>): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** Rate limits in this process, with another bound. */
export const layerWith = ({ maxKeys = Presets.rateLimits.maxKeys.value }: Options): Layer.Layer<RateLimitStore> =>
  Layer.sync(RateLimitStore, () => {
    const table = Keys.make(maxKeys)
    const desk: Desk = { slots: [], states: Array.from({ length: maxLimitsOfCheck }, State.make) }
    return RateLimitStore.of({
      take: (question) => Effect.withFiberSucceed((fiber) => take(table, desk, question, nowOf(fiber))),
      peek: (question) => Effect.withFiberSucceed((fiber) => peek(table, question, nowOf(fiber))),
      refund: (question) => Effect.withFiberSucceed((fiber) => refund(table, question, nowOf(fiber))),
      reset: (subject) => Effect.sync(() => known(table, subject).forEach(({ slot }) => Keys.evict(table, slot))),
      blocked: Effect.withFiberSucceed((fiber) => Keys.countBlocked(table, nowOf(fiber))),
      takeUnsafe: (question, now) => take(table, desk, question, now)
    })
  })

/** Rate limits in this process. */
export const layer: Layer.Layer<RateLimitStore> = layerWith({})
