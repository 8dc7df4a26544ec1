import { AegisPay } from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"

/** Health, as a load balancer asks for it. */
export const example = async () => {
  await using aegis = await AegisPay.make(
    { database: "memory" },
    { merchant: "my-shop", gateways: [ScriptedGateway.make("psp")], log: () => {} }
  )
  const handle = aegis.webHandler()
  const statusOf = async (path: string) => (await handle(new Request(`http://shop.example${path}`))).status
  return { live: await statusOf("/health/live"), ready: await statusOf("/health/ready"), payments: await statusOf("/v1/payments") }
}
