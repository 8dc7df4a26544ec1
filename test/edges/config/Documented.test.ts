/**
 * The configuration file that docs/cli.md shows is one.
 */
import { assert, it } from "@effect/vitest"
import { Result } from "effect"
import * as Config from "../../../src/edges/config/Config.ts"
import { blocksOf, read } from "../../support/documents.ts"

it("the configuration of docs/cli.md is complete", () => {
  const [shown = ""] = blocksOf(read("docs/cli.md"), "json")
  const environment = {
    DATABASE_URL: "postgres://aegispay@127.0.0.1:5432/payments",
    FINGERPRINT_KEY: "0123456789abcdef0123456789abcdef",
    PSP_A_KEY: "sk_sandbox_a",
    MY_SHOP_KEY: "sk_live_0123456789abcdef0123456789abcdef"
  }
  const config = Result.getOrThrow(Config.decode({ input: JSON.parse(shown), environment }))
  assert.deepStrictEqual(
    config.gateways.map(({ name }) => name),
    ["psp-a"]
  )
  assert.strictEqual(config.http.port, 8080)
})
