/**
 * Rate limits as the headers of an answer, in the structured fields of draft-ietf-httpapi-ratelimit-headers-11 (May 2026).
 *
 *     RateLimit-Policy: "initiate.user";q=10;w=60;aegispay-burst=3
 *     RateLimit: "initiate.user";r=4;t=6
 *
 * `q` is what a window gives in the long run and `w` the window in seconds; `aegispay-burst` what an idle key has on top, so `r`, what
 * is left now, may be greater than `q`. `t` is the number of seconds until `r` grows. A refused request is told of the limits that refused it alone,
 * with the time after which it would pass: `Retry-After` is never earlier than that.
 *
 * Limits that everybody shares (`global`, `endpoint`) are not shown: what is left of them would tell of others' traffic.
 */
import { type Decision, retryAfterMillis, type Standing } from "../../../domain/resilience/RateLimit.ts"
import { Problem } from "../Problems.ts"

const seconds = (millis: number): number => Math.ceil(millis / 1000)

const isShown = ({ limit: { scope } }: Standing): boolean => scope !== "global" && scope !== "endpoint"

const policyOf = ({ limit: { burst, limit, name, windowMillis } }: Standing): string =>
  `"${name}";q=${limit};w=${seconds(windowMillis)}${burst === 0 ? "" : `;aegispay-burst=${burst}`}`

const limitOf = ({ limit: { name }, moreAfterMillis, refused, remaining, retryAfterMillis }: Standing): string => {
  const wait = refused ? retryAfterMillis : moreAfterMillis
  return `"${name}";r=${remaining}${wait === 0 ? "" : `;t=${seconds(wait)}`}`
}

/** The headers of an answer to a request that went through these checks. */
export const of = (decisions: ReadonlyArray<Decision>): Readonly<Record<string, string>> => {
  const shown = decisions.flatMap(({ standings }) => standings.filter(isShown))
  const isRefused = decisions.some(({ allowed }) => !allowed)
  const told = isRefused ? shown.filter(({ refused }) => refused) : shown
  return {
    ...(shown.length === 0 ? {} : { "ratelimit-policy": shown.map(policyOf).join(", ") }),
    ...(told.length === 0 ? {} : { ratelimit: told.map(limitOf).join(", ") })
  }
}

const sentenceOf = ({ blocked, limit: { burst, limit, windowMillis } }: Standing): string =>
  blocked
    ? "blocked for a time, because too many requests were refused"
    : `at most ${limit} in ${seconds(windowMillis)} s${burst === 0 ? "" : `, and ${burst} more at once`}`

/** The problem a refused request is answered. */
export const problemOf = (decision: Decision): Problem => {
  const wait = Math.max(1, seconds(retryAfterMillis(decision)))
  return new Problem({
    code: "rate_limited",
    detail: `Too many requests. Nothing was started; repeat it in ${wait} s, with the same Idempotency-Key if it had one.`,
    errors: decision.standings
      .filter(({ refused }) => refused)
      .map((standing) => ({ path: standing.limit.name, message: sentenceOf(standing) })),
    retryAfterSeconds: wait
  })
}
