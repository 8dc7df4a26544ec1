/**
 * The breaker as a state machine: properties over random histories, and what single cases of the others do not show.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Presets from "../../../src/domain/Presets.ts"
import * as Breaker from "../../../src/domain/resilience/Breaker.ts"
import * as BreakerWindow from "../../../src/domain/resilience/breaker/BreakerWindow.ts"
import * as BreakerName from "../../../src/domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import * as Health from "../../../src/domain/resilience/Health.ts"
import { BreakerScript } from "./BreakerScript.ts"

const small = (maximum: number, minimum = 1) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Settings so small that short histories reach every state. */
const Settings = Schema.Struct({
  failureThreshold: small(4),
  failureRateThreshold: Schema.Literals([0.3, 0.5, 1]),
  windowMillis: Schema.Literals([100, 1_000]),
  minimumCalls: small(6),
  successThreshold: small(4),
  openTimeoutMillis: Schema.Literals([50, 500]),
  openTimeoutFactor: Schema.Literals([1, 2]),
  openTimeoutCapMillis: Schema.Literals([50, 1_500]),
  halfOpenTimeoutMillis: Schema.Literals([40, 400]),
  halfOpenMaxAttempts: small(4),
  slowCallMillis: Schema.Literals([20]),
  slowCallRateThreshold: Schema.Literals([0.5, 1]),
  slowCallMinimumCalls: small(6),
  adaptive: Schema.Boolean,
  adaptiveMinimumCalls: small(6)
})

/** `pick`: which of the permits that are out, from the oldest on. */
const Call = Schema.TaggedStruct("call", {})
const End = Schema.TaggedStruct("end", {
  pick: small(20, 0),
  verdict: Schema.Literals(["success", "success", "failure", "ignored"]),
  took: small(40, 0)
})
const Step = Schema.Union([
  Call,
  Call,
  Call,
  End,
  End,
  End,
  Schema.TaggedStruct("wait", { millis: Schema.Literals([1, 7, 30, 60, 300, 2_000]) }),
  Schema.TaggedStruct("order", { order: Schema.Literals(["reset", "forceOpen", "forceClosed"]) }),
  Schema.TaggedStruct("follow", { state: Schema.Literals(["open", "open", "closed"]), forMillis: small(600, -10) })
])
type Step = typeof Step.Type
const History = Schema.Array(Step).check(Schema.isMinLength(60), Schema.isMaxLength(150))

const orders = { reset: Breaker.reset, forceOpen: Breaker.forceOpen, forceClosed: Breaker.forceClosed }

/** Runs a history; `check` sees the breaker after each step, `before` ahead of it. */
const run = (
  settings: typeof Settings.Type,
  history: ReadonlyArray<Step>,
  checks: {
    readonly before?: (script: BreakerScript, step: Step, permit: Breaker.Permit | undefined) => void
    readonly after: (script: BreakerScript, step: Step, out: ReadonlyArray<Breaker.Permit>) => void
    readonly admitted?: (script: BreakerScript, admission: Breaker.Permit | Breaker.Rejected, wasOpenUntil: number) => void
  }
) => {
  const script = new BreakerScript(settings)
  const out: Array<Breaker.Permit> = []
  for (const step of history) {
    const permit = step._tag === "end" ? out[step.pick % Math.max(1, out.length)] : undefined
    checks.before?.(script, step, permit)
    const { breaker } = script
    switch (step._tag) {
      case "call": {
        const openUntil = breaker.state === "open" ? breaker.retryAt : Number.NEGATIVE_INFINITY
        const admission = Breaker.tryAcquire(breaker, script.now)
        checks.admitted?.(script, admission, openUntil)
        if (admission._tag === "Permit") out.push(admission)
        break
      }
      case "end":
        if (permit !== undefined) {
          out.splice(out.indexOf(permit), 1)
          script.report(permit, step.verdict, step.took)
        }
        break
      case "wait":
        script.wait(step.millis)
        break
      case "order":
        orders[step.order](breaker, script.now)
        break
      case "follow":
        Breaker.follow(breaker, step.state === "open" ? { state: "open", forMillis: step.forMillis } : { state: "closed" }, script.now)
        break
    }
    checks.after(script, step, out)
  }
  return script
}

const sum = (counts: Uint32Array) => counts.reduce((all, count) => all + count, 0)

describe("properties", () => {
  it.prop(
    "counts stay within bounds and the totals of the window are those of its buckets",
    { settings: Settings, history: History },
    (given) => {
      run(given.settings, given.history, {
        after: ({ breaker }) => {
          const { window } = breaker
          assert.deepStrictEqual(
            [window.calls, window.failures, window.slow],
            [sum(window.bucketCalls), sum(window.bucketFailures), sum(window.bucketSlow)]
          )
          assert.isAtMost(Math.max(window.failures, window.slow), window.calls)
          assert.isAtLeast(Math.min(window.failures, window.slow, breaker.consecutiveFailures, breaker.consecutiveSuccesses), 0)
          assert.isTrue(breaker.consecutiveFailures === 0 || breaker.consecutiveSuccesses === 0)
          assert.isAtLeast(window.baselineFailures, 0)
          assert.isAtMost(window.baselineFailures, window.baselineCalls + 1e-9)
          const tolerated = BreakerWindow.toleratedFailureRate(window, breaker.settings)
          assert.isTrue(tolerated > 0 && tolerated <= 1)
        }
      })
    }
  )

  it.prop("half-open, never more than halfOpenMaxAttempts are under way", { settings: Settings, history: History }, (given) => {
    run(given.settings, given.history, {
      after: ({ breaker }, _step, out) => {
        const probes = out.filter((permit) => permit.probe && permit.generation === breaker.generation)
        if (breaker.state !== "half-open") return assert.lengthOf(probes, 0)
        assert.strictEqual(breaker.probesOut, probes.length)
        assert.isAtMost(probes.length, breaker.settings.halfOpenMaxAttempts)
        assert.isBelow(breaker.probesQuick, breaker.settings.successThreshold)
        assert.isBelow(breaker.probesSlow, breaker.settings.successThreshold)
      }
    })
  })

  it.prop(
    "open, nothing is admitted before its time, and a refusal's time is the shortest that helps",
    { settings: Settings, history: History },
    (given) => {
      let refused = false
      run(given.settings, given.history, {
        before: (script) => (refused = Breaker.refusesAt(script.breaker, script.now)),
        admitted: (script, admission, openUntil) => {
          assert.strictEqual(admission._tag === "Rejected", refused, "what is told beforehand")
          if (script.now < openUntil) assert.strictEqual(admission._tag, "Rejected")
          if (admission._tag === "Permit" || admission.retryInMillis === undefined) return
          const wait = admission.retryInMillis
          assert.isAbove(wait, 0)
          if (admission.state === "open") assert.strictEqual(script.now + wait, openUntil)
        },
        after: ({ breaker, now }) => {
          if (breaker.state === "open") {
            assert.isAtMost(breaker.retryAt - now, Math.max(breaker.settings.openTimeoutMillis, breaker.settings.openTimeoutCapMillis))
          }
        }
      })
    }
  )

  it.prop("an ignored call changes nothing but that its permit is back", { settings: Settings, history: History }, (given) => {
    let copy: unknown
    const essence = ({ breaker }: BreakerScript) => {
      const { heardAt: _heardAt, permit: _permit, probesOut, totals, ...rest } = breaker
      return structuredClone({ ...rest, probesOut: Math.max(0, probesOut), totals: { ...totals, ignored: 0 } })
    }
    run(given.settings, given.history, {
      before: (script, step, permit) => {
        copy = undefined
        if (step._tag !== "end" || step.verdict !== "ignored" || permit === undefined) return
        const givesBack = permit.probe && !permit.reported && permit.generation === script.breaker.generation
        copy = { ...essence(script), probesOut: script.breaker.probesOut - (givesBack ? 1 : 0) }
      },
      after: (script) => {
        if (copy !== undefined) assert.deepStrictEqual(essence(script), copy)
      }
    })
  })

  it.prop("a late verdict changes only the totals", { settings: Settings, history: History }, (given) => {
    let copy: unknown
    const essence = ({ breaker }: BreakerScript) => {
      const { lastFailureAt: _lastFailureAt, permit: _permit, totals: _totals, ...rest } = breaker
      return structuredClone(rest)
    }
    run(given.settings, given.history, {
      before: (script, step, permit) => {
        copy = step._tag === "end" && permit !== undefined && permit.generation !== script.breaker.generation ? essence(script) : undefined
      },
      after: (script) => {
        if (copy !== undefined) assert.deepStrictEqual(essence(script), copy)
      }
    })
  })

  it.prop("the window counts what a list of the calls since it began counts", { settings: Settings, history: History }, (given) => {
    let calls: Array<{ at: number; failed: boolean; slow: boolean }> = []
    const counts = (permit: Breaker.Permit, breaker: Breaker.Breaker) => permit.generation === breaker.generation
    let counted: { at: number; failed: boolean; slow: boolean } | undefined
    let changes = 0
    run(given.settings, given.history, {
      before: (script, step, permit) => {
        counted = undefined
        if (step._tag !== "end" || step.verdict === "ignored" || permit === undefined || !counts(permit, script.breaker)) return
        counted = { at: script.now, failed: step.verdict === "failure", slow: step.took >= script.breaker.settings.slowCallMillis }
      },
      after: ({ breaker, now }) => {
        if (counted !== undefined) calls.push(counted)
        const began = breaker.changes !== changes && (breaker.state === "closed" || breaker.state === "half-open")
        changes = breaker.changes
        if (began) calls = []
        BreakerWindow.advance(breaker.window, now)
        const bucketOf = (at: number) => Math.floor(at / breaker.window.bucketMillis)
        const inside = calls.filter(({ at }) => bucketOf(now) - bucketOf(at) < BreakerWindow.bucketCount)
        assert.deepStrictEqual(
          [breaker.window.calls, breaker.window.failures, breaker.window.slow],
          [inside.length, inside.filter(({ failed }) => failed).length, inside.filter(({ slow }) => slow).length]
        )
      }
    })
  })

  it.prop(
    "the score is in [0, 1]; failures never raise it, successes never lower it",
    { settings: Settings, history: History },
    (given) => {
      const name = BreakerName.BreakerName.make("any")
      run(given.settings, given.history, {
        after: ({ breaker, now }) => {
          const { score, ...signs } = Health.ofBreaker(name, breaker, now)
          assert.isTrue(score >= 0 && score <= 1, String(score))
          const with_ = (change: Partial<Health.Signs>) => Health.score({ ...signs, ...change }, breaker.settings)
          assert.isAtMost(with_({ consecutiveFailures: signs.consecutiveFailures + 1 }), score)
          assert.isAtLeast(with_({ consecutiveSuccesses: signs.consecutiveSuccesses + 1 }), score)
          assert.isAtMost(with_({ successRate: 0 }), score)
        }
      })
    }
  )
})

describe("permits", () => {
  it("those of a closed breaker are one value, made once per closing", () => {
    const script = new BreakerScript({ failureThreshold: 1, openTimeoutMillis: 10 })
    assert.strictEqual(script.permit(), script.permit())
    const before = script.permit()
    script.failure().wait(10).success(3).is("closed")
    assert.notStrictEqual(script.permit(), before)
  })

  it("a half-open permit that is reported twice counts once", () => {
    const script = new BreakerScript({ failureThreshold: 1, openTimeoutMillis: 10, successThreshold: 2, halfOpenMaxAttempts: 2 })
      .failure()
      .wait(10)
    const twice = script.permit()
    const other = script.permit()
    script.report(twice, "success").report(twice, "success").is("half-open")
    assert.deepStrictEqual([script.breaker.probesOut, script.breaker.totals.quick], [1, 1])
    script.report(other, "success").is("closed")
  })

  it("permits that were given back by silence say nothing when they are reported after all", () => {
    const script = new BreakerScript({ failureThreshold: 1, openTimeoutMillis: 10, halfOpenMaxAttempts: 1, halfOpenTimeoutMillis: 100 })
    const lost = script.failure().wait(10).permit()
    script.wait(100).permit()
    script.report(lost, "failure").is("half-open")
    script.refused()
  })
})

describe("half-open", () => {
  const opened = () =>
    new BreakerScript({ failureThreshold: 1, openTimeoutMillis: 10, slowCallMillis: 100, successThreshold: 3 }).failure().wait(10)

  it("every trial begins anew: successes, slow answers and permits of the one before do not count", () => {
    const script = opened()
    script.permit()
    script.success(2).success(2, 100).failure().is("open").wait(10)
    script.success(2).success(2, 100).is("half-open")
    assert.strictEqual(script.breaker.probesOut, 0)
    script.success().is("closed")
  })

  it("the silence is counted from the last answer", () => {
    const script = opened()
    const permits = Array.from({ length: 5 }, () => script.permit())
    script.wait(29_999).report(permits[0]!, "ignored").permit()
    script.wait(29_999).refused()
    script.wait(1).permit()
  })

  it("half-open, slow answers do not close it, and quick ones still do", () => {
    const script = new BreakerScript({ failureThreshold: 1, openTimeoutMillis: 10, slowCallMillis: 100, successThreshold: 3 })
    script.failure().wait(10).success(2, 100).success(2).is("half-open").success().is("closed")
  })
})

describe("window", () => {
  it("a clock that steps back counts at the newest part", () => {
    const script = new BreakerScript({ windowMillis: 1_000 }).success().wait(-500).success(3)
    assert.strictEqual(script.breaker.window.calls, 4)
    assert.strictEqual(script.wait(1_400).success().breaker.window.calls, 5)
    assert.strictEqual(script.wait(100).success().breaker.window.calls, 2)
  })
})

describe("adaptive threshold", () => {
  const adaptive = {
    adaptive: true,
    minimumCalls: 20,
    windowMillis: 10_000,
    adaptiveHalfLifeMillis: 3_600_000,
    adaptiveMinimumCalls: 100,
    adaptiveFloor: 0.2,
    adaptiveCeiling: 0.8
  }

  /** 20 calls a second for a time, of every 20 so many fail, evenly; until it opens. */
  const steadily = (script: BreakerScript, seconds: number, failing: number) => {
    for (let call = 0; call < seconds * 20 && script.state === "closed"; call++) {
      if (call % 20 === 0) script.wait(1_000)
      script.calls((call * failing) % 20 < failing ? "failure" : "success", 1)
    }
    return script
  }
  const tolerated = ({ breaker }: BreakerScript) => BreakerWindow.toleratedFailureRate(breaker.window, breaker.settings)

  it("is p + 3 x sqrt(p x (1 - p) / n) of what was usual", () => {
    const script = steadily(new BreakerScript(adaptive), 120, 5)
    const { baselineCalls, baselineFailures, calls } = script.breaker.window
    assert.closeTo(baselineFailures / baselineCalls, 0.25, 1e-9)
    assert.closeTo(tolerated(script), 0.25 + 3 * Math.sqrt((0.25 * 0.75) / calls), 1e-9)
    assert.isTrue(calls >= 180 && calls <= 200, String(calls))
  })

  it("opens where a fixed one would not: the usual 5 % become 25 %", () => {
    for (const [isAdaptive, state] of [
      [true, "open"],
      [false, "closed"]
    ] as const) {
      const script = steadily(new BreakerScript({ ...adaptive, adaptive: isAdaptive }), 120, 1).is("closed")
      assert.strictEqual(tolerated(script), isAdaptive ? 0.2 : 0.5)
      steadily(script, 20, 5).is(state)
    }
  })

  it("does not open where a fixed one would: the usual half becomes 60 %", () => {
    // It has to be closed to learn what is usual: here by a fixed threshold that lets half of the calls pass.
    const settings = { ...adaptive, failureRateThreshold: 0.58 }
    steadily(new BreakerScript(settings), 240, 10).is("closed")
    const worse = steadily(new BreakerScript(settings), 120, 10)
    assert.isAbove(tolerated(worse), 0.6)
    assert.strictEqual(steadily(worse, 10, 12).state, "closed")
    assert.strictEqual(steadily(steadily(new BreakerScript({ ...settings, adaptive: false }), 120, 10), 10, 12).state, "open")
  })

  it("never exceeds the ceiling nor falls below the floor", () => {
    assert.strictEqual(tolerated(steadily(new BreakerScript({ ...adaptive, failureRateThreshold: 1 }), 120, 15)), 0.8)
    assert.strictEqual(tolerated(steadily(new BreakerScript(adaptive), 120, 0)), 0.2)
  })

  it("while too little is known the fixed threshold holds, at the start and after a long silence", () => {
    const script = steadily(new BreakerScript(adaptive), 10, 1)
    assert.strictEqual(tolerated(script), 0.5)
    steadily(script, 60, 1)
    assert.strictEqual(tolerated(script), 0.2)
    script.wait(24 * 3_600_000).success()
    assert.strictEqual(tolerated(script), 0.5)
  })

  it("an outage does not become usual, however often it comes", () => {
    const script = steadily(new BreakerScript({ ...adaptive, failureThreshold: 5, openTimeoutMillis: 30_000 }), 120, 1)
    const usual = () => script.breaker.window.baselineFailures / script.breaker.window.baselineCalls
    const before = usual()
    for (let outage = 0; outage < 20; outage++) {
      script.failure(5).is("open").wait(20_000)
      Health.ofBreaker(BreakerName.BreakerName.make("read"), script.breaker, script.now)
      script.wait(10_000)
      script.failure().is("open").wait(30_000).success(3).is("closed")
    }
    assert.closeTo(usual(), before, 0.001)
  })

  it("fades with its half-life", () => {
    const script = steadily(new BreakerScript(adaptive), 60, 1)
    script.wait(10_000).success()
    const { baselineCalls } = script.breaker.window
    script.wait(3_600_000).success()
    assert.closeTo(script.breaker.window.baselineCalls, baselineCalls / 2 + 0.5, 1.5)
  })
})

describe("following another instance", () => {
  it("opens for as long as it is told, at most the longest open time", () => {
    const script = new BreakerScript({ openTimeoutMillis: 1_000, openTimeoutCapMillis: 2_000 })
    Breaker.follow(script.breaker, { state: "open", forMillis: 700 }, script.now)
    assert.deepInclude(script.refused(), { state: "open", retryInMillis: 700 })
    assert.strictEqual(script.breaker.reason, "told")
    Breaker.follow(script.breaker, { state: "open", forMillis: 1e12 }, script.now)
    assert.strictEqual(script.refused().retryInMillis, 2_000)
    assert.strictEqual(script.breaker.totals.transitions.open, 1, "open already: not opened again")
  })

  it("closes, and is forced", () => {
    const script = new BreakerScript({ failureThreshold: 1 }).failure().is("open")
    for (const state of ["closed", "forced-open", "forced-closed"] as const) {
      Breaker.follow(script.breaker, { state }, script.now)
      script.is(state)
    }
  })
})

describe("settings", () => {
  it("every named setting is valid, and no preset is left out", () => {
    const isValid = Schema.is(BreakerSettings.BreakerSettings)
    const { exchangeRate, fraudDetection, gatewayDefault, paymentProvider } = BreakerSettings
    for (const settings of [exchangeRate, fraudDetection, gatewayDefault, paymentProvider]) assert.isTrue(isValid(settings))
    assert.hasAllKeys(Presets.breaker, Object.keys(BreakerSettings.BreakerSettings.fields))
  })

  it("are those of the requirements", () => {
    const { exchangeRate, fraudDetection, gatewayDefault, paymentProvider } = BreakerSettings
    assert.deepInclude(gatewayDefault, {
      failureThreshold: 5,
      failureRateThreshold: 0.5,
      successThreshold: 3,
      openTimeoutMillis: 60_000,
      halfOpenTimeoutMillis: 30_000,
      halfOpenMaxAttempts: 5,
      minHealthScore: 0.5
    })
    assert.deepInclude(paymentProvider, { failureThreshold: 3, openTimeoutMillis: 30_000 })
    assert.deepInclude(fraudDetection, { failureThreshold: 5, openTimeoutMillis: 60_000 })
    assert.deepInclude(exchangeRate, {
      failureThreshold: 5,
      failureRateThreshold: 0.5,
      windowMillis: 30_000,
      minimumCalls: 5,
      openTimeoutMillis: 60_000
    })
  })
})

describe("a half-open breaker that nobody probes", () => {
  const settings = BreakerSettings.gatewayDefault
  const { openTimeoutMillis } = settings
  /** A breaker that has opened, at the moment when it may be probed. */
  const recovering = () => {
    const breaker = Breaker.make(settings, 0)
    for (let nth = 0; nth < settings.failureThreshold; nth++) {
      const permit = Breaker.tryAcquire(breaker, 0)
      if (permit._tag === "Permit") Breaker.report(permit, { verdict: "failure", durationMillis: 1 }, 0)
    }
    return breaker
  }
  const probe = (breaker: Breaker.Breaker, now: number) => {
    const permit = Breaker.tryAcquire(breaker, now)
    return permit._tag === "Permit" ? permit : assert.fail("refused")
  }

  it("wants a probe at once, then one every open time; not while one is under way", () => {
    const breaker = recovering()
    assert.isUndefined(Breaker.probeWanted(breaker, openTimeoutMillis - 1))
    assert.strictEqual(Breaker.probeWanted(breaker, openTimeoutMillis), "due")
    const first = probe(breaker, openTimeoutMillis)
    const answeredAt = openTimeoutMillis + 1_000
    assert.isUndefined(Breaker.probeWanted(breaker, answeredAt))
    Breaker.report(first, { verdict: "success", durationMillis: 1 }, answeredAt)
    assert.isUndefined(Breaker.probeWanted(breaker, answeredAt + openTimeoutMillis - 1))
    assert.strictEqual(Breaker.probeWanted(breaker, answeredAt + openTimeoutMillis), "due")
  })

  it("is overdue after ten open times, wants none once it is closed, and says since when it is", () => {
    const breaker = recovering()
    assert.strictEqual(Breaker.probeWanted(breaker, 10 * openTimeoutMillis - 1), "due")
    assert.strictEqual(Breaker.probeWanted(breaker, 10 * openTimeoutMillis), "overdue")
    assert.isUndefined(Breaker.closedAgainAt(breaker))
    const at = 10 * openTimeoutMillis
    for (let nth = 0; nth < settings.successThreshold; nth++)
      Breaker.report(probe(breaker, at), { verdict: "success", durationMillis: 1 }, at)
    assert.isUndefined(Breaker.probeWanted(breaker, 30 * openTimeoutMillis))
    assert.strictEqual(Breaker.closedAgainAt(breaker), at)
    assert.isUndefined(Breaker.closedAgainAt(Breaker.make(settings, 7)))
  })

  it("a probe that is lost is not waited for longer than its limit", () => {
    const breaker = recovering()
    probe(breaker, openTimeoutMillis)
    const late = openTimeoutMillis + Math.max(openTimeoutMillis, settings.halfOpenTimeoutMillis)
    assert.strictEqual(Breaker.probeWanted(breaker, late), "due")
  })
})
