/**
 * From notes to findings: rates, latencies, slices, bands, spells of faults, verdicts.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Abort from "../../../../src/domain/chaos/experiment/Abort.ts"
import * as Answers from "../../../../src/domain/chaos/experiment/Answers.ts"
import * as Arrivals from "../../../../src/domain/chaos/experiment/load/Arrivals.ts"
import { complete, Experiment } from "../../../../src/domain/chaos/experiment/Experiment.ts"
import * as Figures from "../../../../src/domain/chaos/experiment/Figures.ts"
import * as Findings from "../../../../src/domain/chaos/experiment/Findings.ts"
import * as Load from "../../../../src/domain/chaos/experiment/load/Load.ts"
import { maxNames } from "../../../../src/domain/chaos/experiment/Measures.ts"
import * as Recorder from "../../../../src/domain/chaos/experiment/Recorder.ts"
import { GatewayName } from "../../../../src/domain/payment/Ids.ts"
import { BreakerName } from "../../../../src/domain/resilience/BreakerName.ts"

const [a, b] = [GatewayName.make("gateway-a"), GatewayName.make("gateway-b")]
const recorder = (loadMillis = 60_000) => Recorder.make({ loadMillis, gateways: [a, b] })

const charged = (
  notes: Recorder.Recorder,
  {
    answer = "succeeded",
    at,
    end,
    error,
    latency = 100
  }: {
    readonly at: number
    readonly latency?: number
    readonly answer?: Recorder.Answer
    readonly error?: string
    readonly end?: Recorder.End
  }
): Recorder.Charge => {
  const charge = Recorder.asked(notes, at)
  Recorder.answered(charge, { at: at + latency, answer, error, firstChoice: a })
  charge.end = end ?? (answer === "in_doubt" ? "succeeded" : answer)
  return charge
}

const experimentOf = (definition: object = {}) =>
  complete(
    Result.getOrThrow(
      Schema.decodeUnknownResult(Experiment)({ name: "small", durationMillis: 60_000, chaos: { seed: 1, rules: [] }, ...definition })
    )
  )

const findingsOf = (notes: Recorder.Recorder, run: Partial<Findings.Run> = {}): Findings.Findings =>
  Findings.of(notes, {
    experiment: experimentOf(),
    definitionHash: "0123456789abcdef",
    summary: [],
    mode: "virtual",
    loadEndedAt: 60_000,
    endedAt: 61_000,
    aborted: undefined,
    invariants: [],
    failovers: 0,
    seesCalls: true,
    ...run
  })

/** Numbers that go round. */
const cycle = (...numbers: ReadonlyArray<number>) => {
  let next = 0
  return () => numbers[next++ % numbers.length] ?? 0
}

describe("figures", () => {
  it("a decline by the bank is no failure; what was in doubt counts in the end as it came out", () => {
    const notes = recorder()
    charged(notes, { at: 0 })
    charged(notes, { at: 1, answer: "declined" })
    charged(notes, { at: 2, answer: "failed", error: "no_usable_gateway" })
    charged(notes, { at: 3, answer: "in_doubt", error: "in_doubt" })
    const figures = Figures.figuresOf(notes, { fromMillis: 0, toMillis: 60_000 })
    assert.deepInclude(figures, {
      charges: 4,
      succeeded: 1,
      declined: 1,
      failed: 1,
      inDoubt: 1,
      successRate: 0.3333,
      finalSuccessRate: 0.6666
    })
  })

  it("counts a charge that was never answered as asked for, and as not settled", () => {
    const notes = recorder()
    Recorder.asked(notes, 5).end = "unsettled"
    const figures = Figures.figuresOf(notes, { fromMillis: 0, toMillis: 60_000 })
    assert.deepInclude(figures, { charges: 1, succeeded: 0, successRate: null, finalSuccessRate: 0 })
    assert.deepInclude(findingsOf(notes).verdict.reasons[0], { code: "not_settled" })
  })

  it("whoever is not answered in the end is in doubt, and has waited until then", () => {
    const notes = recorder()
    charged(notes, { at: 0 })
    Recorder.asked(notes, 5_000)
    Recorder.givenUp(notes, 65_000)
    const { inDoubt, latency, successRate } = Figures.figuresOf(notes, { fromMillis: 0, toMillis: 60_000 })
    assert.deepStrictEqual({ inDoubt, successRate, longest: latency.max }, { inDoubt: 1, successRate: 0.5, longest: 60_000 })
    assert.deepStrictEqual(findingsOf(notes).errors, { no_answer: 1 })
  })

  it("one failure of very many is not none: a rate is never rounded up to its limit", () => {
    const notes = recorder()
    for (let at = 0; at < 30_000; at++) charged(notes, { at, answer: at === 7 ? "failed" : "succeeded" })
    const { criteria } = findingsOf(notes, { experiment: experimentOf({ criteria: { minSuccessRate: 1, minFinalSuccessRate: 1 } }) })
    assert.deepStrictEqual(
      criteria.map(({ measured, met }) => [measured, met]),
      [
        [0.9999, false],
        [0.9999, false]
      ]
    )
  })

  it("takes quantiles by the nearest rank", () => {
    const latency = Figures.latencyOf(Array.from({ length: 100 }, (_, index) => 100 - index))
    assert.deepStrictEqual(latency, { average: 50.5, p50: 50, p95: 95, p99: 99, max: 100 })
    assert.deepStrictEqual(Figures.latencyOf([]), { average: null, p50: null, p95: null, p99: null, max: null })
  })

  it("counts by the slice in which a payment was asked for", () => {
    const notes = recorder()
    charged(notes, { at: 999, latency: 5_000 })
    charged(notes, { at: 1_000, answer: "failed", error: "rate_limited" })
    const slices = Figures.slicesOf(notes)
    assert.lengthOf(slices, 60)
    assert.deepInclude(slices[0], { fromMillis: 0, charges: 1, succeeded: 1, latency: { p50: 5_000, p95: 5_000 }, errors: {} })
    assert.deepInclude(slices[1], { fromMillis: 1_000, charges: 1, failed: 1, successRate: 0, errors: { rate_limited: 1 } })
  })

  it("has at most 120 slices, of lengths that people count in", () => {
    for (const [loadMillis, sliceMillis] of [
      [1_000, 1_000],
      [120_000, 1_000],
      [120_001, 2_000],
      [3_600_000, 30_000],
      [86_400_000, 720_000]
    ] as const) {
      const notes = recorder(loadMillis)
      assert.strictEqual(notes.sliceMillis, sliceMillis)
      assert.isAtMost(notes.slices.length, 120)
    }
  })

  it("counts further kinds of errors as other ones", () => {
    const counts = new Map<string, number>()
    for (let kind = 0; kind < maxNames + 10; kind++) Recorder.count(counts, `kind ${kind}`)
    assert.strictEqual(counts.size, maxNames + 1)
    assert.strictEqual(counts.get("other"), 10)
  })
})

describe("bands", () => {
  const breaker = BreakerName.make("gateway-a.sale")
  const change = (at: number, from: Recorder.BreakerChange["from"], to: Recorder.BreakerChange["to"]) => ({
    at,
    breaker,
    gateway: a,
    from,
    to
  })

  it("touch each other, join where a probe fails at once, and end with the load", () => {
    const notes = recorder()
    for (const one of [
      change(10, "closed", "open"),
      change(70, "open", "half-open"),
      change(70, "half-open", "open"),
      change(130, "open", "half-open"),
      change(131, "half-open", "closed")
    ]) {
      Recorder.breakerChanged(notes, one)
    }
    const bands = Figures.breakerBandsOf(notes, [a, b], 1_000).map(({ breaker, fromMillis, state, toMillis }) => [
      breaker,
      state,
      fromMillis,
      toMillis
    ])
    assert.deepStrictEqual(bands, [
      ["gateway-a.sale", "closed", 0, 10],
      ["gateway-a.sale", "open", 10, 130],
      ["gateway-a.sale", "half-open", 130, 131],
      ["gateway-a.sale", "closed", 131, 1_000],
      ["gateway-b.sale", "closed", 0, 1_000]
    ])
    assert.strictEqual(findingsOf(notes).totals.breakerOpens, 2)
  })

  it("faults of one rule are one spell until they pause", () => {
    const notes = recorder()
    for (const at of [0, 5_000, 15_000, 40_000]) Recorder.injected(notes, { at, kind: "network", gateway: a, label: "outage" })
    Recorder.injected(notes, { at: 6_000, kind: "network", gateway: undefined, label: "database" })
    assert.deepStrictEqual(
      notes.spells.map(({ fromMillis, label, toMillis }) => [label, fromMillis, toMillis]),
      [
        ["outage", 0, 15_000],
        ["outage", 40_000, 40_000],
        ["database", 6_000, 6_000]
      ]
    )
    assert.deepInclude(findingsOf(notes).totals, { injections: 5 })
  })
})

describe("a verdict", () => {
  it("passes where nothing was asked for, and names every criterion that was missed", () => {
    const notes = recorder()
    charged(notes, { at: 1, answer: "failed", error: "x" })
    assert.deepStrictEqual(findingsOf(notes).verdict, { outcome: "passed", reasons: [] })
    const experiment = experimentOf({ criteria: { minSuccessRate: 0.9, maxP95LatencyMillis: 200, minInjections: 1 } })
    assert.deepStrictEqual(findingsOf(notes, { experiment }).verdict, {
      outcome: "failed",
      reasons: [
        { code: "criterion", message: "success rate: 0 %, wanted at least 90 %" },
        { code: "criterion", message: "injected faults: 0, wanted at least 1" }
      ]
    })
  })

  it("what could not be measured does not meet a criterion", () => {
    const { verdict } = findingsOf(recorder(), { experiment: experimentOf({ criteria: { maxP95LatencyMillis: 200 } }) })
    assert.deepStrictEqual(verdict.reasons, [{ code: "criterion", message: "p95 latency: nothing to measure, wanted at most 200 ms" }])
  })

  it("an early end comes first, and its criteria are not judged; a broken invariant still is", () => {
    const { verdict } = findingsOf(recorder(), {
      experiment: experimentOf({ criteria: { minInjections: 1 } }),
      aborted: { code: "aborted", message: "enough" },
      invariants: [
        { name: "once", status: "broken", detail: "twice" },
        { name: "seen", status: "not_checked", detail: "no ledger" }
      ]
    })
    assert.deepStrictEqual(verdict, {
      outcome: "aborted",
      reasons: [
        { code: "aborted", message: "enough" },
        { code: "invariant", message: "once: twice" }
      ]
    })
  })

  it("a steady state that does not hold is a reason", () => {
    const experiment = experimentOf({
      steadyState: { beforeMillis: 10_000, recoverMillis: 0, afterMillis: 10_000, criteria: { minSuccessRate: 1 } }
    })
    const notes = recorder(80_000)
    charged(notes, { at: 1 })
    charged(notes, { at: 75_000, answer: "failed", error: "x" })
    const findings = findingsOf(notes, { experiment, loadEndedAt: 80_000, endedAt: 90_000 })
    assert.deepStrictEqual(findings.verdict.reasons, [
      { code: "steady_state_after", message: "after the faults: success rate: 0 %, wanted at least 100 %" }
    ])
    assert.deepStrictEqual(
      findings.series.phases.map(({ fromMillis, name, toMillis }) => [name, fromMillis, toMillis]),
      [
        ["steady_before", 0, 10_000],
        ["faults", 10_000, 70_000],
        ["steady_after", 70_000, 80_000],
        ["settling", 80_000, 90_000]
      ]
    )
  })
})

describe("an early end", () => {
  const watchOf = () => {
    const watch = Abort.make(experimentOf({ abort: { whenSuccessRateBelow: 0.5, overMillis: 10_000, minimumCharges: 4 } }))
    if (watch === undefined) throw new Error("no watch")
    const notes = recorder()
    return (at: number, answer: Recorder.Answer) => Abort.answered(watch, charged(notes, { at, latency: 0, answer }))
  }

  it("waits for enough answers, and leaves declines out", () => {
    const answered = watchOf()
    for (const at of [1, 2, 3]) assert.isUndefined(answered(at, "failed"))
    assert.isUndefined(answered(4, "declined"))
    assert.match(answered(5, "failed")?.message ?? "", /only 0 % of 4 payments succeeded, the limit is 50 %/)
  })

  it("forgets what is longer ago", () => {
    const answered = watchOf()
    for (const at of [1, 2, 3]) answered(at, "failed")
    for (const at of [11_000, 11_001, 11_002]) assert.isUndefined(answered(at, "succeeded"))
    assert.isUndefined(answered(11_003, "failed"), "three of four")
  })
})

describe("an answer", () => {
  it("is judged by what it says of the customer's money", () => {
    assert.deepStrictEqual(Answers.ofPayment({ status: "authorized" }), { answer: "succeeded", error: undefined })
    assert.strictEqual(Answers.ofPayment({ status: "failed", failure: { category: "hard", code: "stolen_card" } }).answer, "declined")
    assert.deepStrictEqual(Answers.ofPayment({ status: "failed", failure: { category: "gateway_error", code: "x" } }), {
      answer: "failed",
      error: "gateway_error"
    })
    assert.deepStrictEqual(Answers.ofPayment({ status: "failed", failure: { category: null, code: "not_charged" } }).error, "not_charged")
    assert.deepStrictEqual(Answers.ofPayment({ status: "in_doubt" }), { answer: "in_doubt", error: "in_doubt" })
    assert.strictEqual(Answers.ofError("outcome_unknown").answer, "in_doubt")
    assert.strictEqual(Answers.ofError("no_usable_gateway").answer, "failed")
  })

  it("a payment that its caller cancelled had succeeded; one that nobody knows was not made", () => {
    assert.strictEqual(Answers.endOf({ status: "cancelled" }, "succeeded"), "succeeded")
    assert.strictEqual(Answers.endOf({ status: "cancelled" }, "in_doubt"), "failed")
    assert.strictEqual(Answers.endOf(undefined, "in_doubt"), "failed")
    assert.strictEqual(Answers.endOf({ status: "processing" }, "succeeded"), "unsettled")
  })

  it("is asked for again with growing waits, five times, and only where that is safe", () => {
    assert.deepStrictEqual(
      [1, 2, 3, 4, 5, 6].map((times) => Answers.waitBeforeRepeating("database_unavailable", times)),
      [500, 1_000, 2_000, 4_000, 8_000, undefined]
    )
    assert.isUndefined(Answers.waitBeforeRepeating("idempotency_key_reused", 1))
  })
})

describe("arrivals", () => {
  const all = (load: Parameters<typeof Load.complete>[0], draws: Partial<Parameters<typeof Arrivals.of>[2]> = {}) => [
    ...Arrivals.of(Load.complete(load), 10_000, { times: cycle(0.5), contents: cycle(0.1, 0.2, 0.3, 0.4, 0.5), ...draws })
  ]

  it("evenly, in bursts, and at random with the same mean", () => {
    assert.deepStrictEqual(
      all({ ratePerSecond: 1, arrival: "uniform" }).map(({ atMillis }) => atMillis),
      [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000]
    )
    assert.deepStrictEqual(
      all({ ratePerSecond: 1, arrival: "bursts", burstSize: 4 }).map(({ atMillis }) => atMillis),
      [0, 0, 0, 0, 4_000, 4_000, 4_000, 4_000, 8_000, 8_000]
    )
    const quantiles = Array.from({ length: 1_000 }, (_, index) => (((index * 617) % 1_000) + 0.5) / 1_000)
    const gaps = [...Arrivals.of(Load.complete({ ratePerSecond: 10 }), 100_000, { times: cycle(...quantiles), contents: cycle(0.5) })]
    assert.approximately(gaps.length, 1_000, 10)
  })

  it("another mix leaves the times and the other draws as they are", () => {
    const [one, other] = [all({ ratePerSecond: 1 }), all({ ratePerSecond: 1, mix: { refund: 1 } })]
    assert.deepStrictEqual(
      one.map(({ amount, atMillis, declined }) => [amount, atMillis, declined]),
      other.map(({ amount, atMillis, declined }) => [amount, atMillis, declined])
    )
    assert.isTrue(other.every(({ kind }) => kind === "refund"))
  })

  it("amounts are within the currency's range, and a kind of weight 0 never comes", () => {
    const load = { mix: { charge: 0, duplicate: 1 }, currencies: [{ currency: "JPY", minAmount: 3, maxAmount: 3 }] }
    const drawn = all(Result.getOrThrow(Schema.decodeUnknownResult(Load.Load)(load)), { contents: cycle(0, 0.999_999) })
    assert.isTrue(drawn.every(({ amount, currency, kind }) => amount === 3 && currency === "JPY" && kind === "duplicate"))
  })
})
