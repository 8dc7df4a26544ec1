/**
 * Bugs of what looks after payments beside recovery: expiry, reconciliation, leases.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { flow } from "effect/Function"
import * as Stream from "effect/Stream"
import type { Declined, Outcome } from "../../domain/operation/Outcome.ts"
import { GatewayReference } from "../../domain/payment/Ids.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Lock } from "../../services/Lock.ts"
import type { Bug } from "./Bug.ts"

const declined: Declined = { _tag: "Declined", category: "soft", code: "open", message: "planted" }

export const expiredWithoutOutcome: Bug = {
  name: "expired-without-outcome",
  breaks: "a payment expires whatever became of the cancel at the gateway",
  gateway: (gateway) => ({
    ...gateway,
    send: (request) =>
      Effect.map(gateway.send(request), (outcome): Outcome => {
        const { amount, details, purpose, requestKey } = request.intent
        if (purpose !== "expire" || outcome._tag === "Succeeded") return outcome
        return { _tag: "Succeeded", gatewayReference: details.targetReference ?? GatewayReference.make(requestKey), amount, named: true }
      })
  })
}

export const openRowAsDeclined: Bug = {
  name: "open-row-as-declined",
  breaks: "reconciliation takes a row of the list that may still succeed for declined",
  gateway: (gateway) => ({
    ...gateway,
    list:
      gateway.list &&
      flow(
        gateway.list,
        Stream.map((record) =>
          record.answer._tag === "Pending" || record.answer._tag === "RequiresAction" ? { ...record, answer: declined } : record
        )
      )
  })
}

export const staleLeaseHolder: Bug = {
  name: "stale-lease-holder",
  breaks: "nobody extends the lease of a payment, and whoever lost it goes on with what was decided under it",
  stores: (stores) => {
    const store = Context.get(stores, EventStore)
    const lock = Context.get(stores, Lock)
    const commit: typeof store.commit = (wanted) => {
      const { lease: _, ...unfenced } = wanted
      return store.commit(unfenced)
    }
    return stores.pipe(
      Context.add(EventStore, EventStore.of({ ...store, commit })),
      Context.add(Lock, Lock.of({ ...lock, extend: Effect.succeed }))
    )
  }
}
