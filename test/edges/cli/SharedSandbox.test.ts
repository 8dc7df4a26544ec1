import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import type { GatewayConfig } from "../../../src/edges/config/Config.ts"
import { posting, type ServerUrl } from "../../../src/edges/cli/runtime/SharedSandbox.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import type { AccountOptions } from "../../../src/sandbox/Options.ts"

const config = { host: "127.0.0.1", port: 9090, accounts: [{ name: "a" }, { name: "b" }] }

const gateway = (name: string, baseUrl: string, webhookSecret?: string): GatewayConfig => ({
  name: GatewayName.make(name),
  kind: "sandbox",
  baseUrl,
  secretKey: Redacted.make("sk"),
  ...(webhookSecret === undefined ? {} : { webhookSecret: Redacted.make(webhookSecret) })
})

const accountsOf = (gateways: ReadonlyArray<GatewayConfig>, serverUrl: ServerUrl = () => undefined): ReadonlyArray<AccountOptions> =>
  posting(config, gateways, serverUrl).accounts ?? []

const urlOf = (account: AccountOptions | undefined): string | undefined =>
  typeof account?.webhookUrl === "function" ? account.webhookUrl() : account?.webhookUrl

describe("where the inside sandbox posts webhooks", () => {
  it("is the gateway that is the account, under its secret, as soon as the server listens", () => {
    const server: { url?: string } = {}
    const [a, b] = accountsOf([gateway("shop-a", "http://localhost:9090/a/", "whsec_1")], () => server.url)
    assert.isUndefined(urlOf(a))
    server.url = "http://127.0.0.1:8080"
    assert.strictEqual(urlOf(a), "http://127.0.0.1:8080/v1/webhooks/shop-a")
    assert.strictEqual(Redacted.value(a?.webhookSecret ?? Redacted.make("")), "whsec_1")
    assert.deepStrictEqual(b, { name: "b" })
  })

  it("is this machine where the server binds every address", () => {
    const gateways = [gateway("a", "http://127.0.0.1:9090/a", "whsec_1")]
    assert.strictEqual(urlOf(accountsOf(gateways, () => "http://0.0.0.0:80")[0]), "http://127.0.0.1:80/v1/webhooks/a")
    assert.strictEqual(urlOf(accountsOf(gateways, () => "http://[::]:80")[0]), "http://[::1]:80/v1/webhooks/a")
  })

  it("is nowhere without a secret, and for gateways of another sandbox", () => {
    const gateways = [
      gateway("no-secret", "http://127.0.0.1:9090/a"),
      gateway("other-port", "http://127.0.0.1:9091/a", "whsec_1"),
      gateway("other-host", "https://psp.example:9090/a", "whsec_1"),
      gateway("other-account", "http://127.0.0.1:9090/aa", "whsec_1")
    ]
    assert.deepStrictEqual(
      accountsOf(gateways, () => "http://127.0.0.1:8080"),
      config.accounts
    )
  })
})
