/** The gateways of the configuration, by kind. */
import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Config from "../../../src/edges/config/Config.ts"

const environment = { KEY: "sk_test_of_the_test", NEW: "whsec_new", OLD: "whsec_old" }
const decode = (gateways: ReadonlyArray<object>) => Config.decode({ input: { database: { dataDir: "./data" }, gateways }, environment })
const stripe = { name: "stripe-eu", kind: "stripe", accountId: "acct_1", secretKey: "env:KEY" }

const problemsOf = (gateway: object): ReadonlyArray<string> =>
  Result.match(decode([gateway]), {
    onFailure: ({ problems }) => problems.map(({ message, path }) => `${path}: ${message}`),
    onSuccess: () => []
  })

describe("a gateway of Stripe", () => {
  it("needs its account and a key; Stripe's own address is the default", () => {
    const [gateway] = Result.getOrThrow(decode([stripe])).gateways
    assert.deepInclude(gateway, { kind: "stripe", accountId: "acct_1", webhookSecrets: [] })
    assert.notProperty(gateway, "baseUrl")
    assert.deepStrictEqual(problemsOf({ name: "stripe-eu", kind: "stripe" }), [
      "gateways[0].accountId: is required",
      "gateways[0].secretKey: is required"
    ])
  })

  it("takes the present and the previous secret, and how a charge is found", () => {
    const [gateway] = Result.getOrThrow(
      decode([{ ...stripe, webhookSecret: "env:NEW", previousWebhookSecret: "env:OLD", lookup: "search", lookupLagMillis: 60_000 }])
    ).gateways
    if (gateway?.kind !== "stripe") return assert.fail("not a gateway of Stripe")
    assert.deepStrictEqual(gateway.webhookSecrets.map(Redacted.value), ["whsec_new", "whsec_old"])
    assert.deepInclude(gateway, { lookup: "search", searchLagMillis: 60_000 })
  })

  it("has no fields of the sandbox, nor the sandbox any of Stripe", () => {
    assert.deepStrictEqual(problemsOf({ ...stripe, captures: "single", accountId: "1" }), [
      'gateways[0].accountId: expected the id of a Stripe account, such as "acct_1Example", got "1"',
      'gateways[0].captures: is not a field of kind "stripe"'
    ])
    const sandbox = { name: "a", kind: "sandbox", baseUrl: "http://127.0.0.1:9090/a" }
    assert.deepStrictEqual(problemsOf({ ...sandbox, accountId: "acct_1" }), ['gateways[0].accountId: is not a field of kind "sandbox"'])
    assert.deepStrictEqual(problemsOf({ name: "a", kind: "sandbox" }), ["gateways[0].baseUrl: is required"])
  })

  it("shows no secret", () => {
    const [gateway] = Result.getOrThrow(decode([{ ...stripe, webhookSecret: "env:NEW" }])).gateways
    assert.notInclude(JSON.stringify(gateway), environment.KEY)
    assert.notInclude(JSON.stringify(gateway), environment.NEW)
    assert.notInclude(JSON.stringify(problemsOf({ ...stripe, secretKey: "sk_live_literal" })), "sk_live_literal")
  })
})
