/**
 * `aegispay routing explain` as a process: what it shows of a payment that failed over.
 */
import { assert, describe, it } from "@effect/vitest"
import { aegispay, directory } from "./aegispay.ts"

describe("aegispay routing explain", () => {
  it("shows the decision of each charge, failovers included, as text and as JSON", { timeout: 90_000 }, async () => {
    const dataDir = await directory()
    const references = ["sandbox-a=tok_gateway_error", "sandbox-b=tok_success"].flatMap((reference) => ["--gateway-reference", reference])
    // Above what is explored, so that the first by name is tried first.
    const paid = await aegispay(["pay", "--amount", "4990", "--currency", "EUR", ...references, "--data-dir", dataDir, "--json"])
    assert.strictEqual(paid.code, 0, paid.stderr)
    const { id } = JSON.parse(paid.stdout) as { readonly id: string }

    const text = await aegispay(["routing", "explain", id, "--data-dir", dataDir])
    assert.strictEqual(text.code, 0, text.stderr)
    assert.match(text.stdout, /^payment pay_/)
    assert.match(text.stdout, /operation 1: sale of 4990 EUR at sandbox-a, .*: declined: gateway_error/)
    assert.match(
      text.stdout,
      /policy +weighted, version [0-9a-f]{16}\n +weights +success 0\.5, latency 0\.3, cost 0\.2\n +probability +1\n/
    )
    assert.match(text.stdout, / 1\. +sandbox-a +0\.8750 +0\.9500 +1\.0000 +0\.5000 .*by score\n +2\. +sandbox-b/)
    assert.match(text.stdout, /sandbox-c +no_reference +the payment method has no reference for this gateway/)
    assert.match(
      text.stdout,
      /operation 2: .* at sandbox-b, .*: succeeded\n +chosen +sandbox-b: next of the plan after a gateway_error decline/
    )
    assert.match(text.stdout, /sandbox-a +tried/)
    assert.notInclude(text.stdout, "tok_")

    const json = await aegispay(["routing", "explain", id, "--data-dir", dataDir, "--json"])
    const explained = JSON.parse(json.stdout)
    assert.strictEqual(explained.payment, id)
    assert.deepStrictEqual(
      explained.charges.map((charge: { gateway: string; operation: number; outcome: string; decision: { after?: number } }) => [
        charge.operation,
        charge.gateway,
        charge.decision.after
      ]),
      [
        [1, "sandbox-a", undefined],
        [2, "sandbox-b", 1]
      ]
    )

    const missing = await aegispay(["routing", "explain", `pay_${"0".repeat(36)}`, "--data-dir", dataDir])
    assert.strictEqual(missing.code, 1)
    assert.match(missing.stderr, /there is no payment/)
  })
})
