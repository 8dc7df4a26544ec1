/**
 * Defaults of chaos experiments.
 */
import { preset } from "./Preset.ts"

const chosen = "chosen here"

/** Defaults of chaos experiments. */
export const experiment = {
  ratePerSecond: preset(2, "payments per second", "enough for a percentage to be told in minutes; ten minutes of it run in about a second"),
  arrival: preset("poisson" as const, "arrival", "customers do not wait for each other (M. Harchol-Balter, Performance Modeling, 2013)"),
  burstSize: preset(20, "payments", "a till at closing time or a sale that opens"),
  mix: preset(
    { charge: 80, authorizeAndCapture: 10, refund: 5, duplicate: 3, cancel: 2 },
    "weights",
    "mostly plain charges; every kind of operation comes up within some hundred payments"
  ),
  declinedShare: preset(0.05, "share of payments", "issuers refuse some payments whatever the gateway does; they do not count as failures"),
  currencies: preset([{ currency: "EUR", weight: 1, minAmount: 100, maxAmount: 50_000 }], "currencies", chosen),
  followUpMillis: preset(2_000, "ms", "a host that captures or refunds does so once it has seen the answer"),
  callerRetries: preset(5, "repetitions", "as long as a customer waits for a page: 0.5, 1, 2, 4 and 8 s add up to 15.5 s"),
  callerRetryMillis: preset(500, "ms", "first wait before a request is repeated under its key; doubled each time"),
  latencyMillis: preset(120, "ms, mean", "what payment providers in one region answer in"),
  gateways: preset(["gateway-a", "gateway-b", "gateway-c"], "names", "failover needs a second one, and a choice among the others"),
  steadyMillis: preset(60_000, "ms", "as long as a breaker's window: what is seen is the state, not its beginning"),
  recoverMillis: preset(
    90_000,
    "ms",
    "an open breaker waits 60 s at first (preset breaker.openTimeoutMillis), and needs some calls to close; then it should be as before"
  ),
  abortOverMillis: preset(60_000, "ms", "long enough not to stop at a moment of bad luck"),
  abortMinimumCharges: preset(30, "payments", "fewer say little of a rate")
}
