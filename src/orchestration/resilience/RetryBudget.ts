/**
 * Keeps a retry budget: the balance of one dependency, shared by everybody in the process who calls it.
 */
import * as RetryBudget from "../../domain/resilience/RetryBudget.ts"

/** Made by `make`, changed by `earn`, `spend` and `giveBack` alone. */
export interface KeptBudget {
  readonly limits: RetryBudget.RetryBudgetLimits
  balance: number
}

/** A full budget. */
export const make = (limits: RetryBudget.RetryBudgetLimits): KeptBudget => ({ limits, balance: RetryBudget.full(limits) })

/** For every first call. */
export const earn = (budget: KeptBudget): void => {
  budget.balance = RetryBudget.afterCall(budget.balance, budget.limits)
}

/** For a retry. False: there is no token for one, and it must not be made. */
export const spend = (budget: KeptBudget): boolean => {
  const balance = RetryBudget.afterRetry(budget.balance)
  if (balance !== undefined) budget.balance = balance
  return balance !== undefined
}

/** For a retry that was paid for and not made. */
export const giveBack = (budget: KeptBudget): void => {
  budget.balance = RetryBudget.withoutRetry(budget.balance, budget.limits)
}
