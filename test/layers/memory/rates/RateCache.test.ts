/**
 * Exchange rates in memory: the contract, and that memory is bounded.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { CurrencyCode } from "../../../../src/domain/Currency.ts"
import * as RateTable from "../../../../src/domain/rates/RateTable.ts"
import * as RateCache from "../../../../src/layers/memory/rates/RateCache.ts"
import * as Service from "../../../../src/services/rates/RateCache.ts"
import { suite } from "../../../contracts/RateCache.ts"

suite("memory", RateCache.layer, { pass: TestClock.adjust })

const rates: RateTable.FetchedRates = {
  source: RateTable.SourceName.make("ecb"),
  fetchedAt: 0,
  table: RateTable.make({ base: CurrencyCode.make("EUR"), decimals: { USD: "1.1" } })
}

describe("RateCache: memory", () => {
  it.effect("beyond its limit what was written longest ago goes", () =>
    Effect.gen(function* () {
      const cache = yield* Service.RateCache
      for (const key of ["a", "b", "a", "c"]) yield* cache.write(key, rates)
      const kept = yield* Effect.forEach(["a", "b", "c"], (key) => Effect.map(cache.read(key), (entry) => entry !== undefined))
      assert.deepStrictEqual(kept, [true, false, true])
    }).pipe(Effect.provide(RateCache.layerWith({ maxAnswers: 2 })))
  )
})
