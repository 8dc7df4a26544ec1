/**
 * Experiments on virtual time: they repeat themselves, fail where they must, end early where they are told to, and survive crashes.
 */
import { assert, describe, it } from "@effect/vitest"
import { failoverAfterUnknown } from "../../../src/simulation/bugs/GatewayBugs.ts"
import * as Virtual from "../../../src/simulation/experiment/Virtual.ts"
import { decode, experimentOf, limitMillis, short } from "./experiments.ts"

/** Breakers that never open, one gateway per payment, and always the same one first. */
const defenceless = {
  maxCharges: 1,
  retries: 0,
  breakers: { failureThreshold: 1_000_000_000, minimumCalls: 1_000_000_000, slowCallMinimumCalls: 1_000_000_000, minHealthScore: 0 },
  routing: { policy: "fixed", order: ["gateway-a"] }
} as const

const codesOf = ({ verdict }: ReturnType<typeof Virtual.run>) => verdict.reasons.map(({ code }) => code)

describe("a repetition", () => {
  it(
    "gives the same findings, byte for byte",
    () => {
      const experiment = experimentOf("resilience", { durationMillis: 60_000 })
      assert.strictEqual(JSON.stringify(Virtual.run(experiment)), JSON.stringify(Virtual.run(experiment)))
    },
    limitMillis
  )

  it(
    "gives the same findings beside other work, and bit by bit",
    () => {
      const one = Virtual.steps(short())
      const other = Virtual.steps(short({ seed: 9 }))
      let [step, between] = [one.next(), other.next()]
      while (step.done !== true) {
        if (between.done !== true) between = other.next()
        step = one.next()
      }
      assert.strictEqual(JSON.stringify(step.value), JSON.stringify(Virtual.run(short())))
    },
    limitMillis
  )

  it(
    "with another seed has other findings of the same definition",
    () => {
      const [one, other] = [Virtual.run(short()), Virtual.run(short({ seed: 4 }))]
      assert.notStrictEqual(JSON.stringify(one.series), JSON.stringify(other.series))
      assert.strictEqual(one.experiment.definitionHash, other.experiment.definitionHash)
    },
    limitMillis
  )
})

describe("an experiment that must fail", () => {
  it(
    "an outage without breakers, retries and failover misses its success rate",
    () => {
      const findings = Virtual.run(experimentOf("gateway-outage", { durationMillis: 60_000, settings: defenceless }))
      assert.strictEqual(findings.verdict.outcome, "failed")
      assert.include(codesOf(findings), "criterion")
      const rate = findings.criteria.find(({ name }) => name === "minSuccessRate")
      assert.deepInclude(rate, { met: false, limit: 0.99 })
      assert.isBelow(rate?.measured ?? 1, 0.5)
      assert.isTrue(
        findings.invariants.every(({ status }) => status === "held"),
        "it fails, and nobody is charged twice"
      )
    },
    limitMillis
  )

  it(
    "a limit that cannot be met is named with what was measured",
    () => {
      const { verdict } = Virtual.run(short({ criteria: { maxAverageLatencyMillis: 1 } }))
      assert.strictEqual(verdict.outcome, "failed")
      assert.match(verdict.reasons[0]?.message ?? "", /^average latency: [0-9.]+ ms, wanted at most 1 ms$/)
    },
    limitMillis
  )

  it(
    "a planted double charge breaks the invariant",
    () => {
      const findings = Virtual.run(short(), { bug: failoverAfterUnknown })
      assert.strictEqual(findings.verdict.outcome, "failed")
      assert.include(codesOf(findings), "invariant")
      const charged = findings.invariants.find(({ name }) => name === "at most one charge per key")
      assert.strictEqual(charged?.status, "broken")
      assert.match(charged?.detail ?? "", /charged 2 times/)
    },
    limitMillis
  )

  it(
    "a host's own invariant is asked and named",
    () => {
      const invariants = [
        { name: "there are payments", check: ({ payments }: Virtual.QuietWorld) => (payments.length > 0 ? undefined : "there are none") },
        { name: "no payment is small", check: ({ payments }: Virtual.QuietWorld) => `${payments.length} are` }
      ]
      const { invariants: results, verdict } = Virtual.run(short(), { invariants })
      assert.deepInclude(results.at(-2), { name: "there are payments", status: "held" })
      assert.strictEqual(results.at(-1)?.status, "broken")
      assert.match(verdict.reasons[0]?.message ?? "", /^no payment is small: \d+ are$/)
    },
    limitMillis
  )
})

describe("an experiment that ends early", () => {
  it(
    "is aborted when too little succeeds, injects nothing more, and still settles",
    () => {
      const experiment = experimentOf("gateway-outage", {
        settings: defenceless,
        abort: { whenSuccessRateBelow: 0.5, overMillis: 20_000, minimumCharges: 10 }
      })
      const findings = Virtual.run(experiment)
      assert.strictEqual(findings.verdict.outcome, "aborted")
      assert.strictEqual(findings.verdict.reasons[0]?.code, "aborted")
      const faults = findings.series.phases.find(({ name }) => name === "faults")
      assert.isBelow((faults?.toMillis ?? 0) - (faults?.fromMillis ?? 0), 60_000)
      assert.isTrue(findings.series.slices.slice(30).every(({ charges }) => charges === 0))
      assert.strictEqual(findings.totals.unsettled, 0)
      assert.strictEqual(findings.steadyState.after, null)
    },
    limitMillis
  )

  it(
    "injects nothing when the steady state does not hold before",
    () => {
      const findings = Virtual.run(
        short({ steadyState: { beforeMillis: 10_000, recoverMillis: 0, afterMillis: 0, criteria: { maxP95LatencyMillis: 1 } } })
      )
      assert.strictEqual(findings.verdict.outcome, "aborted")
      assert.include(codesOf(findings), "steady_state_before")
      assert.strictEqual(findings.totals.injections, 0)
    },
    limitMillis
  )
})

describe("what else may go wrong", () => {
  it(
    "the server crashes with payments in its hands: another one finds them",
    () => {
      const findings = Virtual.run(
        short({
          chaos: {
            seed: 5,
            rules: [
              { target: "gateway", when: { type: "at", atMillis: [8_000] }, inject: { type: "crash", executed: true } },
              {
                target: "eventStore",
                operations: ["commit"],
                when: { type: "at", atMillis: [20_000] },
                inject: { type: "crash", executed: true }
              }
            ]
          }
        })
      )
      assert.deepStrictEqual(findings.verdict, { outcome: "passed", reasons: [] })
      assert.strictEqual(findings.injections["crash"], 2)
    },
    limitMillis
  )

  it(
    "its wall clock jumps: database time decides, and nobody is charged twice",
    () => {
      const findings = Virtual.run(
        short({
          chaos: {
            seed: 5,
            rules: [
              { target: "clock", when: { type: "at", atMillis: [5_000, 15_000] }, inject: { type: "clock_jump", byMillis: -60_000 } },
              { target: "gateway", when: { type: "random", rate: 0.2 }, inject: { type: "response_lost" } }
            ]
          }
        })
      )
      assert.deepStrictEqual(findings.verdict, { outcome: "passed", reasons: [] })
      assert.strictEqual(findings.injections["clock_jump"], 2)
    },
    limitMillis
  )

  it(
    "bursts of callers are answered all the same",
    () => {
      const findings = Virtual.run(
        decode({
          name: "bursts",
          durationMillis: 20_000,
          load: { ratePerSecond: 10, arrival: "bursts", burstSize: 50, mix: { charge: 1, duplicate: 1 } },
          chaos: { seed: 2, rules: [] }
        })
      )
      assert.deepStrictEqual(findings.verdict, { outcome: "passed", reasons: [] })
      assert.strictEqual(findings.totals.charges, 200)
      assert.isAbove(findings.totals.duplicates, 50)
    },
    limitMillis
  )
})
