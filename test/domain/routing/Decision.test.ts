/**
 * Stored decisions: those of every earlier version still read.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RoutingDecision } from "../../../src/domain/routing/Decision.ts"

const decode = Schema.decodeUnknownResult(RoutingDecision)

describe("RoutingDecision", () => {
  it("as it was first stored, with a ranked plan and reasons alone", () => {
    const stored = {
      policy: "configured-order",
      reason: "sandbox-a: first usable gateway in the configured order",
      ranked: [
        { gateway: "sandbox-a", score: 1, reason: "configured order; success rate 1.000 of 0 calls in the last hour" },
        {
          gateway: "sandbox-b",
          score: 0.4,
          reason: "configured order; success rate 0.400 of 30 calls in the last hour; unhealthy, tried last"
        }
      ],
      excluded: [{ gateway: "sandbox-c", reason: "no_reference", message: "the payment method has no reference for this gateway" }]
    }
    assert.deepStrictEqual<unknown>(Result.getOrThrow(decode(stored)), stored)
  })
})
