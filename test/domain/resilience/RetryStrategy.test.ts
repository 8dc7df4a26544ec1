/**
 * Delays of retry strategies.
 */
import { assert, describe, it } from "@effect/vitest"
import { delayMillis, type RetryKind, type RetryStrategy, waitMillis } from "../../../src/domain/resilience/RetryStrategy.ts"

const kinds: ReadonlyArray<RetryKind> = ["exponential", "linear", "fixed", "immediate"]

const strategy = (overrides: Partial<RetryStrategy> = {}): RetryStrategy => ({
  kind: "exponential",
  retries: 3,
  baseMillis: 1_000,
  factor: 2,
  capMillis: 10_000,
  jitter: 0,
  ...overrides
})

const delays = (of: RetryStrategy, random = 0.5) => [0, 1, 2, 3, 4, 5].map((retry) => delayMillis(of, { retry, random }))

describe("delays", () => {
  const tables: { readonly [Kind in RetryKind]: ReadonlyArray<number> } = {
    exponential: [1_000, 2_000, 4_000, 8_000, 10_000, 10_000],
    linear: [1_000, 2_000, 3_000, 4_000, 5_000, 6_000],
    fixed: [1_000, 1_000, 1_000, 1_000, 1_000, 1_000],
    immediate: [0, 0, 0, 0, 0, 0]
  }
  for (const kind of kinds) {
    it(`grow as ${kind} says`, () => assert.deepStrictEqual(delays(strategy({ kind })), tables[kind]))
  }

  it("grow by the factor", () => {
    assert.deepStrictEqual(delays(strategy({ factor: 3, capMillis: 100_000 })), [1_000, 3_000, 9_000, 27_000, 81_000, 100_000])
  })

  it("are spread to both sides by the jitter", () => {
    const spread = strategy({ jitter: 0.2 })
    assert.deepStrictEqual(delays(spread, 0).slice(0, 3), [800, 1_600, 3_200])
    assert.deepStrictEqual(delays(spread, 0.5).slice(0, 3), [1_000, 2_000, 4_000])
    assert.deepStrictEqual(delays(spread, 0.999_999).slice(0, 3), [1_200, 2_400, 4_800])
  })

  it("are spread at the cap as well, and never above it: callers do not come back together", () => {
    const spread = strategy({ jitter: 0.2 })
    const atCap = [0, 0.25, 0.5, 0.75, 0.999_999].map((random) => delayMillis(spread, { retry: 9, random }))
    assert.deepStrictEqual(atCap, [6_667, 7_500, 8_333, 9_167, 10_000])
  })

  it("are whole milliseconds from 0 to the cap, for every strategy, retry and chance", () => {
    for (const kind of kinds) {
      for (const jitter of [0, 0.1, 0.5, 1]) {
        for (const baseMillis of [1, 7, 1_000, 50_000]) {
          for (const retry of [0, 1, 9, 100, 2_000]) {
            for (const random of [0, 0.333, 0.999_999]) {
              const delay = delayMillis(strategy({ kind, jitter, baseMillis }), { retry, random })
              assert.isTrue(Number.isInteger(delay) && delay >= 0 && delay <= 10_000, `${kind} ${jitter} ${baseMillis} ${retry}: ${delay}`)
            }
          }
        }
      }
    }
  })
})

describe("a wait that the other side asked for", () => {
  const wait = (random: number, retryAfterMillis: number | undefined) =>
    waitMillis(strategy({ jitter: 0.2 }), { retry: 0, random, retryAfterMillis })

  it("is never shorter, and is spread to later by at most the jitter's share of the cap", () => {
    assert.deepStrictEqual([wait(0, 5_000), wait(0.5, 5_000), wait(1, 5_000)], [5_000, 5_500, 6_000])
    assert.deepStrictEqual([wait(0, 60_000), wait(1, 60_000)], [60_000, 62_000])
  })

  it("does not shorten the delay, and changes nothing where there is none", () => {
    assert.deepStrictEqual([wait(0.5, 5), wait(0.5, undefined), wait(0, undefined)], [1_000, 1_000, 800])
  })
})
