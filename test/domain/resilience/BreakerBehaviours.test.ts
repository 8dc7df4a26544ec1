/**
 * What the breakers that people know do, case by case, and what ours does: the same, or something else for a reason.
 *
 * Each row was read in the source or the documentation named beside it. A row whose `ours` is `same` shows that behaviour; any other
 * shows what is done instead and says why.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Breaker from "../../../src/domain/resilience/Breaker.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import { BreakerScript, never } from "./BreakerScript.ts"

interface Row {
  readonly says: string
  readonly source: string
  readonly ours: "same" | { readonly instead: string; readonly because: string }
  readonly shown: () => void
}

const script = (settings?: Partial<BreakerSettings.BreakerSettings>) => new BreakerScript(settings)

/** Opened by a failure, and the open time over. */
const tried = (settings?: Partial<BreakerSettings.BreakerSettings>) => {
  const opened = script({ failureThreshold: 1, ...settings })
    .failure()
    .is("open")
  return opened.wait(opened.breaker.settings.openTimeoutMillis)
}

const minute = 60_000

/** github.com/resilience4j/resilience4j, resilience4j-circuitbreaker/src/main/java/io/github/resilience4j/circuitbreaker */
const resilience4j: ReadonlyArray<Row> = [
  {
    says: "closed, every call is permitted",
    source: "internal/CircuitBreakerStateMachine.java, ClosedState.tryAcquirePermission",
    ours: "same",
    shown: () => script().success(1_000).is("closed")
  },
  {
    says: "opens when the failure rate is equal to or greater than the threshold",
    source: "internal/CircuitBreakerMetrics.java, checkIfThresholdsExceeded",
    ours: "same",
    shown: () => {
      const rate = { minimumCalls: 10, failureRateThreshold: 0.5 }
      script(rate).success(5).failure(4).is("closed").failure().is("open")
    }
  },
  {
    says: "nine of nine calls failed, with a minimum of ten: stays closed",
    source: "CircuitBreakerConfig.java, minimumNumberOfCalls",
    ours: "same",
    shown: () => script({ minimumCalls: 10 }).failure(9).is("closed")
  },
  {
    says: "the rate is judged at every call, so a success that completes the minimum opens it",
    source: "internal/CircuitBreakerMetrics.java, onSuccess",
    ours: { instead: "judged at failures only", because: "a success is no reason to refuse the next call; the next failure is" },
    shown: () => script({ minimumCalls: 10 }).failure(9).success().is("closed").failure().is("open")
  },
  {
    says: "a time-based window forgets calls older than its length",
    source: "CircuitBreakerConfig.java, slidingWindowType TIME_BASED",
    ours: "same",
    shown: () => script({ minimumCalls: 10, windowMillis: minute }).failure(9).wait(minute).failure(9).is("closed")
  },
  {
    says: "by default the window is the last 100 calls, however long ago",
    source: "CircuitBreakerConfig.java, DEFAULT_SLIDING_WINDOW_TYPE",
    ours: { instead: "the window is a time", because: "at a few calls an hour the last 100 say nothing of now" },
    shown: () => script({ minimumCalls: 2 }).failure().wait(86_400_000).failure().is("closed")
  },
  {
    says: "opens when the share of slow calls reaches its threshold, though all succeed",
    source: "CircuitBreakerConfig.java, slowCallRateThreshold",
    ours: "same",
    shown: () => {
      const slow = { slowCallMinimumCalls: 10, slowCallRateThreshold: 0.5, slowCallMillis: 2_000 }
      script(slow).success(5).success(4, 3_000).is("closed").success(1, 3_000).is("open")
    }
  },
  {
    says: "a call is slow when it takes longer than the threshold",
    source: "internal/CircuitBreakerMetrics.java, onSuccess",
    ours: { instead: "when it takes at least as long", because: "a call cut off by a time limit of that length takes just so long" },
    shown: () => {
      const slow = { slowCallMinimumCalls: 1, slowCallRateThreshold: 1, slowCallMillis: 2_000 }
      script(slow).success(1, 1_999).is("closed")
      script(slow).success(1, 2_000).is("open")
    }
  },
  {
    says: "a call that failed slowly counts as failed and as slow",
    source: "internal/CircuitBreakerMetrics.java, Outcome.SLOW_ERROR",
    ours: "same",
    shown: () => {
      const { breaker } = script({ slowCallMillis: 100 }).failure(1, 200)
      assert.deepStrictEqual([breaker.window.failures, breaker.window.slow], [1, 1])
    }
  },
  {
    says: "by default only a window of nothing but slow calls opens it",
    source: "CircuitBreakerConfig.java, DEFAULT_SLOW_CALL_RATE_THRESHOLD",
    ours: { instead: "four of five", because: "one quick answer among many slow ones says nothing" },
    shown: () => {
      const defaults = BreakerSettings.gatewayDefault
      script(defaults).success(4).success(15, defaults.slowCallMillis).is("closed").success(1, defaults.slowCallMillis).is("open")
    }
  },
  {
    says: "open, calls are refused and counted as not permitted",
    source: "internal/CircuitBreakerStateMachine.java, OpenState.tryAcquirePermission",
    ours: "same",
    shown: () => {
      const open = script({ failureThreshold: 1 }).failure()
      for (let call = 0; call < 7; call++) open.refused()
      assert.strictEqual(open.breaker.totals.blocked, 7)
    }
  },
  {
    says: "stays open for 60 s by default",
    source: "CircuitBreakerConfig.java, DEFAULT_WAIT_DURATION_IN_OPEN_STATE",
    ours: "same",
    shown: () => {
      script(BreakerSettings.gatewayDefault)
        .failure(5)
        .wait(minute - 1)
        .refused()
    }
  },
  {
    says: "may be tried once the wait is over, the very moment excluded",
    source: "internal/CircuitBreakerStateMachine.java, OpenState (isAfter)",
    ours: { instead: "the very moment included", because: "whoever waits as long as the refusal told must not be refused again" },
    shown: () => {
      const open = script({ failureThreshold: 1 }).failure()
      open.wait(open.refused().retryInMillis ?? Number.NaN).permit()
    }
  },
  {
    says: "without automatic transition it is shown as open until a call comes",
    source: "internal/CircuitBreakerStateMachine.java, OpenState.getState",
    ours: {
      instead: "shown as half-open",
      because: "routing asks for the state: what is shown as open would never get the call that tries it"
    },
    shown: () => {
      const open = script({ failureThreshold: 1 }).failure().wait(minute)
      assert.strictEqual(open.breaker.state, "open")
      open.is("half-open")
    }
  },
  {
    says: "the first call after the wait makes it half-open and is permitted",
    source: "internal/CircuitBreakerStateMachine.java, OpenState.tryAcquirePermission",
    ours: "same",
    shown: () => {
      const half = tried()
      half.permit()
      assert.strictEqual(half.breaker.state, "half-open")
    }
  },
  {
    says: "half-open, no more calls than permitted are under way",
    source: "internal/CircuitBreakerStateMachine.java, HalfOpenState.tryAcquirePermission",
    ours: "same",
    shown: () => {
      const half = tried({ halfOpenMaxAttempts: 3 })
      for (let call = 0; call < 3; call++) half.permit()
      half.refused()
    }
  },
  {
    says: "a reported half-open call does not make room for another",
    source: "internal/CircuitBreakerStateMachine.java, HalfOpenState (permittedNumberOfCalls)",
    ours: { instead: "it does", because: "the limit is on calls at once, so ten successes can be asked for with one call at a time" },
    shown: () => tried({ halfOpenMaxAttempts: 1, successThreshold: 10 }).success(9).is("half-open").success().is("closed")
  },
  {
    says: "half-open is judged when all permitted calls are in: a failure below the rate still closes it",
    source: "internal/CircuitBreakerStateMachine.java, HalfOpenState.checkIfThresholdsExceeded",
    ours: { instead: "one failure opens it again", because: "a payment is more than a probe: none is risked while doubt is left" },
    shown: () => tried({ successThreshold: 10 }).success(9).failure().is("open")
  },
  {
    says: "half-open and all slow, it opens again",
    source: "internal/CircuitBreakerStateMachine.java, HalfOpenState.onSuccess",
    ours: "same",
    shown: () => tried({ successThreshold: 3, slowCallMillis: 100 }).success(2, 100).is("half-open").success(1, 100).is("open")
  },
  {
    says: "closed again, the window starts empty",
    source: "internal/CircuitBreakerStateMachine.java, ClosedState()",
    ours: "same",
    shown: () => {
      const closed = tried({ successThreshold: 3 }).success(3).is("closed")
      assert.strictEqual(closed.breaker.window.calls, 0)
    }
  },
  {
    says: "an ignored error gives the permission back and is counted neither as success nor as failure",
    source: "internal/CircuitBreakerStateMachine.java, handleThrowable",
    ours: "same",
    shown: () => {
      const half = tried({ halfOpenMaxAttempts: 1 }).calls("ignored", 50).is("half-open")
      assert.deepStrictEqual([half.breaker.window.calls, half.breaker.totals.ignored], [0, 50])
      half.permit()
    }
  },
  {
    says: "an error that is not to be recorded is a success: the dependency answered",
    source: "internal/CircuitBreakerStateMachine.java, handleThrowable",
    ours: "same",
    shown: () => script({ failureThreshold: 2 }).failure().success().failure().is("closed")
  },
  {
    says: "after maxWaitDurationInHalfOpenState it opens again, whatever was answered; by default it waits for ever",
    source: "internal/CircuitBreakerStateMachine.java, HalfOpenState; CircuitBreakerConfig.java",
    ours: {
      instead: "permits that nobody reports are given back after 30 s of silence",
      because: "silence is not a failure, and a lost fiber must not keep a healthy gateway out"
    },
    shown: () => {
      const half = tried({ halfOpenMaxAttempts: 2, halfOpenTimeoutMillis: 30_000 })
      half.permit()
      half.permit()
      assert.strictEqual(half.wait(10_000).refused().retryInMillis, 20_000)
      half.wait(20_000).success(3).is("closed")
    }
  },
  {
    says: "forced open, every call is refused, whatever time passes",
    source: "internal/CircuitBreakerStateMachine.java, ForcedOpenState",
    ours: "same",
    shown: () => {
      const forced = script()
      Breaker.forceOpen(forced.breaker, forced.now)
      assert.isUndefined(forced.wait(365 * 86_400_000).refused().retryInMillis)
    }
  },
  {
    says: "metrics only: every call is permitted and recorded, nothing opens it",
    source: "internal/CircuitBreakerStateMachine.java, MetricsOnlyState",
    ours: "same",
    shown: () => {
      const forced = script(BreakerSettings.gatewayDefault)
      Breaker.forceClosed(forced.breaker, forced.now)
      assert.strictEqual(forced.failure(100).is("forced-closed").breaker.window.failures, 100)
    }
  },
  {
    says: "reset leads to closed from any state, losing the statistics",
    source: "CircuitBreaker.java, reset",
    ours: "same",
    shown: () => {
      const forced = script({ failureThreshold: 2 }).failure()
      Breaker.forceOpen(forced.breaker, forced.now)
      Breaker.reset(forced.breaker, forced.now)
      forced.is("closed").failure().is("closed")
    }
  },
  {
    says: "what was admitted while closed and ends while open is recorded in the open state's window and changes no state",
    source: "internal/CircuitBreakerStateMachine.java, OpenState.onError",
    ours: { instead: "it counts in the totals only", because: "it was sent before; the window is to tell of the state it is in" },
    shown: () => {
      const open = script({ failureThreshold: 1 })
      const late = open.permit()
      open.failure().is("open")
      const { calls } = open.breaker.window
      open.report(late, "failure").is("open")
      assert.deepStrictEqual([open.breaker.window.calls, open.breaker.totals.failures], [calls, 2])
    }
  },
  {
    says: "the wait may grow with the number of times it opened in a row",
    source: "CircuitBreakerConfig.java, waitIntervalFunctionInOpenState",
    ours: "same",
    shown: () => {
      const grows = tried({ openTimeoutMillis: 1_000, openTimeoutFactor: 2, openTimeoutCapMillis: 3_500 }).failure()
      assert.strictEqual(grows.refused().retryInMillis, 2_000)
      assert.strictEqual(grows.wait(2_000).failure().refused().retryInMillis, 3_500)
    }
  }
]

/** github.com/App-vNext/Polly: docs/strategies/circuit-breaker.md (pollydocs.org/strategies/circuit-breaker), src/Polly.Core/CircuitBreaker */
const polly: ReadonlyArray<Row> = [
  {
    says: "sampling 2 s, at least 2 executions, ratio 0.5: success, success, failure stays closed (0.33)",
    source: "circuit-breaker.md, Simple: happy path",
    ours: "same",
    shown: () => script({ windowMillis: 2_000, minimumCalls: 2 }).success(2).failure().is("closed")
  },
  {
    says: "with the same options success, failure breaks it (0.5), and the third is refused",
    source: "circuit-breaker.md, Simple: unhappy path",
    ours: "same",
    shown: () => script({ windowMillis: 2_000, minimumCalls: 2 }).success().failure().is("open").refused()
  },
  {
    says: "ratio 0.1, at least 3 executions: ten failing calls fail three times and are refused seven times",
    source: "circuit-breaker.md, Failure handling",
    ours: "same",
    shown: () => {
      const broken = script({ failureRateThreshold: 0.1, minimumCalls: 3 }).failure(3)
      for (let call = 0; call < 7; call++) broken.refused()
    }
  },
  {
    says: "below the minimum throughput the ratio is ignored, even if all failed",
    source: "circuit-breaker.md, Defaults",
    ours: "same",
    shown: () => script({ minimumCalls: 100, failureRateThreshold: 0.1 }).failure(99).is("closed")
  },
  {
    says: "the sampling window is ten parts that fall out one by one",
    source: "Health/HealthMetrics.cs, NumberOfWindows; Health/RollingHealthMetrics.cs",
    ours: "same",
    shown: () => {
      const window = script({ windowMillis: 10_000 })
      for (let second = 0; second < 10; second++) window.success().wait(1_000)
      assert.strictEqual(window.success().breaker.window.calls, 10)
    }
  },
  {
    says: "there is no count of failures in a row",
    source: "CircuitBreakerStrategyOptions.TResult.cs",
    ours: { instead: "five in a row open it", because: "at a few calls a minute a rate takes minutes to notice an outage" },
    shown: () => script(BreakerSettings.gatewayDefault).success(1_000).failure(5).is("open")
  },
  {
    says: "half-open, one probe is under way and all others are refused",
    source: "Controller/CircuitStateController.cs, OnActionPreExecuteAsync",
    ours: { instead: "five at once", because: "requirement; with one at a time three successes take three latencies in a row" },
    shown: () => {
      const half = tried()
      for (let call = 0; call < 5; call++) half.permit()
      half.refused()
    }
  },
  {
    says: "one successful probe closes it",
    source: "Controller/CircuitStateController.cs, OnUnhandledOutcomeAsync",
    ours: { instead: "three do", because: "one success of a gateway that fails half its calls is luck" },
    shown: () => tried().success(2).is("half-open").success().is("closed")
  },
  {
    says: "a failing probe breaks it for another break duration",
    source: "circuit-breaker.md, Complex: unhappy path",
    ours: "same",
    shown: () => {
      const again = tried({ openTimeoutMillis: 1_000 }).failure().is("open")
      assert.strictEqual(again.refused().retryInMillis, 1_000)
    }
  },
  {
    says: "the refusal tells how long it is broken yet (RetryAfter)",
    source: "circuit-breaker.md, Failure handling",
    ours: "same",
    shown: () => {
      const open = script({ failureThreshold: 1, openTimeoutMillis: 5_000 }).failure().wait(1_200)
      assert.strictEqual(open.refused().retryInMillis, 3_800)
    }
  },
  {
    says: "isolated by hand, it refuses until it is closed by hand, and tells no time",
    source: "CircuitBreakerManualControl.cs; IsolatedCircuitException.cs",
    ours: "same",
    shown: () => {
      const isolated = script()
      Breaker.forceOpen(isolated.breaker, isolated.now)
      assert.isUndefined(isolated.wait(minute).refused().retryInMillis)
      Breaker.reset(isolated.breaker, isolated.now)
      isolated.success()
    }
  },
  {
    says: "closing by hand empties the health metrics",
    source: "Controller/CircuitStateController.cs, CloseCircuit_NeedsLock",
    ours: "same",
    shown: () => {
      const closed = script({ minimumCalls: 10 }).failure(9)
      Breaker.reset(closed.breaker, closed.now)
      closed.failure(9).is("closed")
    }
  },
  {
    says: "a cancelled execution is an outcome that is not handled: half-open, it closes the circuit",
    source: "circuit-breaker.md, Defaults (ShouldHandle); Controller/CircuitStateController.cs, OnUnhandledOutcomeAsync",
    ours: { instead: "it is ignored", because: "a caller that gave up knows nothing of the gateway" },
    shown: () => tried().calls("ignored", 10).is("half-open")
  },
  {
    says: "a success sent before it broke, arriving half-open, closes it",
    source: "Controller/CircuitStateController.cs, OnUnhandledOutcomeAsync (judges by the present state)",
    ours: { instead: "it changes nothing", because: "it may be as old as the outage" },
    shown: () => {
      const half = script({ failureThreshold: 1, successThreshold: 1 })
      const late = half.permit()
      half.failure().wait(minute).permit()
      half.report(late, "success").is("half-open")
    }
  },
  {
    says: "a failure that arrives while it is open does not extend the break",
    source: "Controller/AdvancedCircuitBehavior.cs, OnActionFailure",
    ours: "same",
    shown: () => {
      const open = script({ failureThreshold: 1 })
      const late = open.permit()
      open.failure().wait(10_000).report(late, "failure")
      assert.strictEqual(open.refused().retryInMillis, minute - 10_000)
    }
  },
  {
    says: "the break may depend on how often half-open failed; closing starts the count anew",
    source: "Controller/CircuitStateController.cs, OpenCircuitFor_NeedsLock and CloseCircuit_NeedsLock",
    ours: "same",
    shown: () => {
      const grown = tried({ openTimeoutMillis: 1_000, openTimeoutFactor: 3 }).failure().wait(3_000).success(3).is("closed").failure()
      assert.strictEqual(grown.refused().retryInMillis, 1_000)
    }
  }
]

/** github.com/connor4312/cockatiel, version 4.0.0: readme.md, src */
const cockatiel: ReadonlyArray<Row> = [
  {
    says: "ConsecutiveBreaker(5) opens at the fifth failure in a row",
    source: "src/breaker/ConsecutiveBreaker.ts",
    ours: "same",
    shown: () => script({ failureThreshold: 5 }).failure(4).is("closed").failure().is("open")
  },
  {
    says: "a success ends the run of failures",
    source: "src/breaker/ConsecutiveBreaker.ts",
    ours: "same",
    shown: () => script({ failureThreshold: 5 }).failure(4).success().failure(4).is("closed")
  },
  {
    says: "SamplingBreaker opens when more than the threshold failed",
    source: "src/breaker/SamplingBreaker.ts",
    ours: { instead: "when as much failed", because: "the two others do so, and a threshold of 100 % can be met" },
    shown: () => script({ minimumCalls: 4, failureRateThreshold: 0.5 }).success(2).failure(2).is("open")
  },
  {
    says: "SamplingBreaker's minimum is a rate of calls, by default such that five failures a second are needed",
    source: "src/breaker/SamplingBreaker.ts; readme.md, SamplingBreaker",
    ours: { instead: "a number of calls in the window", because: "a gateway with one call a second has to be judged too" },
    shown: () => {
      const rare = script({ minimumCalls: 20, windowMillis: minute })
      for (let call = 0; call < 20; call++) rare.is("closed").failure().wait(1_000)
      rare.is("open")
    }
  },
  {
    says: "SamplingBreaker takes a threshold of less than 1 only",
    source: "src/breaker/SamplingBreaker.ts, constructor",
    ours: { instead: "1 is allowed", because: "at least as much as the threshold can be all" },
    shown: () => script({ minimumCalls: 3, failureRateThreshold: 1 }).failure(3).is("open")
  },
  {
    says: "open, calls fail at once until halfOpenAfter is over, the very moment included",
    source: "src/CircuitBreakerPolicy.ts, execute",
    ours: "same",
    shown: () => {
      const open = script({ failureThreshold: 1, openTimeoutMillis: 10_000 }).failure()
      open.wait(9_999).refused()
      open.wait(1).permit()
    }
  },
  {
    says: "half-open, further calls wait for the decision and then run or fail",
    source: "src/CircuitBreakerPolicy.ts, executeHalfOpen",
    ours: { instead: "they are refused at once", because: "a payment goes to another gateway meanwhile; a queue behind a sick one grows" },
    shown: () => {
      const half = tried({ halfOpenMaxAttempts: 1 })
      half.permit()
      assert.strictEqual(half.refused().state, "half-open")
    }
  },
  {
    says: "halfOpenSampling closes after a number of calls with at most a share of failures",
    source: "readme.md, circuitBreaker; src/CircuitBreakerPolicy.ts, recordHalfOpenFailure",
    ours: { instead: "no failure is allowed", because: "as above: one failure opens it again" },
    shown: () => tried({ successThreshold: 10 }).success(6).failure().is("open")
  },
  {
    says: "the first success half-open is enough by default, the first failure opens it again",
    source: "readme.md, circuitBreaker",
    ours: { instead: "three successes", because: "as above" },
    shown: () => tried().success(2).is("half-open").failure().is("open")
  },
  {
    says: "a call sent while it was closed that fails half-open may open it again",
    source: "src/CircuitBreakerPolicy.ts, execute (case Closed) and open",
    ours: { instead: "it changes nothing", because: "only calls of this trial tell whether it is back" },
    shown: () => {
      const half = script({ failureThreshold: 1 })
      const late = half.permit()
      half.failure().wait(minute).permit()
      half.report(late, "failure").is("half-open")
    }
  },
  {
    says: "a backoff makes each further open time longer, and starts anew after closing",
    source: "src/CircuitBreakerPolicy.test.ts, resets the backoff when closing the circuit",
    ours: "same",
    shown: () => {
      const grows = tried({ openTimeoutMillis: 1_000, openTimeoutFactor: 2 }).failure().wait(2_000).success(3).failure()
      assert.strictEqual(grows.refused().retryInMillis, 1_000)
    }
  },
  {
    says: "isolate is counted: it ends when every handle is disposed of",
    source: "src/CircuitBreakerPolicy.ts, isolate",
    ours: { instead: "one reset ends it", because: "orders come over HTTP: nobody keeps handles, and the newest order holds" },
    shown: () => {
      const isolated = script()
      Breaker.forceOpen(isolated.breaker, isolated.now)
      Breaker.forceOpen(isolated.breaker, isolated.now)
      Breaker.reset(isolated.breaker, isolated.now)
      isolated.is("closed")
    }
  },
  {
    says: "the end of an isolation closes it with what was counted before",
    source: "src/CircuitBreakerPolicy.ts, isolate (the breaker's counts are not reset)",
    ours: { instead: "it starts empty", because: "who resets it says that the past does not count" },
    shown: () => {
      const isolated = script({ failureThreshold: 5 }).failure(4)
      Breaker.forceOpen(isolated.breaker, isolated.now)
      Breaker.reset(isolated.breaker, isolated.now)
      isolated.failure().is("closed")
    }
  },
  {
    says: "a half-open state that is restored elsewhere is tried at once",
    source: "src/CircuitBreakerPolicy.ts, toJSON",
    ours: { instead: "an open time that is over is not followed", because: "the other one already tries it" },
    shown: () => {
      const other = script()
      Breaker.follow(other.breaker, { state: "open", forMillis: 0 }, other.now)
      other.is("closed")
      Breaker.follow(other.breaker, { state: "open", forMillis: 10 }, other.now)
      other.is("open").wait(10).is("half-open")
    }
  }
]

for (const [library, rows] of Object.entries({ resilience4j, "Polly v8": polly, cockatiel })) {
  describe(`as ${library} does it, or not`, () => {
    for (const { ours, says, shown, source } of rows) {
      it(ours === "same" ? `${says} [${source}]: the same` : `${says} [${source}]: ${ours.instead}, because ${ours.because}`, shown)
    }
  })
}

it("a figure that is never reached turns a criterion off", () => {
  script({ failureThreshold: never, minimumCalls: never, slowCallMinimumCalls: never }).failure(10_000, 86_400_000).is("closed")
})
