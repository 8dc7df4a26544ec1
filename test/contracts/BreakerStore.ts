/**
 * What every store of circuit breakers does, whatever is behind it.
 *
 * A layer's clock may be a database's, so the suite runs on the live clock and waits for times of a few milliseconds.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { BreakerName } from "../../src/domain/resilience/BreakerName.ts"
import { type BreakerNews, BreakerStore } from "../../src/services/resilience/BreakerStore.ts"

let names = 0
const freshName = () => BreakerName.make(`contract-${++names}.sale`)

const news = (name: BreakerName, change: Partial<BreakerNews> = {}): BreakerNews => ({
  name,
  state: "open",
  openForMillis: 60_000,
  byPerson: false,
  instance: "one",
  ...change
})
const closed = { state: "closed", openForMillis: 0 } as const
const forced = { state: "forced-open", openForMillis: 0, byPerson: true } as const

const tell = (told: BreakerNews) => Effect.flatMap(BreakerStore, (store) => store.tell(told))
const entryOf = (name: BreakerName) =>
  Effect.map(
    Effect.flatMap(BreakerStore, (store) => store.all),
    (all) => all.filter((entry) => entry.name === name)
  )

export const suite = <E>(name: string, storeLayer: Layer.Layer<BreakerStore, E>): void =>
  layer(storeLayer, { excludeTestServices: true })(`BreakerStore: ${name}`, (it) => {
    it.effect("what was told is answered and listed, once per breaker", () =>
      Effect.gen(function* () {
        const [name, other] = [freshName(), freshName()]
        yield* tell(news(other))
        const told = yield* tell(news(name))
        assert.deepInclude(told, { name, state: "open", byPerson: false, instance: "one" })
        assert.isTrue(told.openForMillis > 50_000 && told.openForMillis <= 60_000, String(told.openForMillis))
        const [entry, ...more] = yield* entryOf(name)
        assert.lengthOf(more, 0)
        assert.deepStrictEqual({ ...entry, openForMillis: 0 }, { ...told, openForMillis: 0 })
      })
    )

    it.effect("the newest replaces what was told before, with a greater version", () =>
      Effect.gen(function* () {
        const name = freshName()
        const versions: Array<number> = []
        for (const [instance, change] of [
          ["one", {}],
          ["two", closed],
          ["one", {}],
          ["one", { openForMillis: 5_000 }]
        ] as const) {
          const told = yield* tell(news(name, { ...change, instance }))
          assert.strictEqual(told.instance, instance)
          versions.push(told.version)
        }
        for (const [index, version] of versions.entries()) assert.isTrue(index === 0 || version > versions[index - 1]!, versions.join())
        assert.isAtMost((yield* entryOf(name))[0]?.openForMillis ?? Number.NaN, 5_000)
      })
    )

    it.effect("the open time runs down by the store's clock; states without one tell 0", () =>
      Effect.gen(function* () {
        const [brief, without] = [freshName(), freshName()]
        yield* tell(news(brief, { openForMillis: 1 }))
        assert.strictEqual((yield* tell(news(without, closed))).openForMillis, 0)
        const over = entryOf(brief).pipe(
          Effect.delay(1),
          Effect.repeat({ until: ([entry]) => entry !== undefined && entry.openForMillis <= 0 }),
          Effect.timeout("5 seconds")
        )
        assert.strictEqual((yield* over)[0]?.state, "open")
        assert.strictEqual((yield* entryOf(without))[0]?.openForMillis, 0)
      })
    )

    it.effect("a forced state is not replaced by what a breaker finds out; the answer is the forced entry", () =>
      Effect.gen(function* () {
        const name = freshName()
        yield* tell(news(name))
        const held = yield* tell(news(name, { ...forced, instance: "two" }))
        for (const change of [{}, closed]) assert.deepStrictEqual(yield* tell(news(name, change)), held)
        assert.deepStrictEqual(yield* entryOf(name), [held])
      })
    )

    it.effect("a person replaces anything: another forced state, or a reset after which breakers tell again", () =>
      Effect.gen(function* () {
        const name = freshName()
        yield* tell(news(name, forced))
        assert.deepInclude(yield* tell(news(name, { ...forced, state: "forced-closed", instance: "two" })), {
          state: "forced-closed",
          instance: "two"
        })
        assert.deepInclude(yield* tell(news(name, { ...closed, byPerson: true })), { state: "closed", byPerson: true })
        assert.deepInclude(yield* tell(news(name)), { state: "open", byPerson: false })
      })
    )

    it.effect("an entry knows the version of the newest order", () =>
      Effect.gen(function* () {
        const name = freshName()
        assert.strictEqual((yield* tell(news(name))).orderVersion, 0)
        const order = yield* tell(news(name, forced))
        assert.strictEqual(order.orderVersion, order.version)
        const reset = yield* tell(news(name, { ...closed, byPerson: true }))
        assert.strictEqual(reset.orderVersion, reset.version)
        assert.strictEqual((yield* tell(news(name))).orderVersion, reset.version)
        assert.strictEqual((yield* tell(news(name, closed))).orderVersion, reset.version)
        assert.strictEqual((yield* entryOf(name))[0]?.orderVersion, reset.version)
        const first = yield* tell(news(freshName(), forced))
        assert.strictEqual(first.orderVersion, first.version)
      })
    )

    it.effect("of many that tell at once the one with the greatest version is in force", () =>
      Effect.gen(function* () {
        const name = freshName()
        const told = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => `instance-${index}`),
          (instance) => tell(news(name, { instance })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(told.map(({ version }) => version)).size, 20)
        const last = told.reduce((one, other) => (one.version > other.version ? one : other))
        assert.deepInclude((yield* entryOf(name))[0], { instance: last.instance, version: last.version })
      })
    )
  })
