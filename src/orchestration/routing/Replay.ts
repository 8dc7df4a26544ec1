/**
 * What another policy would have chosen over recorded decisions, and what it would have achieved.
 *
 * The log is read once, from the first decision of the range on. Each payment is followed from its decision to the end of its first
 * charge; then its choice and its outcome are counted, and it is forgotten. What is still open when the range is through is read by itself,
 * so nothing after the range is read but that. Reading changes nothing: it may run beside the engine.
 *
 * **Gotchas**: memory grows with the first charges that are open at a time, at most `maxFollowed` (preset); with more of them those that
 * were begun first are read by themselves, and counted as undecided where they are open still.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { GatewayName, PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import type { Policy } from "../../domain/routing/policy/Policy.ts"
import * as FirstCharge from "../../domain/routing/replay/FirstCharge.ts"
import * as OffPolicy from "../../domain/routing/replay/OffPolicy.ts"
import * as Snapshot from "../../domain/routing/replay/Snapshot.ts"
import * as Support from "../../domain/routing/replay/Support.ts"
import { EventStore } from "../../services/EventStore.ts"
import { eventsSince } from "../recovery/LogByTime.ts"

/** What is replayed: decisions recorded in [from, to), in epoch milliseconds of the database. */
export interface ReplayOptions {
  /** The other policy, with the price lists that are configured. */
  readonly policy: Policy
  readonly from: number
  readonly to: number
  /** Gateways in the order of the configuration, which a fixed order falls back to. Default: by name. */
  readonly gateways?: ReadonlyArray<GatewayName>
  /** `drawn`: only decisions that could have gone otherwise. Default `all`. */
  readonly decisions?: "all" | "drawn"
  /** What an answer needs; default: the presets `routingReplay`. */
  readonly requirements?: Partial<OffPolicy.Requirements>
  /** The most payments followed at a time; default: the preset `routingReplay.maxFollowed`. */
  readonly maxFollowed?: number
  /** Told after every page of events. `at`: how far the log is read. */
  readonly onProgress?: (progress: { readonly decisions: number; readonly at: number }) => Effect.Effect<void>
}

/** A policy that was in force: how many of the decisions it made. */
export interface RecordedPolicy {
  readonly policy: string
  readonly version: string | undefined
  readonly decisions: number
}

/** The answer, and what it is about. */
export interface ReplayReport extends OffPolicy.Answer {
  /** The version of the other policy. */
  readonly version: string
  /** The policies that made the decisions, the busiest first: at most 20. */
  readonly recorded: ReadonlyArray<RecordedPolicy>
  /** With `drawn`: how many decisions were certain, and passed over. */
  readonly certain: number
  readonly events: number
  readonly durationMillis: number
}

/** The log is only nearly in the order of time, and payments and their first intents stand together: so much more is read at the edges. */
const slackMillis = 2_000
const maxPolicies = 20
const readAtOnce = 8

interface Run {
  readonly options: ReplayOptions
  readonly tally: OffPolicy.Tally
  /** In the order in which they were begun. */
  readonly followed: Map<PaymentId, FirstCharge.Followed>
  readonly policies: Map<string, RecordedPolicy>
  certain: number
  events: number
}

/** Replays. Fails with `EventStoreError` where the log cannot be read. */
export const replay = Effect.fn("Replay.replay")(function* (options: ReplayOptions) {
  const startedAt = yield* Clock.currentTimeMillis
  const run: Run = {
    options,
    tally: OffPolicy.make(options.requirements),
    followed: new Map(),
    policies: new Map(),
    certain: 0,
    events: 0
  }
  const recorded = yield* eventsSince(options.from - slackMillis)
  yield* recorded.pipe(
    Stream.takeWhile(({ recordedAt }) => recordedAt < options.to + slackMillis),
    Stream.runForEachArray((events) => Effect.flatMap(readAll(run, events), () => told(run, events.at(-1))))
  )
  yield* readByThemselves(run, run.followed.size)
  const policies = [...run.policies.values()].sort((left, right) => right.decisions - left.decisions)
  return {
    ...OffPolicy.answer(run.tally),
    version: options.policy.version,
    recorded: policies.slice(0, maxPolicies),
    certain: run.certain,
    events: run.events,
    durationMillis: (yield* Clock.currentTimeMillis) - startedAt
  } satisfies ReplayReport
})

const told = ({ followed, options, tally }: Run, last: StoredEvent | undefined) =>
  last === undefined || options.onProgress === undefined
    ? Effect.void
    : options.onProgress({ decisions: tally.trials + followed.size, at: last.recordedAt })

/** Reads a page of the log; changes nothing but the run. */
const readAll = Effect.fnUntraced(function* (run: Run, events: ReadonlyArray<StoredEvent>) {
  for (const event of events) readOne(run, event)
  const over = run.followed.size - (run.options.maxFollowed ?? Presets.routingReplay.maxFollowed.value)
  if (over > 0) yield* readByThemselves(run, over)
})

const readOne = (run: Run, event: StoredEvent): void => {
  run.events++
  const known = run.followed.get(event.paymentId)
  if (known === undefined && event.event._tag !== "PaymentInitiated") return
  const followed = known ?? FirstCharge.make(event.paymentId)
  if (known === undefined) run.followed.set(event.paymentId, followed)
  FirstCharge.read(followed, event)
  const { first } = followed
  const isOver = first !== undefined && !isWithin(run, first)
  if (isOver || FirstCharge.outcomeOf(followed) !== undefined) finish(run, followed)
}

const isWithin = ({ options }: Run, { recordedAt }: FirstCharge.FirstIntent): boolean =>
  recordedAt >= options.from && recordedAt < options.to

/** The payments that are followed for longest, each from its own events. */
const readByThemselves = Effect.fnUntraced(function* (run: Run, count: number) {
  const store = yield* EventStore
  const oldest = [...run.followed.values()].slice(0, count)
  yield* Effect.forEach(
    oldest,
    ({ first, payment: { id } }) =>
      store.read(id).pipe(
        Effect.map((events) => {
          const followed = FirstCharge.make(id)
          for (const event of events) FirstCharge.read(followed, event)
          finish(run, followed)
        }),
        Effect.catchTag("EventContinuityError", () =>
          Effect.sync(() => {
            run.followed.delete(id)
            if (first !== undefined && isWithin(run, first)) OffPolicy.leaveOut(run.tally, "unreadable")
          })
        )
      ),
    { concurrency: readAtOnce, discard: true }
  )
})

/** Counts a payment and forgets it. One without a decision in the range is only forgotten. */
const finish = (run: Run, followed: FirstCharge.Followed): void => {
  const { payment } = followed
  run.followed.delete(payment.id)
  const { first } = followed
  if (payment._tag === "New" || first === undefined || first.intent.decision === undefined || !isWithin(run, first)) return
  const { decision, gateway } = first.intent
  countPolicy(run, decision)
  if (run.options.decisions === "drawn" && decision.propensity !== undefined && decision.propensity >= 1) {
    run.certain++
    return
  }
  const { propensity, ranked } = decision
  const outcome = FirstCharge.outcomeOf(followed)
  if (propensity === undefined || propensity <= 0) return OffPolicy.leaveOut(run.tally, "no_propensity")
  const support = Support.of(decision)
  if (support === undefined) return OffPolicy.leaveOut(run.tally, "support_not_stored")
  if (ranked[0]?.gateway !== gateway) return OffPolicy.leaveOut(run.tally, "elsewhere")
  if (outcome === undefined) return OffPolicy.leaveOut(run.tally, "undecided")
  const { details, id } = payment
  const { gateways, policy } = run.options
  const replayed = Snapshot.replay({ payment: id, details, decision, at: first.recordedAt }, policy, gateways ?? [])
  if (replayed._tag === "Lacking") return OffPolicy.leaveOut(run.tally, replayed.lack)
  OffPolicy.add(run.tally, {
    gateway,
    propensity,
    support,
    drawn: decision.policy === "thompson" || policy.kind === "thompson",
    chances: replayed.chances,
    approved: outcome.approved,
    latencyMillis: outcome.latencyMillis,
    currency: details.amount.currency,
    feeMinor: ranked[0].feeMinor
  })
}

const countPolicy = ({ policies }: Run, { policy, version }: { readonly policy: string; readonly version?: string }): void => {
  const key = `${policy} ${version}`
  // Versions come from the record: a history of more than some hundred would not be looked at one by one.
  if (policies.size >= maxPolicies * 10 && !policies.has(key)) return
  policies.set(key, { policy, version, decisions: (policies.get(key)?.decisions ?? 0) + 1 })
}
