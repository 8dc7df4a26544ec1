/**
 * Definitions: what is refused and with which words, what the presets make of a short one, and what it is called in words.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { complete, Experiment, maxCharges } from "../../../../src/domain/chaos/experiment/Experiment.ts"
import { named } from "../../../../src/domain/chaos/experiment/presets/Named.ts"
import * as Summary from "../../../../src/domain/chaos/experiment/Summary.ts"

const decode = Schema.decodeUnknownResult(Experiment)
const options = { errors: "all", onExcessProperty: "error" } as const

const small = { name: "small", durationMillis: 60_000, chaos: { seed: 5, rules: [] } }

const refusalOf = (definition: object): string => {
  const decoded = decode({ ...small, ...definition }, options)
  return Result.isFailure(decoded) ? decoded.failure.message : "accepted"
}

describe("a definition", () => {
  it("takes its presets, and the seed of its plan", () => {
    const experiment = complete(Result.getOrThrow(decode(small, options)))
    assert.strictEqual(experiment.seed, 5)
    assert.deepStrictEqual(experiment.phases, { faultsAt: 0, recoverAt: 60_000, steadyAfterAt: 60_000, loadMillis: 60_000 })
    assert.lengthOf(experiment.gateways, 3)
    assert.strictEqual(experiment.load.ratePerSecond, 2)
  })

  it("gives its own seed to the plan", () => {
    const experiment = complete(Result.getOrThrow(decode({ ...small, seed: 9 }, options)))
    assert.deepStrictEqual([experiment.seed, experiment.chaos.seed], [9, 9])
  })

  it("with a steady state has a time before, one to recover and one after", () => {
    const steadyState = { beforeMillis: 10_000, recoverMillis: 20_000, afterMillis: 30_000, criteria: {} }
    const { phases } = complete(Result.getOrThrow(decode({ ...small, steadyState }, options)))
    assert.deepStrictEqual(phases, { faultsAt: 10_000, recoverAt: 70_000, steadyAfterAt: 90_000, loadMillis: 120_000 })
  })

  it("a mix that is given leaves the others out", () => {
    const { load } = complete(Result.getOrThrow(decode({ ...small, load: { mix: { refund: 2 } } }, options)))
    assert.deepStrictEqual(load.mix, { charge: 0, authorizeAndCapture: 0, refund: 2, duplicate: 0, cancel: 0 })
  })

  it("is bounded, and says so in its own words", () => {
    assert.include(refusalOf({ durationMillis: 1 }), "expected an integer from 1000 to 86400000")
    assert.include(refusalOf({ name: "Big Outage" }), "expected a name of 1 to 64 characters a-z, 0-9 and -")
    assert.include(refusalOf({ load: { ratePerSecond: Number.NaN } }), "expected a number from 0.01 to 1000")
    assert.include(refusalOf({ load: { mix: {} } }), "needs a weight above 0")
    assert.include(refusalOf({ load: { currencies: [{ currency: "EUR", minAmount: 5, maxAmount: 4 }] } }), "must not be above maxAmount")
    assert.include(refusalOf({ gateways: [{ name: "a" }, { name: "a" }] }), '"a" occurs twice')
    assert.include(refusalOf({ gateways: [] }), "needs 1 to 32 entries")
    assert.include(refusalOf({ criteria: { minSuccessRate: 1.2 } }), "expected a number from 0 to 1")
    const tooMany = refusalOf({ durationMillis: 86_400_000, load: { ratePerSecond: 1_000 } })
    assert.include(tooMany, `at most ${maxCharges} are allowed`)
  })

  it("refuses faults at gateways that it does not have, in rules, cascades and scripts", () => {
    const inject = { type: "network" }
    const rules = [{ target: "gateway", gateways: ["x"], when: { type: "random", rate: 1 }, inject }]
    assert.include(refusalOf({ chaos: { seed: 1, rules } }), 'names the gateway "x"')
    assert.include(
      refusalOf({ chaos: { seed: 1, rules: [], cascades: [{ from: "gateway-a", to: ["y"], inject }] } }),
      'names the gateway "y"'
    )
    const script = [{ target: "gateway", gateway: "z", operation: "sale", call: 1, inject }]
    assert.include(refusalOf({ chaos: { seed: 1, rules: [], script } }), 'names the gateway "z"')
    assert.strictEqual(refusalOf({ gateways: [{ name: "x" }], chaos: { seed: 1, rules } }), "accepted")
  })
})

describe("the named experiments", () => {
  it("are as files would be, bounded and described, with criteria and a steady state", () => {
    assert.sameMembers(
      [...named.keys()],
      ["resilience", "gateway-outage", "brown-out", "cascading-failure", "flapping-gateway", "lost-responses", "database-blips"]
    )
    for (const [name, definition] of named) {
      const experiment = Result.getOrThrow(decode(definition, options))
      assert.strictEqual(experiment.name, name)
      assert.isAbove(experiment.description?.length ?? 0, 50)
      assert.isDefined(experiment.criteria?.minInjections, `${name} has to inject something`)
      assert.isDefined(experiment.steadyState)
    }
  })

  it("resilience fails in three of ten calls, and delays four of ten others", () => {
    const rules = named.get("resilience")?.chaos.rules ?? []
    const failing = rules.filter(({ inject }) => inject.type !== "latency")
    const survives = failing.reduce((rate, { when }) => (when.type === "random" ? rate * (1 - when.rate) : rate), 1)
    assert.approximately(1 - survives, 0.3, 0.01)
    assert.deepInclude(
      rules.find(({ inject }) => inject.type === "latency"),
      { when: { type: "random", rate: 0.4 } }
    )
  })
})

describe("a definition in words", () => {
  it("says load, faults and changed settings, each within its bound", () => {
    const rules = Array.from({ length: 60 }, (_, index) => ({
      name: `rule ${index}`,
      target: "gateway",
      gateways: ["gateway-a"],
      when: { type: "burst", everyMillis: 60_000, forMillis: 500 },
      fromMillis: 1_000,
      untilMillis: 30_000,
      inject: { type: "server_error", status: 503, executed: false }
    }))
    const experiment = complete(Result.getOrThrow(decode({ ...small, settings: { maxCharges: 1 }, chaos: { seed: 1, rules } }, options)))
    const lines = Summary.of(experiment)
    assert.lengthOf(lines, 50)
    assert.match(lines[0] ?? "", /^2 payments per second at random times, faults for 60 s: 80 % charged/)
    assert.strictEqual(lines[1], "at most 10000 faults in all: whatever comes after them meets none")
    assert.strictEqual(lines[2], "rule 0: error 503 at gateway-a, for 500 ms of every 60 s, 100 % of the calls from 1 s until 30 s")
    assert.isTrue(lines.every((line) => line.length <= 300))
    const few = Summary.of(complete(Result.getOrThrow(decode({ ...small, settings: { maxCharges: 1 } }, options))))
    assert.strictEqual(few.at(-1), "other settings than the presets: maxCharges 1")
  })
})
