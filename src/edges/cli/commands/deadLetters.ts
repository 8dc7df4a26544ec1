/**
 * `aegispay outbox ...` and `aegispay webhooks ...`: what was given up on its way out or in, and its replay.
 *
 * They need the database only. What is replayed waits again; a server of the same database delivers or processes it.
 */
import * as Effect from "effect/Effect"
import type { GatewayName, PaymentId } from "../../../domain/payment/Ids.ts"
import { WebhookInbox } from "../../../services/notify/WebhookInbox.ts"
import { Outbox } from "../../../services/Outbox.ts"
import { notDone, orCannotRun } from "../Failure.ts"
import { print, table, time } from "../Output.ts"
import * as Storage from "../runtime/Storage.ts"
import * as Target from "../runtime/Target.ts"

interface Page {
  readonly limit: number
}

/** Payments whose notifications were given up, the newest first. */
export const outbox = Effect.fnUntraced(function* ({ limit }: Page) {
  const target = yield* Target.load
  const dead = yield* Effect.flatMap(Outbox, (store) => orCannotRun(store.deadLetters({ limit }))).pipe(
    Effect.provide(Storage.layer(target, "existing"))
  )
  const rows = dead.map((one) => [time(one.diedAt), one.payment, `${one.undelivered} undelivered`, `${one.attempts} attempts`, one.reason])
  yield* print({
    json: { data: dead.map((one) => ({ ...one, diedAt: time(one.diedAt) })) },
    text: rows.length === 0 ? ["no notifications were given up"] : table(rows)
  })
})

/** The payment's events are delivered again from the first undelivered one. */
export const replayOutbox = Effect.fnUntraced(function* ({ id }: { readonly id: PaymentId }) {
  const target = yield* Target.load
  const replayed = yield* Effect.flatMap(Outbox, (store) => orCannotRun(store.replay(id))).pipe(
    Effect.provide(Storage.layer(target, "existing"))
  )
  if (!replayed) return yield* notDone(`no notifications of payment ${id} were given up`)
  yield* print({ json: { payment: id, replayed }, text: [`the notifications of ${id} are delivered again`] })
})

/** Webhooks that were given up, the newest first. */
export const webhooks = Effect.fnUntraced(function* ({ limit }: Page) {
  const target = yield* Target.load
  const dead = yield* Effect.flatMap(WebhookInbox, (inbox) => orCannotRun(inbox.deadLetters({ limit }))).pipe(
    Effect.provide(Storage.layer(target, "existing"))
  )
  const rows = dead.map((one) => [time(one.diedAt), one.gateway, one.eventId, `received ${time(one.receivedAt)}`, one.reason])
  yield* print({
    json: { data: dead.map((one) => ({ ...one, receivedAt: time(one.receivedAt), diedAt: time(one.diedAt) })) },
    text: rows.length === 0 ? ["no webhooks were given up"] : table(rows)
  })
})

/** The webhook is processed again. */
export const replayWebhook = Effect.fnUntraced(function* (webhook: { readonly gateway: GatewayName; readonly eventId: string }) {
  const target = yield* Target.load
  const replayed = yield* Effect.flatMap(WebhookInbox, (inbox) => orCannotRun(inbox.replay(webhook))).pipe(
    Effect.provide(Storage.layer(target, "existing"))
  )
  if (!replayed) return yield* notDone(`no webhook ${webhook.eventId} of gateway ${webhook.gateway} was given up`)
  yield* print({ json: { ...webhook, replayed }, text: [`webhook ${webhook.eventId} of ${webhook.gateway} is processed again`] })
})
