/**
 * The inbox of webhooks in memory.
 *
 * Rows are changed in one synchronous block each, so nobody sees half a change. Tokens come from one counter. Memory is bounded by
 * the webhooks that may wait and by the purge of the finished ones.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { maxPage, maxWaiting, WebhookInbox, type WebhookKey } from "../../../services/notify/WebhookInbox.ts"

interface Row extends WebhookKey {
  readonly body: Uint8Array
  readonly receivedAt: number
  state: "waiting" | "done" | "dead"
  dueAt: number
  token: bigint | undefined
  attempts: number
  finishedAt: number
  reason: string
}

type Service = (typeof WebhookInbox)["Service"]
type Held = WebhookKey & { readonly token: bigint }

const idOf = ({ eventId, gateway }: WebhookKey): string => `${gateway} ${eventId}`
const bounded = (limit: number): number => Math.min(maxPage, Math.max(1, limit))

const make = (waitingAtMost: number): Service => {
  const rows = new Map<string, Row>()
  let lastToken = 0n
  let waiting = 0

  const now = <A>(change: (now: number) => A): Effect.Effect<A> => Effect.map(Clock.currentTimeMillis, change)

  const wait = (row: Row, dueAt: number): void => {
    if (row.state !== "waiting") waiting += 1
    row.state = "waiting"
    row.dueAt = dueAt
    row.token = undefined
  }

  const finish = (row: Row, state: "done" | "dead", at: number, reason: string): void => {
    waiting -= 1
    Object.assign(row, { state, token: undefined, finishedAt: at, reason: reason.slice(0, 1000) })
  }

  /** Changes the row that this token holds; false where it does not. */
  const whenHeld = (webhook: Held, change: (row: Row, now: number) => void): Effect.Effect<boolean> =>
    now((at) => {
      const row = rows.get(idOf(webhook))
      if (row?.token !== webhook.token) return false
      change(row, at)
      return true
    })

  const store: Service["store"] = (webhook) =>
    now((at) => {
      const known = rows.get(idOf(webhook))
      if (known?.state === "dead") revive(known, at)
      if (known !== undefined) return "duplicate"
      if (waiting >= waitingAtMost) return "full"
      const { body, eventId, gateway } = webhook
      const fresh = { receivedAt: at, state: "waiting", dueAt: at, token: undefined, attempts: 0, finishedAt: 0, reason: "" } as const
      rows.set(idOf(webhook), { gateway, eventId, body: body.slice(), ...fresh })
      waiting += 1
      return "stored"
    })

  const revive = (row: Row, at: number): void => {
    wait(row, at)
    row.attempts = 0
  }

  const lease: Service["lease"] = ({ limit, ttlMillis }) =>
    now((at) =>
      [...rows.values()]
        .filter((row) => row.state === "waiting" && row.dueAt <= at)
        .sort((left, right) => left.dueAt - right.dueAt)
        .slice(0, bounded(limit))
        .map((row) => {
          lastToken += 1n
          row.token = lastToken
          row.dueAt = at + ttlMillis
          row.attempts += 1
          const { attempts, body, eventId, gateway, receivedAt } = row
          return { gateway, eventId, token: lastToken, body: body.slice(), receivedAt, attempts, ageMillis: at - receivedAt }
        })
    )

  const purge: Service["purge"] = ({ limit, olderThanMillis }) =>
    now((at) => {
      const old = [...rows].filter(([, row]) => row.state !== "waiting" && row.finishedAt < at - olderThanMillis).slice(0, bounded(limit))
      for (const [id] of old) rows.delete(id)
      return old.length
    })

  const dead = (): Array<Row> => [...rows.values()].filter((row) => row.state === "dead")

  return WebhookInbox.of({
    store,
    lease,
    done: (webhook) => whenHeld(webhook, (row, at) => finish(row, "done", at, "")),
    retryLater: (webhook, { delayMillis, failed }) =>
      whenHeld(webhook, (row, at) => {
        wait(row, at + delayMillis)
        if (!failed) row.attempts -= 1
      }),
    bury: (webhook, reason) => whenHeld(webhook, (row, at) => finish(row, "dead", at, reason)),
    deadLetters: ({ limit }) =>
      Effect.sync(() =>
        dead()
          .sort((left, right) => right.finishedAt - left.finishedAt)
          .slice(0, bounded(limit))
          .map(({ eventId, finishedAt: diedAt, gateway, reason, receivedAt }) => ({ gateway, eventId, receivedAt, diedAt, reason }))
      ),
    replay: (webhook) =>
      now((at) => {
        const row = rows.get(idOf(webhook))
        if (row?.state !== "dead") return false
        revive(row, at)
        return true
      }),
    purge,
    summary: Effect.sync(() => {
      const times = [...rows.values()].filter((row) => row.state === "waiting").map((row) => row.receivedAt)
      return { waiting, oldestReceivedAt: times.length === 0 ? undefined : Math.min(...times), dead: dead().length }
    })
  })
}

/** An inbox in which at most `waitingAtMost` webhooks may wait. */
export const layerWith = (options: { readonly waitingAtMost: number }): Layer.Layer<WebhookInbox> =>
  Layer.sync(WebhookInbox, () => make(options.waitingAtMost))

/** An empty inbox. Nothing survives the process. */
export const layer: Layer.Layer<WebhookInbox> = layerWith({ waitingAtMost: maxWaiting })
