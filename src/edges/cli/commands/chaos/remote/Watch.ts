/**
 * What is seen of a running server while an experiment goes on: the states of its breakers, and which faults were injected. Looked at once
 * a second: what comes and goes in between is not seen.
 */
import type { GatewayName } from "../../../../../domain/payment/Ids.ts"
import * as Recorder from "../../../../../domain/chaos/experiment/Recorder.ts"
import type { BreakerState } from "../../../../../domain/resilience/Breaker.ts"
import { BreakerName, partsOf } from "../../../../../domain/resilience/BreakerName.ts"
import * as Schema from "effect/Schema"
import type { Status } from "./Client.ts"

/** As the metric has them. */
const states: ReadonlyArray<BreakerState> = ["closed", "half-open", "open", "forced-closed", "forced-open"]

const isBreaker = Schema.is(BreakerName)

/** The breakers of a server's metrics. */
export const breakersOf = (metrics: string): ReadonlyMap<BreakerName, BreakerState> => {
  const found = new Map<BreakerName, BreakerState>()
  for (const [, name = "", value = ""] of metrics.matchAll(/^aegispay_breaker_state\{[^}]*breaker="([^"]+)"[^}]*\} ([0-4])(?:\.0)?$/gm)) {
    const state = states[Number(value)]
    if (isBreaker(name) && state !== undefined) found.set(name, state)
  }
  return found
}

/** The gateways that these breakers guard. */
export const gatewaysOf = (breakers: ReadonlyMap<BreakerName, BreakerState>): ReadonlyArray<GatewayName> => [
  ...new Set([...breakers.keys()].flatMap((name) => partsOf(name)?.gateway ?? []))
]

/** Compares what is seen with what was seen before. The faults of a plan that had ended before (`former`, when it was started) do not count. */
export const make = (recorder: Recorder.Recorder, former?: string) => {
  const breakers = new Map<BreakerName, BreakerState>()
  const injections = new Map<string, number>()
  return {
    sawBreakers: (seen: ReadonlyMap<BreakerName, BreakerState>, at: number): void => {
      for (const [breaker, to] of seen) {
        const from = breakers.get(breaker) ?? "closed"
        const gateway = partsOf(breaker)?.gateway
        breakers.set(breaker, to)
        if (from !== to && gateway !== undefined) Recorder.breakerChanged(recorder, { at, breaker, gateway, from, to })
      }
    },
    sawInjections: ({ counts, startedAt }: Status, at: number): void => {
      if (former !== undefined && startedAt === former) return
      for (const { count, gateway, target, type } of counts) {
        const key = `${type}/${target}/${gateway ?? ""}`
        const before = injections.get(key) ?? 0
        injections.set(key, count)
        const fault = { at, kind: type, gateway, label: `${type} at ${gateway ?? target}` }
        for (let made = before; made < count; made++) Recorder.injected(recorder, fault)
      }
    }
  }
}
