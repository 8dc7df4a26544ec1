/**
 * Off-policy estimates against worlds whose truth is known: right on average, intervals that cover it as often as they say, and a refusal
 * wherever the record cannot carry an answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { CurrencyCode } from "../../../../src/domain/Currency.ts"
import type { GatewayName } from "../../../../src/domain/payment/Ids.ts"
import * as Chance from "../../../../src/domain/routing/plan/Chance.ts"
import * as OffPolicy from "../../../../src/domain/routing/replay/OffPolicy.ts"
import * as WeightedSums from "../../../../src/domain/routing/replay/WeightedSums.ts"
import { name } from "../../../support/routing.ts"

const gateways = [name("a"), name("b"), name("c")]
const EUR = CurrencyCode.make("EUR")
const USD = CurrencyCode.make("USD")

/** A choice among a, b and c, by probability. */
type Choice = readonly [number, number, number]

/** What a gateway does, for payments of each of two segments. */
interface Truth {
  readonly approval: readonly [Choice, Choice]
  readonly medianMillis: Choice
  readonly feeMinor: Choice
}

const truth: Truth = {
  approval: [
    [0.9, 0.95, 0.8],
    [0.8, 0.9, 0.7]
  ],
  medianMillis: [400, 700, 900],
  feeMinor: [60, 30, 90]
}

/** Three tenths of the payments are of the second segment. */
const secondShare = 0.3
/** Log-normal durations: the mean is the median times e^(spread^2 / 2). */
const spread = 0.5
const ofAll = (choice: Choice, of: (arm: number) => number): number =>
  choice.reduce((sum, probability, arm) => sum + probability * of(arm), 0)
const approvalOf = (world: Truth, arm: number): number =>
  (1 - secondShare) * (world.approval[0][arm] ?? 0) + secondShare * (world.approval[1][arm] ?? 0)

const explored: Choice = [0.95, 0.025, 0.025]
const other: Choice = [0.025, 0.95, 0.025]

interface Run {
  readonly seed: number
  readonly decisions: number
  readonly recorded?: Choice
  readonly wanted?: Choice
  readonly world?: Truth
  /** What is stored in place of the probability of a choice. */
  readonly told?: (probability: number, arm: number) => number
  /** Who is stored as possible. Default: who was. */
  readonly support?: ReadonlyArray<GatewayName>
  readonly requirements?: Partial<OffPolicy.Requirements>
}

const pick = (choice: Choice, uniform: Chance.Uniform): number => {
  const drawn = uniform()
  return drawn < choice[0] ? 0 : drawn < choice[0] + choice[1] ? 1 : 2
}

/** Trials of a world from a seed. */
const trialsOf = ({ decisions, recorded = explored, seed, support, told, wanted = other, world = truth }: Run): Array<OffPolicy.Trial> => {
  const uniform = Chance.streamOf(((seed * 7919) % 100_003) / 100_003)
  const chances = new Map(gateways.map((gateway, arm): [GatewayName, number] => [gateway, wanted[arm] ?? 0]))
  const possible = new Set(support ?? gateways.filter((_, arm) => (recorded[arm] ?? 0) > 0))
  return Array.from({ length: decisions }, () => {
    const segment = uniform() < secondShare ? 1 : 0
    const arm = pick(recorded, uniform)
    const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
    const probability = recorded[arm] ?? 0
    return {
      gateway: gateways[arm] ?? name("none"),
      propensity: told?.(probability, arm) ?? probability,
      support: possible,
      drawn: false,
      chances,
      approved: uniform() < (world.approval[segment]?.[arm] ?? 0),
      latencyMillis: (world.medianMillis[arm] ?? 0) * Math.exp(spread * normal),
      currency: EUR,
      feeMinor: world.feeMinor[arm]
    }
  })
}

const answerOf = (trials: ReadonlyArray<OffPolicy.Trial>, requirements: Partial<OffPolicy.Requirements> = {}): OffPolicy.Answer => {
  const tally = OffPolicy.make(requirements)
  for (const trial of trials) OffPolicy.add(tally, trial)
  return OffPolicy.answer(tally)
}

const run = (options: Run): OffPolicy.Answer => answerOf(trialsOf(options), options.requirements)

const estimated = (answer: OffPolicy.Answer): OffPolicy.Estimates => {
  assert.deepStrictEqual(answer.refusals, [])
  return answer.estimates ?? assert.fail("there are no estimates")
}

const refusalsOf = (answer: OffPolicy.Answer): ReadonlyArray<string> => {
  assert.isUndefined(answer.estimates)
  return answer.refusals.map(({ _tag }) => _tag)
}

const covers = ({ high, low }: WeightedSums.Interval, value: number): boolean => low <= value && value <= high

describe("OffPolicy: estimates", () => {
  const repetitions = 300
  const lenient = { minEffectiveSamples: 50 }
  const repeated = (options: Omit<Run, "seed">) =>
    Array.from({ length: repetitions }, (_, seed) => estimated(run({ ...options, seed: seed + 1, requirements: lenient })))
  /** 95 % of 300 repetitions, give or take three standard errors of that share (1.26 points). */
  const assertCoverage = (what: string, covered: ReadonlyArray<boolean>) => {
    const share = covered.filter(Boolean).length / covered.length
    assert.isAtLeast(share, 0.912, what)
    assert.isAtMost(share, 0.99, what)
  }

  it("are right on average, and their intervals cover the truth in 95 of 100 repetitions", () => {
    const all = repeated({ decisions: 4_000 })
    const success = ofAll(other, (arm) => approvalOf(truth, arm))
    const recorded = ofAll(explored, (arm) => approvalOf(truth, arm))
    const latency = ofAll(other, (arm) => truth.medianMillis[arm] ?? 0) * Math.exp(spread ** 2 / 2)
    const fee = ofAll(other, (arm) => approvalOf(truth, arm) * (truth.feeMinor[arm] ?? 0)) / success
    const average = (of: (one: OffPolicy.Estimates) => number) => all.reduce((sum, one) => sum + of(one), 0) / all.length
    // A hundred effective samples each, 300 times: three standard errors are 0.4 points, and 8 ms.
    assert.closeTo(
      average((one) => one.success.value),
      success,
      0.004
    )
    assert.closeTo(
      average((one) => one.plainSuccess.value),
      success,
      0.02
    )
    assert.closeTo(
      average((one) => one.latencyMean?.value ?? 0),
      latency,
      8
    )
    assert.closeTo(
      average((one) => one.fees[0]?.value ?? 0),
      fee,
      0.3
    )
    assertCoverage(
      "success",
      all.map((one) => covers(one.success, success))
    )
    assertCoverage(
      "difference of success",
      all.map((one) => covers(one.success.difference, success - recorded))
    )
    assertCoverage(
      "mean latency",
      all.map((one) => one.latencyMean !== undefined && covers(one.latencyMean, latency))
    )
    assertCoverage(
      "fee",
      all.map((one) => one.fees[0] !== undefined && covers(one.fees[0], fee))
    )
    assertCoverage(
      "plain weighting",
      all.map((one) => covers(one.plainSuccess, success))
    )
  })

  it("cover rates near 1, of which few failures are seen", () => {
    const reliable: Truth = { ...truth, approval: [truth.approval[0], truth.approval[0]].map(() => [0.9, 0.99, 0.8]) as never }
    const all = repeated({ decisions: 4_000, world: reliable })
    const success = ofAll(other, (arm) => approvalOf(reliable, arm))
    const share = all.filter((one) => covers(one.success, success)).length / all.length
    assert.isAtLeast(share, 0.93, "the four observations more make up for failures that happen not to be there")
  })

  it("the interval of a quantile covers that of the other policy", () => {
    // 90 quantiles of 1.6449 deviations each.
    const single: Choice = [0, 1, 0]
    const p95 = (truth.medianMillis[1] ?? 0) * Math.exp(spread * 1.6449)
    const all = repeated({ decisions: 6_000, wanted: single })
    const covered = all.map(({ latencyP95 }) => latencyP95 !== undefined && latencyP95.low <= p95 * 1.02 && latencyP95.high >= p95 * 0.98)
    assert.isAtLeast(covered.filter(Boolean).length / all.length, 0.92)
    const median = all.map(({ latencyP95 }) => latencyP95?.value ?? 0).sort((left, right) => left - right)[repetitions / 2] ?? 0
    assert.closeTo(median / p95, 1, 0.04)
  })

  it("have the standard error that a bootstrap finds", () => {
    const trials = trialsOf({ seed: 5, decisions: 4_000 })
    const uniform = Chance.streamOf(0.77)
    const { success } = estimated(answerOf(trials, lenient))
    const again = Array.from({ length: 300 }, () => {
      const sums = WeightedSums.make(100)
      for (let draw = 0; draw < trials.length; draw++) {
        const trial = trials[Math.floor(uniform() * trials.length)]
        if (trial !== undefined) WeightedSums.add(sums, (trial.chances.get(trial.gateway) ?? 0) / trial.propensity, trial.approved ? 1 : 0)
      }
      return WeightedSums.valueOf(sums)
    })
    const mean = again.reduce((sum, value) => sum + value, 0) / again.length
    const deviation = Math.sqrt(again.reduce((sum, value) => sum + (value - mean) ** 2, 0) / again.length)
    assert.closeTo((success.high - success.low) / (2 * WeightedSums.z95), deviation, deviation * 0.2)
  })

  it("of the policy that was in force are what was recorded", () => {
    const answer = run({ seed: 3, decisions: 2_000, wanted: explored })
    const { latencyMean, latencyP95, success } = estimated(answer)
    assert.closeTo(success.value, success.recorded, 1e-12)
    assert.closeTo(success.difference.value, 0, 1e-12)
    assert.closeTo(latencyMean?.value ?? 0, latencyMean?.recorded ?? 1, 1e-6)
    assert.closeTo(latencyMean?.difference.low ?? 1, 0, 1e-6, "nothing differs, and that is certain")
    assert.closeTo(latencyMean?.difference.high ?? 1, 0, 1e-6)
    assert.closeTo(latencyP95?.value ?? 0, latencyP95?.recorded ?? 1, 1e-6)
    assert.closeTo(answer.meanWeight, 1, 1e-9)
    assert.closeTo(answer.changed.decisions / 2_000, 2 * 0.95 * 0.05 + 0.05 * 0.025, 0.02)
  })

  it("keep currencies apart, and tell nothing of one that has too few payments", () => {
    const trials = trialsOf({ seed: 8, decisions: 20_000 }).map((trial, index) => ({
      ...trial,
      currency: index % 2 === 0 ? EUR : USD,
      feeMinor: index % 2 === 0 ? 50 : 7
    }))
    const few = trials.slice(0, 50).map((trial) => ({ ...trial, currency: CurrencyCode.make("GBP") }))
    const { fees, feesUnknown } = estimated(answerOf([...trials, ...few]))
    assert.deepStrictEqual(
      fees.map(({ currency, value }) => [currency, Math.round(value * 1e9) / 1e9]),
      [
        [EUR, 50],
        [USD, 7]
      ]
    )
    assert.deepStrictEqual(feesUnknown, [CurrencyCode.make("GBP")])
  })

  it("plain weighting says how much of the weight it cut", () => {
    const { plainSuccess } = estimated(run({ seed: 2, decisions: 8_000, requirements: { weightClip: 10 } }))
    assert.strictEqual(plainSuccess.clip, 10)
    assert.closeTo(plainSuccess.cutShare, 0.95 * (1 - 10 / 38), 0.1)
    assert.isBelow(plainSuccess.value, 0.5)
  })

  it("what would have changed is told from gateway to gateway", () => {
    const { changed, decisions } = run({ seed: 4, decisions: 8_000 })
    const [flow] = changed.flows
    assert.strictEqual(decisions, 8_000)
    assert.deepInclude(flow, { from: name("a"), to: name("b") })
    assert.closeTo((flow?.decisions ?? 0) / 8_000, 0.95 * 0.95, 0.02)
  })
})

describe("OffPolicy: refusals", () => {
  it("nothing was decided", () => {
    assert.deepStrictEqual(refusalsOf(answerOf([])), ["NoDecisions"])
  })

  it("the recorded policy never explored", () => {
    const answer = run({ seed: 1, decisions: 5_000, recorded: [1, 0, 0] })
    assert.include(refusalsOf(answer), "Unsupported")
    assert.closeTo(answer.unsupportedShare, 0.975, 1e-9)
    const [refusal] = answer.refusals
    if (refusal?._tag !== "Unsupported") return assert.fail("another refusal")
    assert.deepInclude(refusal.gateways[0], { gateway: name("b") })
    assert.closeTo(refusal.gateways[0]?.share ?? 0, 0.95, 1e-9)
    assert.closeTo(answer.changed.decisions / 5_000, 0.975, 1e-9, "what would have changed is known all the same")
  })

  it("a gateway that the other policy wants was never chosen, though others were explored", () => {
    const answer = run({ seed: 1, decisions: 20_000, recorded: [0.9, 0, 0.1] })
    assert.include(refusalsOf(answer), "Unsupported")
  })

  it("little that was never tried widens the interval by its worst case", () => {
    const certain = trialsOf({ seed: 1, decisions: 400, recorded: [1, 0, 0], wanted: [0, 1, 0] })
    const drawn = trialsOf({ seed: 2, decisions: 9_600, wanted: [0, 1, 0] })
    const wider = answerOf([...drawn, ...certain])
    assert.closeTo(wider.unsupportedShare, 0.04, 1e-9)
    const [narrow, wide] = [estimated(answerOf(drawn)).success, estimated(wider).success]
    assert.closeTo(wide.high - wide.low, 0.96 * (narrow.high - narrow.low) + 0.04, 0.003)
    assert.isAtMost(wide.low, narrow.low * 0.96 + 1e-9)
  })

  it("too few explored payments", () => {
    assert.deepStrictEqual(refusalsOf(run({ seed: 1, decisions: 1_000 })), ["TooFewSamples"])
  })

  it("probabilities that were recorded wrongly do not add up", () => {
    for (const factor of [0.5, 2]) {
      const told = (probability: number, arm: number) => (arm === 0 ? probability : Math.min(1, probability * factor))
      assert.include(refusalsOf(run({ seed: 1, decisions: 20_000, told })), "WeightsOff", `${factor}`)
    }
  })

  it("choices that had no chance without the record saying so do not add up either", () => {
    const half = trialsOf({ seed: 1, decisions: 10_000 })
    const others = trialsOf({ seed: 2, decisions: 10_000, recorded: [0.95, 0, 0.05], support: gateways })
    assert.include(refusalsOf(answerOf([...half, ...others])), "WeightsOff")
  })

  it("a tenth of the decisions, split among others than the one that is wanted, has no support", () => {
    const wanted: Choice = [0, 0, 1]
    const rest = trialsOf({ seed: 1, decisions: 18_000, wanted })
    const split = trialsOf({ seed: 2, decisions: 2_000, recorded: [0.5, 0.5, 0], wanted })
    const answer = answerOf([...rest, ...split])
    assert.include(refusalsOf(answer), "Unsupported")
    assert.notInclude(refusalsOf(answer), "WeightsOff", "what has no chance is known, and no reason to doubt the probabilities")
    assert.closeTo(answer.unsupportedShare, 0.1, 1e-9)
  })

  it("a known gap is no room for a wrong one", () => {
    const wanted: Choice = [0.1, 0.9, 0]
    const rest = trialsOf({ seed: 1, decisions: 58_200, recorded: [0.5, 0.5, 0], wanted })
    const split = trialsOf({ seed: 2, decisions: 1_800, recorded: [0.5, 0, 0.5], wanted })
    assert.deepStrictEqual(answerOf([...rest, ...split]).refusals, [])
    const told = (probability: number, arm: number) => (arm === 1 ? probability * 1.06 : probability)
    const wrong = trialsOf({ seed: 1, decisions: 58_200, recorded: [0.5, 0.5, 0], wanted, told })
    assert.include(refusalsOf(answerOf([...wrong, ...split])), "WeightsOff")
  })

  it("too many decisions were left out", () => {
    const tally = OffPolicy.make()
    for (const trial of trialsOf({ seed: 1, decisions: 8_000 })) OffPolicy.add(tally, trial)
    for (let nth = 0; nth < 400; nth++) OffPolicy.leaveOut(tally, nth % 2 === 0 ? "undecided" : "no_propensity")
    assert.deepStrictEqual(OffPolicy.answer(tally).refusals, [])
    for (let nth = 0; nth < 100; nth++) OffPolicy.leaveOut(tally, "undecided")
    const answer = OffPolicy.answer(tally)
    assert.deepStrictEqual(refusalsOf(answer), ["TooManyLeftOut"])
    assert.strictEqual(answer.decisions, 8_500)
    assert.deepStrictEqual(answer.leftOut, [
      { why: "undecided", decisions: 300 },
      { why: "no_propensity", decisions: 200 }
    ])
  })

  it("payments that the other policy would not have charged count as failed", () => {
    const trials = trialsOf({ seed: 6, decisions: 10_000, wanted: explored }).map((trial, index) =>
      index % 5 === 0 ? { ...trial, chances: new Map() } : trial
    )
    const { changed, estimates, unchargedShare } = answerOf(trials)
    assert.closeTo(unchargedShare, 0.2, 1e-9)
    assert.closeTo(estimates?.success.value ?? 0, 0.8 * (estimates?.success.recorded ?? 0), 0.01)
    assert.closeTo(estimates?.success.difference.value ?? 0, -0.2 * (estimates?.success.recorded ?? 0), 0.01)
    assert.isTrue(changed.flows.some(({ to }) => to === undefined))
  })
})
