/**
 * Defaults of routing, of the card networks' retry caps, and of remembering declined attempts.
 */
import { preset } from "./Preset.ts"

/** The caps of a network: what counts as an attempt, and what forbids every further one, is the same for both. */
const networkCaps = (
  network: "visa" | "mastercard",
  from: string,
  limits: ReadonlyArray<{ readonly max: number; readonly hours: number }>
) => ({
  network,
  brands: network === "visa" ? ["visa"] : ["mastercard", "mc", "maestro"],
  from,
  limits,
  counts: ["soft", "hard", "fraud", "authentication_required", "invalid_data"] as const,
  never: [],
  neverDays: 365
})

/** Defaults of routing. */
export const routing = {
  policy: preset("weighted" as const, "policy", "requirement A2: the best score is tried first"),
  weights: preset({ success: 0.5, latency: 0.3, cost: 0.2 }, "parts of a score", "requirement A2"),
  priorMean: preset(
    0.95,
    "success rate",
    "below what payment providers publish (99.9 %), above one that is failing: neither trusted nor written off"
  ),
  priorStrength: preset(20, "calls", "as many as metrics ask for before they speak of a segment"),
  approvalFloor: preset(
    0,
    "share of charges",
    "requirement A5: an issuer's decline does not count against a gateway. What approvals that count (1) are worth is in docs/routing.md, How the policies compare"
  ),
  optimism: preset(
    1,
    "standard deviations",
    "one makes a gateway without calls about as good as one that has answered a hundred, so it is tried; each call shrinks it"
  ),
  latencyTargetMillis: preset(
    1_000,
    "ms, p95",
    "the limit within which a user's flow of thought stays unbroken (Nielsen, Usability Engineering, 1993)"
  ),
  latencyLimitMillis: preset(15_000, "ms, p95", "the limit of an attempt"),
  costLimitBasisPoints: preset(
    500,
    "hundredths of a percent of the amount",
    "published card prices lie between 1 and 4 %; more is as bad as can be"
  ),
  unknownCost: preset(0.5, "part of a score", "a fee that is not known speaks neither for a gateway nor against it"),
  rulePriority: preset(100, "priority, lowest first", "leaves room on both sides"),
  explorationShare: preset(0.05, "share of the payments that may be explored", "requirement A5"),
  explorationMaxAmount: preset(
    {
      EUR: 3_000,
      GBP: 2_500,
      USD: 3_000,
      CHF: 3_000,
      CAD: 4_500,
      AUD: 5_000,
      JPY: 5_000,
      SEK: 33_000,
      NOK: 35_000,
      DKK: 22_400,
      PLN: 13_000,
      INR: 300_000,
      BRL: 18_000
    },
    "minor units by currency; others are not explored",
    "low-value payments: EUR 30 by Article 16 of Regulation (EU) 2018/389, GBP 25 by the same of the FCA's Technical Standards; the others about EUR 30, rounded"
  ),
  overdueProbeFactor: preset(
    10,
    "times the amount up to which is explored",
    "EUR 300 in place of EUR 30: most purchases are below it, and a probe that is lost costs no large sale"
  ),
  retryCaps: preset(
    [
      networkCaps("visa", "2021-04-01", [{ max: 15, hours: 30 * 24 }]),
      networkCaps("visa", "2025-05-19", [{ max: 20, hours: 30 * 24 }]),
      networkCaps("mastercard", "2022-10-01", [{ max: 10, hours: 24 }]),
      // By region: the United States first, Canada from 2024-04-01. Everywhere from the first day on is the stricter reading.
      networkCaps("mastercard", "2023-11-01", [
        { max: 10, hours: 24 },
        { max: 35, hours: 30 * 24 }
      ])
    ],
    "declined attempts of a card within hours",
    "support.checkout.com, When can I retry a declined transaction (read 2026-11): Visa 15 in 30 days, from 2025-05-19 20, never after category 1; Mastercard 10 in 24 hours and 35 in 30 days, never after advice codes 03 and 21. First days: elavon.co.uk, New Visa rules (April 2021); retries.com, Transaction Processing Excellence (October 2022); developer.paypal.com, Mastercard Networks 2023 (1 November 2023)"
  ),
  cardAttemptsKept: preset(100_000, "cards in the memory of a process", "some 30 MB"),
  cardAttemptsUnstored: preset(
    10_000,
    "attempts",
    "kept while the database is away; beyond it the oldest are dropped: a cap then counts too few"
  ),
  cardAttemptsCleanUpMillis: preset(600_000, "ms", "how often attempts that no cap counts any more are deleted")
} as const
