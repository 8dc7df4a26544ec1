/**
 * The event store with faults: refused before anything is written, acknowledged never although it is durable, slow, no connection free,
 * the process ending before or after the write.
 *
 * What it answers is what a store answers in such a case, and it is true: `Unavailable` only where nothing was asked of the store;
 * `OutcomeUnknown` where a commit was asked for and its acknowledgement is lost.
 *
 * Inside a host's transaction commits pass as they are: a store whose connection breaks there takes the host's writes with it, which a
 * decorator cannot do.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Chaos } from "../../services/chaos/Chaos.ts"
import { EventStore, EventStoreError } from "../../services/EventStore.ts"
import { HostTransaction } from "../../services/HostTransaction.ts"
import * as Faults from "./Faults.ts"

type Store = EventStore["Service"]

/** The store with the faults of this switch. `inTransaction`: is the calling fiber in a host's transaction? */
export const make = (
  store: Store,
  chaos: Chaos["Service"],
  inTransaction: HostTransaction["Service"]["isOpen"] = Effect.succeed(false)
): Store => {
  const within = <A, E>(operation: "commit" | "read" | "now", name: string, carryOut: Effect.Effect<A, E>) =>
    Faults.within(chaos, {
      call: { target: "eventStore", operation },
      carryOut,
      unavailable: (detail) => failed(name, { _tag: "Unavailable", detail }),
      lost: (detail) => failed(name, { _tag: "OutcomeUnknown", detail })
    })
  return EventStore.of({
    commit: (commit) =>
      Effect.flatMap(inTransaction, (inside) =>
        inside ? store.commit(commit) : within("commit", "EventStore.commit", store.commit(commit))
      ),
    read: (payment, options) => within("read", "EventStore.read", store.read(payment, options)),
    readAll: (options) => within("read", "EventStore.readAll", store.readAll(options)),
    now: within("now", "EventStore.now", store.now)
  })
}

const failed = (operation: string, reason: EventStoreError["reason"]) => new EventStoreError({ operation, reason })

/** The event store of the context with the faults of `Chaos`. Without it, the same object. */
export const layer: Layer.Layer<EventStore, never, EventStore> = Layer.effect(
  EventStore,
  Effect.gen(function* () {
    const store = yield* EventStore
    const context = yield* Effect.context()
    const chaos = Context.getOption(context, Chaos)
    if (Option.isNone(chaos)) return store
    const host = Context.getOption(context, HostTransaction)
    return make(store, chaos.value, Option.isNone(host) ? undefined : host.value.isOpen)
  })
)
