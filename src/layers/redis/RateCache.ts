/**
 * Fetched exchange rates on Redis, for all instances: one of them fetches, and all have the rate.
 *
 * `rates:<key>` holds the rates as JSON and goes when they may not be given any more; `rates-warm:<key>` is there for as long as they are warm.
 * Reading is one script: it extends the second where it is there. Nothing is left to clean up.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Presets from "../../domain/Presets.ts"
import { FetchedRates } from "../../domain/rates/RateTable.ts"
import { RateCache, RateCacheUnavailable } from "../../services/rates/RateCache.ts"
import { Commands, type RedisFailed, script } from "./Commands.ts"

/** KEYS: rates, warmth. ARGV: idle time in ms. Replies the rates and 1 where they are warm. */
const reading = script<readonly [rates: string, warm: number] | null>(
  "rates.read",
  `
local rates = redis.call('GET', KEYS[1])
if not rates then return false end
return { rates, redis.call('PEXPIRE', KEYS[2], ARGV[1]) }`
)

/** KEYS: rates, warmth. ARGV: rates, how long they are kept and how long they are warm, in ms. */
const writing = script<number>(
  "rates.write",
  `
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 1`
)

/** Default to the presets `rates`. */
export interface RateCacheOptions {
  readonly idleMillis?: number
  readonly keepMillis?: number
}

const Json = Schema.fromJsonString(FetchedRates)
const decode = Schema.decodeUnknownResult(Json)
const encode = Schema.encodeSync(Json)
const keysOf = (key: string) => [`rates:${key}`, `rates-warm:${key}`]

const make = Effect.fnUntraced(function* (options: RateCacheOptions) {
  const { idleMillis = Presets.rates.idleMillis.value, keepMillis = Presets.rates.emergencyMillis.value } = options
  const commands = yield* Commands
  const asked = <A>(operation: RateCacheUnavailable["operation"], answer: Effect.Effect<A, RedisFailed>) =>
    Effect.mapError(answer, (cause) => new RateCacheUnavailable({ operation, cause }))

  return RateCache.of({
    read: Effect.fn("RateCache.read")(function* (key: string) {
      const reply = yield* asked("read", commands.run(reading, { keys: keysOf(key), args: [idleMillis] }))
      const rates = reply === null ? undefined : Result.getOrUndefined(decode(reply[0]))
      return rates === undefined ? undefined : { rates, warm: reply?.[1] === 1 }
    }),
    write: Effect.fn("RateCache.write")(function* (key: string, rates: FetchedRates) {
      yield* asked("write", commands.run(writing, { keys: keysOf(key), args: [encode(rates), keepMillis, idleMillis] }))
    })
  })
})

/** On the server of the commands. */
export const layer: Layer.Layer<RateCache, never, Commands> = Layer.effect(RateCache, make({}))

/** On the server of the commands, with other limits. */
export const layerWith = (options: RateCacheOptions): Layer.Layer<RateCache, never, Commands> => Layer.effect(RateCache, make(options))
