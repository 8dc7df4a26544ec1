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
import type { Decision } from "../../../domain/resilience/RateLimit.ts"
import * as Check from "../../../domain/resilience/RateLimitCheck.ts"
import * as State from "../../../domain/resilience/RateLimitState.ts"
import { type Question, RateLimitStore } from "../../../services/resilience/RateLimitStore.ts"
import * as Keys from "./RateLimitKeys.ts"

/** `maxKeys`: 20 to 16,000,000, default the preset (100,000, at most about 60 MB). */
export interface Options {
  readonly maxKeys?: number
}

type Subject = Omit<Question, "cost">

/** Takes of every limit or of none. `states` is room to work in. */
const take = (table: Keys.RateLimitKeys, states: Array<Keys.Entry>, { cost, keys, limits }: Question, now: number): Decision => {
  table.check++
  states.length = limits.length
  for (let index = 0; index < limits.length; index++) {
    const limit = limits[index]
    const key = keys[index]
    if (limit === undefined || key === undefined) continue
    const entry = Keys.find(table, limit, key) ?? Keys.insert(table, limit, key, now)
    entry.check = table.check
    entry.limit = limit
    states[index] = entry
  }
  const decision = Check.take(limits, states, { cost, now })
  // What passed is not blocked; one whose block is over changes its pool when it is looked at there.
  if (!decision.allowed) for (const entry of states) Keys.settle(table, entry)
  return decision
}

const peek = (table: Keys.RateLimitKeys, { cost, keys, limits }: Question, now: number): Decision => {
  const states = limits.map((limit, index) => Keys.find(table, limit, keys[index] ?? "") ?? State.make())
  return Check.peek(limits, states, { cost, now })
}

const entriesOf = (table: Keys.RateLimitKeys, { keys, limits }: Subject): ReadonlyArray<Keys.Entry> =>
  limits.flatMap((limit, index) => Keys.find(table, limit, keys[index] ?? "") ?? [])

const refund = (table: Keys.RateLimitKeys, question: Question, now: number): void => {
  for (const entry of entriesOf(table, question)) {
    State.advance(entry.limit, entry, now)
    State.refund(entry.limit, entry, { cost: question.cost, now })
  }
}

const nowOf = (fiber: Fiber.Fiber<unknown, unknown>): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** Rate limits in this process, with another bound. */
export const layerWith = ({ maxKeys = Presets.rateLimits.maxKeys.value }: Options): Layer.Layer<RateLimitStore> =>
  Layer.sync(RateLimitStore, () => {
    const table = Keys.make(maxKeys)
    const states: Array<Keys.Entry> = []
    return RateLimitStore.of({
      take: (question) => Effect.withFiberSucceed((fiber) => take(table, states, question, nowOf(fiber))),
      peek: (question) => Effect.withFiberSucceed((fiber) => peek(table, question, nowOf(fiber))),
      refund: (question) => Effect.withFiberSucceed((fiber) => refund(table, question, nowOf(fiber))),
      reset: (subject) => Effect.sync(() => entriesOf(table, subject).forEach(Keys.evict)),
      blocked: Effect.withFiberSucceed((fiber) => Keys.countBlocked(table, nowOf(fiber))),
      takeUnsafe: (question, now) => take(table, states, question, now)
    })
  })

/** Rate limits in this process. */
export const layer: Layer.Layer<RateLimitStore> = layerWith({})
