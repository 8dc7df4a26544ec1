import express from "express"
import {
  type AegisPay,
  type AegisPayConfig,
  type ChargeInput,
  InvalidRequest,
  NoUsableGateway,
  RequestInProgress
} from "../../src/public/embed.ts"

/** Secrets stay in the environment. Every process of the shop makes an engine of its own, over the same database. */
export const config: AegisPayConfig = {
  database: { url: "env:DATABASE_URL" },
  fingerprintKey: "env:FINGERPRINT_KEY",
  gateways: [
    {
      name: "sandbox-a",
      kind: "sandbox",
      baseUrl: process.env["SANDBOX_URL"] ?? "http://127.0.0.1:9090/a",
      webhookSecret: "env:SANDBOX_WEBHOOK_SECRET"
    }
  ]
}

interface Order {
  readonly id: string
  readonly amount: number
  readonly token: string
}

/** Made from the order alone, so that every repetition asks for the same. */
const chargeOf = ({ amount, id, token }: Order): ChargeInput => ({
  key: `order-${id}`,
  amount,
  currency: "EUR",
  paymentMethod: { type: "card", token },
  metadata: { order: id }
})

/** The order and its payment are written in one transaction; the gateway is called after it. */
const place = async (aegis: AegisPay, order: Order) => {
  const charge = chargeOf(order)
  await aegis.transaction(async (tx) => {
    const { payment } = await tx.prepare(charge)
    await tx.query("insert into orders (id, amount, payment) values ($1, $2, $3) on conflict (id) do nothing", [
      order.id,
      order.amount,
      payment.id
    ])
  })
  // The same key: waits for what the transaction began, and begins nothing.
  return aegis.charge(charge)
}

export const shop = (aegis: AegisPay) => {
  const app = express()
  // Before express.json(): the signature of a webhook is over its bytes.
  app.use("/payments", aegis.nodeHandler())
  app.use(express.json())

  app.put("/orders/:id", async (request, response) => {
    const { amount, token } = request.body as Order
    const answer = await place(aegis, { id: request.params.id, amount, token })
    switch (answer.outcome) {
      case "charged":
        return response.status(201).json({ order: "paid", payment: answer.payment.id })
      case "declined":
        return response.status(402).json({ order: "not paid", why: answer.failure.category })
      case "requires_action":
        return response.status(202).json({ order: "waits for you", next: answer.nextAction })
      case "in_doubt":
      case "needs_review":
      case "pending":
      case "authorized":
        return response.status(202).json({ order: "is being checked; please do not pay again" })
      case "cancelled":
      case "expired":
        return response.status(409).json({ order: answer.outcome })
    }
  })

  app.use((error: unknown, _request: express.Request, response: express.Response, next: express.NextFunction) => {
    if (error instanceof InvalidRequest) return void response.status(400).json({ problems: error.problems })
    if (error instanceof NoUsableGateway) return void response.status(422).json({ problem: error.message })
    if (error instanceof RequestInProgress) return void response.status(409).set("retry-after", "1").json({ problem: error.message })
    next(error)
  })
  return app
}
