/**
 * What every cache of exchange rates does, wherever it is kept.
 *
 * `pass` lets time go by for what is kept: a test clock, or expiries of a server that are moved.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import * as RateTable from "../../src/domain/rates/RateTable.ts"
import { RateCache } from "../../src/services/rates/RateCache.ts"

const minute = 60_000
const eur = CurrencyCode.make("EUR")

let keys = 0
const freshKey = () => `contract-${++keys}:`

const fetched = (usd: string, asOf?: number): RateTable.FetchedRates => ({
  source: RateTable.SourceName.make("ecb"),
  fetchedAt: 1_763_712_000_000,
  table: RateTable.make({ base: eur, decimals: { USD: usd, JPY: "168.12" }, asOf })
})

export const suite = <E, R>(
  name: string,
  cacheLayer: Layer.Layer<RateCache | R, E>,
  options: { readonly pass: (millis: number) => Effect.Effect<unknown, unknown, R> }
): void =>
  layer(cacheLayer)(`RateCache: ${name}`, (it) => {
    const { pass } = options
    const read = (key: string) => Effect.flatMap(RateCache, (cache) => cache.read(key))
    const write = (key: string, rates: RateTable.FetchedRates) => Effect.flatMap(RateCache, (cache) => cache.write(key, rates))

    it.effect("what was written last under a key is read, exactly, and warm", () =>
      Effect.gen(function* () {
        const [key, other] = [freshKey(), freshKey()]
        assert.isUndefined(yield* read(key))
        yield* write(key, fetched("1.1"))
        yield* write(other, fetched("1.3"))
        yield* write(key, fetched("1.2345678901234567890123456789", 1_763_600_000_000))
        assert.deepStrictEqual(yield* read(key), { rates: fetched("1.2345678901234567890123456789", 1_763_600_000_000), warm: true })
        assert.deepStrictEqual(yield* read(other), { rates: fetched("1.3"), warm: true })
      })
    )

    it.effect("without use it is warm for 5 min; each use is another 5 min", () =>
      Effect.gen(function* () {
        const [used, unused] = [freshKey(), freshKey()]
        yield* write(used, fetched("1.1"))
        yield* write(unused, fetched("1.1"))
        for (let nth = 0; nth < 3; nth++) {
          yield* pass(4 * minute)
          assert.isTrue((yield* read(used))?.warm, `after ${4 * (nth + 1)} min`)
        }
        assert.isFalse((yield* read(unused))?.warm)
        yield* pass(5 * minute + 1)
        assert.isFalse((yield* read(used))?.warm)
      })
    )

    it.effect("what is not warm any more does not get warm by being read, but by being written", () =>
      Effect.gen(function* () {
        const key = freshKey()
        yield* write(key, fetched("1.1"))
        yield* pass(6 * minute)
        for (let nth = 0; nth < 2; nth++) assert.deepStrictEqual(yield* read(key), { rates: fetched("1.1"), warm: false })
        yield* write(key, fetched("1.2"))
        assert.deepStrictEqual(yield* read(key), { rates: fetched("1.2"), warm: true })
      })
    )

    it.effect("is kept for 2 h after it was written, however often it is read, and gone then", () =>
      Effect.gen(function* () {
        const key = freshKey()
        yield* write(key, fetched("1.1"))
        for (let nth = 0; nth < 29; nth++) {
          yield* pass(4 * minute)
          assert.isDefined(yield* read(key))
        }
        yield* pass(4 * minute - 1_000)
        assert.isDefined(yield* read(key))
        yield* pass(1_001)
        assert.isUndefined(yield* read(key))
      })
    )
  })
