/**
 * How often something is tried again, and how long is waited before: a strategy is data, its delays are a function of it.
 *
 * A delay is spread by the jitter to both sides, so that callers that failed together do not come back together, and is never above the
 * cap: near it the middle moves down instead, so that the spread stays whole.
 *
 * ```ts
 * delayMillis({ kind: "exponential", retries: 3, baseMillis: 1_000, factor: 2, capMillis: 10_000, jitter: 0.2 }, { retry: 1, random: 0.5 }) // 2000
 * ```
 */

/** How the delays grow: by a factor, by the base each time, not at all; `immediate`: there are none. */
export type RetryKind = "exponential" | "linear" | "fixed" | "immediate"

/** A strategy. Times in milliseconds. */
export interface RetryStrategy {
  readonly kind: RetryKind
  /** Repetitions after the first attempt, at least 0. */
  readonly retries: number
  /** The first delay; nothing of it counts where `kind` is `immediate`. */
  readonly baseMillis: number
  /** What an exponential delay is multiplied by each time; the other kinds do not look at it. */
  readonly factor: number
  /** No delay is longer. */
  readonly capMillis: number
  /** Share of the delay by which it is spread, both ways: 0 to 1. */
  readonly jitter: number
}

/**
 * What an error means for trying again.
 *
 * - `Permanent`: the same would be answered again.
 * - `Transient`: it may go better next time, but not before `retryAfterMillis`, where the other side told so.
 * - `BreakerOpen`: nothing was tried, since the breaker is open; what comes next would not be either.
 */
export type ErrorClass =
  | { readonly _tag: "Permanent" }
  | { readonly _tag: "Transient"; readonly retryAfterMillis?: number | undefined }
  | { readonly _tag: "BreakerOpen" }

/**
 * The wait before a repetition: a whole number of milliseconds, from 0 to the cap.
 *
 * `retry`: which one, from 0. `random`: from 0 to 1, evenly spread.
 */
export const delayMillis = (strategy: RetryStrategy, options: { readonly retry: number; readonly random: number }): number => {
  const { capMillis, jitter } = strategy
  // The highest middle whose spread stays below the cap.
  const middle = Math.min(middleOf(strategy, options.retry), capMillis / (1 + jitter))
  return Math.max(0, Math.min(capMillis, Math.round(middle * (1 + jitter * (options.random * 2 - 1)))))
}

/**
 * The wait before a repetition that the other side may have asked to be made later: never less than it asked for. What it asked for is spread
 * too, to later alone and by at most the jitter's share of the cap: those it told the same do not come back together.
 */
export const waitMillis = (
  strategy: RetryStrategy,
  options: { readonly retry: number; readonly random: number; readonly retryAfterMillis: number | undefined }
): number => {
  const delay = delayMillis(strategy, options)
  const { random, retryAfterMillis: asked = 0 } = options
  return asked <= 0 ? delay : Math.max(delay, Math.ceil(asked + strategy.jitter * random * Math.min(asked, strategy.capMillis)))
}

const middleOf = ({ baseMillis, factor, kind }: RetryStrategy, retry: number): number => {
  switch (kind) {
    case "exponential":
      return baseMillis * factor ** retry
    case "linear":
      return baseMillis * (retry + 1)
    case "fixed":
      return baseMillis
    case "immediate":
      return 0
  }
}
