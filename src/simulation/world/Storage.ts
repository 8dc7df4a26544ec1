/**
 * What a simulation asks of its database, whatever it is made of: a connection for every process, what is left to be done in it, and
 * all that it holds at the end.
 *
 * Both readings go through the stores themselves, so that they are asked as the engine would ask them, and are the same for every
 * database.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { IdempotencyKey, PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import { EventStore, type EventStoreError, type Fence, type StoredClaim } from "../../services/EventStore.ts"
import type { HostTransaction } from "../../services/HostTransaction.ts"
import type { Lock } from "../../services/Lock.ts"
import { WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import { Projection } from "../../services/Projection.ts"
import { Outbox } from "../../services/Outbox.ts"
import { type OpenOperation, PaymentRepository } from "../../services/PaymentRepository.ts"
import type { MemoryStore } from "../../layers/memory/MemoryStore.ts"
import type { Process } from "./Kernel.ts"

/** The stores of a process. */
export type Stores = Context.Context<EventStore | PaymentRepository | Projection | Lock | Outbox | WebhookInbox | HostTransaction>

/** How a process reaches the database. */
export interface Connection {
  readonly stores: Stores
  /** Runs a program in a host's transaction and commits it; `rollBack` forgets what was done in it. */
  readonly inTransaction: <A, E>(effect: Effect.Effect<A, E>, rollBack: boolean) => Effect.Effect<A, E | EventStoreError>
}

/** A database that all processes share. */
export interface Storage {
  readonly connect: (process: Process) => Effect.Effect<Connection, never, Scope.Scope>
  /** The process is gone, and its connections with it. */
  readonly crashed: (process: Process) => void
  /** No more faults. */
  readonly calm: () => void
  /** The stores without faults, for whoever watches. */
  readonly watched: Stores
  /** The tables themselves, for bugs that write to them, where they are in memory. */
  readonly memory: (typeof MemoryStore)["Service"] | undefined
}

/** What became durable. */
export interface Durable {
  readonly payment: PaymentId
  readonly events: ReadonlyArray<Pick<StoredEvent, "eventId" | "event" | "version" | "recordedAt">>
  /** The key that was claimed with it. */
  readonly key: IdempotencyKey | undefined
  /** Did that token hold its lease then, in database time? Where the database tells. */
  readonly held: ((fence: Fence, at: number) => boolean) | undefined
}

/** What is left to be done in a database. */
export interface LeftOver {
  readonly open: ReadonlyArray<OpenOperation>
  readonly undelivered: number
  readonly webhooks: number
}

const pageSize = 200
/** Later than every time of a simulation. */
const endOfTime = Number.MAX_SAFE_INTEGER

const openOperations = (stores: Stores) =>
  Effect.map(
    Context.get(stores, PaymentRepository).openOperations({ openedBefore: endOfTime, limit: pageSize }),
    ({ data }): ReadonlyArray<OpenOperation> => data
  )

/** Reads what is left to be done. */
export const leftOver = (stores: Stores): Effect.Effect<LeftOver> =>
  Effect.gen(function* () {
    const open = yield* openOperations(stores)
    const { undelivered } = yield* Context.get(stores, Outbox).summary
    const { waiting } = yield* Context.get(stores, WebhookInbox).summary
    return { open, undelivered, webhooks: waiting }
  }).pipe(Effect.orDie)

/** What the database holds of a payment. */
export interface Stored {
  readonly id: PaymentId
  readonly view: PaymentView
  readonly open: ReadonlyArray<number>
  /** `undefined` where its history cannot be read. */
  readonly events: ReadonlyArray<StoredEvent> | undefined
}

/** All that a database holds. `given up`: what neither relays nor the processing of webhooks try any more, in words. */
export interface Contents {
  readonly stored: ReadonlyArray<Stored>
  readonly claims: ReadonlyArray<StoredClaim>
  readonly givenUp: ReadonlyArray<string>
}

/** Reads everything: payments of a tenant (a page of them: a simulation makes fewer), and the claims of keys. */
export const contents = (
  stores: Stores,
  options: { readonly tenant: TenantId; readonly keys: ReadonlyArray<IdempotencyKey> }
): Effect.Effect<Contents> =>
  Effect.gen(function* () {
    const repository = Context.get(stores, PaymentRepository)
    const store = Context.get(stores, EventStore)
    const { tenant } = options
    const { data } = yield* repository.list({ tenant, limit: pageSize })
    const open = Map.groupBy(yield* openOperations(stores), ({ payment }) => payment)
    const stored: Array<Stored> = []
    for (const view of data) {
      const events = yield* Effect.option(store.read(view.id))
      const numbers = (open.get(view.id) ?? []).map(({ operation }) => operation)
      stored.push({ id: view.id, view, open: numbers.sort((one, other) => one - other), events: Option.getOrUndefined(events) })
    }
    const claims: Array<StoredClaim> = []
    for (const key of options.keys) {
      const claim = yield* repository.findClaim({ tenant, key })
      if (Option.isSome(claim)) claims.push(claim.value)
    }
    const deadLetters = yield* Context.get(stores, Outbox).deadLetters({ limit: pageSize })
    const deadWebhooks = yield* Context.get(stores, WebhookInbox).deadLetters({ limit: pageSize })
    return {
      stored,
      claims,
      givenUp: [
        ...deadLetters.map(({ payment, reason }) => `events of ${payment}: ${reason}`),
        ...deadWebhooks.map(({ eventId, gateway, reason }) => `webhook ${eventId} of ${gateway}: ${reason}`)
      ]
    }
  }).pipe(Effect.orDie)
