/**
 * What one rate limit knows of one key, and its transitions.
 *
 * A state is changed in place and belongs to one store. Time is an argument. A check goes through `advance`, `admits`, then `take` or
 * `refuse`: apart from each other, so that a check of several limits takes from all or from none (RateLimitCheck.ts).
 *
 * - A token bucket counts what is missing of a full one, in units of which a request is `windowMillis` and a millisecond gives back
 *   `limit`. So refilling is exact.
 * - A window is a list of counts, oldest first, each with the time when it is forgotten. Those of a fixed window are forgotten
 *   together, one window after the first; those of a sliding one in steps of a sixtieth of it, at the end of their step at the
 *   earliest, so never before a full window has passed. The list has at most 61 counts, and at most `limit + burst`.
 *
 * A clock that steps back never frees anything and never freezes a key: what is known is moved along with it, as if it had happened
 * at the latest just now.
 */
import { capacityOf, type RateLimit, type Standing } from "./RateLimit.ts"

/** Opaque: use the functions of this module. A new state is one of a key that was never seen. Times are epoch milliseconds. */
export interface RateLimitState {
  /** Token bucket: units missing of a full one. Windows: the sum of the counts. */
  used: number
  /** Token bucket: when `used` was right. */
  at: number
  /** Windows: time of expiry, count, time of expiry, count, and so on, oldest first. Replaced when it gets longer or shorter: no spare room. */
  counts: Array<number>
  /** Refusals since `refusedAt`, the first that counts towards a block. */
  refusals: number
  refusedAt: number
  /** 0: not blocked. */
  blockedUntil: number
}

/** What is asked of a limit, and when. The same for all limits of a check. */
export interface Ask {
  /** Requests: an integer from 1 to the capacity of every limit asked. */
  readonly cost: number
  /** Epoch milliseconds, an integer. */
  readonly now: number
}

/** Steps of a sliding window: a count is kept for at most one of them too long. */
const steps = 60

/** The counts all begin with; never changed, because lists are replaced. */
export const none: Array<number> = []

/** The state of a key that was never seen. */
export const make = (): RateLimitState => ({ used: 0, at: 0, counts: none, refusals: 0, refusedAt: 0, blockedUntil: 0 })

/** Brings a state to `now`: gives back what time gives back, and ends a block that is over. */
export const advance = (limit: RateLimit, state: RateLimitState, now: number): void => {
  if (state.blockedUntil !== 0) {
    const latest = now + (limit.block?.durationMillis ?? 0)
    if (state.blockedUntil > latest) state.blockedUntil = latest
    if (state.blockedUntil <= now) state.blockedUntil = 0
  }
  if (state.refusals !== 0) {
    if (now < state.refusedAt) state.refusedAt = now
    if (now - state.refusedAt >= (limit.block?.withinMillis ?? 0)) state.refusals = 0
  }
  if (limit.algorithm === "token_bucket") refill(limit, state, now)
  else forget(limit, state, now)
}

const refill = (limit: RateLimit, state: RateLimitState, now: number): void => {
  if (now > state.at && state.used !== 0) state.used = Math.max(0, state.used - (now - state.at) * limit.limit)
  state.at = now
}

const forget = (limit: RateLimit, state: RateLimitState, now: number): void => {
  const { counts } = state
  if (counts.length === 0) return
  const tooLate = (counts[counts.length - 2] ?? 0) - latestExpiry(limit, now)
  if (tooLate > 0) for (let index = 0; index < counts.length; index += 2) counts[index] = (counts[index] ?? 0) - tooLate
  let over = 0
  for (; over < counts.length && (counts[over] ?? 0) <= now; over += 2) state.used -= counts[over + 1] ?? 0
  if (over > 0) state.counts = over === counts.length ? none : counts.slice(over)
}

/** When what is taken now is forgotten at the latest. */
const latestExpiry = ({ algorithm, windowMillis }: RateLimit, now: number): number => {
  if (algorithm === "fixed_window") return now + windowMillis
  const stepMillis = Math.ceil(windowMillis / steps)
  return (Math.floor(now / stepMillis) + steps + 1) * stepMillis
}

/** Units of one request: see the head of this file. */
const unitsOf = ({ algorithm, windowMillis }: RateLimit): number => (algorithm === "token_bucket" ? windowMillis : 1)

/** Does the limit admit it? The state has been brought to its time. */
export const admits = (limit: RateLimit, state: RateLimitState, { cost }: Ask): boolean =>
  state.blockedUntil === 0 && state.used + cost * unitsOf(limit) <= capacityOf(limit) * unitsOf(limit)

/** Takes what the limit admits. */
export const take = (limit: RateLimit, state: RateLimitState, { cost, now }: Ask): void => {
  state.used += cost * unitsOf(limit)
  if (limit.algorithm === "token_bucket") return
  const { counts } = state
  const last = counts.length - 2
  const latest = latestExpiry(limit, now)
  if (last >= 0 && (limit.algorithm === "fixed_window" || counts[last] === latest)) counts[last + 1] = (counts[last + 1] ?? 0) + cost
  // Not by spreading, which would leave room for a dozen more.
  else state.counts = counts.concat(latest, cost)
}

/** Counts a refusal by this limit; the one that is too many blocks the key. A key that is blocked is not blocked for longer. */
export const refuse = (limit: RateLimit, state: RateLimitState, { now }: Ask): void => {
  const { block } = limit
  if (block === undefined || state.blockedUntil !== 0) return
  if (state.refusals === 0) state.refusedAt = now
  state.refusals += 1
  if (state.refusals < block.refusals) return
  state.blockedUntil = now + block.durationMillis
  state.refusals = 0
}

/** Gives back `cost` requests, the newest first; never more than was taken and not given back yet. */
export const refund = (limit: RateLimit, state: RateLimitState, { cost }: Ask): void => {
  const units = Math.min(state.used, cost * unitsOf(limit))
  state.used -= units
  if (limit.algorithm === "token_bucket") return
  for (let left = units; left > 0 && state.counts.length > 0;) {
    const { counts } = state
    const last = counts.length - 1
    const count = counts[last] ?? 0
    const given = Math.min(left, count)
    left -= given
    counts[last] = count - given
    if (given === count) state.counts = last === 1 ? none : counts.slice(0, -2)
  }
}

/** When a key is again like one that was never seen, if nobody asks: before it, forgetting the state frees something. */
export const freshAt = (limit: RateLimit, state: RateLimitState): number => {
  const forgiven = state.refusals === 0 ? 0 : state.refusedAt + (limit.block?.withinMillis ?? 0)
  return Math.max(fullAt(limit, state, 0), forgiven, state.blockedUntil)
}

/** When all that was taken is back; `otherwise` of a window of which nothing was. */
const fullAt = ({ algorithm, limit }: RateLimit, { at, counts, used }: RateLimitState, otherwise: number): number =>
  algorithm === "token_bucket" ? at + Math.ceil(used / limit) : (counts[counts.length - 2] ?? otherwise)

/** Where a limit stands that did not refuse. The state has been brought to the time of the ask. */
export const standing = (limit: RateLimit, state: RateLimitState, { now }: Ask): Standing => standingOf(limit, state, { cost: 0, now })

/** Where a limit stands that refused what was asked. */
export const refusal = (limit: RateLimit, state: RateLimitState, ask: Ask): Standing => standingOf(limit, state, ask)

/** `cost`: what was refused, 0 where nothing was. */
const standingOf = (limit: RateLimit, state: RateLimitState, { cost, now }: Ask): Standing => {
  const unit = unitsOf(limit)
  const capacity = capacityOf(limit)
  const blockedMillis = state.blockedUntil === 0 ? 0 : state.blockedUntil - now
  // Negative where the limit was lowered since.
  const free = capacity * unit - state.used
  const remaining = blockedMillis > 0 || free <= 0 ? 0 : Math.floor(free / unit)
  return {
    limit,
    refused: cost > 0,
    blocked: blockedMillis > 0,
    remaining,
    moreAfterMillis: remaining === capacity ? 0 : Math.max(blockedMillis, waitFor(limit, state, (remaining + 1) * unit - free, now)),
    resetAfterMillis: Math.max(blockedMillis, fullAt(limit, state, now) - now),
    retryAfterMillis: cost === 0 ? 0 : Math.max(blockedMillis, waitFor(limit, state, Math.min(cost, capacity) * unit - free, now))
  }
}

/** Milliseconds from `now` until `missing` units more are free. */
const waitFor = (limit: RateLimit, state: RateLimitState, missing: number, now: number): number =>
  missing <= 0 ? 0 : limit.algorithm === "token_bucket" ? Math.ceil(missing / limit.limit) : waitInWindow(state.counts, missing, now)

const waitInWindow = (counts: ReadonlyArray<number>, missing: number, now: number): number => {
  const last = counts.length - 2
  let freed = 0
  let index = 0
  while (index < last && (freed += counts[index + 1] ?? 0) < missing) index += 2
  return (counts[index] ?? now) - now
}
