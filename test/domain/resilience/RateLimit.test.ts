/**
 * Rate limits: each algorithm against a naive model, what every one promises, blocks, several limits at once, and clocks that step.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { algorithms, capacityOf, type RateLimit, retryAfterMillis } from "../../../src/domain/resilience/RateLimit.ts"
import * as Check from "../../../src/domain/resilience/RateLimitCheck.ts"
import * as State from "../../../src/domain/resilience/RateLimitState.ts"
import { RateLimitModel } from "../../support/rateLimitModel.ts"

const start = 1_700_000_000_000
const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Limit = Schema.Struct({
  algorithm: Schema.Literals(algorithms),
  limit: int(1, 12),
  windowMillis: int(1, 600),
  burst: int(0, 5),
  block: Schema.optionalKey(Schema.Struct({ refusals: int(1, 4), withinMillis: int(1, 400), durationMillis: int(1, 900) }))
})
const Step = Schema.Struct({
  kind: Schema.Literals(["take", "take", "take", "peek", "refund"]),
  after: Schema.Union([int(0, 20), int(0, 700)]),
  cost: int(1, 3),
  key: int(0, 1)
})
const Steps = Schema.NonEmptyArray(Step)

const named = (limits: ReadonlyArray<typeof Limit.Type>): ReadonlyArray<RateLimit> =>
  limits.map((limit, index) => ({ name: `limit-${index}`, scope: "user", ...limit }))

/** The states of any number of keys. */
const store = () => {
  const states = new Map<string, State.RateLimitState>()
  return (limits: ReadonlyArray<RateLimit>, keys: ReadonlyArray<string>) =>
    limits.map(({ name }, index) => {
      const id = `${name} ${keys[index]}`
      const state = states.get(id) ?? State.make()
      states.set(id, state)
      return state
    })
}

describe("a rate limit", () => {
  it.prop(
    "does what the naive model does: takes, looks and refunds of several limits at once",
    { limits: Schema.NonEmptyArray(Limit).check(Schema.isMaxLength(3)), steps: Steps },
    ({ limits: generated, steps }) => {
      const limits = named(generated)
      const model = new RateLimitModel()
      const statesOf = store()
      let now = start
      for (const { after, cost, key, kind } of steps) {
        now += after
        const keys = limits.map((_, index) => (index === 0 ? `key-${key}` : "shared"))
        const asked = { limits, keys, cost, now }
        const states = statesOf(limits, keys)
        if (kind === "refund") {
          model.refund(asked)
          limits.forEach((limit, index) => {
            const state = states[index]
            if (state === undefined) return
            State.advance(limit, state, now)
            State.refund(limit, state, asked)
          })
          continue
        }
        const decision = kind === "take" ? Check.take(limits, states, asked) : Check.peek(limits, states, asked)
        assert.deepStrictEqual(
          {
            allowed: decision.allowed,
            remaining: decision.standings.map(({ remaining }) => Math.max(0, remaining)),
            refused: decision.standings.map(({ refused }) => refused),
            blocked: decision.standings.map(({ blocked }) => blocked)
          },
          model[kind](asked)
        )
      }
    },
    { arbitrary: { runs: 400 } }
  )

  it.prop("is as long in coming back as it says: not a millisecond less, not one more", { limit: Limit, steps: Steps }, (generated) => {
    const [limit] = named([generated.limit])
    if (limit === undefined) return
    const state = State.make()
    let now = start
    for (const { after, cost } of generated.steps) {
      now += after
      const asked = Math.min(cost, capacityOf(limit))
      const { allowed, standings } = Check.take([limit], [state], { cost: asked, now })
      const [standing] = standings
      if (standing === undefined) return
      const peekAt = (at: number, requests: number) => Check.peek([limit], [structuredClone(state)], { cost: requests, now: at }).allowed
      if (!allowed) {
        assert.isAbove(standing.retryAfterMillis, 0)
        assert.isFalse(peekAt(now + standing.retryAfterMillis - 1, asked))
        assert.isTrue(peekAt(now + standing.retryAfterMillis, asked))
      }
      if (standing.moreAfterMillis > 0) {
        assert.isTrue(standing.blocked || !peekAt(now + standing.moreAfterMillis - 1, standing.remaining + 1))
        assert.isTrue(peekAt(now + standing.moreAfterMillis, standing.remaining + 1))
      } else assert.strictEqual(standing.remaining, capacityOf(limit))
      assert.isTrue(peekAt(now + standing.resetAfterMillis, capacityOf(limit)))
      if (standing.resetAfterMillis > 0) assert.isFalse(peekAt(now + standing.resetAfterMillis - 1, capacityOf(limit)))
      const forgotten = State.freshAt(limit, state)
      assert.isAtLeast(forgotten, now + standing.resetAfterMillis)
      const later = structuredClone(state)
      State.advance(limit, later, Math.max(now, forgotten))
      assert.deepStrictEqual({ ...later, at: 0, refusedAt: 0 }, State.make())
    }
  })

  it.prop("admits no more in any window than it promises", { limit: Limit, steps: Steps }, (generated) => {
    const [limit] = named([generated.limit])
    if (limit === undefined) return
    const state = State.make()
    const admitted: Array<{ readonly at: number; readonly cost: number }> = []
    let now = start
    for (const { after, cost } of generated.steps) {
      now += after
      if (Check.take([limit], [state], { cost, now }).allowed) admitted.push({ at: now, cost })
    }
    const most = { token_bucket: capacityOf(limit) + limit.limit, sliding_window: capacityOf(limit), fixed_window: 2 * capacityOf(limit) }
    for (const { at } of admitted) {
      const inWindow = admitted.filter((other) => other.at >= at && other.at < at + limit.windowMillis)
      assert.isAtMost(
        inWindow.reduce((sum, { cost }) => sum + cost, 0),
        most[limit.algorithm]
      )
    }
  })

  it.prop(
    "frees nothing when the clock steps back, and is not frozen by it",
    { limit: Limit, steps: Steps, back: int(0, 1_000_000_000) },
    (generated) => {
      const [limit] = named([generated.limit])
      if (limit === undefined) return
      const state = State.make()
      let now = start
      for (const { after, cost } of generated.steps) Check.take([limit], [state], { cost, now: (now += after) })
      const before = Check.peek([limit], [state], { cost: 1, now }).standings[0]
      const earlier = now - generated.back
      const after = Check.peek([limit], [state], { cost: 1, now: earlier }).standings[0]
      assert.isAtMost(after?.remaining ?? Infinity, before?.remaining ?? -Infinity)
      const longest = Math.max(
        (capacityOf(limit) / limit.limit) * limit.windowMillis,
        limit.windowMillis + 62 * Math.ceil(limit.windowMillis / 60),
        limit.block?.durationMillis ?? 0
      )
      assert.isAtMost(after?.resetAfterMillis ?? Infinity, Math.ceil(longest))
      assert.isTrue(Check.peek([limit], [state], { cost: capacityOf(limit), now: earlier + Math.ceil(longest) }).allowed)
    }
  )
})

const tokenBucket: RateLimit = { name: "b", scope: "user", algorithm: "token_bucket", limit: 10, windowMillis: 60_000, burst: 3 }

describe("a token bucket", () => {
  it("gives limit and burst at once, then one after the other, evenly", () => {
    const state = State.make()
    const take = (now: number) => Check.take([tokenBucket], [state], { cost: 1, now }).allowed
    for (let request = 0; request < 13; request++) assert.isTrue(take(start), `request ${request}`)
    assert.isFalse(take(start))
    assert.isFalse(take(start + 5_999))
    assert.isTrue(take(start + 6_000))
    assert.isFalse(take(start + 11_999))
    assert.isTrue(take(start + 12_000))
  })

  it("does not drift: a rate that does not divide the window is met exactly over a million windows", () => {
    const odd: RateLimit = { ...tokenBucket, limit: 7, windowMillis: 1_000, burst: 0 }
    const state = State.make()
    let admitted = 0
    // 13 ms is no divisor of anything here; every third is 1 ms later.
    for (let now = start; now < start + 1_000_000; now += 13 + (now % 3 === 0 ? 1 : 0)) {
      if (Check.take([odd], [state], { cost: 1, now }).allowed) admitted++
    }
    assert.isAtLeast(admitted, 7_000)
    assert.isAtMost(admitted, 7_007)
  })
})

describe("a block", () => {
  const blocking: RateLimit = { ...tokenBucket, block: { refusals: 3, withinMillis: 10_000, durationMillis: 300_000 } }
  const exhausted = (limit: RateLimit) => {
    const state = State.make()
    Check.take([limit], [state], { cost: capacityOf(limit), now: start })
    return { state, ask: (now: number) => Check.take([limit], [state], { cost: 5, now }) }
  }

  it("begins with the refusal that is too many, lasts its time, and is not made longer by asking", () => {
    const { ask } = exhausted(blocking)
    assert.isFalse(ask(start).standings[0]?.blocked)
    assert.isFalse(ask(start + 1).standings[0]?.blocked)
    const third = ask(start + 2)
    assert.isTrue(third.standings[0]?.blocked)
    assert.strictEqual(retryAfterMillis(third), 300_000)
    assert.strictEqual(third.standings[0]?.remaining, 0)
    for (let asked = 0; asked < 10; asked++) assert.isFalse(ask(start + 200_000 + asked).allowed)
    assert.isFalse(ask(start + 300_001).allowed)
    assert.isTrue(ask(start + 300_002).allowed)
  })

  it("does not come of refusals that are far apart", () => {
    const { ask } = exhausted(blocking)
    for (const now of [start, start + 9_999, start + 10_000, start + 19_999]) {
      const [standing] = ask(now).standings
      assert.isTrue(standing?.refused)
      assert.isFalse(standing?.blocked, `${now - start}`)
    }
  })

  it("does not come of refusals that are far apart after the clock has stepped back either", () => {
    const { ask } = exhausted({ ...blocking, algorithm: "sliding_window" })
    ask(start)
    for (const sinceStep of [0, 10_000, 20_000, 30_000]) {
      const [standing] = ask(start - 3_600_000 + sinceStep).standings
      assert.isTrue(standing?.refused)
      assert.isFalse(standing?.blocked, `${sinceStep}`)
    }
  })

  it("ends when the setting is taken away", () => {
    const { ask, state } = exhausted(blocking)
    for (let asked = 0; asked < 3; asked++) ask(start)
    assert.isTrue(Check.peek([blocking], [state], { cost: 1, now: start + 60_000 }).standings[0]?.blocked)
    assert.isTrue(Check.peek([tokenBucket], [state], { cost: 1, now: start + 60_000 }).allowed)
  })
})

describe("several limits", () => {
  const wide: RateLimit = { ...tokenBucket, name: "wide", limit: 100 }
  const narrow: RateLimit = { ...tokenBucket, name: "narrow", limit: 1, burst: 0 }

  it("take nothing where one refuses, and say which one", () => {
    const states = [State.make(), State.make()]
    assert.isTrue(Check.take([wide, narrow], states, { cost: 1, now: start }).allowed)
    for (let asked = 0; asked < 50; asked++) {
      const { allowed, standings } = Check.take([wide, narrow], states, { cost: 1, now: start })
      assert.isFalse(allowed)
      assert.deepStrictEqual(
        standings.map(({ limit, refused, remaining }) => [limit.name, refused, remaining]),
        [
          ["wide", false, 102],
          ["narrow", true, 0]
        ]
      )
    }
  })
})
