/**
 * The store of circuit breakers on a real Redis: the contract, what is forgotten, a server that loses its data, and a store in trouble.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BreakerName } from "../../../src/domain/resilience/BreakerName.ts"
import * as RedisBreakerStore from "../../../src/layers/redis/BreakerStore.ts"
import { Commands } from "../../../src/layers/redis/Commands.ts"
import { BreakerStore } from "../../../src/services/resilience/BreakerStore.ts"
import { suite } from "../../contracts/BreakerStore.ts"
import * as TestRedis from "../../support/TestRedis.ts"

const everything = Effect.provide(RedisBreakerStore.layer.pipe(Layer.provideMerge(TestRedis.layer)))
const news = { name: BreakerName.make("a.sale"), state: "open", openForMillis: 60_000.25, byPerson: false, instance: "one" } as const

TestRedis.suites("circuit breakers on Redis", () => {
  suite("redis", RedisBreakerStore.layer.pipe(Layer.provide(TestRedis.layer)))

  describe("BreakerStore: redis", () => {
    it.live("versions grow though the server has lost everything", () =>
      Effect.gen(function* () {
        const store = yield* BreakerStore
        const commands = yield* Commands
        const before = yield* store.tell(news)
        yield* commands.send("DEL", commands.key("breakers"))
        assert.deepStrictEqual(yield* store.all, [])
        assert.isAbove((yield* store.tell(news)).version, before.version)
      }).pipe(everything)
    )

    it.live("automatic entries are forgotten a day after they were told, orders are not", () =>
      Effect.gen(function* () {
        const store = yield* BreakerStore
        const commands = yield* Commands
        const { version } = yield* store.tell(news)
        const at = (hours: number) => String(version - hours * 3_600_000_000)
        const write = (name: string, entry: string) => commands.send("HSET", commands.key("breakers"), name, entry)
        yield* write("old.sale", `closed 0 0 ${at(25)} 0 one`)
        yield* write("young.sale", `closed 0 0 ${at(23)} 0 one`)
        yield* write("forced.sale", `forced-open 1 0 ${at(1_000)} ${at(1_000)} one`)
        assert.sameMembers(
          (yield* store.all).map(({ name }) => name as string),
          ["a.sale", "young.sale", "forced.sale"]
        )
        assert.strictEqual(yield* commands.send("HLEN", commands.key("breakers")), 3)
      }).pipe(everything)
    )

    it.live("an entry with a state of a later version is left out", () =>
      Effect.gen(function* () {
        const store = yield* BreakerStore
        const commands = yield* Commands
        const { version } = yield* store.tell(news)
        yield* commands.send("HSET", commands.key("breakers"), "later.sale", `sleeping 0 0 ${version} 0 one`)
        assert.lengthOf(yield* store.all, 1)
      }).pipe(everything)
    )

    it.live("trouble of the store is BreakerStoreUnavailable", () =>
      Effect.gen(function* () {
        const store = yield* BreakerStore
        const commands = yield* Commands
        yield* commands.send("SET", commands.key("breakers"), "a string")
        for (const asked of [Effect.asVoid(store.all), Effect.asVoid(store.tell(news))]) {
          const error = yield* Effect.flip(asked)
          assert.include(error.message, "until it does, every instance decides by itself")
        }
      }).pipe(everything)
    )
  })
})
