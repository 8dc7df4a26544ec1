import { AegisPay } from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"

/** Promises and plain objects; a decline is an answer. In memory here; in a service the path of a configuration file takes its place. */
export const example = async () => {
  await using aegis = await AegisPay.make(
    { database: "memory" },
    {
      merchant: "my-shop",
      gateways: [ScriptedGateway.make("psp", { answer: () => ScriptedGateway.declined("hard", "stolen_card") })],
      log: () => {}
    }
  )
  const answer = await aegis.charge({
    key: "order-1",
    amount: 4990,
    currency: "EUR",
    paymentMethod: { type: "card", token: "tok_1" }
  })
  return answer.outcome === "declined" ? { outcome: answer.outcome, code: answer.failure.code } : { outcome: answer.outcome }
}
