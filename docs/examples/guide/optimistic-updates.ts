import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { OptimisticUpdate, VersionedStore } from "../../../src/index.ts"
import * as Memory from "../../../src/public/memory.ts"

const Order = Schema.Struct({ status: Schema.String, parcels: Schema.Int })

/** Ten shelves pack parcels of one order at the same time; each counts on from what is stored then. */
export const example = Effect.gen(function* () {
  const stores = yield* VersionedStore.VersionedStores
  const orders = stores.of({ entity: "order", schema: Order, statusOf: ({ status }) => status })
  yield* orders.insert("order-1", { status: "open", parcels: 0 })
  const pack = OptimisticUpdate.run(orders, "order-1", (order) => Effect.succeed({ ...order, parcels: order.parcels + 1 }), {
    statuses: ["open"]
  })
  yield* Effect.forEach(Array.from({ length: 10 }), () => pack, { concurrency: "unbounded" })
  const { value, version } = yield* OptimisticUpdate.run(orders, "order-1", (order) => Effect.succeed({ ...order, status: "sent" }))
  const late = yield* Effect.flip(pack)
  return { ...value, version, late: late._tag }
}).pipe(Effect.provide(Memory.VersionedStore.layer))
