/** The gateway contract suite on the adapter of the sandbox, for accounts that differ in what they declare. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import type { GatewayUnderTest, LedgerEntry, Scenario } from "../../src/gateways/contract/GatewayContract.ts"
import type { WebhookRequest } from "../../src/services/Gateway.ts"
import { suite } from "../contracts/Gateway.ts"
import { sendTo } from "../sandbox/client.ts"
import { accountOf, closedPort, gatewayOf, ledgerOf, started } from "./sandboxGateways.ts"

const charges: { readonly [what: string]: string } = {
  success: "tok_success",
  slow: "tok_slow",
  garbage: "tok_garbage",
  conflict: "tok_conflict",
  late: "tok_late",
  declined_soft: "tok_declined_soft",
  declined_hard: "tok_declined_hard",
  declined_fraud: "tok_fraud",
  declined_authentication_required: "tok_authentication_required",
  declined_invalid_data: "tok_invalid_data",
  declined_gateway_error: "tok_gateway_error",
  declined_rate_limited: "tok_rate_limited",
  declined_configuration: "tok_configuration",
  pending_success: "tok_pending_success",
  pending_failure: "tok_pending_failure",
  action_success: "tok_3ds",
  action_failure: "tok_3ds_fails"
}

const tokenFor = ({ on, what }: Scenario): Token | undefined => {
  if (on === "charge") return Token.make(charges[what] ?? `tok_${what}`)
  return Token.make(what === "declined" ? `tok_${on}_fails` : `tok_${on}_${what}`)
}

const never = ({ on, what }: Scenario): string | undefined =>
  on === "refund" && what === "action" ? "no refund of the sandbox waits for its customer" : undefined

const webhookSecret = Redacted.make("whsec_of_the_contract")

/** Takes what is posted, for as long as the scope lives. */
const inbox = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly received: Array<WebhookRequest>; readonly stop: () => void }>((resume) => {
    const received: Array<WebhookRequest> = []
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        received.push({ body: new Uint8Array(Buffer.concat(chunks)), headers: request.headers as WebhookRequest["headers"] })
        response.end()
      })
    })
    const stop = () => {
      server.closeAllConnections()
      server.close()
    }
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}/`, received, stop }))
    })
  }),
  ({ stop }) => Effect.sync(stop)
)

const make = (account: "a" | "b" | "c", lookupLagMillis: number): Effect.Effect<GatewayUnderTest, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { received, url: webhookUrl } = yield* inbox
    const { url } = yield* started({
      accounts: Sandbox.quietAccounts.map((options) => ({
        ...options,
        lookupLagMillis,
        webhookUrl,
        webhookSecret,
        authorizationValidityMillis: 2_500
      })),
      settleDelayMillis: 1_500,
      slowMillis: 600,
      lateMillis: 500
    })
    const settings = { lookupLagMillis, settleTimeMillis: 5_000, webhookSecret }
    return {
      gateway: yield* gatewayOf(accountOf(url, account, settings)),
      unreachable: yield* gatewayOf(accountOf(`http://127.0.0.1:${yield* closedPort}`, account, settings)),
      ledger: Effect.map(ledgerOf(url, account), (entries) =>
        entries.map((entry): LedgerEntry => ({
          kind: entry.kind as LedgerEntry["kind"],
          reference: entry.reference,
          amount: BigInt(entry.amount)
        }))
      ),
      customer: (reference, does) =>
        Effect.asVoid(Effect.orDie(sendTo(url, { method: "POST", path: `/${account}/customer/${reference}/${does}` }))),
      // It ends by itself.
      lapse: () => Effect.void,
      webhooks: Effect.sync(() => received)
    }
  })

const shared = { tokenFor, never, patienceMillis: 500, tellsByWebhook: true, tellsHolds: true } as const

suite("sandbox, account a", { ...shared, make: make("a", 0) })
suite("sandbox, account b, found 80 ms after execution", { ...shared, make: make("b", 80) })
suite("sandbox, account c, declined charges stay open", { ...shared, make: make("c", 0) })
