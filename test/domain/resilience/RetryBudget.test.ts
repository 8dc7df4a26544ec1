/**
 * The retry budget: what a dead dependency gets, and what a healthy one may use.
 */
import { assert, describe, it } from "@effect/vitest"
import * as RetryBudget from "../../../src/domain/resilience/RetryBudget.ts"

const limits = { earnPerCall: 0.2, maxTokens: 10 }

/** Calls of which each that may be retried is, up to `retries` times. Answers how many retries were made. */
const retriesOf = (calls: number, retries: number, of: RetryBudget.RetryBudgetLimits): number => {
  let balance = RetryBudget.full(of)
  let made = 0
  for (let call = 0; call < calls; call++) {
    balance = RetryBudget.afterCall(balance, of)
    for (let retry = 0; retry < retries; retry++) {
      const after = RetryBudget.afterRetry(balance)
      if (after === undefined) break
      balance = after
      made++
    }
  }
  return made
}

describe("a retry budget", () => {
  it("allows every retry of a few failures", () => assert.strictEqual(retriesOf(3, 3, limits), 9))

  it("a dead gateway gets the stock once, then one retry for five calls, however many each call might make", () => {
    for (const retries of [1, 3, 10]) {
      // The first call's share finds the stock full.
      assert.strictEqual(retriesOf(1_001, retries, limits), 10 + 1_000 * 0.2)
    }
  })

  it("adds shares up exactly", () => {
    const empty = { earnPerCall: 0.1, maxTokens: 10 }
    let balance = 0
    for (let call = 0; call < 9; call++) balance = RetryBudget.afterCall(balance, empty)
    assert.isUndefined(RetryBudget.afterRetry(balance))
    balance = RetryBudget.afterCall(balance, empty)
    assert.strictEqual(RetryBudget.afterRetry(balance), 0)
  })

  it("holds no more than its stock, however long nothing fails", () => {
    let balance = RetryBudget.full(limits)
    for (let call = 0; call < 1_000; call++) balance = RetryBudget.afterCall(balance, limits)
    assert.strictEqual(balance, RetryBudget.full(limits))
  })

  it("of nothing allows nothing", () => assert.strictEqual(retriesOf(1_000, 3, { earnPerCall: 0, maxTokens: 0 }), 0))
})
