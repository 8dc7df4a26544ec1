/**
 * A crash at every operation of payments that are charged. With AEGISPAY_LONG of all these scenarios, otherwise of the first of them.
 */
import { describe } from "@effect/vitest"
import { crashEverywhere, isLong } from "./campaigns.ts"

const scenarios = [
  { seed: 111, what: "the answer to a charge is lost, then it is refunded" },
  { seed: 529, what: "the customer acts, and the answer to the confirm is lost" },
  { seed: 281, what: "the first gateway refuses, the second charges, and it is refunded" },
  { seed: 7, what: "a declined authorization" },
  { seed: 18, what: "a step-up that the host cancels" },
  { seed: 37, what: "a rate limit, on three instances" },
  { seed: 44, what: "an account that may not charge" },
  { seed: 45, what: "a refusal that leaves an object open" },
  { seed: 79, what: "a charge of several gateways, and a refund" },
  { seed: 85, what: "an answer that never comes, on two instances" },
  { seed: 103, what: "an authorization whose answer is an error" },
  { seed: 139, what: "declined everywhere" },
  { seed: 683, what: "an open object is closed before the next gateway authorizes" }
] as const

describe("a crash at every operation", () => crashEverywhere(isLong ? scenarios : scenarios.slice(0, 3)))
