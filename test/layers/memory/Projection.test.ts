/**
 * The projection in memory passes its contract.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { PaymentId } from "../../../src/domain/payment/Ids.ts"
import { OperationNumber } from "../../../src/domain/payment/Ids.ts"
import * as MemoryEventStore from "../../../src/layers/memory/EventStore.ts"
import * as Leases from "../../../src/layers/memory/Leases.ts"
import * as MemoryStore from "../../../src/layers/memory/MemoryStore.ts"
import * as MemoryPaymentRepository from "../../../src/layers/memory/PaymentRepository.ts"
import * as MemoryProjection from "../../../src/layers/memory/recovery/Projection.ts"
import * as ProjectionContract from "../../contracts/Projection.ts"
import { account, gateway } from "../../support/payments.ts"

const memory = Layer.mergeAll(MemoryEventStore.layer, MemoryPaymentRepository.layer, MemoryProjection.layer).pipe(
  Layer.provideMerge(Layer.merge(MemoryStore.layer, Leases.layer))
)

const row = (change: (row: MemoryStore.PaymentRow) => void) => (payment: PaymentId) =>
  Effect.map(MemoryStore.MemoryStore, ({ payments }) => {
    const found = payments.get(payment)
    if (found !== undefined) change(found)
  })

ProjectionContract.suite<MemoryStore.MemoryStore>("memory", memory, {
  damage: {
    status: row((payment) => {
      payment.view = { ...payment.view, status: payment.view.status === "failed" ? "succeeded" : "failed" }
    }),
    view: row((payment) => {
      payment.view = { ...payment.view, amountCaptured: payment.view.amountCaptured + 1 }
    }),
    noOpen: (payment) => Effect.map(MemoryStore.MemoryStore, ({ open }) => open.delete(payment)),
    strangeOpen: (payment) =>
      Effect.map(MemoryStore.MemoryStore, ({ open }) => {
        const operation = OperationNumber.make(999)
        open.set(payment, [{ payment, operation, gateway, account, kind: "void", status: "processing", openedAt: 1 }])
      }),
    history: row((payment) => void payment.events.splice(1, 1))
  }
})
