/**
 * The windows of all gateways and of their segments, by name and segment.
 *
 * A call counts for its gateway and, if it is a charge with a segment, at each level of the segment. Bounded: at most 256 gateways of
 * 87 kB, 22 MB; at most 2,048 segments of 18 kB over all of them, 38 MB. A new gateway beyond the limit takes the place of the one recorded longest
 * ago, new segments that of the segments idle for longest: what is asked about those is answered from a broader level.
 *
 * Like its windows it is changed in place and belongs to one owner.
 */
import type { CurrencyCode } from "../Currency.ts"
import { isChargeKind, type OperationKind } from "../operation/Operation.ts"
import type { GatewayName } from "../payment/Ids.ts"
import type { Approval, Verdict } from "./Attribution.ts"
import * as GatewayWindow from "./GatewayWindow.ts"
import * as Segment from "./Segment.ts"
import * as Sketch from "./Sketch.ts"

/** The names come from the configuration, so the limit is far away. */
export const maxGateways = 256

/** Ten gateways with three methods, seven currencies and nine countries each are 2,130 segments at three levels. */
export const maxSegments = 2_048

/** This many segments are forgotten at a time, so that finding them costs little for each. */
const forgottenAtOnce = 128

/** What a call cost: minor units of a currency. May have a fraction: fees are often a share of the amount. */
export interface CallCost {
  readonly currency: CurrencyCode
  readonly minor: number
}

/** One call to a gateway. */
export interface GatewaySample {
  readonly gateway: GatewayName
  readonly kind: OperationKind
  /**
   * `healthy`: it answered, whatever it said of the payment. `failed`: it counts against the gateway. `limited`: it counts mildly, as
   * half a failure. `ignored`: none of them, the call is not counted.
   */
  readonly verdict: Verdict
  readonly durationMillis: number
  /** Calls that are no charge (capture, void, refund), or that have no segment, count for the gateway as a whole only. */
  readonly segment?: Segment.Segment | undefined
  /** Default `ignored`: it says nothing of the approval rate. Counts for charges only. */
  readonly approval?: Approval | undefined
  /** What the gateway takes for it, where that is known. Counted in the segments of its currency. */
  readonly cost?: CallCost | undefined
}

/** What is known of a gateway. Times in milliseconds; quantiles within 2 % of the exact value. */
export interface GatewayHealth {
  readonly gateway: GatewayName
  /** Calls in the window that were healthy, limited or failed. */
  readonly samples: number
  /** In [0, 1]; 1 while there are no samples. */
  readonly successRate: number
  readonly p50Millis: number
  readonly p95Millis: number
  readonly p99Millis: number
  readonly consecutiveFailures: number
  /** Epoch milliseconds. */
  readonly lastFailureAt: number | undefined
}

/** What is known of a gateway for one segment: from the narrowest level with enough calls. */
export interface GatewayStats extends GatewayHealth {
  /** The level that samples, rates and quantiles are of. `consecutiveFailures` and `lastFailureAt` are always the whole gateway's. */
  readonly segmentUsed: Segment.SegmentLevel
  readonly approved: number
  readonly declined: number
  /** approved / (approved + declined), in [0, 1]; 1 while there is neither. */
  readonly approvalRate: number
  /** Mean cost of a call in minor units of the segment's currency; `undefined` while no cost in it is known. */
  readonly meanCostMinor: number | undefined
}

/** What a gateway's calls cost in one currency. */
export interface GatewayCost extends Omit<CallCost, "minor"> {
  readonly samples: number
  readonly meanMinor: number
}

interface Entry {
  readonly window: GatewayWindow.GatewayWindow
  /** By code, never 0. */
  readonly segments: Map<Segment.SegmentCode, GatewayWindow.GatewayWindow>
  /** Of all these windows. */
  readonly changes: GatewayWindow.Changes
  /** What was answered last about segments that have a window, and about the gateway as a whole. */
  readonly answers: Map<Segment.SegmentCode, Answer>
}

/** An answer, good for as long as nothing has changed and the minute in which it was given lasts: slots end with minutes. */
interface Answer {
  readonly stats: GatewayStats
  readonly changes: number
  readonly minimumSamples: number
  readonly from: number
  readonly until: number
}

/** Windows by gateway, in the order in which the gateways were first seen. */
export interface GatewayWindows {
  readonly byName: Map<GatewayName, Entry>
  segmentCount: number
  /** Nothing is ever recorded in it: what is known of a gateway that has no window. Making one for every question takes 5 us. */
  readonly unknown: Entry
}

const emptyEntry = (): Entry => {
  const changes: GatewayWindow.Changes = { count: 0 }
  return { window: GatewayWindow.make(GatewayWindow.byMinute, changes), segments: new Map(), changes, answers: new Map() }
}

export const make = (): GatewayWindows => ({ byName: new Map(), segmentCount: 0, unknown: emptyEntry() })

/** Counts one call. */
export const record = (windows: GatewayWindows, sample: GatewaySample, now: number): void => {
  if (sample.verdict === "ignored") return
  const entry = entryOf(windows, sample.gateway)
  const bin = Sketch.binOf(sample.durationMillis)
  if (!isChargeKind(sample.kind)) {
    GatewayWindow.recordBin(entry.window, { verdict: sample.verdict, durationMillis: sample.durationMillis }, bin, now)
    return
  }
  GatewayWindow.recordBin(entry.window, sample, bin, now)
  const { cost, segment } = sample
  if (cost !== undefined) GatewayWindow.recordCost(segmentOf(windows, entry, Segment.currencyCode(cost.currency)), cost.minor, now)
  if (segment === undefined) return
  const full = Segment.code(segment)
  const methodCurrency = Segment.withoutCountry(full)
  GatewayWindow.recordBin(segmentOf(windows, entry, Segment.withoutCurrency(full)), sample, bin, now)
  recordWithCost(segmentOf(windows, entry, methodCurrency), sample, bin, now)
  if (full !== methodCurrency) recordWithCost(segmentOf(windows, entry, full), sample, bin, now)
}

/**
 * Windows with calls of the past, each counted at its own time. Runs of failures in them say nothing: what happened in between may be
 * missing.
 */
export const ofPast = (samples: ReadonlyArray<GatewaySample & { readonly at: number }>, now: number): GatewayWindows => {
  const windows = make()
  const inOrder = [...samples].sort((left, right) => left.at - right.at)
  for (const sample of inOrder) record(windows, sample, Math.min(sample.at, now))
  return windows
}

/** Adds what other windows count to these, slot by slot; runs of failures stay as they are. */
export const addAll = (windows: GatewayWindows, others: GatewayWindows, now: number): void => {
  for (const [gateway, segment, window] of all(others)) {
    const target = windowOf(windows, gateway, segment)
    for (const counts of GatewayWindow.slots(window, now)) GatewayWindow.addSlot(target, counts, now)
  }
}

/** Every window with its gateway and the code of its segment, 0 for the gateway's own. */
export const all = function* (
  windows: GatewayWindows
): Generator<readonly [GatewayName, Segment.SegmentCode, GatewayWindow.GatewayWindow]> {
  for (const [gateway, entry] of windows.byName) {
    yield [gateway, 0, entry.window]
    for (const [segment, window] of entry.segments) yield [gateway, segment, window]
  }
}

/** The window of a gateway (code 0) or of a segment; a new one where there is none. */
export const windowOf = (windows: GatewayWindows, gateway: GatewayName, segment: Segment.SegmentCode): GatewayWindow.GatewayWindow => {
  const entry = entryOf(windows, gateway)
  return segment === 0 ? entry.window : segmentOf(windows, entry, segment)
}

/** The same where there is one. */
export const existing = (
  windows: GatewayWindows,
  gateway: GatewayName,
  segment: Segment.SegmentCode
): GatewayWindow.GatewayWindow | undefined => {
  const entry = windows.byName.get(gateway)
  return segment === 0 ? entry?.window : entry?.segments.get(segment)
}

/** Is there a window for it, or room for one without forgetting another? */
export const hasRoomFor = (windows: GatewayWindows, gateway: GatewayName, segment: Segment.SegmentCode): boolean => {
  if (existing(windows, gateway, segment) !== undefined) return true
  if (!windows.byName.has(gateway) && windows.byName.size >= maxGateways) return false
  return segment === 0 || windows.segmentCount < maxSegments
}

/** What is known of a gateway as a whole; of an unknown one: no samples. */
export const healthOf = (windows: GatewayWindows, gateway: GatewayName, now: number): GatewayHealth => {
  const { consecutiveFailures, lastFailureAt, p50Millis, p95Millis, p99Millis, samples, successRate } = GatewayWindow.summarize(
    (windows.byName.get(gateway) ?? windows.unknown).window,
    now
  )
  return { gateway, samples, successRate, p50Millis, p95Millis, p99Millis, consecutiveFailures, lastFailureAt }
}

/** What is asked about a segment, or with code 0 about a gateway as a whole. */
export interface Question {
  readonly segment: Segment.SegmentCode
  /** Calls that a level needs for being answered from. */
  readonly minimumSamples: number
  /** Calls before it say nothing of the gateway as it is now (epoch milliseconds): it was down and has come back. */
  readonly since?: number | undefined
  /** `false`: the mean cost is not asked about. Default true. */
  readonly cost?: boolean
}

/** What is known of a gateway for a segment, from the narrowest level with enough calls; of an unknown gateway: no samples. */
export const statsOf = (windows: GatewayWindows, gateway: GatewayName, question: Question, now: number): GatewayStats => {
  const entry = windows.byName.get(gateway)
  if (entry === undefined || question.since !== undefined || question.cost !== false)
    return answered(entry ?? windows.unknown, gateway, question, now)
  const { minimumSamples, segment } = question
  const known = entry.answers.get(segment)
  if (known !== undefined && isGood(known, entry, minimumSamples, now)) return known.stats
  const stats = answered(entry, gateway, question, now)
  const from = GatewayWindow.minuteOf(now) * GatewayWindow.minuteMillis
  const answer = { stats, changes: entry.changes.count, minimumSamples, from, until: from + GatewayWindow.minuteMillis }
  if (known !== undefined || segment === 0 || entry.segments.has(segment)) entry.answers.set(segment, answer)
  return stats
}

const isGood = ({ changes, from, minimumSamples, until }: Answer, entry: Entry, minimum: number, now: number): boolean =>
  changes === entry.changes.count && now >= from && now < until && minimumSamples === minimum

const answered = (entry: Entry, gateway: GatewayName, question: Question, now: number): GatewayStats => {
  const { segment } = question
  if (segment !== 0) {
    const methodCurrency = Segment.withoutCountry(segment)
    const full = segment === methodCurrency ? undefined : withEnough(entry, segment, question, now)
    if (full !== undefined) return statsFrom(full, "full", { gateway, entry, question, now })
    const narrower = withEnough(entry, methodCurrency, question, now)
    if (narrower !== undefined) return statsFrom(narrower, "method_currency", { gateway, entry, question, now })
    const method = withEnough(entry, Segment.withoutCurrency(segment), question, now)
    if (method !== undefined) return statsFrom(method, "method", { gateway, entry, question, now })
  }
  return statsFrom(entry.window, "gateway", { gateway, entry, question, now })
}

/** The window of a segment, if it has enough calls. */
const withEnough = (
  { segments }: Entry,
  segment: Segment.SegmentCode,
  { minimumSamples, since }: Question,
  now: number
): GatewayWindow.GatewayWindow | undefined => {
  const window = segments.get(segment)
  return window !== undefined && GatewayWindow.samples(window, since, now) >= minimumSamples ? window : undefined
}

const statsFrom = (
  used: GatewayWindow.GatewayWindow,
  segmentUsed: Segment.SegmentLevel,
  asked: { readonly gateway: GatewayName; readonly entry: Entry; readonly question: Question; readonly now: number }
): GatewayStats => {
  const { entry, gateway, now, question } = asked
  const whole = GatewayWindow.summarize(used, now)
  const summary = question.since === undefined ? whole : GatewayWindow.summarizeSince(used, question.since, now)
  return {
    gateway,
    segmentUsed,
    samples: summary.samples,
    successRate: summary.successRate,
    // What it approves has nothing to do with having been down.
    approved: whole.approved,
    declined: whole.declined,
    approvalRate: whole.approvalRate,
    p50Millis: summary.p50Millis,
    p95Millis: summary.p95Millis,
    p99Millis: summary.p99Millis,
    meanCostMinor: question.segment === 0 || question.cost === false ? undefined : meanCostOf(entry, question, now),
    consecutiveFailures: entry.window.consecutiveFailures,
    lastFailureAt: GatewayWindow.lastFailureAt(entry.window)
  }
}

/** What a gateway's charges cost, by currency. */
export const costsOf = (windows: GatewayWindows, gateway: GatewayName, now: number): ReadonlyArray<GatewayCost> =>
  [...(windows.byName.get(gateway)?.segments ?? [])].flatMap(([segment, window]) => {
    if (segment !== Segment.currencyOnly(segment)) return []
    const { costs, meanCostMinor } = GatewayWindow.summarize(window, now)
    const currency = Segment.currencyOf(segment)
    return meanCostMinor === undefined || currency === undefined ? [] : [{ currency, samples: costs, meanMinor: meanCostMinor }]
  })

/** The time of the oldest call that is counted, to a slot of its gateway; `undefined` when there is none. */
export const oldestAt = (windows: GatewayWindows, now: number): number | undefined => {
  let oldest: number | undefined
  for (const { window } of windows.byName.values()) {
    for (const { minute } of GatewayWindow.slots(window, now)) {
      const at = minute * GatewayWindow.minuteMillis
      if (oldest === undefined || at < oldest) oldest = at
    }
  }
  return oldest
}

/** From the narrowest segment with enough costs in the currency, or else from all at the gateway. */
const meanCostOf = (entry: Entry, { minimumSamples, segment }: Question, now: number): number | undefined => {
  const anywhere = entry.segments.get(Segment.currencyOnly(segment))
  if (anywhere === undefined) return undefined
  const full = entry.segments.get(segment)
  const methodCurrency = entry.segments.get(Segment.withoutCountry(segment))
  return (
    (full && GatewayWindow.meanCostMinor(full, minimumSamples, now)) ??
    (methodCurrency && GatewayWindow.meanCostMinor(methodCurrency, minimumSamples, now)) ??
    GatewayWindow.meanCostMinor(anywhere, 1, now)
  )
}

const recordWithCost = (window: GatewayWindow.GatewayWindow, sample: GatewaySample, bin: number, now: number): void => {
  GatewayWindow.recordBin(window, sample, bin, now)
  if (sample.cost !== undefined && sample.cost.currency === sample.segment?.currency)
    GatewayWindow.recordCost(window, sample.cost.minor, now)
}

const entryOf = (windows: GatewayWindows, gateway: GatewayName): Entry => {
  const known = windows.byName.get(gateway)
  if (known !== undefined) return known
  if (windows.byName.size >= maxGateways) forgetIdlestGateway(windows)
  const entry = emptyEntry()
  windows.byName.set(gateway, entry)
  return entry
}

const segmentOf = (windows: GatewayWindows, entry: Entry, segment: Segment.SegmentCode): GatewayWindow.GatewayWindow => {
  const known = entry.segments.get(segment)
  if (known !== undefined) return known
  if (windows.segmentCount >= maxSegments) forgetIdlestSegments(windows)
  const window = GatewayWindow.make(GatewayWindow.byFiveMinutes, entry.changes)
  entry.segments.set(segment, window)
  windows.segmentCount++
  return window
}

const forgetIdlestGateway = (windows: GatewayWindows): void => {
  let idlest: GatewayName | undefined
  let least = Number.POSITIVE_INFINITY
  for (const [name, { window }] of windows.byName) {
    if (window.recordedAt >= least) continue
    idlest = name
    least = window.recordedAt
  }
  if (idlest === undefined) return
  windows.segmentCount -= windows.byName.get(idlest)?.segments.size ?? 0
  windows.byName.delete(idlest)
}

/** Of segments idle equally long those with the fewest calls go first: a narrow one before the broader one that contains it. */
const forgetIdlestSegments = (windows: GatewayWindows): void => {
  const segments = [...windows.byName.values()].flatMap((entry) =>
    [...entry.segments].map(([segment, window]) => ({
      entry,
      segment,
      recordedAt: window.recordedAt,
      calls: Sketch.size(window.total.sketch)
    }))
  )
  segments.sort((left, right) => left.recordedAt - right.recordedAt || left.calls - right.calls)
  for (const { entry, segment } of segments.slice(0, forgottenAtOnce)) {
    entry.segments.delete(segment)
    entry.answers.delete(segment)
    entry.changes.count++
  }
  windows.segmentCount -= Math.min(forgottenAtOnce, segments.length)
}
