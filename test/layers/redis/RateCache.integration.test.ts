/**
 * Exchange rates on Redis: the contract, what cannot be read, and a server in trouble.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as RateTable from "../../../src/domain/rates/RateTable.ts"
import { Commands, script } from "../../../src/layers/redis/Commands.ts"
import * as RedisRateCache from "../../../src/layers/redis/RateCache.ts"
import { RateCache } from "../../../src/services/rates/RateCache.ts"
import { suite } from "../../contracts/RateCache.ts"
import * as TestRedis from "../../support/TestRedis.ts"

const cache = RedisRateCache.layer.pipe(Layer.provideMerge(TestRedis.layer))

/** Brings every expiry nearer by ARGV[2] milliseconds. */
const hurry = script<number>(
  "test.hurry",
  `
local keys = redis.call('KEYS', ARGV[1])
for _, key in ipairs(keys) do
  redis.call('PEXPIRE', key, math.max(0, redis.call('PTTL', key) - ARGV[2]))
end
return #keys`
)
const pass = (millis: number) =>
  Effect.flatMap(Commands, (commands) => commands.run(hurry, { keys: [], args: [commands.key("rates*"), millis] }))

const rates: RateTable.FetchedRates = {
  source: RateTable.SourceName.make("ecb"),
  fetchedAt: 0,
  table: RateTable.make({ base: CurrencyCode.make("EUR"), decimals: { USD: "1.1" } })
}

TestRedis.suites("exchange rates on Redis", () => {
  suite("redis", cache, { pass })

  describe("RateCache: redis", () => {
    it.live("an entry that cannot be read is as good as none", () =>
      Effect.gen(function* () {
        const commands = yield* Commands
        for (const text of ["", "{}", '{"source":"ecb","fetchedAt":0,"table":{"base":"EUR","rates":[{"to":"USD"}]}}']) {
          yield* commands.send("SET", commands.key("rates:a:"), text)
          assert.isUndefined(yield* Effect.flatMap(RateCache, (service) => service.read("a:")), text)
        }
      }).pipe(Effect.provide(cache))
    )

    it.live("trouble of the server is RateCacheUnavailable", () =>
      Effect.gen(function* () {
        const commands = yield* Commands
        const service = yield* RateCache
        yield* commands.send("LPUSH", commands.key("rates:b:"), "a list")
        assert.deepInclude(yield* Effect.flip(service.read("b:")), { _tag: "RateCacheUnavailable", operation: "read" })
        yield* commands.send("CONFIG", "SET", "maxmemory", "1")
        assert.deepInclude(yield* Effect.flip(service.write("c:", rates)), { _tag: "RateCacheUnavailable", operation: "write" })
      }).pipe(Effect.provide(cache))
    )
  })
})
