/**
 * A breaker driven step by step on a clock of its own.
 */
import { assert } from "@effect/vitest"
import * as Breaker from "../../../src/domain/resilience/Breaker.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"

/** Never reached: turns a criterion off. */
export const never = 1_000_000_000

/** Only what a case sets can open the breaker. */
const quiet: BreakerSettings.BreakerSettings = {
  ...BreakerSettings.gatewayDefault,
  failureThreshold: never,
  minimumCalls: never,
  slowCallMinimumCalls: never
}

export class BreakerScript {
  now = 1_000_000
  readonly breaker: Breaker.Breaker

  constructor(settings: Partial<BreakerSettings.BreakerSettings> = {}) {
    this.breaker = Breaker.make({ ...quiet, ...settings }, this.now)
  }

  /** Asks for a permit and must get one. */
  permit(): Breaker.Permit {
    const admission = Breaker.tryAcquire(this.breaker, this.now)
    assert.strictEqual(admission._tag, "Permit", `a permit at ${this.now}, ${this.breaker.state}`)
    return admission as Breaker.Permit
  }

  /** Asks for a permit and must be refused. */
  refused(): Breaker.Rejected {
    const admission = Breaker.tryAcquire(this.breaker, this.now)
    assert.strictEqual(admission._tag, "Rejected", `a refusal at ${this.now}, ${this.breaker.state}`)
    return admission as Breaker.Rejected
  }

  report(permit: Breaker.Permit, verdict: Breaker.Verdict, durationMillis = 5) {
    Breaker.report(permit, { verdict, durationMillis }, this.now)
    return this
  }

  /** Makes calls that end at once; `durationMillis` is only told. */
  calls(verdict: Breaker.Verdict, times: number, durationMillis = 5) {
    for (let call = 0; call < times; call++) this.report(this.permit(), verdict, durationMillis)
    return this
  }

  success(times = 1, durationMillis = 5) {
    return this.calls("success", times, durationMillis)
  }

  failure(times = 1, durationMillis = 5) {
    return this.calls("failure", times, durationMillis)
  }

  wait(millis: number) {
    this.now += millis
    return this
  }

  get state() {
    return Breaker.stateAt(this.breaker, this.now)
  }

  is(state: Breaker.BreakerState) {
    assert.strictEqual(this.state, state)
    return this
  }
}
