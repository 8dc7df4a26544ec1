import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type RateLimit, RateLimiter } from "../../src/index.ts"
import { RateLimitStore } from "../../src/public/memory.ts"

const perCustomer: RateLimit.RateLimit = {
  name: "receipts",
  scope: "user",
  algorithm: "token_bucket",
  limit: 2,
  windowMillis: 3_600_000,
  burst: 0
}

/** Sends a receipt, at most two an hour to one customer. */
const sendReceipt = Effect.fn("sendReceipt")(function* (customer: string) {
  const limiter = yield* RateLimiter.RateLimiter
  return yield* limiter
    .limit(
      [perCustomer],
      [customer]
    )(Effect.succeed(`receipt for ${customer}`))
    .pipe(Effect.catchTag("RateLimited", ({ retryAfterMillis }) => Effect.succeed(`later, in ${retryAfterMillis / 60_000} minutes`)))
})

/** The third one has to wait. */
export const receipts = Effect.forEach(["ada", "ada", "ada", "ben"], (customer) => sendReceipt(customer)).pipe(
  Effect.provide(Layer.provide(RateLimiter.layer, RateLimitStore.layer))
)
