/**
 * A database of shared memory tables, as processes see it: behind latency, errors, lost acknowledgements and host transactions.
 *
 * Times are the database's: the tables are asked with its clock, never with that of the calling process. A commit whose
 * acknowledgement is lost may have been written, may never be, or is written a little later, when its connection is long gone.
 *
 * A host transaction keeps what is committed inside it until the host commits, and forgets it when the host rolls back; what is to
 * run after the commit runs then, or never.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { PaymentEvent } from "../../domain/payment/Event.ts"
import type { EventId, PaymentId } from "../../domain/payment/Ids.ts"
import { evolve, type Payment, type PaymentState } from "../../domain/payment/State.ts"
import * as MemoryEventStore from "../../layers/memory/EventStore.ts"
import * as MemoryLeases from "../../layers/memory/Leases.ts"
import * as MemoryProjection from "../../layers/memory/recovery/Projection.ts"
import * as MemoryLock from "../../layers/memory/Lock.ts"
import { layer as memoryTables, MemoryStore } from "../../layers/memory/MemoryStore.ts"
import * as MemoryWebhookInbox from "../../layers/memory/notify/WebhookInbox.ts"
import * as MemoryOutbox from "../../layers/memory/Outbox.ts"
import * as MemoryPaymentRepository from "../../layers/memory/PaymentRepository.ts"
import type { Writer } from "../../layers/postgres/payment/CommitGroup.ts"
import { EventStore, EventStoreError, type Commit, type CommitResult } from "../../services/EventStore.ts"
import { HostTransaction } from "../../services/HostTransaction.ts"
import { Lock, LockUnavailable } from "../../services/Lock.ts"
import { WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import { Outbox } from "../../services/Outbox.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import { Projection } from "../../services/Projection.ts"
import * as Chance from "./Chance.ts"
import type { Faults } from "./Faults.ts"
import * as Grouped from "./Grouped.ts"
import { epochMillis, type Kernel, type Process } from "./Kernel.ts"
import * as LeaseBook from "./LeaseBook.ts"
import type { Durable, Storage, Stores } from "./Storage.ts"

export interface DatabaseOptions {
  readonly kernel: Kernel
  readonly faults: Faults
  /** The database's own process: true time, never crashed. */
  readonly server: Process
  /** As in `Setup`. */
  readonly groupMillis: number | undefined
  /** A broken writer of groups in place of the real one. */
  readonly spoil: ((writer: Writer) => Writer) | undefined
  /** Told of every commit that became durable. */
  readonly onDurable: (durable: Durable) => void
  /** Told how many commits a statement holds. */
  readonly onStatement: (commits: number) => void
}

/** The same over its tables. */
interface Opened extends DatabaseOptions {
  readonly tables: Stores
  readonly memory: (typeof MemoryStore)["Service"]
  /** How many events of each payment were told to be durable. */
  readonly told: Map<PaymentId, number>
  /** The events of all commits that were tried. */
  readonly handedIn: Map<EventId, PaymentEvent>
  readonly leases: LeaseBook.LeaseBook
}

const tablesWith = (leases: LeaseBook.LeaseBook) =>
  Layer.mergeAll(
    MemoryEventStore.layer,
    MemoryPaymentRepository.layer,
    MemoryProjection.layer,
    MemoryLock.layer,
    MemoryOutbox.layer,
    MemoryWebhookInbox.layer
  ).pipe(Layer.provideMerge(Layer.merge(memoryTables, Layer.provide(leases.layer, MemoryLeases.layer))))

/** An empty database. */
export const make = Effect.fnUntraced(function* (options: DatabaseOptions): Effect.fn.Return<Storage, never, Scope.Scope> {
  const leases = LeaseBook.make()
  const built = Context.add(yield* Layer.build(tablesWith(leases)), HostTransaction, hostTransaction)
  const memory = Context.get(built, MemoryStore)
  const opened: Opened = { ...options, tables: built, memory, told: new Map(), handedIn: new Map(), leases }
  return {
    connect: (process) =>
      Effect.map(grouped(opened, process), (group) => ({
        stores: stores(opened, group),
        inTransaction: (effect, rollBack) => inTransaction(opened, effect, rollBack)
      })),
    crashed: () => undefined,
    calm: () => undefined,
    watched: built,
    memory
  }
})

/** A host's transaction in the fiber that runs in it. */
interface OpenTransaction {
  /** With the database time of each. */
  readonly commits: Array<{ readonly commit: Commit; readonly at: number }>
  readonly afterwards: Array<Effect.Effect<void>>
}

/** The transaction of the calling fiber, if it is in one. */
const CurrentTransaction = Context.Reference<OpenTransaction | undefined>("aegispay/simulation/Database/CurrentTransaction", {
  defaultValue: () => undefined
})

/** Runs in a host's transaction and commits it; `rollBack` forgets what was done in it. */
const inTransaction = <A, E>(options: Opened, effect: Effect.Effect<A, E>, rollBack: boolean): Effect.Effect<A, E | EventStoreError> =>
  Effect.gen(function* () {
    const transaction: OpenTransaction = { commits: [], afterwards: [] }
    const answer = yield* Effect.provideService(effect, CurrentTransaction, transaction)
    yield* delay(options)
    if (rollBack) return answer
    for (const { at, commit } of transaction.commits) {
      const result = yield* write(options, commit, at)
      if (result._tag !== "Committed") return yield* failure("host transaction", "TransactionFailed", result._tag)
    }
    yield* delay(options)
    for (const afterwards of transaction.afterwards) yield* afterwards
    return answer
  })

/** Host transactions of fibers. */
const hostTransaction = HostTransaction.of({
  isOpen: Effect.map(CurrentTransaction, (transaction) => transaction !== undefined),
  outside: (effect) => Effect.provideService(effect, CurrentTransaction, undefined),
  afterCommit: (effect) =>
    Effect.flatMap(CurrentTransaction, (transaction) =>
      transaction === undefined ? effect : Effect.sync(() => void transaction.afterwards.push(effect))
    )
})

const failure = (operation: string, tag: EventStoreError["reason"]["_tag"], detail = "simulated") =>
  new EventStoreError({ operation, reason: { _tag: tag, detail } })

const delay = ({ faults }: Opened): Effect.Effect<void> =>
  Effect.suspend(() => {
    const chance = faults.draw()
    if (chance < 0.5) return Effect.void
    if (chance < 0.75) return Effect.yieldNow
    return Effect.sleep(chance < 0.97 ? 1 + Math.floor(chance * 4) : Chance.between(faults.draw, 5, 300))
  })

/** The state after events of a transaction that is not committed yet. */
const provisional = (state: PaymentState, commit: Commit, now: number): PaymentState =>
  commit.events.reduce((current, { event, version }) => evolve(current, { event, version, recordedAt: now }), state)

/** Makes a commit durable. `at`: the database time of its events, where that is not now. */
const write = (options: Opened, commit: Commit, at?: number): Effect.Effect<CommitResult, EventStoreError> => {
  for (const { event, eventId } of commit.events) options.handedIn.set(eventId, event)
  return Context.get(options.tables, EventStore)
    .commit(commit)
    .pipe(
      Effect.tap((result) => Effect.sync(() => result._tag === "Committed" && options.onDurable(durableOf(options, commit)))),
      onServer(options, at)
    )
}

/**
 * What the tables hold that was not told yet: what the committing process believes is its own matter, and others may have been quicker.
 * The rows say which events they are; what was in them is known from when they were handed in, so that it need not be decoded.
 */
const durableOf = ({ handedIn, leases, memory, told }: Opened, { claim, payment: { id } }: Commit): Durable => {
  const rows = memory.payments.get(id)?.events ?? []
  const known = told.get(id) ?? 0
  told.set(id, rows.length)
  const events = rows.slice(known).flatMap(({ eventId, recordedAt, version }) => {
    const event = handedIn.get(eventId)
    return event === undefined ? [] : [{ eventId, version, recordedAt, event }]
  })
  return { payment: id, events, key: claim?.key, held: leases.held }
}

/** With the database's clock, or with it standing at a time. */
const onServer =
  (options: Opened, at?: number) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    const clock = Context.get(options.server.context, Clock.Clock)
    return Effect.provideService(effect, Clock.Clock, at === undefined ? clock : standing(clock, at))
  }

/** The tables read the present of the clock at once; nothing sleeps by it. */
const standing = (clock: Clock.Clock, at: number): Clock.Clock => ({
  currentTimeMillisUnsafe: () => at,
  currentTimeMillis: Effect.succeed(at),
  currentTimeNanosUnsafe: () => BigInt(at) * 1_000_000n,
  currentTimeNanos: Effect.succeed(BigInt(at) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => clock.sleep(duration)
})

const ask =
  (options: Opened, operation: string) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | EventStoreError> =>
    Effect.gen(function* () {
      yield* delay(options)
      if (options.faults.strikes("unavailable")) return yield* failure(operation, "Unavailable")
      const answer = yield* onServer(options)(effect)
      yield* delay(options)
      return answer
    })

/** How an instance groups its commits, if it does. */
const grouped = (options: Opened, process: Process): Effect.Effect<Grouped.Grouped | undefined, never, Scope.Scope> => {
  const { groupMillis: statementMillis, memory } = options
  if (statementMillis === undefined) return Effect.undefined
  return Grouped.make({
    ...options,
    process,
    statementMillis,
    write: (commit) => Effect.orDie(write(options, commit)),
    isCurrent: ({ payment }) => (memory.payments.get(payment.id)?.version ?? 0) === payment.version
  })
}

const commitThrough = (options: Opened, group: Grouped.Grouped | undefined, commit: Commit): Effect.Effect<CommitResult, EventStoreError> =>
  Effect.gen(function* () {
    const { faults, kernel, server } = options
    const transaction = yield* CurrentTransaction
    if (transaction === undefined && group !== undefined) return yield* group(commit)
    yield* delay(options)
    if (transaction !== undefined) {
      const claimed = commit.claim
      const taken =
        claimed === undefined
          ? undefined
          : yield* Context.get(options.tables, PaymentRepository).findClaim({ tenant: claimed.tenant, key: claimed.key })
      if (taken?._tag === "Some") return { _tag: "KeyTaken", claim: taken.value }
      const at = epochMillis + kernel.now()
      transaction.commits.push({ commit, at })
      return { _tag: "Committed", payment: provisional(commit.payment, commit, at) as Payment }
    }
    if (faults.strikes("unavailable")) return yield* failure("EventStore.commit", "Unavailable")
    if (faults.strikes("unacknowledged")) {
      const how = faults.draw()
      if (how < 0.4) yield* write(options, commit)
      else if (how < 0.7) {
        kernel.after(Chance.between(faults.draw, 1, 1_500), server, () => void kernel.fork(server, Effect.ignore(write(options, commit))))
      }
      yield* delay(options)
      return yield* failure("EventStore.commit", "OutcomeUnknown")
    }
    const result = yield* write(options, commit)
    yield* delay(options)
    return result
  })

/** A statement whose answer may be lost after it was carried out. */
const change =
  (options: Opened, operation: string) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | EventStoreError> =>
    Effect.flatMap(ask(options, operation)(effect), (answer) =>
      options.faults.strikes("unacknowledged") ? Effect.fail(failure(operation, "OutcomeUnknown")) : Effect.succeed(answer)
    )

/** The stores of a process. */
const stores = (options: Opened, group: Grouped.Grouped | undefined): Stores => {
  const store = Context.get(options.tables, EventStore)
  const repository = Context.get(options.tables, PaymentRepository)
  const projection = Context.get(options.tables, Projection)
  const lock = Context.get(options.tables, Lock)
  const outbox = Context.get(options.tables, Outbox)
  const inbox = Context.get(options.tables, WebhookInbox)
  const locked = <A, E>(key: string, effect: Effect.Effect<A, E>) =>
    ask(
      options,
      "Lock"
    )(effect).pipe(Effect.mapError((error) => (error instanceof EventStoreError ? new LockUnavailable({ key, cause: error }) : error)))
  return Context.empty().pipe(
    Context.add(
      EventStore,
      EventStore.of({
        commit: (commit) => commitThrough(options, group, commit),
        read: (payment, from) => ask(options, "EventStore.read")(store.read(payment, from)),
        readAll: (from) => ask(options, "EventStore.readAll")(store.readAll(from)),
        now: ask(options, "EventStore.now")(store.now)
      })
    ),
    Context.add(
      PaymentRepository,
      PaymentRepository.of({
        get: (query) => ask(options, "PaymentRepository.get")(repository.get(query)),
        findClaim: (query) => ask(options, "PaymentRepository.findClaim")(repository.findClaim(query)),
        list: (query) => ask(options, "PaymentRepository.list")(repository.list(query)),
        needingReview: (query) => ask(options, "PaymentRepository.needingReview")(repository.needingReview(query)),
        reviewCount: ask(options, "PaymentRepository.reviewCount")(repository.reviewCount),
        openOperations: (query) => ask(options, "PaymentRepository.openOperations")(repository.openOperations(query)),
        holds: (query) => ask(options, "PaymentRepository.holds")(repository.holds(query)),
        noteHold: (question) => change(options, "PaymentRepository.noteHold")(repository.noteHold(question)),
        noteAsked: (question) => change(options, "PaymentRepository.noteAsked")(repository.noteAsked(question)),
        openSummary: ask(options, "PaymentRepository.openSummary")(repository.openSummary),
        count: (query) => ask(options, "PaymentRepository.count")(repository.count(query))
      })
    ),
    Context.add(
      Projection,
      Projection.of({
        payments: (query) => ask(options, "Projection.payments")(projection.payments(query)),
        compare: (payment) => ask(options, "Projection.compare")(projection.compare(payment)),
        rebuild: (payment) => change(options, "Projection.rebuild")(projection.rebuild(payment))
      })
    ),
    Context.add(
      Outbox,
      Outbox.of({
        lease: (wanted) => change(options, "Outbox.lease")(outbox.lease(wanted)),
        acknowledge: (wanted) => change(options, "Outbox.acknowledge")(outbox.acknowledge(wanted)),
        retryLater: (wanted) => change(options, "Outbox.retryLater")(outbox.retryLater(wanted)),
        deadLetter: (wanted) => change(options, "Outbox.deadLetter")(outbox.deadLetter(wanted)),
        deadLetters: (wanted) => ask(options, "Outbox.deadLetters")(outbox.deadLetters(wanted)),
        replay: (payment) => change(options, "Outbox.replay")(outbox.replay(payment)),
        summary: ask(options, "Outbox.summary")(outbox.summary)
      })
    ),
    Context.add(
      WebhookInbox,
      WebhookInbox.of({
        store: (webhook) => change(options, "WebhookInbox.store")(inbox.store(webhook)),
        lease: (wanted) => change(options, "WebhookInbox.lease")(inbox.lease(wanted)),
        done: (webhook) => change(options, "WebhookInbox.done")(inbox.done(webhook)),
        retryLater: (webhook, wanted) => change(options, "WebhookInbox.retryLater")(inbox.retryLater(webhook, wanted)),
        bury: (webhook, reason) => change(options, "WebhookInbox.bury")(inbox.bury(webhook, reason)),
        deadLetters: (wanted) => ask(options, "WebhookInbox.deadLetters")(inbox.deadLetters(wanted)),
        replay: (webhook) => change(options, "WebhookInbox.replay")(inbox.replay(webhook)),
        purge: (wanted) => change(options, "WebhookInbox.purge")(inbox.purge(wanted)),
        summary: ask(options, "WebhookInbox.summary")(inbox.summary)
      })
    ),
    Context.add(HostTransaction, hostTransaction),
    Context.add(
      Lock,
      Lock.of({
        acquire: (wanted) => locked(wanted.key, lock.acquire(wanted)),
        release: (lease) => locked(lease.key, lock.release(lease)),
        extend: (lease, ttl) => locked(lease.key, lock.extend(lease, ttl))
      })
    )
  )
}
