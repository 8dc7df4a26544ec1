/**
 * What circuit breakers of several instances tell each other, in one hash, by the server's clock.
 *
 * `breakers` holds one field per breaker: state, whether a person ordered it, the end of the open time, version, version of the newest
 * order, instance. Telling and reading are one script each, one step for everybody else. Versions are at least the server's time in
 * microseconds, so they grow though the server has lost everything. Reading forgets automatic entries older than a day.
 *
 * Gotcha: a server that loses its data loses orders too; instances that know them tell them again with their next round.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { BreakerName } from "../../domain/resilience/BreakerName.ts"
import { type BreakerEntry, BreakerStore, BreakerStoreUnavailable, SharedBreakerState } from "../../services/resilience/BreakerStore.ts"
import { Commands, type RedisFailed, script } from "./Commands.ts"

const entriesKey = "breakers"
const keepAutomaticMillis = 86_400_000

/** The server's time. Numbers of Lua are doubles: microseconds since 1970 are exact in them until the year 2255. */
const now = `
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local function whole(number) return string.format('%.0f', number) end
local function isForced(state) return state == 'forced-open' or state == 'forced-closed' end
local function parse(text) return string.match(text, '^(%S+) ([01]) (%d+) (%d+) (%d+) (.+)$') end`

/** KEYS: entries. ARGV: name, state, time it stays open in ms, 1 if by a person, instance. Replies what is in force, and the time. */
const telling = script<readonly [entry: string, micros: string]>(
  "breakers.tell",
  `${now}
local held = redis.call('HGET', KEYS[1], ARGV[1])
local version, order = micros, 0
if held then
  local state, _, _, heldVersion, heldOrder = parse(held)
  if isForced(state) and ARGV[4] == '0' then return { held, whole(micros) } end
  version = math.max(micros, heldVersion + 1)
  order = heldOrder
end
if ARGV[4] == '1' then order = version end
local entry = table.concat(
  { ARGV[2], ARGV[4], whole(micros + math.max(0, ARGV[3]) * 1000), whole(version), whole(order), ARGV[5] }, ' ')
redis.call('HSET', KEYS[1], ARGV[1], entry)
return { entry, whole(micros) }`
)

/** KEYS: entries. ARGV: how long automatic ones are kept, in ms. Replies the time, then name and entry in turn. */
const listing = script<ReadonlyArray<string>>(
  "breakers.all",
  `${now}
local all = redis.call('HGETALL', KEYS[1])
local kept = { whole(micros) }
for i = 1, #all, 2 do
  local state, _, _, version = parse(all[i + 1])
  if not isForced(state) and version + ARGV[1] * 1000 < micros then
    redis.call('HDEL', KEYS[1], all[i])
  else
    kept[#kept + 1] = all[i]
    kept[#kept + 1] = all[i + 1]
  end
end
return kept`
)

const isState = Schema.is(SharedBreakerState)

/** The scripts wrote it, so it has its six parts; a state of a later version of this code is left out. */
const parse = (name: string, text: string, micros: string): BreakerEntry | undefined => {
  const [state, byPerson, openUntil, version, orderVersion, ...instance] = text.split(" ")
  if (!isState(state)) return undefined
  return {
    name: name as BreakerName,
    state,
    openForMillis: state === "open" ? (Number(openUntil) - Number(micros)) / 1_000 : 0,
    byPerson: byPerson === "1",
    instance: instance.join(" "),
    version: Number(version),
    orderVersion: Number(orderVersion)
  }
}

const make = Effect.gen(function* () {
  const commands = yield* Commands

  const asked = <A>(operation: string, answer: Effect.Effect<A, RedisFailed>): Effect.Effect<A, BreakerStoreUnavailable> =>
    Effect.mapError(answer, (cause) => new BreakerStoreUnavailable({ operation, cause }))

  return BreakerStore.of({
    tell: Effect.fn("BreakerStore.tell")(function* ({ byPerson, instance, name, openForMillis, state }) {
      const args = [name, state, openForMillis, byPerson ? 1 : 0, instance]
      const [entry, micros] = yield* asked("tell", commands.run(telling, { keys: [entriesKey], args }))
      const inForce = parse(name, entry, micros)
      return inForce ?? (yield* new BreakerStoreUnavailable({ operation: "tell", cause: new Error(`unreadable entry "${entry}"`) }))
    }),
    all: Effect.map(
      asked("all", commands.run(listing, { keys: [entriesKey], args: [keepAutomaticMillis] })),
      ([micros = "0", ...pairs]) => {
        const entries: Array<BreakerEntry> = []
        for (let index = 0; index + 1 < pairs.length; index += 2) {
          const entry = parse(pairs[index] ?? "", pairs[index + 1] ?? "", micros)
          if (entry !== undefined) entries.push(entry)
        }
        return entries
      }
    )
  })
})

/** Entries on the server of the commands. */
export const layer: Layer.Layer<BreakerStore, never, Commands> = Layer.effect(BreakerStore, make)
