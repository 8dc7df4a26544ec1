/**
 * What happened during an experiment, as it is noted while it runs: plain state, changed in place. `Findings` makes figures of it.
 *
 * Times in milliseconds from the start of the experiment. Everything is bounded: charges by the load, calls and injections are counted,
 * kinds of errors are counted apart up to `maxNames` of them.
 */
import type { GatewayName } from "../../payment/Ids.ts"
import type { BreakerState } from "../../resilience/Breaker.ts"
import type { BreakerName } from "../../resilience/BreakerName.ts"
import { maxNames, maxSlices } from "./Measures.ts"

/** How a charge was answered. `declined`: the customer's bank refused it. */
export type Answer = "succeeded" | "declined" | "failed" | "in_doubt"

/** What became of a charge in the end. */
export type End = "succeeded" | "declined" | "failed" | "unsettled"

/** A payment that was asked for. */
export interface Charge {
  readonly askedAt: number
  answeredAt: number | undefined
  answer: Answer | undefined
  /** Of one that was answered neither with success nor with a decline: why. */
  error: string | undefined
  firstChoice: GatewayName | undefined
  end: End | undefined
}

/** What callers do with a payment later. */
export type FollowUp = "duplicate" | "capture" | "cancel" | "refund"

/** Calls of one gateway. */
export interface Calls {
  readonly latencies: Array<number>
  readonly errors: Map<string, number>
  readonly injections: Map<string, number>
}

/** What is counted in a slice beside charges. */
interface SliceCounts {
  readonly gatewayErrors: Map<string, number>
  readonly injections: Map<string, number>
}

/** A time in which faults of one rule were injected without a long pause. */
export interface Spell {
  readonly label: string
  readonly kind: string
  readonly gateway: GatewayName | undefined
  readonly fromMillis: number
  toMillis: number
}

/** A change of a breaker. */
export interface BreakerChange {
  readonly at: number
  readonly breaker: BreakerName
  readonly gateway: GatewayName
  readonly from: BreakerState
  readonly to: BreakerState
}

export interface Recorder {
  readonly loadMillis: number
  readonly sliceMillis: number
  readonly charges: Array<Charge>
  readonly followUps: { readonly [Kind in FollowUp]: { asked: number; failed: number } }
  readonly calls: ReadonlyMap<GatewayName, Calls>
  readonly slices: ReadonlyArray<SliceCounts>
  readonly breakers: Array<BreakerChange>
  /** Changes beyond `maxBreakerChanges` are counted only. */
  breakerOpens: Map<GatewayName, number>
  readonly injections: Map<string, number>
  readonly spells: Array<Spell>
  /** Faults that are not a gateway's are counted here as well. */
  injected: number
}

/** How many changes of breakers are kept. */
export const maxBreakerChanges = 2_000
/** How many spells of faults are kept. */
const maxSpells = 500
/** Faults further apart than this are two spells. */
const spellGapMillis = 15_000

/** Lengths that a slice may have: those that people count in. */
const sliceLengths = [1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000] as const
/** As many slices as a chart shows well, and no more than a result holds. */
const wantedSlices = maxSlices / 2

/** Nothing happened yet. */
export const make = (options: { readonly loadMillis: number; readonly gateways: ReadonlyArray<GatewayName> }): Recorder => {
  const { gateways, loadMillis } = options
  const sliceMillis = sliceLengths.find((length) => loadMillis <= length * wantedSlices) ?? Math.ceil(loadMillis / wantedSlices)
  return {
    loadMillis,
    sliceMillis,
    charges: [],
    followUps: {
      duplicate: { asked: 0, failed: 0 },
      capture: { asked: 0, failed: 0 },
      cancel: { asked: 0, failed: 0 },
      refund: { asked: 0, failed: 0 }
    },
    calls: new Map(gateways.map((name) => [name, { latencies: [], errors: new Map(), injections: new Map() }])),
    slices: Array.from({ length: Math.max(1, Math.ceil(loadMillis / sliceMillis)) }, () => ({
      gatewayErrors: new Map(),
      injections: new Map()
    })),
    breakers: [],
    breakerOpens: new Map(),
    injections: new Map(),
    spells: [],
    injected: 0
  }
}

/** A payment is asked for. `askedAt`: when it was to be, however late the caller came to it: its customer has waited since. */
export const asked = (recorder: Recorder, askedAt: number): Charge => {
  const charge: Charge = { askedAt, answeredAt: undefined, answer: undefined, error: undefined, firstChoice: undefined, end: undefined }
  recorder.charges.push(charge)
  return charge
}

/** It is answered. */
export const answered = (
  charge: Charge,
  {
    answer,
    at,
    error,
    firstChoice
  }: {
    readonly at: number
    readonly answer: Answer
    readonly error: string | undefined
    readonly firstChoice: GatewayName | undefined
  }
): void => {
  charge.answeredAt = at
  charge.answer = answer
  charge.error = error
  charge.firstChoice = firstChoice
}

/** Nobody waits any longer: what was not answered is in doubt, and took at least until now. Left out, it would make the figures better. */
export const givenUp = ({ charges }: Recorder, at: number): void => {
  for (const charge of charges) {
    if (charge.answer === undefined) answered(charge, { at, answer: "in_doubt", error: "no_answer", firstChoice: undefined })
  }
}

/** A call to a gateway ended. `error`: why it went wrong, if it did. */
export const called = (
  recorder: Recorder,
  {
    endedAt,
    error,
    gateway,
    startedAt
  }: {
    readonly gateway: GatewayName
    readonly startedAt: number
    readonly endedAt: number
    readonly error: string | undefined
  }
): void => {
  const calls = recorder.calls.get(gateway)
  if (calls === undefined) return
  calls.latencies.push(endedAt - startedAt)
  if (error === undefined) return
  count(calls.errors, error)
  const slice = sliceAt(recorder, startedAt)
  if (slice !== undefined) count(slice.gatewayErrors, error)
}

/** A fault was injected. `label`: the rule it is of. */
export const injected = (
  recorder: Recorder,
  {
    at,
    gateway,
    kind,
    label
  }: {
    readonly at: number
    readonly kind: string
    readonly gateway: GatewayName | undefined
    readonly label: string
  }
): void => {
  recorder.injected++
  count(recorder.injections, kind)
  const slice = sliceAt(recorder, at)
  if (slice !== undefined) count(slice.injections, kind)
  const calls = gateway === undefined ? undefined : recorder.calls.get(gateway)
  if (calls !== undefined) count(calls.injections, kind)
  const spell = recorder.spells.findLast((one) => one.label === label && one.kind === kind && one.gateway === gateway)
  if (spell !== undefined && (at - spell.toMillis <= spellGapMillis || recorder.spells.length >= maxSpells)) spell.toMillis = at
  else if (recorder.spells.length < maxSpells) recorder.spells.push({ label, kind, gateway, fromMillis: at, toMillis: at })
}

/** A breaker changed its state. */
export const breakerChanged = (recorder: Recorder, change: BreakerChange): void => {
  // A breaker that fails its probes opens again: each time counts, as each time refuses calls.
  if (change.to === "open") recorder.breakerOpens.set(change.gateway, (recorder.breakerOpens.get(change.gateway) ?? 0) + 1)
  if (recorder.breakers.length <= maxBreakerChanges) recorder.breakers.push(change)
}

/** Counts one more of a kind. */
export const count = (counts: Map<string, number>, kind: string): void => {
  const name = counts.has(kind) || counts.size < maxNames ? kind.slice(0, 64) : "other"
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

const sliceAt = (recorder: Recorder, at: number): SliceCounts | undefined => recorder.slices[Math.floor(at / recorder.sliceMillis)]
