/**
 * The stores in memory pass the contracts of the stores.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { PaymentId } from "../../../src/domain/payment/Ids.ts"
import * as MemoryEventStore from "../../../src/layers/memory/EventStore.ts"
import * as Leases from "../../../src/layers/memory/Leases.ts"
import * as MemoryLock from "../../../src/layers/memory/Lock.ts"
import * as MemoryStore from "../../../src/layers/memory/MemoryStore.ts"
import * as MemoryOutbox from "../../../src/layers/memory/Outbox.ts"
import * as MemoryPaymentRepository from "../../../src/layers/memory/PaymentRepository.ts"
import * as EventStoreContract from "../../contracts/EventStore.ts"
import * as OutboxContract from "../../contracts/Outbox.ts"
import * as PaymentCountsContract from "../../contracts/PaymentCounts.ts"
import * as PaymentRepositoryContract from "../../contracts/PaymentRepository.ts"

const memory = Layer.mergeAll(MemoryEventStore.layer, MemoryPaymentRepository.layer, MemoryOutbox.layer, MemoryLock.layer).pipe(
  Layer.provideMerge(Layer.merge(MemoryStore.layer, Leases.layer))
)

const damage = (payment: PaymentId) =>
  Effect.map(MemoryStore.MemoryStore, ({ payments }) => {
    const events = payments.get(payment)?.events
    events?.splice(1, 1)
  })

EventStoreContract.suite("memory", memory, { damage })
EventStoreContract.fenceSuite("memory", memory)
PaymentRepositoryContract.suite("memory", memory)
PaymentCountsContract.suite("memory", memory)
OutboxContract.suite("memory", memory)
