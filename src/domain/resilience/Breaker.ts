/**
 * A circuit breaker: stops calls to what is down, lets a few through to find out whether it is back.
 *
 *     closed --- failures in a row, failure rate or slow rate ---> open
 *     open   --- at the first call after the open time ---------> half-open (an empty window, at most 5 calls at once)
 *     half-open --- one failure, or as many slow answers as ----> open
 *     half-open --- `successThreshold` quick answers -----------> closed (an empty window)
 *     any --- forceOpen, forceClosed: a person's; only reset ends them; reset leads to closed from anywhere
 *
 * The state is changed in place and belongs to one owner; a call on the closed path allocates nothing. Time is an argument, in
 * milliseconds of a clock that does not step (a monotonic one).
 *
 * **Details**
 * - A permit is asked for before each call and reported exactly once after it. A success never opens, a refused call counts as nothing.
 * - `ignored` (interrupted, or never sent by our own doing) gives the permit back and says nothing of the dependency.
 * - A verdict that comes after the breaker has changed its state counts in the totals only: it was given under other circumstances.
 * - Half-open permits that are never reported (a lost fiber) are given back when nothing was heard for `halfOpenTimeoutMillis`.
 * - Forced closed, calls are still counted, so that its health can be seen; they change no state.
 *
 * ```ts
 * const breaker = Breaker.make(BreakerSettings.gatewayDefault, now)
 * const admission = Breaker.tryAcquire(breaker, now)
 * if (admission._tag === "Permit") Breaker.report(admission, { verdict: "success", durationMillis: 120 }, later)
 * ```
 */
import * as Presets from "../Presets.ts"
import type { BreakerSettings } from "./BreakerSettings.ts"
import * as BreakerTotals from "./breaker/BreakerTotals.ts"
import type { BreakerState } from "./breaker/BreakerTotals.ts"
import * as BreakerWindow from "./breaker/BreakerWindow.ts"

export type { BreakerState } from "./breaker/BreakerTotals.ts"

/** Why a breaker changed its state. `told`: another instance did, and this one follows. */
export type TransitionReason =
  | "consecutive_failures"
  | "failure_rate"
  | "slow_calls"
  | "open_time_over"
  | "probe_failed"
  | "probes_slow"
  | "recovered"
  | "forced"
  | "reset"
  | "told"

/** What a call said about the dependency. */
export type Verdict = "success" | "failure" | "ignored"

/** How a permitted call ended. The duration of an ignored one does not matter. */
export interface CallReport {
  readonly verdict: Verdict
  readonly durationMillis: number
}

/** The call may be made, and has to be reported. Those of a closed breaker are one value; those of a half-open one are single. */
export interface Permit {
  readonly _tag: "Permit"
  readonly breaker: Breaker
  readonly generation: number
  /** Is it one of a half-open breaker's, which are counted? */
  readonly probe: boolean
  reported: boolean
}

/**
 * The call may not be made. `retryInMillis`: open: until it is half-open; half-open with all permits out: until they are given back
 * at the latest; `undefined` when forced open, which no time ends.
 */
export interface Rejected {
  readonly _tag: "Rejected"
  readonly state: BreakerState
  readonly retryInMillis: number | undefined
}

/** Opaque but for reading; use the functions of this module. Times are of the clock that is passed in. */
export interface Breaker {
  readonly settings: BreakerSettings
  readonly window: BreakerWindow.BreakerWindow
  readonly totals: BreakerTotals.BreakerTotals
  /** As of the last change; `stateAt` knows when the open time is over. */
  state: BreakerState
  reason: TransitionReason
  changedAt: number
  /** Grows with every transition. */
  changes: number
  /** A permit of an older generation says nothing of the present state. */
  generation: number
  permit: Permit
  /** When an open breaker becomes half-open. */
  retryAt: number
  /** How often in a row it opened without having closed. */
  reopenings: number
  consecutiveSuccesses: number
  consecutiveFailures: number
  lastFailureAt: number | undefined
  /** Half-open: permits that are out, quick and slow answers so far, when anything was heard last. */
  probesOut: number
  probesQuick: number
  probesSlow: number
  heardAt: number
}

/** A closed breaker that has seen nothing. */
export const make = (settings: BreakerSettings, now: number): Breaker => {
  const breaker: Omit<Breaker, "permit"> & { permit: Permit | undefined } = {
    settings,
    window: BreakerWindow.make(settings),
    totals: BreakerTotals.make(),
    state: "closed",
    reason: "reset",
    changedAt: now,
    changes: 0,
    generation: 0,
    permit: undefined,
    retryAt: now,
    reopenings: 0,
    consecutiveSuccesses: 0,
    consecutiveFailures: 0,
    lastFailureAt: undefined,
    probesOut: 0,
    probesQuick: 0,
    probesSlow: 0,
    heardAt: now
  }
  breaker.permit = permitOf(breaker as Breaker, false)
  return breaker as Breaker
}

/** Asks for a permit. Allocates nothing while the breaker is closed. */
export const tryAcquire = (breaker: Breaker, now: number): Permit | Rejected => {
  switch (breaker.state) {
    case "closed":
    case "forced-closed":
      return breaker.permit
    case "open":
      if (now < breaker.retryAt) return reject(breaker, breaker.retryAt - now)
      halfOpen(breaker, now)
      return probe(breaker)
    case "half-open": {
      const silence = now - breaker.heardAt
      if (breaker.probesOut < breaker.settings.halfOpenMaxAttempts) return probe(breaker)
      if (silence < breaker.settings.halfOpenTimeoutMillis) return reject(breaker, breaker.settings.halfOpenTimeoutMillis - silence)
      giveBackAll(breaker, now)
      return probe(breaker)
    }
    case "forced-open":
      return reject(breaker, undefined)
  }
}

/** What `tryAcquire` answers for a closed breaker, which takes no time to find out; `undefined` for another. */
export const closedPermit = (breaker: Breaker): Permit | undefined => (breaker.state === "closed" ? breaker.permit : undefined)

/** Reports a call. The permit of a half-open breaker counts once, however often it is reported. */
export const report = (permit: Permit, call: CallReport, now: number): void => {
  const { breaker, probe } = permit
  if (probe) {
    if (permit.reported) return
    permit.reported = true
  }
  const isCurrent = permit.generation === breaker.generation
  if (probe && isCurrent) {
    breaker.probesOut--
    breaker.heardAt = now
  }
  if (call.verdict === "ignored") {
    breaker.totals.ignored++
    return
  }
  const failed = call.verdict === "failure"
  const slow = call.durationMillis >= breaker.settings.slowCallMillis
  count(breaker, failed, slow, call.durationMillis, now)
  if (!isCurrent) return
  BreakerWindow.record(breaker.window, failed, slow, now)
  if (failed) {
    breaker.consecutiveFailures++
    breaker.consecutiveSuccesses = 0
  } else {
    breaker.consecutiveSuccesses++
    breaker.consecutiveFailures = 0
  }
  if (breaker.state === "half-open") judgeProbe(breaker, failed, slow, now)
  else if (breaker.state === "closed" && (failed || slow)) judge(breaker, failed, slow, now)
}

/** The state as of `now`: an open breaker whose time is over is half-open, though no call has come yet. */
export const stateAt = (breaker: Breaker, now: number): BreakerState =>
  breaker.state === "open" && now >= breaker.retryAt ? "half-open" : breaker.state

/** Would a call be refused at `now`? Nothing is changed or counted. */
export const refusesAt = (breaker: Breaker, now: number): boolean => {
  switch (breaker.state) {
    case "closed":
    case "forced-closed":
      return false
    case "open":
      return now < breaker.retryAt
    case "half-open":
      return breaker.probesOut >= breaker.settings.halfOpenMaxAttempts && now - breaker.heardAt < breaker.settings.halfOpenTimeoutMillis
    case "forced-open":
      return true
  }
}

/**
 * Does a half-open breaker want a probe at `now`? `due`: none came for one open time. `overdue`: for ten of them. `undefined`: it is not
 * half-open, one is under way, or one was answered lately.
 */
export const probeWanted = (breaker: Breaker, now: number): "due" | "overdue" | undefined => {
  if (stateAt(breaker, now) !== "half-open") return undefined
  const { halfOpenTimeoutMillis, openTimeoutMillis } = breaker.settings
  // Before its first probe it has waited for the open time already.
  const silence = breaker.state === "open" ? openTimeoutMillis + now - breaker.retryAt : now - breaker.heardAt
  if (silence < openTimeoutMillis) return undefined
  if (breaker.state === "half-open" && breaker.probesOut > 0 && silence < halfOpenTimeoutMillis) return undefined
  return silence < Presets.breakers.probeOverdueOpenTimes.value * openTimeoutMillis ? "due" : "overdue"
}

/** Since when a breaker that had opened is closed again; `undefined`: it is not closed, or has never been anything else. */
export const closedAgainAt = ({ changedAt, changes, state }: Breaker): number | undefined =>
  state === "closed" && changes > 0 ? changedAt : undefined

/** Closed as if new, from every state; what it has counted in total and its baseline stay. */
export const reset = (breaker: Breaker, now: number): void => close(breaker, "reset", now)

/** Refuses every call until it is reset or forced closed. */
export const forceOpen = (breaker: Breaker, now: number): void => moveTo(breaker, "forced-open", "forced", now)

/** Admits every call, whatever happens, until it is reset or forced open. */
export const forceClosed = (breaker: Breaker, now: number): void => moveTo(breaker, "forced-closed", "forced", now)

/** What another instance found out (see `CircuitBreakers`). */
export type Told = { readonly state: "open"; readonly forMillis: number } | { readonly state: "closed" | "forced-open" | "forced-closed" }

/** Follows another instance. A state it is in already is not entered again; an open time that is over is none. */
export const follow = (breaker: Breaker, told: Told, now: number): void => {
  if (told.state === "open") {
    if (told.forMillis <= 0) return
    if (breaker.state !== "open") moveTo(breaker, "open", "told", now)
    breaker.retryAt = now + Math.min(told.forMillis, longestOpenMillis(breaker))
  } else if (breaker.state !== told.state) {
    if (told.state === "closed") close(breaker, "told", now)
    else moveTo(breaker, told.state, "told", now)
  }
}

const permitOf = (breaker: Breaker, probe: boolean): Permit => ({
  _tag: "Permit",
  breaker,
  generation: breaker.generation,
  probe,
  reported: false
})

const probe = (breaker: Breaker): Permit => {
  breaker.probesOut++
  return permitOf(breaker, true)
}

const reject = (breaker: Breaker, retryInMillis: number | undefined): Rejected => {
  breaker.totals.blocked++
  return { _tag: "Rejected", state: breaker.state, retryInMillis }
}

const count = (breaker: Breaker, failed: boolean, slow: boolean, durationMillis: number, now: number): void => {
  const { totals } = breaker
  BreakerTotals.addDuration(totals, durationMillis)
  if (failed) {
    totals.failures++
    breaker.lastFailureAt = now
  } else if (slow) totals.slow++
  else totals.quick++
}

const judge = (breaker: Breaker, failed: boolean, slow: boolean, now: number): void => {
  const { settings, window } = breaker
  if (failed && breaker.consecutiveFailures >= settings.failureThreshold) return open(breaker, "consecutive_failures", now)
  if (failed && window.calls >= settings.minimumCalls) {
    if (window.failures >= window.calls * BreakerWindow.toleratedFailureRate(window, settings)) return open(breaker, "failure_rate", now)
  }
  if (slow && window.calls >= settings.slowCallMinimumCalls && window.slow >= window.calls * settings.slowCallRateThreshold) {
    open(breaker, "slow_calls", now)
  }
}

const judgeProbe = (breaker: Breaker, failed: boolean, slow: boolean, now: number): void => {
  const { successThreshold } = breaker.settings
  if (failed) return open(breaker, "probe_failed", now)
  if (slow) breaker.probesSlow++
  else breaker.probesQuick++
  if (breaker.probesQuick >= successThreshold) {
    const run = breaker.consecutiveSuccesses
    breaker.totals.recoveries++
    close(breaker, "recovered", now)
    breaker.consecutiveSuccesses = run
  } else if (breaker.probesSlow >= successThreshold) open(breaker, "probes_slow", now)
}

const open = (breaker: Breaker, reason: TransitionReason, now: number): void => {
  breaker.reopenings = breaker.state === "half-open" ? breaker.reopenings + 1 : 0
  moveTo(breaker, "open", reason, now)
  breaker.retryAt = now + openMillis(breaker)
}

/** `openTimeoutMillis x openTimeoutFactor ^ reopenings`, at most the cap; never less than `openTimeoutMillis`. */
const openMillis = ({ reopenings, settings }: Breaker): number =>
  Math.max(
    settings.openTimeoutMillis,
    Math.min(settings.openTimeoutMillis * settings.openTimeoutFactor ** reopenings, settings.openTimeoutCapMillis)
  )

const longestOpenMillis = ({ settings }: Breaker): number => Math.max(settings.openTimeoutMillis, settings.openTimeoutCapMillis)

/** The window starts empty, so that health says what the probes found. */
const halfOpen = (breaker: Breaker, now: number): void => {
  moveTo(breaker, "half-open", "open_time_over", now)
  startAnew(breaker, now)
}

const giveBackAll = (breaker: Breaker, now: number): void => {
  breaker.generation++
  breaker.probesOut = 0
  breaker.heardAt = now
}

const close = (breaker: Breaker, reason: TransitionReason, now: number): void => {
  moveTo(breaker, "closed", reason, now)
  startAnew(breaker, now)
}

const startAnew = (breaker: Breaker, now: number): void => {
  BreakerWindow.clear(breaker.window)
  breaker.consecutiveSuccesses = 0
  breaker.consecutiveFailures = 0
  breaker.probesOut = 0
  breaker.probesQuick = 0
  breaker.probesSlow = 0
  breaker.heardAt = now
}

const moveTo = (breaker: Breaker, state: BreakerState, reason: TransitionReason, now: number): void => {
  breaker.window.learning = state === "closed"
  breaker.state = state
  breaker.reason = reason
  breaker.changedAt = now
  breaker.changes++
  breaker.generation++
  breaker.permit = permitOf(breaker, false)
  breaker.totals.transitions[state]++
}
