import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type RateLimit, RateLimiter } from "../../../src/index.ts"
import { RateLimitStore } from "../../../src/public/memory.ts"

/** Two vouchers an hour to one customer. */
const vouchers: RateLimit.RateLimit = {
  name: "vouchers",
  scope: "user",
  algorithm: "sliding_window",
  limit: 2,
  windowMillis: 3_600_000,
  burst: 0
}

const voucherFor = Effect.fn("voucherFor")(function* (customer: string) {
  const limiter = yield* RateLimiter.RateLimiter
  return yield* limiter
    .limit(
      [vouchers],
      [customer]
    )(Effect.succeed("sent"))
    .pipe(Effect.catchTag("RateLimited", () => Effect.succeed("later")))
})

export const example = Effect.forEach(["ada", "ada", "ada", "ben"], (customer) => voucherFor(customer)).pipe(
  Effect.provide(Layer.provide(RateLimiter.layer, RateLimitStore.layer))
)
