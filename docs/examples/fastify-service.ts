import Fastify from "fastify"
import { type AegisPay, DatabaseUnavailable, InvalidRequest, OutcomeUnknown, RequestInProgress } from "../../src/public/embed.ts"

/** A service that charges for subscriptions, with the whole HTTP interface of AegisPay below /pay. */
export const service = (aegis: AegisPay) => {
  const app = Fastify()
  app.register(aegis.fastifyPlugin({ prefix: "/pay" }))

  app.post<{ Params: { id: string }; Body: { month: string; token: string } }>("/subscriptions/:id/charges", async (request, reply) => {
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
    return reply.code(answer.outcome === "declined" ? 402 : 200).send({ outcome: answer.outcome, payment: answer.payment.id })
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
