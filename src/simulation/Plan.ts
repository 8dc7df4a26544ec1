/**
 * What the hosts of a simulation want: payments with their tokens, and what is to be done with each. A pure function of the seed;
 * every payment has a stream of its own, so leaving one out leaves the others as they are.
 */
import * as Chance from "./world/Chance.ts"
import type { Account } from "./world/Psp.ts"

/** A payment to be made. Times in milliseconds. */
export interface PaymentPlan {
  readonly index: number
  readonly key: string
  readonly startAt: number
  readonly minor: bigint
  readonly manual: boolean
  readonly offSession: boolean
  /** A token per account. */
  readonly references: Readonly<Record<string, string>>
  readonly how: "charge" | "prepare" | "prepare_rolled_back"
  /** Requests with the same key beside the first one. */
  readonly duplicates: number
  /** How long a caller waits before it leaves and asks again. */
  readonly patienceMillis: number
  /** A cancel that long after the start, whatever the payment is doing then. */
  readonly cancelAfter: number | undefined
  /** What the customer does on the page, and after how long. */
  readonly customer: { readonly action: "complete" | "fail" | "nothing"; readonly afterMillis: number; readonly confirms: boolean }
  /** Further visits of the page, whatever the payment is doing then: the customer has more than one window open. */
  readonly visits: ReadonlyArray<{ readonly action: "complete" | "fail"; readonly afterMillis: number }>
  /** Captures of a manual payment, in shares of the amount; `cancel` in place of them. */
  readonly captures: ReadonlyArray<number> | "cancel"
  /** Refunds, in shares of the amount, asked for at the same time; the sum may exceed 1. */
  readonly refunds: ReadonlyArray<number>
  /** The customer's bank takes back what was captured, so long after the start; how it ends. */
  readonly dispute:
    | { readonly afterMillis: number; readonly ends: "open" | "won" | "lost"; readonly decidedAfterMillis: number }
    | undefined
  /** A capture that had succeeded fails, so long after the start. */
  readonly captureFailsAfter: number | undefined
}

const tokens: readonly [readonly [string, number], ...ReadonlyArray<readonly [string, number]>] = [
  ["tok_success", 30],
  ["tok_declined_soft", 4],
  ["tok_declined_hard", 1],
  ["tok_fraud", 1],
  ["tok_authentication_required", 2],
  ["tok_invalid_data", 1],
  ["tok_gateway_error", 4],
  ["tok_rate_limited", 2],
  ["tok_configuration", 2],
  ["tok_conflict", 1],
  ["tok_3ds", 5],
  ["tok_3ds_fails", 2],
  ["tok_pending_success", 3],
  ["tok_pending_failure", 2],
  ["tok_timeout_before", 1],
  ["tok_timeout_after", 3],
  ["tok_reset_before", 1],
  ["tok_reset_after", 3],
  ["tok_5xx_before", 2],
  ["tok_5xx_after", 2],
  ["tok_timeout_before_once", 2],
  ["tok_reset_before_once", 2],
  ["tok_5xx_before_once", 2],
  ["tok_slow", 2],
  ["tok_garbage", 2],
  ["tok_redirect", 1],
  ["tok_late", 5],
  ["tok_wrong_amount", 0.5],
  ["tok_wrong_currency", 0.5],
  ["tok_capture_fails", 1],
  ["tok_void_fails", 1],
  ["tok_refund_pending", 1],
  ["tok_capture_timeout_after", 1],
  ["tok_capture_reset_before", 1],
  ["tok_refund_timeout_after", 1],
  ["tok_refund_5xx_after", 1],
  ["tok_void_reset_after", 1],
  ["tok_confirm_timeout_after", 1]
]

/** What an account may be given. A refund that fails later is told by webhook and no other way. */
const tokensOf = ({ leavesOpenAfterDecline, webhooks }: Account): typeof tokens => [
  ...tokens,
  ...(leavesOpenAfterDecline ? ([["tok_card_declined_open", 6]] as const) : []),
  ...(webhooks === "repeated" ? ([["tok_refund_fails_later", 8]] as const) : [])
]

const plan = (seed: number, index: number, accounts: ReadonlyArray<Account>): PaymentPlan => {
  const draw = Chance.stream(seed, `payment ${index}`)
  const manual = Chance.happens(draw, 0.4)
  const captures = Chance.pick<ReadonlyArray<number> | "cancel">(draw, [[1], [1], [0.5], [0.5, 0.5], [0.3, 0.9], "cancel", []])
  return {
    index,
    key: `k${index}`,
    startAt: Chance.between(draw, 0, 40_000),
    minor: BigInt(Chance.between(draw, 1, 100_000)),
    manual,
    offSession: Chance.happens(draw, 0.15),
    references: Object.fromEntries(accounts.map((account) => [account.name, Chance.weighted(draw, tokensOf(account))])),
    how: Chance.weighted(draw, [
      ["charge", 8],
      ["prepare", 1.5],
      ["prepare_rolled_back", 0.5]
    ]),
    duplicates: Chance.pick(draw, [0, 0, 0, 1, 1, 3]),
    patienceMillis: Chance.pick(draw, [300, 3_000, 10_000, 30_000, 60_000]),
    cancelAfter: Chance.happens(draw, 0.15) ? Chance.between(draw, 0, 90_000) : undefined,
    customer: {
      action: Chance.pick(draw, ["complete", "complete", "complete", "fail", "nothing"]),
      afterMillis: Chance.happens(draw, 0.05) ? Chance.between(draw, 890_000, 920_000) : Chance.between(draw, 0, 60_000),
      confirms: Chance.happens(draw, 0.6)
    },
    visits: Chance.happens(draw, 0.4) ? visitsOf(draw) : [],
    captures,
    ...laterOf(seed, index, Chance.pick(draw, [[], [], [1], [0.4], [0.4, 0.4], [0.7, 0.7], [1, 1]]))
  }
}

/** What becomes of a charge. A capture that is to fail is not refunded. */
const laterOf = (seed: number, index: number, refunds: ReadonlyArray<number>) => {
  const draw = Chance.stream(seed, `later of payment ${index}`)
  const afterMillis = Chance.between(draw, 5_000, 90_000)
  const ends = Chance.pick(draw, ["open", "won", "lost"] as const)
  return {
    refunds,
    dispute: Chance.happens(draw, 0.15) ? { afterMillis, ends, decidedAfterMillis: Chance.between(draw, 0, 30_000) } : undefined,
    captureFailsAfter: refunds.length === 0 && Chance.happens(draw, 0.3) ? Chance.between(draw, 5_000, 90_000) : undefined
  }
}

const visitsOf = (draw: Chance.Draw): PaymentPlan["visits"] =>
  Array.from({ length: Chance.between(draw, 1, 4) }, () => ({
    action: Chance.pick(draw, ["complete", "complete", "fail"] as const),
    afterMillis: Chance.between(draw, 0, Chance.pick(draw, [10_000, 90_000, 200_000]))
  }))

/** The payments of a seed. */
export const payments = (seed: number, count: number, accounts: ReadonlyArray<Account>): ReadonlyArray<PaymentPlan> =>
  Array.from({ length: count }, (_, index) => plan(seed, index, accounts))

/** A share of an amount, at least one minor unit. */
export const share = (minor: bigint, part: number): bigint => {
  const amount = (minor * BigInt(Math.round(part * 1000))) / 1000n
  return amount > 0n ? amount : 1n
}
