/**
 * A rate limit: how often something may happen to one key, and what was answered to a check.
 *
 * - `token_bucket`: a bucket of `limit + burst` units that refills by `limit` per window, evenly. A key that was idle may use all of
 *   it at once; over a long time it gets `limit` per window, in any single window at most `2 x limit + burst`.
 * - `sliding_window`: at most `limit + burst` in any window, wherever it begins. A unit comes back between one window and a
 *   sixtieth more after it was taken.
 * - `fixed_window`: at most `limit + burst` in a window that begins with the key's first request, so not all keys' windows end at
 *   once. Two windows side by side may hold twice that around their border.
 *
 * All figures are integers and every calculation is exact: nothing drifts, whatever the order and number of checks.
 */

/** Who shares a count: a customer, an address, an API key, everybody at one endpoint, everybody. */
export const scopes = ["user", "ip", "api_key", "global", "endpoint"] as const
export type Scope = (typeof scopes)[number]

export const algorithms = ["token_bucket", "sliding_window", "fixed_window"] as const
export type Algorithm = (typeof algorithms)[number]

/** A key that is refused `refusals` times within `withinMillis` is refused altogether for `durationMillis`. */
export interface Block {
  /** 1 to 1,000,000. */
  readonly refusals: number
  /** 1 to 86,400,000, from the first refusal that counts. */
  readonly withinMillis: number
  /** 1 to 604,800,000. */
  readonly durationMillis: number
}

/** One limit. Its name is its identity in a store and a label of metrics: there are few, and none comes from a request. */
export interface RateLimit {
  readonly name: string
  readonly scope: Scope
  readonly algorithm: Algorithm
  /** Requests per window, 1 to 1,000,000. */
  readonly limit: number
  /** 1 to 86,400,000. */
  readonly windowMillis: number
  /** Requests beyond `limit`, 0 to 1,000,000. */
  readonly burst: number
  /** No key is blocked without it. */
  readonly block?: Block
}

/** The most a key can have at once. */
export const capacityOf = ({ burst, limit }: RateLimit): number => limit + burst

/** The most limits of one check: a bound on the locks of a store. */
export const maxLimitsOfCheck = 10

/** Where one limit stands for one key after a check. Times in milliseconds from the check, as if nobody asked in between. */
export interface Standing {
  readonly limit: RateLimit
  /** Is this limit a reason why the check was refused? */
  readonly refused: boolean
  /** The key is refused altogether until its block ends. */
  readonly blocked: boolean
  readonly remaining: number
  /** Until more than `remaining` is there; 0 when nothing is missing. */
  readonly moreAfterMillis: number
  /** Until nothing is missing. */
  readonly resetAfterMillis: number
  /** Until the same check would pass this limit; 0 unless it refused. */
  readonly retryAfterMillis: number
}

/** What a check was answered, its standings in the order of its limits. Nothing was taken of any limit unless `allowed`. */
export interface Decision {
  readonly allowed: boolean
  readonly standings: ReadonlyArray<Standing>
}

/** Until the same check may pass every limit: the longest wait of those that refused. */
export const retryAfterMillis = (decision: Decision): number =>
  decision.standings.reduce((longest, standing) => Math.max(longest, standing.retryAfterMillis), 0)
