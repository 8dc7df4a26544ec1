import { AegisPay } from "../../src/public/embed.ts"

await using aegis = await AegisPay.make("./aegispay.json", { merchant: "my-shop" })
const answer = await aegis.charge({
  key: "order-1001",
  amount: 4990,
  currency: "EUR",
  paymentMethod: { type: "card", token: "tok_success" }
})
if (answer.outcome === "declined") console.log(answer.failure.category)
