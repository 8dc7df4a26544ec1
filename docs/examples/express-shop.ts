import express from "express"
import {
  Aborted,
  type AegisPay,
  type AegisPayConfig,
  type ChargeAnswer,
  type ChargeInput,
  Closed,
  CommandRefused,
  DatabaseUnavailable,
  IdempotencyKeyReused,
  InvalidRequest,
  NoUsableGateway,
  NotAccepting,
  OutcomeUnknown,
  type Payment,
  QueryFailed,
  RequestInProgress,
  Unexpected
} from "../../src/public/embed.ts"

const { SANDBOX_URL, SHOP_URL = "http://127.0.0.1:3000", STRIPE_ACCOUNT } = process.env

const gateway = STRIPE_ACCOUNT === undefined ? "sandbox-a" : "stripe-eu"

/** Secrets stay in the environment. Every process of the shop makes an engine of its own, over the same database. */
export const config: AegisPayConfig = {
  database: { url: "env:DATABASE_URL" },
  fingerprintKey: "env:FINGERPRINT_KEY",
  gateways: [
    STRIPE_ACCOUNT === undefined
      ? {
          name: gateway,
          kind: "sandbox",
          baseUrl: SANDBOX_URL ?? "http://127.0.0.1:9090/a",
          webhookSecret: "env:SANDBOX_WEBHOOK_SECRET"
        }
      : {
          name: gateway,
          kind: "stripe",
          accountId: STRIPE_ACCOUNT,
          secretKey: "env:STRIPE_SECRET_KEY",
          webhookSecret: "env:STRIPE_WEBHOOK_SECRET"
        }
  ]
}

/** The shop's own table. `attempt` counts the cards: another one is a new payment, and only after a decline. */
export const schema = `
  create table orders (
    id text primary key, item text not null, amount integer not null, attempt integer not null default 1,
    status text not null default 'new' check (status in ('new', 'paying', 'paid', 'not paid')), payment text)`

/** What it costs is the shop's word, never the customer's. */
const catalogue = new Map([
  ["mug", 4990],
  ["poster", 1290]
])

interface Order {
  readonly id: string
  readonly amount: number
  readonly attempt: number
  readonly status: "new" | "paying" | "paid" | "not paid"
  readonly payment: string | null
}

/** `token`: what the page of the PSP made of the card, `pm_...` at Stripe. */
const chargeOf = ({ amount, attempt, id }: Order, token: string): ChargeInput => ({
  key: `order-${id}-${attempt}`,
  amount,
  currency: "EUR",
  paymentMethod: { type: "card", references: { [gateway]: token } },
  returnUrl: `${SHOP_URL}/orders/${id}/return`,
  metadata: { order: id }
})

const ends: { readonly [Status in Payment["status"]]?: Order["status"] } = {
  succeeded: "paid",
  failed: "not paid",
  cancelled: "not paid",
  expired: "not paid"
}

/** Writes down how a payment ended, whoever learned of it, and however often. */
const record = async (aegis: AegisPay, payment: Payment): Promise<void> => {
  const status = ends[payment.status]
  if (status === undefined) return
  await aegis.transaction((tx) => tx.query("update orders set status = $2 where payment = $1 and status <> 'paid'", [payment.id, status]))
}

/** For `onEvent`: what ends after its request was answered, by a webhook or by recovery. */
export const heard = async (aegis: AegisPay, event: { readonly paymentId: string; readonly merchant: string }): Promise<void> =>
  record(aegis, await aegis.get({ id: event.paymentId, merchant: event.merchant }))

const find = (aegis: AegisPay, id: string): Promise<Order | undefined> =>
  aegis.transaction(async (tx) => (await tx.query<Order>("select * from orders where id = $1", [id]))[0])

/** The order and its payment are written in one transaction; the gateway is called after it. */
const place = async (
  aegis: AegisPay,
  id: string,
  item: string,
  token: string
): Promise<ChargeAnswer | { readonly outcome: "paid before" }> => {
  const charge = await aegis.transaction(async (tx) => {
    const insert = "insert into orders (id, item, amount) values ($1, $2, $3) on conflict (id) do nothing"
    await tx.query(insert, [id, item, catalogue.get(item)])
    const [order] = await tx.query<Order>("select * from orders where id = $1 for update", [id])
    if (order === undefined || order.status === "paid") return undefined
    const current = order.status === "not paid" ? { ...order, attempt: order.attempt + 1 } : order
    const wanted = chargeOf(current, token)
    const { payment } = await tx.prepare(wanted)
    await tx.query("update orders set attempt = $2, payment = $3, status = 'paying' where id = $1", [id, current.attempt, payment.id])
    return wanted
  })
  if (charge === undefined) return { outcome: "paid before" }
  // The same key: waits for what the transaction began, and begins nothing.
  const answer = await aegis.charge(charge)
  await record(aegis, answer.payment)
  return answer
}

const checking = { order: "is being checked; please do not pay again" }
/** Nobody knows here what became of it: the same request again tells. */
const unknowns = [OutcomeUnknown, DatabaseUnavailable, NotAccepting, Aborted, Closed, QueryFailed, Unexpected]

export const shop = (aegis: AegisPay) => {
  const app = express()
  // Before express.json(): the signature of a webhook is over its bytes.
  app.use("/payments", aegis.nodeHandler())
  app.use(express.json())

  app.put("/orders/:id", async (request, response) => {
    const { item, token } = (request.body ?? {}) as { readonly item?: unknown; readonly token?: unknown }
    if (typeof item !== "string" || !catalogue.has(item)) return response.status(400).json({ problem: "item: is not in the catalogue" })
    if (typeof token !== "string") return response.status(400).json({ problem: "token: is required" })
    const answer = await place(aegis, request.params.id, item, token)
    switch (answer.outcome) {
      case "charged":
      case "paid before":
        return response.status(201).json({ order: "paid" })
      case "declined":
        return response.status(402).json({ order: "not paid", why: answer.failure.category })
      case "cancelled":
      case "expired":
        return response.status(402).json({ order: "not paid", why: answer.outcome })
      case "requires_action":
        return response.status(202).json({ order: "waits for you", next: answer.nextAction })
      case "in_doubt":
      case "needs_review":
      case "pending":
      case "authorized":
        return response.status(202).set("retry-after", "5").json(checking)
    }
  })

  // Where the bank sends the customer back to. That they came says nothing: the gateway is asked.
  app.get("/orders/:id/return", async (request, response) => {
    const order = await find(aegis, request.params.id)
    if (order === undefined || order.payment === null) return response.status(404).json({ problem: "there is no such order" })
    if (order.status === "paying") {
      const key = `order-${order.id}-${order.attempt}-confirm`
      const known = await aegis.confirm({ id: order.payment, key }).catch((error: unknown) => {
        // A webhook was faster.
        if (error instanceof CommandRefused) return undefined
        throw error
      })
      await record(aegis, known?.payment ?? (await aegis.get({ id: order.payment })))
    }
    const status = (await find(aegis, order.id))?.status
    if (status === "paid") return response.status(200).json({ order: status })
    return status === "not paid"
      ? response.status(402).json({ order: status })
      : response.status(202).set("retry-after", "5").json(checking)
  })

  app.use((error: unknown, _request: express.Request, response: express.Response, next: express.NextFunction) => {
    if (error instanceof InvalidRequest) return void response.status(400).json({ problems: error.problems })
    if (error instanceof NoUsableGateway) return void response.status(422).json({ problem: error.message })
    if (error instanceof RequestInProgress) return void response.status(409).set("retry-after", "1").json(checking)
    // Another card while the payment with the first one has not ended.
    if (error instanceof IdempotencyKeyReused) return void response.status(409).set("retry-after", "5").json(checking)
    if (unknowns.some((kind) => error instanceof kind)) return void response.status(503).set("retry-after", "5").json(checking)
    next(error)
  })
  return app
}
