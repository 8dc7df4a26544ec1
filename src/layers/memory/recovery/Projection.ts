/**
 * The projection in the process' tables, held against the events in them.
 *
 * A payment's head, history and projection are one row here, so a missing projection means a missing payment; and nothing runs
 * between what is compared and what is written, so no commit is ever overtaken by.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { PaymentId } from "../../../domain/payment/Ids.ts"
import { EventContinuityError, replay } from "../../../domain/payment/Replay.ts"
import type { Payment } from "../../../domain/payment/State.ts"
import * as View from "../../../domain/payment/View.ts"
import type { EventStoreError } from "../../../services/EventStore.ts"
import { maxProjectionPage, Projection, type ProjectionPart } from "../../../services/Projection.ts"
import { noteListed, openOperationsOf } from "../EventStore.ts"
import { decodeRows, MemoryStore } from "../MemoryStore.ts"

type Tables = (typeof MemoryStore)["Service"]
type Failure = EventStoreError | EventContinuityError

/** The projection of the process' tables. */
export const layer: Layer.Layer<Projection, never, MemoryStore> = Layer.effect(
  Projection,
  Effect.map(MemoryStore, (tables) =>
    Projection.of({
      payments: ({ cursor, limit }) =>
        Effect.sync(() => {
          if (cursor !== undefined && !cursor.startsWith("pay_")) return { data: [], nextCursor: undefined }
          const ids = [...tables.payments.keys()].filter((id) => cursor === undefined || id > cursor).sort()
          const data = ids.slice(0, Math.min(limit, maxProjectionPage))
          return { data, nextCursor: data.length < ids.length ? data.at(-1) : undefined }
        }),
      compare: (payment) =>
        Effect.suspend(() => Effect.fromResult(Result.map(fold(tables, payment), (state) => differences(tables, state)))),
      rebuild: (payment) =>
        Effect.suspend(() =>
          Effect.fromResult(
            Result.map(fold(tables, payment), (state) => {
              const parts = differences(tables, state)
              if (parts.length > 0) write(tables, state)
              return parts
            })
          )
        )
    })
  )
)

/** The payment as its events say. */
const fold = (tables: Tables, id: PaymentId): Result.Result<Payment, Failure> => {
  const row = tables.payments.get(id)
  return Result.flatMap(decodeRows("Projection", row?.events ?? []), (events): Result.Result<Payment, Failure> =>
    Result.flatMap(replay(id, events), (state) =>
      state._tag === "Payment" && state.version === row?.version
        ? Result.succeed(state)
        : Result.fail(new EventContinuityError({ paymentId: id, expectedVersion: state.version, actualVersion: row?.version ?? 0 }))
    )
  )
}

const differences = (tables: Tables, payment: Payment): ReadonlyArray<ProjectionPart> => {
  const expected = View.ofPayment(payment)
  const stored = tables.payments.get(payment.id)?.view
  const open = tables.open.get(payment.id) ?? []
  const { createdAt: _c, status: _s, tenant: _t, updatedAt: _u, ...view } = expected
  const { createdAt: _sc, status: _ss, tenant: _st, updatedAt: _su, ...storedView } = stored ?? expected
  const parts: ReadonlyArray<readonly [ProjectionPart, unknown, unknown]> = [
    ["tenant", expected.tenant, stored?.tenant],
    ["status", expected.status, stored?.status],
    ["view", view, storedView],
    ["createdAt", expected.createdAt, stored?.createdAt],
    ["updatedAt", expected.updatedAt, stored?.updatedAt],
    ["openOperations", openOperationsOf(payment, open), open]
  ]
  return parts.flatMap(([part, wanted, found]) => (JSON.stringify(wanted) === JSON.stringify(found) ? [] : [part]))
}

const write = (tables: Tables, payment: Payment): void => {
  const row = tables.payments.get(payment.id)
  if (row !== undefined) row.view = View.ofPayment(payment)
  noteListed(tables, View.ofPayment(payment))
  const open = openOperationsOf(payment, tables.open.get(payment.id))
  if (open.length === 0) tables.open.delete(payment.id)
  else tables.open.set(payment.id, open)
}
