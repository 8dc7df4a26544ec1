/**
 * Metrics of gateways rebuilt from the events: an instance whose store of metrics knows nothing of the last hour, or not all of it, does
 * not route blindly. Run it once at the start; payments may go on meanwhile.
 *
 * A call is an intent and its outcome by source `response`, both in the log. The newest events matter most, so the log is read in steps that go
 * back in time, each as long as all before it, until the hour is through, the metrics know the rest themselves, or `maxEvents` were read.
 *
 * **Details**: what is rebuilt differs from what was recorded. There is one call per operation, whatever attempts it took; its duration
 * reaches from the decision to the recorded outcome, so it includes the commit of the intent (some milliseconds), the pauses between
 * attempts, and with `prepare` the rest of the host's transaction. What recovery called is left out. What an approved charge cost is the fee that
 * its decision names: that of the price list then.
 *
 * **Gotchas**: a step that meets more events than are left is cut at its newest end, and is the last.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Enrichment from "../../domain/hooks/Enrichment.ts"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { PaymentDetails, PaymentEvent, StoredEvent } from "../../domain/payment/Event.ts"
import type { GatewayName, OperationNumber, PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import * as Attribution from "../../domain/routing/Attribution.ts"
import { minuteMillis, windowMinutes } from "../../domain/routing/GatewayWindow.ts"
import type { CallCost } from "../../domain/routing/GatewayWindows.ts"
import * as Segment from "../../domain/routing/Segment.ts"
import { EventStore } from "../../services/EventStore.ts"
import { GatewayMetrics, type PastSample } from "../../services/routing/GatewayMetrics.ts"
import { eventsSince } from "../recovery/LogByTime.ts"

/** What a run does. */
export interface WarmStartOptions {
  /** The most events that are read. Default: preset `gatewayMetrics.warmStartEvents` (20,000). */
  readonly maxEvents?: number | undefined
}

/** How many events were read and how many calls restored. */
export interface WarmStartReport {
  readonly events: number
  readonly restored: number
  readonly durationMillis: number
}

/** The first step back. At 2,000 events a second it is the whole of what is read. */
const firstStepMillis = 10_000
const hourMillis = windowMinutes * minuteMillis

/** Clocks of processes and of the database differ, and the log is only nearly in the order of time: so much more is read at the edges. */
const slackMillis = 2_000

/** Restores what the metrics do not know of the last hour. Fails with `EventStoreError` where the log cannot be read. */
export const warmStart = Effect.fn("WarmStart.warmStart")(function* (options: WarmStartOptions = {}) {
  const metrics = yield* GatewayMetrics
  const store = yield* EventStore
  const startedAt = yield* Clock.currentTimeMillis
  const knownFrom = (yield* metrics.oldestKnownAt) ?? startedAt
  const found = emptyFindings()
  const now = yield* store.now
  const oldest = now - hourMillis
  let left = options.maxEvents ?? Presets.gatewayMetrics.warmStartEvents.value
  let events = 0
  let end = Math.min(now, now - startedAt + knownFrom) + slackMillis
  let step = firstStepMillis
  while (end > oldest + minuteMillis && left > 0 && step > 0) {
    const start = Math.max(oldest, end - step)
    const read = yield* readStep({ start, end, limit: left }, found)
    events += read
    left -= read
    end = start
    // As many events again as in this step, at its rate, and no more than are left.
    step = Math.floor(Math.min(2 * step, read === 0 ? 2 * step : (left * step) / read))
  }
  const samples = samplesOf(found).filter(({ at }) => at < knownFrom)
  yield* metrics.restore(samples)
  const durationMillis = (yield* Clock.currentTimeMillis) - startedAt
  yield* Effect.logDebug(`gateway metrics: ${samples.length} calls restored from ${events} events in ${durationMillis} ms`)
  return { events, restored: samples.length, durationMillis } satisfies WarmStartReport
})

interface Intended extends Attribution.Asked {
  readonly gateway: GatewayName
  readonly at: number
  readonly cost: CallCost | undefined
  /** What it continues: a confirmation names no fee of its own. */
  readonly target: OperationNumber | undefined
}

interface Answered {
  readonly payment: PaymentId
  readonly outcome: Attribution.Answered
  readonly at: number
}

/** By payment, or by payment and operation. Intents and their outcomes may lie in different steps. */
interface Findings {
  readonly details: Map<PaymentId, PaymentDetails>
  readonly intended: Map<string, Intended>
  readonly answered: Map<string, Answered>
}

const emptyFindings = (): Findings => ({ details: new Map(), intended: new Map(), answered: new Map() })

/** Reads the events recorded from `start` to before `end`; answers how many. */
const readStep = Effect.fnUntraced(function* (
  step: { readonly start: number; readonly end: number; readonly limit: number },
  found: Findings
) {
  const recorded = yield* eventsSince(step.start)
  const answered = new Map<string, Answered>()
  let read = 0
  yield* recorded.pipe(
    Stream.takeWhile(({ recordedAt }) => recordedAt < step.end + slackMillis),
    Stream.take(step.limit),
    Stream.runForEach((event) =>
      Effect.sync(() => {
        read++
        note(event, found, answered)
      })
    )
  )
  // Steps go back in time: of the answers to one operation the oldest is that of its call.
  for (const [key, answer] of answered) found.answered.set(key, answer)
  return read
})

const segmentOf = ({ details }: Findings, payment: PaymentId): Segment.Segment | undefined => {
  const known = details.get(payment)
  return known === undefined ? undefined : Segment.ofPayment(known)
}

const note = ({ event, occurredAt: at, paymentId }: StoredEvent, found: Findings, answered: Map<string, Answered>): void => {
  if (event._tag === "PaymentInitiated") found.details.set(paymentId, event.details)
  if (event._tag === "PaymentEnriched") {
    const asked = found.details.get(paymentId)
    if (asked !== undefined) found.details.set(paymentId, Enrichment.apply(asked, event.fields))
  }
  if (event._tag === "OperationIntended") {
    const { gateway, number } = event.intent
    found.intended.set(keyOf(paymentId, number), {
      ...Attribution.askedOf(event.intent),
      gateway,
      at,
      cost: costOf(event.intent),
      target: event.intent.target
    })
  }
  const outcome = outcomeOf(event)
  if (outcome === undefined) return
  const key = keyOf(paymentId, outcome.operation)
  if (!answered.has(key)) answered.set(key, { payment: paymentId, outcome: outcome.answered, at })
}

/** What the gateway takes for the charge, as its decision says. A decision ranks the gateway it chose first. */
const costOf = ({ amount, decision, gateway }: Intent): CallCost | undefined => {
  const chosen = decision?.ranked[0]
  return chosen?.gateway !== gateway || chosen.feeMinor === undefined ? undefined : { currency: amount.currency, minor: chosen.feeMinor }
}

const keyOf = (payment: PaymentId, operation: OperationNumber): string => `${payment} ${operation}`

/** What a call was answered, if that is what the event tells. */
const outcomeOf = (event: PaymentEvent): { readonly operation: OperationNumber; readonly answered: Attribution.Answered } | undefined => {
  if ("source" in event && event.source !== "response") return undefined
  switch (event._tag) {
    case "OperationSucceeded":
      return { operation: event.operation, answered: { _tag: "Succeeded" } }
    case "OperationDeclined":
      return { operation: event.operation, answered: { _tag: "Declined", category: event.category } }
    case "OperationPending":
      return { operation: event.operation, answered: { _tag: "Pending" } }
    case "ActionRequired":
      return { operation: event.operation, answered: { _tag: "RequiresAction" } }
    case "OperationNotSent":
      return { operation: event.operation, answered: { _tag: "NotSent", reason: event.reason } }
    case "OperationUncertain":
      return { operation: event.operation, answered: { _tag: "Unknown", reason: event.reason } }
    default:
      return undefined
  }
}

/** The calls whose intent and outcome were both found. */
const samplesOf = (found: Findings): ReadonlyArray<PastSample> =>
  [...found.answered].flatMap(([key, { at, outcome, payment }]) => {
    const intended = found.intended.get(key)
    if (intended === undefined) return []
    const { gateway, kind, target } = intended
    const cost = intended.cost ?? (target === undefined ? undefined : found.intended.get(keyOf(payment, target))?.cost)
    const approval = Attribution.approvalOf(intended, outcome)
    return [
      {
        gateway,
        kind,
        verdict: Attribution.verdictOf(outcome),
        approval,
        cost: approval === "approved" ? cost : undefined,
        durationMillis: Math.max(0, at - intended.at),
        segment: segmentOf(found, payment),
        at
      }
    ]
  })
