/**
 * A retry budget: how much more load retries may make than there would be without them.
 *
 * Every first call earns a share of a token, every retry costs one. A gateway that is dead therefore gets the stock once and then, at 0.2
 * tokens a call, six requests for five calls, however many retries each call is allowed; a single failure among many calls is always
 * tried again. Finagle's retry budget and gRPC's retry throttling (gRFC A6) work alike; here nothing runs by time, so that a budget is
 * the same in every test.
 *
 * The balance is a whole number of thousandths of a token: shares add up exactly.
 */

/** `earnPerCall`: 0 to 1 tokens. `maxTokens`: the stock, full at the start. */
export interface RetryBudgetLimits {
  readonly earnPerCall: number
  readonly maxTokens: number
}

const thousandths = 1_000

/** The balance at the start: full, so that a fresh process may retry. */
export const full = ({ maxTokens }: RetryBudgetLimits): number => Math.floor(maxTokens * thousandths)

/** The balance after a first call. */
export const afterCall = (balance: number, limits: RetryBudgetLimits): number =>
  Math.min(full(limits), balance + Math.round(limits.earnPerCall * thousandths))

/** The balance after a retry, or `undefined` where there is no token for one. */
export const afterRetry = (balance: number): number | undefined => (balance >= thousandths ? balance - thousandths : undefined)

/** The balance after a retry that was paid for and not made. */
export const withoutRetry = (balance: number, limits: RetryBudgetLimits): number => Math.min(full(limits), balance + thousandths)
