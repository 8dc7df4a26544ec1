/** Gateways of a sandbox that runs in the test's process, over real HTTP. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createServer } from "node:net"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as Presets from "../../src/domain/Presets.ts"
import * as SandboxGateway from "../../src/gateways/sandbox/SandboxGateway.ts"
import * as GatewayHttpClient from "../../src/layers/node/GatewayHttpClient.ts"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import { sandbox, sendTo } from "../sandbox/client.ts"

/** The adapter's settings of an account, as the quiet accounts are. */
export const accountOf = (
  url: string,
  account: string,
  overrides: Partial<SandboxGateway.SandboxAccount> = {}
): SandboxGateway.SandboxAccount => ({
  name: GatewayName.make(`sandbox-${account}`),
  baseUrl: `${url}/${account}`,
  secretKey: Redacted.make(`sk_sandbox_${account}`),
  captures: account === "a" ? "single" : "multiple",
  leavesOpenAfterDecline: account === "c",
  ...overrides
})

const client = GatewayHttpClient.layer({ connectLimitMillis: Presets.gatewayCall.connectLimitMillis.value })

/** A gateway over the client of production. */
export const gatewayOf = (account: SandboxGateway.SandboxAccount) =>
  Effect.flatMap(Layer.build(client), (context) => Effect.orDie(Effect.provideContext(SandboxGateway.make(account), context)))

/** A sandbox for as long as the scope lives. */
export const started = (options: Sandbox.ListenOptions = {}) =>
  Effect.orDie(Effect.map(Layer.build(sandbox(options)), (context) => Context.get(context, Sandbox.Sandbox)))

export interface Entry {
  readonly kind: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
  readonly currency: string
  readonly charge_id: string
}

/** Everything that an account did with money. */
export const ledgerOf = (url: string, account: string): Effect.Effect<ReadonlyArray<Entry>> =>
  sendTo(url, { method: "GET", path: `/${account}/ledger` }).pipe(
    Effect.orDie,
    Effect.map((answer) => answer.body.data as ReadonlyArray<Entry>)
  )

/** A port of loopback on which nobody listens. */
export const closedPort: Effect.Effect<number> = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 1)))
  })
})
