import { AegisPay } from "../../src/public/embed.ts"
import { service } from "./fastify-service.ts"

const aegis = await AegisPay.make(
  {
    database: { url: "env:DATABASE_URL" },
    fingerprintKey: "env:FINGERPRINT_KEY",
    gateways: [{ name: "sandbox-a", kind: "sandbox", baseUrl: process.env["SANDBOX_URL"] ?? "http://127.0.0.1:9090/a" }],
    http: { apiKeys: [{ merchant: "subscriptions", key: "env:API_KEY" }] }
  },
  { onEvent: (event) => console.log(JSON.stringify({ event: event.type, payment: event.paymentId, version: event.version })) }
)
const app = service(aegis)
await app.listen({ port: Number(process.env["PORT"] ?? 0), host: "127.0.0.1" })
console.log(JSON.stringify(app.server.address()))
process.once("SIGTERM", () => {
  app.close().catch((error: unknown) => {
    console.error(error)
    process.exitCode = 1
  })
})
