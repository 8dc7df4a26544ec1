/**
 * What goes wrong, where, when and how often: a plan, as data. The same plan gives the same faults.
 *
 * Rules are looked at in their order and the first that holds injects its fault: at most one per call. Times count from the start of the
 * plan. What a rule draws depends on the seed, the rule, what is called and the number of that call, and on nothing else: calls of one
 * gateway do not change what another meets.
 *
 * @example
 * { "seed": 7, "rules": [{ "target": "gateway", "when": { "type": "random", "rate": 0.05 }, "inject": { "type": "network" } }] }
 */
import * as Schema from "effect/Schema"
import { GatewayName } from "../payment/Ids.ts"
import { GatewayNames, Name, range, someOf } from "../routing/policy/Bounds.ts"
import {
  applies,
  delayRange,
  Injection,
  maxRequestDelayMillis,
  operations,
  operationsOf,
  type Operation,
  type Target,
  targets
} from "./Injection.ts"

/** Bounds of a plan. */
export const maxRules = 64
export const maxCascades = 16
export const maxScheduled = 10_000
export const maxScripted = 10_000
/** The longest time that a plan speaks of: a week. */
export const maxPlanMillis = 604_800_000

const At = range.integer(0, maxPlanMillis)
const Span = range.integer(1, maxPlanMillis)
const Seed = range.integer(0, 0xffff_ffff)
const Count = range.integer(1, 1_000_000)
const CallNumber = range.integer(1, 2 ** 31 - 1)

/**
 * When a rule injects.
 *
 * - `random`: a share of the calls.
 * - `at`: the first call at or after each of these times, in ascending order.
 * - `calls`: these calls of each gateway and operation, counted from 1, in ascending order.
 * - `burst`: within the first `forMillis` of every `everyMillis`, a share of the calls (default 1); quiet in between.
 *
 * A clock is not called: it jumps `at` times, and is off in a share of the spells of a `burst`, or always with `random` and rate 1.
 */
export const When = Schema.Union([
  Schema.Struct({ type: Schema.Literal("random"), rate: range.share }),
  Schema.Struct({ type: Schema.Literal("at"), atMillis: someOf(At, maxScheduled) }),
  Schema.Struct({ type: Schema.Literal("calls"), calls: someOf(CallNumber, maxScheduled) }),
  Schema.Struct({
    type: Schema.Literal("burst"),
    everyMillis: Span,
    forMillis: Span,
    rate: Schema.optionalKey(range.share)
  })
])
export type When = typeof When.Type

/** One rule. Without `gateways` or `operations`: all of them. `fromMillis`, `untilMillis`: when it is in force, the end excluded. */
export const ChaosRule = Schema.Struct({
  name: Schema.optionalKey(Name),
  target: Schema.Literals(targets),
  gateways: Schema.optionalKey(GatewayNames),
  operations: Schema.optionalKey(someOf(Schema.Literals(operations), operations.length)),
  when: When,
  fromMillis: Schema.optionalKey(At),
  untilMillis: Schema.optionalKey(At),
  maxInjections: Schema.optionalKey(Count),
  inject: Injection
})
export type ChaosRule = typeof ChaosRule.Type

/**
 * Trouble that spreads: after `afterInjections` (default 1) faults at `from`, and `afterMillis` later (default 0), a share `rate` (default
 * 1) of the calls of `to` meets `inject` for `forMillis` (default 10,000). Then it may begin again. What it injects counts for others.
 */
export const Cascade = Schema.Struct({
  from: GatewayName,
  to: GatewayNames,
  afterInjections: Schema.optionalKey(Count),
  afterMillis: Schema.optionalKey(At),
  forMillis: Schema.optionalKey(Span),
  rate: Schema.optionalKey(range.share),
  inject: Injection
})
export type Cascade = typeof Cascade.Type

/** One fault that was injected, so that it can be again: the call it met, counted from 1 for each gateway and operation. */
export const Scripted = Schema.Struct({
  target: Schema.Literals(["gateway", "eventStore", "lock"]),
  gateway: Schema.optionalKey(GatewayName),
  operation: Schema.Literals(operations),
  call: CallNumber,
  inject: Injection
})
export type Scripted = typeof Scripted.Type

const PlanShape = Schema.Struct({
  seed: Seed,
  /** The most faults of the whole plan, those of clocks aside; default 10,000. */
  maxInjections: Schema.optionalKey(Count),
  rules: Schema.Array(ChaosRule).check(Schema.isMaxLength(maxRules, { message: `needs at most ${maxRules} rules` })),
  cascades: Schema.optionalKey(
    Schema.Array(Cascade).check(Schema.isMaxLength(maxCascades, { message: `needs at most ${maxCascades} cascades` }))
  ),
  /** Single faults, looked at before the rules: what makes a run repeat itself (`Injector.repetitionOf`). */
  script: Schema.optionalKey(
    Schema.Array(Scripted).check(Schema.isMaxLength(maxScripted, { message: `needs at most ${maxScripted} entries` }))
  )
})

/** What no bound of a single value says; "" where nothing is wrong. */
const problemOf = (plan: typeof PlanShape.Type): string => {
  for (const [index, rule] of plan.rules.entries()) {
    const problem = problemOfRule(rule)
    if (problem !== "") return `rule ${index + 1}: ${problem}`
  }
  for (const [index, cascade] of (plan.cascades ?? []).entries()) {
    const problem = cascade.to.includes(cascade.from)
      ? "it spreads to where it comes from"
      : (problemOfInjection(cascade.inject) ?? (couldApply(cascade.inject, "gateway", undefined) ? "" : "no gateway has such a fault"))
    if (problem !== "") return `cascade ${index + 1}: ${problem}`
  }
  return problemOfScript(plan.script ?? [])
}

const problemOfScript = (script: ReadonlyArray<Scripted>): string => {
  const named = new Set<string>()
  for (const [index, { call, gateway, inject, operation, target }] of script.entries()) {
    const of = `entry ${index + 1} of the script:`
    const met = `${target}/${gateway ?? ""}/${operation}/${call}`
    if (!applies(inject, target, operation)) return `${of} ${inject.type} cannot happen there`
    if ((target === "gateway") !== (gateway !== undefined))
      return `${of} ${target === "gateway" ? "name its" : "only faults of gateways name a"} gateway`
    if (named.has(met)) return `${of} an entry before it has the same call; a call meets one fault`
    const problem = problemOfInjection(inject)
    if (problem !== undefined) return `${of} ${problem}`
    named.add(met)
  }
  return ""
}

const ascending = (numbers: ReadonlyArray<number>): boolean =>
  numbers.every((value, index) => index === 0 || value > (numbers[index - 1] ?? 0))

const problemOfRule = (rule: ChaosRule): string => {
  const { inject, operations: named, target } = rule
  const known: ReadonlyArray<Operation> = operationsOf[target]
  if (target !== "gateway" && rule.gateways !== undefined) return "only faults of gateways name gateways"
  if (named?.some((operation) => !known.includes(operation)) === true) return `a ${target} does: ${known.join(", ")}`
  if (!couldApply(inject, target, named)) return `${inject.type} cannot happen there`
  if (rule.untilMillis !== undefined && rule.untilMillis <= (rule.fromMillis ?? 0)) return "it ends before it begins"
  return problemOfWhen(rule) ?? problemOfInjection(inject) ?? ""
}

const problemOfWhen = ({ inject, when }: ChaosRule): string | undefined => {
  if (when.type === "at" && !ascending(when.atMillis)) return "the times have to ascend"
  if (when.type === "calls" && !ascending(when.calls)) return "the calls have to ascend"
  if (when.type === "burst" && when.forMillis > when.everyMillis) return "a burst lasts at most as long as what it is repeated in"
  if (inject.type === "clock_jump" && when.type !== "at") return "a jump needs the times at which it happens (at)"
  return inject.type === "clock_skew" && when.type !== "burst" && !(when.type === "random" && when.rate === 1)
    ? "a skew lasts: give a burst, or random with rate 1"
    : undefined
}

/** Between the defaults and what is given, the least has to stay below the most. */
const problemOfInjection = (inject: Injection): string | undefined => {
  if (inject.type !== "latency") return undefined
  const { leastMillis, mostMillis } = delayRange(inject)
  if (leastMillis > mostMillis) return "the least delay is above the greatest"
  return inject.on === "request" && mostMillis > maxRequestDelayMillis
    ? `a request is delayed by at most ${maxRequestDelayMillis} ms`
    : undefined
}

const couldApply = (inject: Injection, target: Target, named: ReadonlyArray<Operation> | undefined): boolean =>
  (named ?? operationsOf[target]).some((operation) => applies(inject, target, operation))

/** A plan of faults. `seed`: 0 to 4,294,967,295. */
export const ChaosPlan = PlanShape.check(Schema.makeFilter((plan) => problemOf(plan) || undefined))
export type ChaosPlan = typeof ChaosPlan.Type
