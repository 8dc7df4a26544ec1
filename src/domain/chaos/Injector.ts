/**
 * Which call meets which fault: a plan at work.
 *
 * A draw is a hash of the seed, the rule, what is called and the number of that call (a stream: one gateway and operation, or one
 * operation of a store). So the same plan gives a stream the same faults, however calls of other streams come in between; only the
 * bounds on the number of faults, cascades and what goes by time depend on those. `repetitionOf` is exact whatever the plan said.
 *
 * The state is changed in place; whoever shares an injector shares its counts.
 *
 * @example
 * const injector = Injector.make(plan)
 * const injected = Injector.decide(injector, { target: "gateway", gateway, operation: "sale", atMillis: 1_250 })
 */
import * as Presets from "../Presets.ts"
import type { GatewayName } from "../payment/Ids.ts"
import { type Cascade, type ChaosPlan, type ChaosRule, maxScripted, type Scripted } from "./ChaosPlan.ts"
import { applies, delayRange, type Injection, type Operation, type Target } from "./Injection.ts"

/** A call that may meet a fault. `atMillis`: since the plan was started. Clocks go by `ChaosTime`. */
export interface Call {
  readonly target: Exclude<Target, "clock">
  readonly gateway?: GatewayName | undefined
  readonly operation: Operation
  readonly atMillis: number
}

/**
 * A fault that a call met. `injection`: as drawn, a latency with one delay. `call`: its number in its stream, from 1. `by`: the rule or
 * the cascade by its place in the plan, from 1.
 */
export interface Injected extends Call {
  readonly call: number
  readonly injection: Injection
  readonly by: { readonly part: "script" | "rule" | "cascade"; readonly number: number }
}

/** A plan at work. */
export interface Injector {
  readonly plan: ChaosPlan
  readonly maxInjections: number
  readonly rules: ReadonlyArray<RuleState>
  readonly cascades: ReadonlyArray<CascadeState>
  readonly script: ReadonlyMap<string, { readonly entry: Scripted; readonly number: number }>
  readonly streams: Map<string, Stream>
  readonly log: Array<Injected>
  injections: number
}

interface RuleState {
  readonly rule: ChaosRule
  readonly number: number
  injections: number
  /** The next of the times of `at`. */
  next: number
  readonly calls: ReadonlySet<number> | undefined
}

interface CascadeState {
  readonly cascade: Cascade
  readonly number: number
  faults: number
  /** When it is in force, or was. */
  fromMillis: number
  untilMillis: number
}

interface Stream {
  readonly hash: number
  calls: number
}

/** A plan, before its first call. */
export const make = (plan: ChaosPlan): Injector => ({
  plan,
  maxInjections: plan.maxInjections ?? Presets.chaos.maxInjections.value,
  rules: plan.rules.map((rule, index) => ({
    rule,
    number: index + 1,
    injections: 0,
    next: 0,
    calls: rule.when.type === "calls" ? new Set(rule.when.calls) : undefined
  })),
  cascades: (plan.cascades ?? []).map((cascade, index) => ({ cascade, number: index + 1, faults: 0, fromMillis: 0, untilMillis: 0 })),
  script: new Map((plan.script ?? []).map((entry, index) => [scriptKey(entry, entry.call), { entry, number: index + 1 }])),
  streams: new Map(),
  log: [],
  injections: 0
})

/** Whether this call meets a fault, and which. Counts the call. */
export const decide = (injector: Injector, call: Call): Injected | undefined => {
  const key = streamKey(call)
  let stream = injector.streams.get(key)
  if (stream === undefined) injector.streams.set(key, (stream = { hash: hashOf(key), calls: 0 }))
  const number = ++stream.calls
  if (injector.injections >= injector.maxInjections) return undefined
  const drawn = scripted(injector, call, stream) ?? byRule(injector, call, stream) ?? byCascade(injector, call, stream)
  if (drawn === undefined) return undefined
  const injected: Injected = { ...call, call: number, ...drawn }
  injector.injections++
  if (injector.log.length < maxScripted) injector.log.push(injected)
  if (call.gateway !== undefined) spread(injector, call.gateway, call.atMillis)
  return injected
}

/**
 * A plan that injects the same faults into the same calls; `undefined` where more were injected than are kept (10,000). Faults of clocks
 * follow from the time alone: their rules stay.
 */
export const repetitionOf = (injector: Injector): ChaosPlan | undefined => {
  if (injector.log.length < injector.injections) return undefined
  return {
    seed: injector.plan.seed,
    maxInjections: Math.max(1, injector.injections),
    rules: injector.plan.rules.filter(({ target }) => target === "clock"),
    script: injector.log.map(({ call, gateway, injection, operation, target }) => ({
      target,
      ...(gateway === undefined ? {} : { gateway }),
      operation,
      call,
      inject: injection
    }))
  }
}

type Drawn = Pick<Injected, "injection" | "by">

/** A delay of a repetition is drawn already and stays; one that a person wrote down may leave it open. */
const scripted = ({ plan, script }: Injector, call: Call, stream: Stream): Drawn | undefined => {
  const found = script.size === 0 ? undefined : script.get(scriptKey(call, stream.calls))
  return found && { injection: drawnFrom(plan.seed, found.entry.inject, scriptSalt, stream), by: { part: "script", number: found.number } }
}

const byRule = ({ plan, rules }: Injector, call: Call, stream: Stream): Drawn | undefined => {
  for (const state of rules) {
    if (!holds(plan.seed, state, call, stream)) continue
    state.injections++
    return { injection: drawnFrom(plan.seed, state.rule.inject, state.number, stream), by: { part: "rule", number: state.number } }
  }
  return undefined
}

const holds = (seed: number, state: RuleState, call: Call, stream: Stream): boolean => {
  const { fromMillis = 0, maxInjections = Infinity, when } = state.rule
  if (!concerns(state.rule, call) || state.injections >= maxInjections) return false
  switch (when.type) {
    case "random":
      return draw(seed, state.number, stream) < when.rate
    case "at": {
      if ((when.atMillis[state.next] ?? Infinity) > call.atMillis) return false
      state.next++
      return true
    }
    case "calls":
      return state.calls?.has(stream.calls) === true
    case "burst":
      return (call.atMillis - fromMillis) % when.everyMillis < when.forMillis && draw(seed, state.number, stream) < (when.rate ?? 1)
  }
}

/** Is the call one of those the rule speaks of, at a time when it is in force? */
const concerns = (rule: ChaosRule, { atMillis, gateway, operation, target }: Call): boolean => {
  const { fromMillis = 0, gateways, inject, operations, untilMillis = Infinity } = rule
  if (rule.target !== target || atMillis < fromMillis || atMillis >= untilMillis) return false
  if (gateways !== undefined && (gateway === undefined || !gateways.includes(gateway))) return false
  return (operations === undefined || operations.includes(operation)) && applies(inject, target, operation)
}

const byCascade = ({ cascades, plan }: Injector, call: Call, stream: Stream): Drawn | undefined => {
  if (call.gateway === undefined) return undefined
  for (const { cascade, fromMillis, number, untilMillis } of cascades) {
    const salt = cascadeSalt + number
    if (call.atMillis < fromMillis || call.atMillis >= untilMillis || !cascade.to.includes(call.gateway)) continue
    if (!applies(cascade.inject, call.target, call.operation) || draw(plan.seed, salt, stream) >= (cascade.rate ?? 1)) continue
    return { injection: drawnFrom(plan.seed, cascade.inject, salt, stream), by: { part: "cascade", number } }
  }
  return undefined
}

/** Counts a fault at a gateway for the cascades that begin there; one that has begun counts none until it is over. */
const spread = ({ cascades }: Injector, gateway: GatewayName, atMillis: number): void => {
  for (const state of cascades) {
    const { afterInjections, afterMillis, forMillis, from } = state.cascade
    if (from !== gateway || atMillis < state.untilMillis || ++state.faults < (afterInjections ?? 1)) continue
    state.faults = 0
    state.fromMillis = atMillis + (afterMillis ?? Presets.chaos.cascadeAfterMillis.value)
    state.untilMillis = state.fromMillis + (forMillis ?? Presets.chaos.cascadeForMillis.value)
  }
}

/** A fault with what is left open drawn. */
const drawnFrom = (seed: number, injection: Injection, salt: number, stream: Stream): Injection => {
  if (injection.type !== "latency") return injection
  const { leastMillis, mostMillis } = delayRange(injection)
  const delay = leastMillis + Math.floor(draw(seed, delaySalt + salt, stream) * (mostMillis - leastMillis + 1))
  return { ...injection, minMillis: delay, maxMillis: delay }
}

/** Salts keep the draws of rules, cascades, scripts and delays apart: there are at most 64 rules and 16 cascades. */
const cascadeSalt = 1_000
const scriptSalt = 2_000
const delaySalt = 10_000

const draw = (seed: number, salt: number, { calls, hash }: Stream): number => uniform(seed, salt, hash, calls)

/** A number in [0, 1) that looks random and follows from the four alone. */
export const uniform = (seed: number, salt: number, stream: number, call: number): number =>
  mixed(mixed(mixed(mixed(seed ^ 0x9e3779b9) ^ salt) ^ stream) ^ call) / 0x1_0000_0000

const streamKey = ({ gateway, operation, target }: Pick<Call, "target" | "gateway" | "operation">): string =>
  `${target}/${gateway ?? ""}/${operation}`

const scriptKey = (call: Pick<Call, "target" | "gateway" | "operation">, number: number): string => `${streamKey(call)}/${number}`

/** FNV-1a over the code units. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return mixed(hash)
}

/** The finaliser of MurmurHash3. */
const mixed = (hash: number): number => {
  let value = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
