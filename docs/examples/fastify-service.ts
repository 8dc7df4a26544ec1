import Fastify from "fastify"
import { type AegisPay, DatabaseUnavailable, InvalidRequest, OutcomeUnknown, RequestInProgress } from "../../src/public/embed.ts"

/** A service that charges for subscriptions, with the whole HTTP interface of AegisPay below /pay. */
export const service = (aegis: AegisPay) => {
  const app = Fastify()
  app.register(aegis.fastifyPlugin({ prefix: "/pay" }))

  const text = { type: "string" }
  const schema = { body: { type: "object", required: ["month", "token"], properties: { month: text, token: text } } }
  interface Route {
    readonly Params: { readonly id: string }
    readonly Body: { readonly month: string; readonly token: string }
  }
  app.post<Route>("/subscriptions/:id/charges", { schema }, async (request, reply) => {
    const { id } = request.params
    const { month, token } = request.body
    const answer = await aegis.charge({
      key: `subscription-${id}-${month}`,
      amount: 990,
      currency: "EUR",
      paymentMethod: { type: "card", token },
      // The customer is not there: a stored method, charged by agreement.
      offSession: true
    })
    const body = { outcome: answer.outcome, payment: answer.payment.id }
    switch (answer.outcome) {
      case "charged":
        return reply.code(200).send(body)
      case "declined":
      case "cancelled":
      case "expired":
        return reply.code(402).send(body)
      case "requires_action":
      case "pending":
      case "in_doubt":
      case "needs_review":
      case "authorized":
        // Not paid yet, and not to be charged again: an event tells, or the same request.
        return reply.code(202).header("retry-after", "60").send(body)
    }
  })

  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof InvalidRequest) return reply.code(400).send({ problems: error.problems })
    // All three: the same request again, with the same key.
    if (error instanceof RequestInProgress || error instanceof DatabaseUnavailable || error instanceof OutcomeUnknown) {
      return reply.code(503).header("retry-after", "1").send({ problem: error.message })
    }
    return reply.send(error)
  })
  // Fastify waits for its requests, then for this.
  app.addHook("onClose", () => aegis.close())
  return app
}
