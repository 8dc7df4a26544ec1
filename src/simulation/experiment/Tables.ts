/**
 * The database of an experiment: tables in memory, which outlive the processes that use them and go by their own clock.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MemoryEventStore from "../../layers/memory/EventStore.ts"
import * as MemoryHostTransaction from "../../layers/memory/HostTransaction.ts"
import * as MemoryLeases from "../../layers/memory/Leases.ts"
import * as MemoryLock from "../../layers/memory/Lock.ts"
import { layer as memoryTables, MemoryStore } from "../../layers/memory/MemoryStore.ts"
import * as MemoryWebhookInbox from "../../layers/memory/notify/WebhookInbox.ts"
import * as MemoryOutbox from "../../layers/memory/Outbox.ts"
import * as MemoryPaymentRepository from "../../layers/memory/PaymentRepository.ts"
import * as MemoryProjection from "../../layers/memory/recovery/Projection.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Lock } from "../../services/Lock.ts"
import { Outbox } from "../../services/Outbox.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import type { Stores } from "../world/Storage.ts"

/** The stores over the tables, and the tables themselves. */
export interface Tables {
  readonly stores: Stores
  readonly memory: (typeof MemoryStore)["Service"]
}

const layer = Layer.mergeAll(
  MemoryEventStore.layer,
  MemoryPaymentRepository.layer,
  MemoryProjection.layer,
  MemoryLock.layer,
  MemoryOutbox.layer,
  MemoryWebhookInbox.layer,
  MemoryHostTransaction.layer
).pipe(Layer.provideMerge(memoryTables), Layer.provide(MemoryLeases.layer))

/** Empty tables, which go by the clock of the process that makes them, whatever clock their callers have. */
export const make = Effect.gen(function* () {
  const built = yield* Layer.build(layer)
  const clock = yield* Clock.Clock
  const timed = <S extends object>(service: S): S => onClock(service, clock)
  const stores: Stores = built.pipe(
    Context.add(EventStore, timed(Context.get(built, EventStore))),
    Context.add(PaymentRepository, timed(Context.get(built, PaymentRepository))),
    Context.add(Lock, timed(Context.get(built, Lock))),
    Context.add(Outbox, timed(Context.get(built, Outbox)))
  )
  return { stores, memory: Context.get(built, MemoryStore) } satisfies Tables
})

/** The same service, whose effects read this clock. */
const onClock = <S extends object>(service: S, clock: Clock.Clock): S => {
  const timed = (value: unknown): unknown => (Effect.isEffect(value) ? Effect.provideService(value, Clock.Clock, clock) : value)
  const members = Object.entries(service).map(([name, member]) => [
    name,
    typeof member === "function" ? (...given: ReadonlyArray<unknown>) => timed(member(...given)) : timed(member)
  ])
  return Object.fromEntries(members) as S
}
