/**
 * Which call meets which fault: the same seed gives the same faults, whatever happens in between; bounds hold; a repetition is exact.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { Cascade, ChaosPlan, type ChaosRule, When } from "../../../src/domain/chaos/ChaosPlan.ts"
import { applies, type Injection, operationsOf } from "../../../src/domain/chaos/Injection.ts"
import * as Injector from "../../../src/domain/chaos/Injector.ts"
import { meet, other, planOf, psp, sale, times } from "../../support/chaos.ts"

const network: Injection = { type: "network" }
const lost: Injection = { type: "response_lost" }
const random = (rate: number): When => ({ type: "random", rate })

const faultsOf = (plan: ChaosPlan, calls: ReadonlyArray<Injector.Call>) => {
  const injector = Injector.make(plan)
  return calls.map((call) => Injector.decide(injector, call))
}

const Seeds = { seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff })) }

/** Calls to two gateways and the store, mixed by their numbers. */
const Mixed = Schema.Array(Schema.Literals(["psp", "other", "store", "lookup"])).check(Schema.isMinLength(1), Schema.isMaxLength(200))
type Where = (typeof Mixed.Type)[number]
const callAt = (where: Where): Injector.Call => {
  if (where === "store") return { target: "eventStore", operation: "commit", atMillis: 0 }
  if (where === "lookup") return { target: "gateway", gateway: psp, operation: "lookup", atMillis: 0 }
  return sale(0, where === "psp" ? psp : other)
}

describe("draws", () => {
  it.prop(
    "the same seed gives every stream the same faults, however the calls of others come in between",
    { ...Seeds, mixed: Mixed },
    ({ mixed, seed }) => {
      const plan = planOf(
        [
          { when: random(0.3), inject: { type: "latency" } },
          { when: random(0.3), inject: network },
          { target: "eventStore", when: random(0.4), inject: lost }
        ],
        { seed }
      )
      const together = faultsOf(plan, mixed.map(callAt))
      for (const where of ["psp", "other", "store", "lookup"] as const) {
        const alone = faultsOf(plan, mixed.filter((one) => one === where).map(callAt))
        assert.deepStrictEqual(
          together.filter((_, index) => mixed[index] === where),
          alone
        )
      }
    }
  )

  it("another seed gives other faults", () => {
    const types = (seed: number) => meet(Injector.make(planOf([{ when: random(0.5), inject: network }], { seed })), times(64))
    assert.deepStrictEqual(types(1), types(1))
    assert.notDeepEqual(types(1), types(2))
  })

  it("rates hold, for neighbouring seeds and for every rule and stream of one plan", () => {
    const draws = 20_000
    for (const rate of [0.01, 0.05, 0.5, 0.95]) {
      for (const seed of [0, 1, 2, 0xffff_ffff]) {
        const rules = [{ when: random(rate), inject: network }]
        for (const gateway of [psp, other]) {
          const met = meet(Injector.make(planOf(rules, { seed, maxInjections: draws })), times(draws, sale(0, gateway)))
          const share = met.filter((type) => type !== undefined).length / draws
          // Five standard deviations.
          assert.approximately(share, rate, 5 * Math.sqrt((rate * (1 - rate)) / draws), `${rate} ${seed} ${gateway}`)
        }
      }
    }
  })

  it("rate 0 never and rate 1 always", () => {
    assert.deepStrictEqual(new Set(meet(Injector.make(planOf([{ when: random(0), inject: network }])), times(2_000))), new Set([undefined]))
    assert.deepStrictEqual(new Set(meet(Injector.make(planOf([{ when: random(1), inject: network }])), times(2_000))), new Set(["network"]))
  })

  it("two rules of one rate do not meet the same calls", () => {
    const rule = (operations: ChaosRule["operations"]) => ({ when: random(0.5), inject: network, ...(operations && { operations }) })
    const first = meet(Injector.make(planOf([rule(undefined)])), times(64))
    const second = meet(Injector.make(planOf([rule(["void"]), rule(undefined)])), times(64))
    assert.notDeepEqual(first, second)
  })

  it("latency is drawn from all of its range, and both ends are met", () => {
    const injector = Injector.make(planOf([{ when: random(1), inject: { type: "latency", minMillis: 10, maxMillis: 13 } }]))
    const delays = new Set<number | undefined>()
    for (let call = 0; call < 200; call++) {
      const injection = Injector.decide(injector, sale())?.injection
      assert.strictEqual(injection?.type, "latency")
      if (injection?.type !== "latency") continue
      assert.strictEqual(injection.minMillis, injection.maxMillis)
      delays.add(injection.minMillis)
    }
    assert.deepStrictEqual(delays, new Set([10, 11, 12, 13]))
  })

  it("latency without a range is 100 to 5,000 ms, and one that gives an end beyond that means that end", () => {
    const of = (inject: Injection) => {
      const injection = Injector.decide(Injector.make(planOf([{ when: random(1), inject }])), sale())?.injection
      return injection?.type === "latency" ? (injection.minMillis ?? Number.NaN) : Number.NaN
    }
    assert.isAtLeast(of({ type: "latency" }), 100)
    assert.isAtMost(of({ type: "latency" }), 5_000)
    assert.strictEqual(of({ type: "latency", minMillis: 60_000 }), 60_000)
    assert.isAtMost(of({ type: "latency", maxMillis: 3 }), 3)
  })
})

describe("when", () => {
  it("at: the first call at or after each time, one call for each time", () => {
    const injector = Injector.make(planOf([{ when: { type: "at", atMillis: [100, 110, 500] }, inject: network }]))
    const calls = [0, 99, 100, 100, 120, 130, 499, 700, 800].map((at) => sale(at))
    assert.deepStrictEqual(
      meet(injector, calls).map((type) => type !== undefined),
      [false, false, true, false, true, false, false, true, false]
    )
  })

  it("calls: exactly these of each gateway and operation", () => {
    const injector = Injector.make(planOf([{ when: { type: "calls", calls: [2, 4] }, inject: network }]))
    const mixed = [sale(0, psp), sale(0, other), sale(0, psp), sale(0, psp), sale(0, other), sale(0, psp), sale(0, psp)]
    assert.deepStrictEqual(
      meet(injector, mixed).map((type) => type !== undefined),
      [false, false, true, false, true, true, false]
    )
  })

  it("burst: within its window and not outside of it, again and again", () => {
    const injector = Injector.make(planOf([{ when: { type: "burst", everyMillis: 1_000, forMillis: 200 }, inject: network }]))
    const met = [0, 199, 200, 999, 1_000, 1_199, 1_200, 5_100].map((at) => [at, meet(injector, [sale(at)])[0] !== undefined])
    assert.deepStrictEqual(met, [
      [0, true],
      [199, true],
      [200, false],
      [999, false],
      [1_000, true],
      [1_199, true],
      [1_200, false],
      [5_100, true]
    ])
  })

  it("a rule is in force from its start until before its end, and only for what it names", () => {
    const rule = { when: random(1), inject: network, fromMillis: 10, untilMillis: 20, gateways: [psp], operations: ["sale" as const] }
    const injector = Injector.make(planOf([rule]))
    const void_: Injector.Call = { ...sale(15), operation: "void" }
    assert.deepStrictEqual(meet(injector, [sale(9), sale(10), sale(19), sale(20), sale(15, other), void_]), [
      undefined,
      "network",
      "network",
      undefined,
      undefined,
      undefined
    ])
  })

  it("the first rule that holds injects, at most one fault for a call", () => {
    const rules = [
      { when: { type: "calls" as const, calls: [1] }, inject: network },
      { when: random(1), inject: lost }
    ]
    assert.deepStrictEqual(meet(Injector.make(planOf(rules)), times(3)), ["network", "response_lost", "response_lost"])
  })
})

const Rules = Schema.Array(
  Schema.Struct({
    rate: Schema.Literals([0.1, 0.5, 1]),
    bound: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))
  })
).check(Schema.isMinLength(1), Schema.isMaxLength(5))

describe("bounds", () => {
  const Bound = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 }))

  it.prop(
    "no more faults than the plan allows, nor than a rule allows",
    { ...Seeds, rules: Rules, bound: Bound, mixed: Mixed },
    ({ bound, mixed, rules, seed }) => {
      const plan = planOf(
        rules.map(({ bound: ofRule, rate }) => ({
          when: random(rate),
          inject: network,
          ...(ofRule === undefined ? {} : { maxInjections: ofRule })
        })),
        { seed, maxInjections: bound, cascades: [{ from: psp, to: [other], inject: lost }] }
      )
      const injector = Injector.make(plan)
      const injected = mixed.flatMap((where) => Injector.decide(injector, callAt(where)) ?? [])
      assert.isAtMost(injected.length, bound)
      assert.strictEqual(injector.injections, injected.length)
      for (const [index, rule] of plan.rules.entries()) {
        const byRule = injected.filter(({ by }) => by.part === "rule" && by.number === index + 1).length
        assert.isAtMost(byRule, rule.maxInjections ?? Infinity)
      }
    }
  )

  it("allow as many as they say, and a plan without a bound 10,000", () => {
    const injected = (maxInjections: number | undefined) =>
      meet(
        Injector.make(planOf([{ when: random(1), inject: network }], maxInjections === undefined ? {} : { maxInjections })),
        times(10_100)
      ).filter((type) => type !== undefined).length
    assert.strictEqual(injected(3), 3)
    assert.strictEqual(injected(undefined), 10_000)
  })

  it("a fault is injected only where it can happen", () => {
    for (const [target, operations] of Object.entries(operationsOf) as ReadonlyArray<
      ["gateway" | "eventStore" | "lock", ReadonlyArray<Injector.Call["operation"]>]
    >) {
      for (const operation of operations) {
        for (const inject of [
          network,
          lost,
          { type: "lock_busy" },
          { type: "lease_lost" },
          { type: "rate_limited" }
        ] satisfies Array<Injection>) {
          const injector = Injector.make(planOf([{ target, when: random(1), inject }]))
          const met = Injector.decide(injector, { target, operation, atMillis: 0 }) !== undefined
          assert.strictEqual(met, applies(inject, target, operation), `${target} ${operation} ${inject.type}`)
        }
      }
    }
    assert.isFalse(applies(lost, "eventStore", "read"))
    assert.isTrue(applies(lost, "eventStore", "commit"))
    assert.isFalse(applies({ type: "lease_lost" }, "lock", "acquire"))
  })
})

describe("cascades", () => {
  const first = { when: { type: "calls" as const, calls: [1, 2, 3, 4, 5, 6] }, inject: network, gateways: [psp] }
  const cascade: Cascade = {
    from: psp,
    to: [other],
    afterInjections: 2,
    afterMillis: 100,
    forMillis: 50,
    inject: { type: "server_error", status: 503, executed: false }
  }

  it("begin after so many faults and so long, last so long, and may begin again", () => {
    const injector = Injector.make(planOf([first], { cascades: [cascade] }))
    meet(injector, [sale(0)])
    assert.deepStrictEqual(meet(injector, [sale(150, other)]), [undefined], "one fault is not enough")
    meet(injector, [sale(200)])
    // Further faults meanwhile neither delay nor prolong it.
    meet(injector, [sale(260), sale(270)])
    assert.deepStrictEqual(
      meet(
        injector,
        [299, 300, 349, 350].map((at) => sale(at, other))
      ),
      [undefined, "server_error", "server_error", undefined]
    )
    assert.deepStrictEqual(meet(injector, [sale(1_000), sale(1_000), sale(1_110, other)]), ["network", "network", "server_error"])
  })

  it("spread on: what one injects counts for the next", () => {
    const third = sale(0, other)
    const chain: ReadonlyArray<Cascade> = [
      { from: psp, to: [other], inject: lost },
      { from: other, to: [psp], inject: { type: "rate_limited" } }
    ]
    const injector = Injector.make(planOf([{ ...first, when: { type: "calls", calls: [1] } }], { cascades: chain }))
    assert.deepStrictEqual(meet(injector, [sale(), third, sale()]), ["network", "response_lost", "rate_limited"])
  })

  it("a share of the calls only, where one is given", () => {
    const injector = Injector.make(
      planOf([{ ...first, when: { type: "calls", calls: [1] } }], {
        cascades: [{ ...cascade, afterInjections: 1, afterMillis: 0, rate: 0.2 }]
      })
    )
    meet(injector, [sale()])
    const met = meet(injector, times(5_000, sale(1, other))).filter((type) => type !== undefined).length
    assert.approximately(met / 5_000, 0.2, 5 * Math.sqrt(0.16 / 5_000))
  })
})

describe("a script", () => {
  it("draws the delay that it leaves open, and keeps one that is given", () => {
    const delayOf = (inject: Injection) => {
      const script = [{ target: "gateway", gateway: psp, operation: "sale", call: 1, inject }] as const
      const injection = Injector.decide(Injector.make(planOf([], { script })), sale())?.injection
      return injection?.type === "latency" && injection.minMillis === injection.maxMillis ? injection.minMillis : undefined
    }
    assert.isAtLeast(delayOf({ type: "latency" }) ?? 0, 100)
    assert.isAtMost(delayOf({ type: "latency" }) ?? Infinity, 5_000)
    assert.isAbove(delayOf({ type: "latency", minMillis: 200, maxMillis: 100_000 }) ?? 0, 200)
    assert.strictEqual(delayOf({ type: "latency", minMillis: 321, maxMillis: 321 }), 321)
  })
})

describe("a repetition", () => {
  it.prop("injects the same faults into the same calls, whatever the plan said", { ...Seeds, mixed: Mixed }, ({ mixed, seed }) => {
    const plan = planOf(
      [
        { when: random(0.2), inject: { type: "latency" } },
        { when: { type: "at", atMillis: [3, 30] }, inject: lost },
        { when: { type: "burst", everyMillis: 20, forMillis: 5, rate: 0.5 }, inject: network },
        { target: "eventStore", when: random(0.3), inject: lost, maxInjections: 3 }
      ],
      {
        seed,
        maxInjections: 40,
        cascades: [{ from: psp, to: [other], forMillis: 10, rate: 0.5, inject: { type: "reset", executed: true } }]
      }
    )
    const calls = mixed.map((where, index) => ({ ...callAt(where), atMillis: index }))
    const injector = Injector.make(plan)
    const before = calls.map((call) => Injector.decide(injector, call))
    const repetition = Injector.repetitionOf(injector)
    assert.isDefined(repetition)
    if (repetition === undefined) return
    assert.isTrue(Schema.is(ChaosPlan)(repetition), "it is a plan like any other")
    const stored: unknown = JSON.parse(JSON.stringify(repetition))
    // At other times: what counts are the calls.
    const again = faultsOf(
      Schema.decodeUnknownSync(ChaosPlan)(stored),
      calls.map((call) => ({ ...call, atMillis: 0 }))
    )
    assert.deepStrictEqual(
      again.map((injected) => injected?.injection),
      before.map((injected) => injected?.injection)
    )
  })

  it("is refused where more was injected than is kept", () => {
    const injector = Injector.make(planOf([{ when: random(1), inject: network }], { maxInjections: 20_000 }))
    meet(injector, times(10_000))
    assert.isDefined(Injector.repetitionOf(injector))
    meet(injector, times(1))
    assert.isUndefined(Injector.repetitionOf(injector))
    assert.lengthOf(injector.log, 10_000)
  })
})
