/**
 * Telling listeners of events, and post-validations of payments that came to rest, off the payment's path.
 *
 * Each hook has a queue of its own, so a slow one holds back nobody else. A full queue drops what comes, and counts it. Nothing of it is
 * durable: whoever must not miss an event takes it from the outbox.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as PaymentFacts from "../../domain/hooks/PaymentFacts.ts"
import type { NewEvent } from "../../domain/payment/Event.ts"
import * as PublicEvent from "../../domain/payment/PublicEvent.ts"
import type { Payment, PaymentState } from "../../domain/payment/State.ts"
import { status } from "../../domain/payment/Status.ts"
import * as View from "../../domain/payment/View.ts"
import * as HookMetrics from "../../services/hooks/HookMetrics.ts"
import type { HookOf, ListenedEvent, SettledInput } from "../../services/hooks/Hooks.ts"
import * as Isolation from "./Isolation.ts"
import type { Entry, Registry } from "./Registry.ts"
import * as Screening from "./Screening.ts"

/** What a commit made durable. */
export interface Change {
  readonly before: PaymentState
  readonly after: Payment
  readonly events: ReadonlyArray<NewEvent>
}

/** Records what a post-validation found. */
export type RecordFinding<R> = (
  payment: Payment,
  finding: { readonly by: Entry["name"]; readonly code: string; readonly message: string }
) => Effect.Effect<void, never, R>

/** Is anybody told of what is durable? */
export const hasListeners = (registry: Registry | undefined): registry is Registry =>
  registry !== undefined && registry.lists.event_listener.length + registry.lists.post_validation.length > 0

/**
 * Puts what a commit made durable into the queues, and sees to it that they are worked off. Never fails, and waits for no hook. Workers are
 * counted before they start: in between nobody is interrupted. A hook that cannot be told keeps nobody else from being told.
 */
export const publish = <R>(registry: Registry, change: Change, record: RecordFinding<R>): Effect.Effect<void, never, R> =>
  Effect.uninterruptible(
    Effect.contextWith((context: Context.Context<R>) => {
      const { event_listener, post_validation } = registry.lists
      const events = event_listener.length > 0 ? listenedOf(change) : []
      const examining = cameToRest(change) ? post_validation : []
      const { after } = change
      const caused: Caused = { ...Context.get(context, References.CurrentLogAnnotations), payment: after.id }
      return Effect.andThen(
        Effect.forEach(event_listener, (entry) => begin(registry, entry, () => tell(registry, entry, { caused, events })), {
          discard: true
        }),
        Effect.forEach(examining, (entry) => begin(registry, entry, () => examine(registry, entry, { caused, after }, record)), {
          discard: true
        })
      )
    })
  )

/** What the log lines of whoever caused an event carry: a worker that another's event started may hand it over. */
type Caused = Readonly<Record<string, unknown>>

interface Waiting<A> {
  readonly caused: Caused
  readonly item: A
}

const begin = <R>(registry: Registry, entry: Entry, workers: () => ReadonlyArray<Effect.Effect<void, never, R>>) =>
  Effect.suspend(() => Effect.forEach(workers(), (work) => Effect.forkDetach(work), { discard: true })).pipe(
    Effect.catchCause((cause) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Isolation.report(registry, entry, { failure: "defect", detail: "it could not be told", because: Cause.pretty(cause) }, now)
      )
    )
  )

const listenedOf = ({ after, events }: Change): ReadonlyArray<ListenedEvent> => {
  const now = status(after)
  return events.map(({ event, eventId, occurredAt, version }) =>
    PaymentFacts.copied({
      eventId,
      paymentId: after.id,
      tenant: after.details.tenant,
      version,
      occurredAt,
      event: PublicEvent.withoutTokens(event),
      status: now
    })
  )
}

/** A change of status to one in which nothing is in progress. */
const cameToRest = ({ after, before }: Change): boolean => {
  const now = status(after)
  return now !== status(before) && !inProgress.has(now)
}

const inProgress: ReadonlySet<string> = new Set(["initiated", "screened", "processing", "requires_action", "in_doubt"])

/** The workers that have to be started for these events; none where enough are at work. */
const tell = (
  registry: Registry,
  entry: Entry<HookOf<"event_listener">>,
  { caused, events }: { readonly caused: Caused; readonly events: ReadonlyArray<ListenedEvent> }
) => {
  const { eventTypes } = entry.hook
  const wanted = eventTypes === undefined ? events : events.filter(({ event }) => eventTypes.includes(event._tag))
  return enqueue(registry, entry, { caused, items: wanted }, (event) =>
    Isolation.run(registry, entry, {
      limitMillis: entry.timeoutMillis,
      effect: () => entry.hook.run(event),
      read: (value) => ({ value })
    })
  )
}

const examine = <R>(
  registry: Registry,
  entry: Entry<HookOf<"post_validation">>,
  { after, caused }: { readonly caused: Caused; readonly after: Payment },
  record: RecordFinding<R>
) =>
  enqueue(registry, entry, { caused, items: [after] }, (settled) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const ran = yield* Isolation.run(registry, entry, {
        limitMillis: entry.timeoutMillis,
        effect: () => entry.hook.run(settledOf(settled, now)),
        read: Screening.readValidation
      })
      if (ran._tag === "NoAnswer" || ran.value._tag === "Accepted") return
      const { code, message } = ran.value
      HookMetrics.rejected(registry.context, { kind: "post_validation", hook: entry.name })
      yield* record(settled, { by: entry.name, code, message })
    })
  )

const settledOf = (payment: Payment, now: number): SettledInput =>
  PaymentFacts.frozen({ payment: PaymentFacts.of(payment.id, payment.details), view: PaymentFacts.copied(View.ofPayment(payment)), now })

const enqueue = <A, R>(
  registry: Registry,
  entry: Entry,
  { caused, items }: { readonly caused: Caused; readonly items: ReadonlyArray<A> },
  handle: (item: A) => Effect.Effect<unknown, never, R>
): ReadonlyArray<Effect.Effect<void, never, R>> => {
  const { kind } = entry.hook
  const room = Math.max(0, registry.settings.queue - entry.waiting.length)
  for (const item of items.slice(0, room)) entry.waiting.push({ caused, item } satisfies Waiting<A>)
  const over = items.length - room
  if (over > 0 && (kind === "event_listener" || kind === "post_validation")) {
    entry.dropped += over
    HookMetrics.dropped(registry.context, { kind, hook: entry.name }, over)
  }
  const wanted = Math.min(registry.settings.listenerConcurrency - entry.working, entry.waiting.length)
  return Array.from({ length: Math.max(0, wanted) }, () => {
    entry.working++
    return workOff(registry, entry, handle)
  })
}

/** Until the queue is empty, or the hook is gone. It is at work no more in the step that finds nothing: what comes next has a new worker. */
const workOff = <A, R>(registry: Registry, entry: Entry, handle: (item: A) => Effect.Effect<unknown, never, R>) => {
  let isAtWork = true
  const end = () => {
    if (isAtWork) entry.working--
    isAtWork = false
    if (isIdle(entry)) for (const tellIdle of entry.onIdle) tellIdle()
  }
  const hasMore = () => !entry.gone && !registry.closed && entry.waiting.length > 0
  return Effect.ensuring(
    Effect.whileLoop({
      while: () => hasMore() || (end(), false),
      // Whoever puts something into the queue of a hook puts what that hook takes.
      body: () => {
        const { caused, item } = entry.waiting.shift() as Waiting<A>
        return Effect.provideService(handle(item), References.CurrentLogAnnotations, caused)
      },
      step: () => {}
    }),
    Effect.sync(end)
  )
}

const isIdle = (entry: Entry): boolean => entry.working === 0 && entry.waiting.length === 0

/**
 * Waits until a hook has been told of everything that waits for it, at most as long as one run of it may take: whoever closes waits no longer
 * for one that hangs. What it was not told of then is lost, which the log says.
 */
export const drained = (entry: Entry): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (isIdle(entry)) return Effect.void
    const idle = Effect.callback<void>((resume) => {
      const tellIdle = () => resume(Effect.void)
      entry.onIdle.add(tellIdle)
      return Effect.sync(() => void entry.onIdle.delete(tellIdle))
    })
    return Effect.timeoutOrElse(idle, {
      duration: Duration.millis(entry.timeoutMillis),
      orElse: () =>
        Effect.annotateLogs(Effect.logWarning("a hook was not told of everything before it was closed"), {
          kind: entry.hook.kind,
          hook: entry.name,
          waiting: entry.waiting.length,
          inHand: entry.working
        })
    })
  })
