/**
 * A crash at every operation of what follows a charge: captures, refunds, voids, webhooks, and what hosts prepare in their transactions. With
 * AEGISPAY_LONG of all these scenarios, otherwise of the first of them.
 */
import { describe } from "@effect/vitest"
import { crashEverywhere, isLong } from "./campaigns.ts"

const scenarios = [
  { seed: 678, what: "a refund that succeeds and fails later, told by webhook" },
  { seed: 157, what: "prepared in a host's transaction, authorized, captured and refunded" },
  { seed: 15, what: "prepared in a host's transaction, and charged" },
  { seed: 55, what: "webhooks of a charge" },
  { seed: 58, what: "a refund" },
  { seed: 66, what: "a capture and a refund" },
  { seed: 76, what: "a capture and a refund at several gateways" },
  { seed: 110, what: "a slow refund, on two instances" },
  { seed: 115, what: "prepared in a host's transaction, a lost answer, and a refund" },
  { seed: 128, what: "a refund, on three instances" },
  { seed: 131, what: "an authorization that is cancelled" },
  { seed: 373, what: "a capture that fails later, told by webhook" }
] as const

describe("a crash at every operation", () => crashEverywhere(isLong ? scenarios : scenarios.slice(0, 2)))
