/**
 * Bugs of what is stored to be done later: the outbox, the inbox of webhooks, the host's transaction.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { EventStore } from "../../services/EventStore.ts"
import { WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import { Outbox } from "../../services/Outbox.ts"
import type { Bug } from "./Bug.ts"

export const acknowledgedBeforeDelivery: Bug = {
  name: "acknowledged-before-delivery",
  breaks: "the relay acknowledges what it has leased before it delivers it",
  stores: (stores) => {
    const real = Context.get(stores, Outbox)
    const lease: typeof real.lease = (wanted) =>
      Effect.tap(real.lease(wanted), (batches) =>
        Effect.forEach(batches, ({ events, payment, token }) =>
          Effect.ignore(real.acknowledge({ payment, token, upToVersion: events.at(-1)?.version ?? 0 }))
        )
      )
    return Context.add(
      stores,
      Outbox,
      Outbox.of({ ...real, lease, acknowledge: () => Effect.succeed(true), retryLater: () => Effect.succeed(true) })
    )
  }
}

export const seenBeforeProcessed: Bug = {
  name: "webhook-seen-before-processed",
  breaks: "a webhook counts as processed once it is leased",
  stores: (stores) => {
    const real = Context.get(stores, WebhookInbox)
    const lease: typeof real.lease = (wanted) =>
      Effect.tap(real.lease(wanted), (webhooks) =>
        Effect.forEach(webhooks, (webhook) => Effect.ignore(real.done(webhook)), { discard: true })
      )
    const ended = { done: () => Effect.succeed(true), retryLater: () => Effect.succeed(true) }
    return Context.add(stores, WebhookInbox, WebhookInbox.of({ ...real, lease, ...ended }))
  }
}

export const outboxOutsideTransaction: Bug = {
  name: "outbox-outside-transaction",
  breaks: "the rows of the outbox are written after the commit, not with it",
  stores: (stores, memory) => {
    if (memory === undefined) return stores
    const { outbox } = memory
    const real = Context.get(stores, EventStore)
    const commit: typeof real.commit = (wanted) =>
      Effect.gen(function* () {
        const result = yield* real.commit(wanted)
        const row = outbox.get(wanted.payment.id)
        if (result._tag !== "Committed" || row === undefined) return result
        const isMine = ({ event }: (typeof row.rows)[number]) => wanted.events.some(({ version }) => version === event.version)
        const mine = row.rows.filter(isMine)
        const others = row.rows.filter((one) => !isMine(one))
        if (others.length === 0) outbox.delete(wanted.payment.id)
        else row.rows = others
        yield* Effect.sleep(50)
        const now = outbox.get(wanted.payment.id)
        if (now === undefined) outbox.set(wanted.payment.id, { ...row, rows: mine, lease: undefined })
        else now.rows = [...now.rows, ...mine].sort((left, right) => left.position - right.position)
        return result
      })
    return Context.add(stores, EventStore, EventStore.of({ ...real, commit }))
  }
}

export const callInTransaction: Bug = {
  name: "call-in-host-transaction",
  breaks: "the call starts inside the host's transaction, which may roll back",
  hostTransaction: { isOpen: Effect.succeed(false), outside: (effect) => effect, afterCommit: (effect) => effect }
}
