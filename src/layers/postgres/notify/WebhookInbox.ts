/**
 * The inbox of webhooks on Postgres: one table, whose row is the webhook for its whole life.
 *
 * A lease moves `due_at` on and gives a token from a sequence, so a lease that was taken over can be told from its successor. Rows
 * that another process is leasing at this moment are skipped. Times are the database's.
 *
 * **Gotchas**: a statement whose answer was lost is repeated. Storing twice answers `duplicate`, which is as good; an answer to a lease
 * that had worked answers false the second time, and then the webhook is processed already or by somebody else.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import { GatewayName } from "../../../domain/payment/Ids.ts"
import {
  type LeasedWebhook,
  maxPage,
  maxWaiting,
  WebhookInbox,
  type WebhookKey,
  type WebhookStored
} from "../../../services/notify/WebhookInbox.ts"
import { nowMillis, readAll } from "../payment/Rows.ts"
import { corrupt, repeatable } from "../SqlErrors.ts"

/**
 * Counting the waiting ones ends at the limit and reads the index alone. The insert waits for another one of the same event that is
 * under way, and then finds it: one of them answers `stored`. It is acknowledged next, and not sent again: `synchronous_commit` is raised to
 * `on` where the server's default is weaker.
 */
const storeText = `
  with now as materialized (select ${nowMillis} as at, case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write')
    then set_config('synchronous_commit', 'on', true) end),
  room as materialized (select not exists (select from aegispay.webhooks where state = 'waiting' offset $4::int) as free),
  known as (update aegispay.webhooks w
    set state = 'waiting', due_at = now.at, token = null, attempts = 0, finished_at = null, reason = null from now
    where w.gateway = $1::text and w.event_id = $2::text and w.state = 'dead'),
  added as (insert into aegispay.webhooks (gateway, event_id, body, received_at, state, due_at, attempts)
    select $1::text, $2::text, decode($3::text, 'base64'), now.at, 'waiting', now.at, 0 from now, room where room.free
    on conflict (gateway, event_id) do nothing returning 1)
  select case
    when exists (select from added) then 'stored'
    when (select free from room) or exists (select from aegispay.webhooks where gateway = $1::text and event_id = $2::text) then 'duplicate'
    else 'full' end as answer`

const leaseText = `
  with now as materialized (select ${nowMillis} as at),
  due as materialized (select w.gateway, w.event_id from aegispay.webhooks w
    where w.state = 'waiting' and w.due_at <= (select at from now)
    order by w.due_at limit $1::int for update skip locked)
  update aegispay.webhooks w
  set due_at = now.at + $2::bigint, token = nextval('aegispay.webhook_tokens'), attempts = w.attempts + 1
  from due, now where w.gateway = due.gateway and w.event_id = due.event_id
  returning w.gateway, w.event_id, encode(w.body, 'base64') as body, w.received_at, w.token, w.attempts, now.at - w.received_at as age`

const held = "where gateway = $1::text and event_id = $2::text and token = $3::bigint returning 1"
const finishText = `update aegispay.webhooks
  set state = $4::text, token = null, finished_at = ${nowMillis}, reason = $5::text ${held}`
const retryText = `update aegispay.webhooks
  set due_at = ${nowMillis} + $4::bigint, token = null, attempts = attempts - $5::int ${held}`
const replayText = `update aegispay.webhooks
  set state = 'waiting', due_at = ${nowMillis}, attempts = 0, finished_at = null, reason = null
  where gateway = $1::text and event_id = $2::text and state = 'dead' returning 1`
const deadLettersText = `select gateway, event_id, received_at, finished_at, reason from aegispay.webhooks
  where state = 'dead' order by finished_at desc limit $1::int`
const purgeText = `delete from aegispay.webhooks w using (
    select gateway, event_id from aegispay.webhooks where state <> 'waiting' and finished_at < ${nowMillis} - $1::bigint
    order by finished_at limit $2::int for update skip locked) old
  where w.gateway = old.gateway and w.event_id = old.event_id returning 1`
const summaryText = `select count(*) filter (where state = 'waiting') as waiting,
    min(received_at) filter (where state = 'waiting') as oldest, count(*) filter (where state = 'dead') as dead
  from aegispay.webhooks where state <> 'done'`

interface LeasedRow {
  readonly gateway: string
  readonly event_id: string
  readonly body: string
  readonly received_at: bigint
  readonly token: bigint
  readonly attempts: number
  readonly age: bigint
}

const leasedOf = (row: LeasedRow) =>
  Base64.decode(row.body.replaceAll("\n", "")).pipe(
    Result.mapBoth({
      onFailure: (cause) => corrupt("WebhookInbox.lease", `the body of webhook ${row.event_id} is not readable`, cause),
      onSuccess: (body): LeasedWebhook => ({
        gateway: GatewayName.make(row.gateway),
        eventId: row.event_id,
        token: row.token,
        body,
        receivedAt: Number(row.received_at),
        attempts: row.attempts,
        ageMillis: Number(row.age)
      })
    })
  )

const bounded = (limit: number): number => Math.min(maxPage, Math.max(1, limit))

/** A text that the database takes: no NUL, whole characters, at most 1,000 of them. */
const storable = (text: string): string => text.slice(0, 1000).toWellFormed().replaceAll("\u0000", "")

const make = (sql: SqlClient, waitingAtMost: number): WebhookInbox["Service"] => {
  const rows = <Row extends object>(operation: string, text: string, parameters: ReadonlyArray<unknown>) =>
    repeatable(sql, `WebhookInbox.${operation}`, sql.unsafe<Row>(text, parameters))
  const changed = (operation: string, text: string, { eventId, gateway }: WebhookKey, values: ReadonlyArray<unknown>) =>
    Effect.map(rows(operation, text, [gateway, eventId, ...values]), (found) => found.length > 0)
  return WebhookInbox.of({
    store: Effect.fn("WebhookInbox.store")(({ body, eventId, gateway }) =>
      Effect.map(
        rows<{ readonly answer: WebhookStored }>("store", storeText, [gateway, eventId, Base64.encode(body), waitingAtMost - 1]),
        ([row]) => row?.answer ?? "full"
      )
    ),
    lease: Effect.fn("WebhookInbox.lease")(({ limit, ttlMillis }) =>
      Effect.flatMap(rows<LeasedRow>("lease", leaseText, [bounded(limit), String(ttlMillis)]), (found) => readAll(found, leasedOf))
    ),
    done: (webhook) => changed("done", finishText, webhook, [webhook.token, "done", null]),
    retryLater: (webhook, { delayMillis, failed }) =>
      changed("retryLater", retryText, webhook, [webhook.token, String(Math.ceil(delayMillis)), failed ? 0 : 1]),
    bury: (webhook, reason) => changed("bury", finishText, webhook, [webhook.token, "dead", storable(reason)]),
    deadLetters: ({ limit }) =>
      Effect.map(
        rows<{
          readonly gateway: string
          readonly event_id: string
          readonly received_at: bigint
          readonly finished_at: bigint
          readonly reason: string
        }>("deadLetters", deadLettersText, [bounded(limit)]),
        (found) =>
          found.map((row) => ({
            gateway: GatewayName.make(row.gateway),
            eventId: row.event_id,
            receivedAt: Number(row.received_at),
            diedAt: Number(row.finished_at),
            reason: row.reason
          }))
      ),
    replay: (webhook) => changed("replay", replayText, webhook, []),
    purge: ({ limit, olderThanMillis }) =>
      Effect.map(rows("purge", purgeText, [String(olderThanMillis), bounded(limit)]), (found) => found.length),
    summary: Effect.map(
      rows<{ readonly waiting: bigint; readonly oldest: bigint | null; readonly dead: bigint }>("summary", summaryText, []),
      ([row]) => ({
        waiting: Number(row?.waiting ?? 0n),
        oldestReceivedAt: typeof row?.oldest === "bigint" ? Number(row.oldest) : undefined,
        dead: Number(row?.dead ?? 0n)
      })
    )
  })
}

/** An inbox in which at most `waitingAtMost` webhooks may wait. */
export const layerWith = (options: { readonly waitingAtMost: number }): Layer.Layer<WebhookInbox, never, SqlClient> =>
  Layer.effect(
    WebhookInbox,
    Effect.map(SqlClient, (client) => make(client.withoutTransforms(), options.waitingAtMost))
  )

/** The inbox on the database of the `SqlClient`. Needs the schema (`Migrations`), and no right to change it. */
export const layer: Layer.Layer<WebhookInbox, never, SqlClient> = layerWith({ waitingAtMost: maxWaiting })
