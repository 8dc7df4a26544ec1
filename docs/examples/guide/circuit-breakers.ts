import * as Effect from "effect/Effect"
import { BreakerName, BreakerSettings, CircuitBreakers } from "../../../src/index.ts"

/** A service of the host's own behind a breaker, which opens after three failures in a row. */
const stock = BreakerName.BreakerName.make("stock.sale")
const settings = { ...BreakerSettings.gatewayDefault, failureThreshold: 3 }

export const example = Effect.gen(function* () {
  const breakers = yield* CircuitBreakers.CircuitBreakers
  let calls = 0
  const call = Effect.suspend(() => Effect.fail(`call ${++calls} failed`))
  const seen: Array<string> = []
  for (let attempt = 0; attempt < 5; attempt++) {
    const error = yield* Effect.flip(breakers.protect(stock, call))
    seen.push(typeof error === "string" ? error : error._tag)
  }
  return seen
}).pipe(Effect.provide(CircuitBreakers.layer({ byName: { [stock]: settings } })))
