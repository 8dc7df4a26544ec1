/**
 * The shop of docs/examples/express-shop.ts in a process that ends itself with SIGKILL: `KILL_AT=before-charge` when the order is durable and
 * the gateway was not called, `after-charge` when the gateway has charged and nobody here knows.
 */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import { config, shop } from "../../docs/examples/express-shop.ts"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as SandboxGateway from "../../src/gateways/sandbox/SandboxGateway.ts"
import * as GatewayHttpClient from "../../src/layers/node/GatewayHttpClient.ts"
import { AegisPay } from "../../src/public/embed.ts"
import type { Gateway } from "../../src/services/Gateway.ts"

const die = Effect.sync(() => process.kill(process.pid, "SIGKILL"))
const at = process.env["KILL_AT"]

const runtime = ManagedRuntime.make(GatewayHttpClient.layer({ connectLimitMillis: 1_000 }))
const gateway = await runtime.runPromise(
  SandboxGateway.make({
    name: GatewayName.make("sandbox-a"),
    baseUrl: process.env["SANDBOX_URL"] ?? "",
    secretKey: Redacted.make("sk_sandbox_a")
  })
)
const killing: Gateway = {
  ...gateway,
  send: (request) =>
    at === "before-charge"
      ? Effect.andThen(die, Effect.never)
      : at === "after-charge"
        ? gateway.send(request).pipe(Effect.andThen(die), Effect.andThen(Effect.never))
        : gateway.send(request)
}

// Without recovery: one that is killed keeps the lease of an earlier payment for a minute.
const aegis = await AegisPay.make({ ...config, gateways: [] }, { merchant: "my-shop", gateways: [killing], background: false })
const server = shop(aegis).listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())))
