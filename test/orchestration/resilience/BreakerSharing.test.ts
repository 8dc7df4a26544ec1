/**
 * Several instances over one store: what one finds out the others follow, a person's order holds, and a store that is down or hangs
 * keeps no call waiting.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { BreakerName } from "../../../src/domain/resilience/BreakerName.ts"
import * as MemoryBreakerStore from "../../../src/layers/memory/resilience/BreakerStore.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { BreakerStore, BreakerStoreUnavailable } from "../../../src/services/resilience/BreakerStore.ts"

const name = BreakerName.make("a.sale")

/** A store in memory that can lose everything. */
const losing = Effect.gen(function* () {
  const make = Effect.map(Layer.build(Layer.fresh(MemoryBreakerStore.layer)), (context) => Context.get(context, BreakerStore))
  let store = yield* make
  const layer = Layer.succeed(
    BreakerStore,
    BreakerStore.of({ tell: (news) => Effect.suspend(() => store.tell(news)), all: Effect.suspend(() => store.all) })
  )
  return {
    layer,
    entries: Effect.suspend(() => store.all),
    lose: Effect.flatMap(make, (another) => Effect.sync(() => void (store = another)))
  }
})

/** A connection to a store that can break or hang; `meanwhile` happens once, between the next question and its answer. */
const connection = Effect.fnUntraced(function* (layer: Layer.Layer<BreakerStore>) {
  const trouble = { down: false, hangs: false, asked: 0, meanwhile: Effect.void }
  const store = Context.get(yield* Layer.build(layer), BreakerStore)
  const asked = <A>(answer: Effect.Effect<A, BreakerStoreUnavailable>) =>
    Effect.suspend(() => {
      trouble.asked++
      if (trouble.hangs) return Effect.never
      if (trouble.down) return Effect.fail(new BreakerStoreUnavailable({ operation: "test", cause: "down" }))
      const { meanwhile } = trouble
      trouble.meanwhile = Effect.void
      return Effect.tap(answer, meanwhile)
    })
  return {
    trouble,
    layer: Layer.succeed(BreakerStore, BreakerStore.of({ tell: (news) => asked(store.tell(news)), all: asked(store.all) }))
  }
})

/** One store, and one connection to it that all instances share. */
const troubled = Effect.gen(function* () {
  const store = yield* losing
  return { ...store, ...(yield* connection(store.layer)), direct: store.layer }
})

/** One more instance on the store. */
const instance = (store: Layer.Layer<BreakerStore>) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(Layer.fresh(CircuitBreakers.layerShared({ names: [name] })).pipe(Layer.provide(store)))
    const breakers = Context.get(context, CircuitBreakers.CircuitBreakers)
    return {
      breakers,
      state: Effect.map(breakers.list, ([health]) => health?.state),
      fail: (times: number) => Effect.replicateEffect(Effect.exit(breakers.protect(name, Effect.fail("down"))), times, { discard: true }),
      succeed: (times: number) => Effect.replicateEffect(breakers.protect(name, Effect.void), times, { discard: true })
    }
  })

const states = (instances: ReadonlyArray<Effect.Success<ReturnType<typeof instance>>>) => Effect.forEach(instances, ({ state }) => state)

/** Long enough for every instance to tell, and then for every instance to read. */
const settled = TestClock.adjust("2 seconds")

describe("sharing", () => {
  it.effect("the instance that opens it opens it for all, for as long; the one that recovers closes it for all", () =>
    Effect.gen(function* () {
      const { layer } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].fail(5)
      assert.deepStrictEqual(yield* states(all), ["open", "closed", "closed"])
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["open", "open", "open"])
      const refused = yield* Effect.flip(all[2].breakers.protect(name, Effect.void))
      assert.isTrue(refused._tag === "BreakerOpen" && refused.retryInMillis === 58_000)
      yield* TestClock.adjust("58 seconds")
      assert.deepStrictEqual(yield* states(all), ["half-open", "half-open", "half-open"])
      yield* all[1].succeed(3)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["closed", "closed", "closed"])
    })
  )

  it.effect("a probe that fails opens it for all again, for the whole time", () =>
    Effect.gen(function* () {
      const { layer } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].fail(5)
      yield* TestClock.adjust("1 minute")
      yield* all[1].fail(1)
      yield* settled
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(yield* states(all), ["open", "open"])
    })
  )

  it.effect("what is told is not told again, and is told with its reason to those who listen", () =>
    Effect.gen(function* () {
      const { entries, layer } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      const heard: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(all[1].breakers.transitions, ({ reason, to }) => Effect.sync(() => void heard.push(`${to}: ${reason}`))),
        { startImmediately: true }
      )
      yield* all[0].fail(5)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(heard, ["open: told"])
      const [told] = yield* entries
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* entries)[0]?.version, told?.version)
    })
  )

  it.effect("an instance that starts knows what is in force before its first call", () =>
    Effect.gen(function* () {
      const { layer } = yield* troubled
      const first = yield* instance(layer)
      yield* first.breakers.forceOpen(name)
      yield* settled
      assert.strictEqual(yield* (yield* instance(layer)).state, "forced-open")
    })
  )

  it.effect("a person's order holds for all, whatever breakers find out, until a person ends it", () =>
    Effect.gen(function* () {
      const { layer } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].breakers.forceClosed(name)
      yield* all[1].fail(5)
      assert.deepStrictEqual(yield* states(all), ["forced-closed", "open"])
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["forced-closed", "forced-closed"])
      yield* all[1].fail(20)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["forced-closed", "forced-closed"])
      yield* all[1].breakers.reset(name)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["closed", "closed"])
    })
  )

  it.effect("a reset holds, though the breaker opens again before it could be told", () =>
    Effect.gen(function* () {
      const { layer } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].breakers.forceOpen(name)
      yield* settled
      yield* all[1].breakers.reset(name)
      yield* all[1].fail(5)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["open", "open"])
    })
  )

  it.effect("a reset holds, though the store was away until the breaker was half-open", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].breakers.forceOpen(name)
      yield* settled
      trouble.down = true
      yield* all[1].breakers.reset(name)
      yield* all[1].fail(5)
      yield* TestClock.adjust("2 minutes")
      yield* all[1].succeed(1)
      trouble.down = false
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["closed", "half-open"])
    })
  )

  it.effect("the newer of two orders holds", () =>
    Effect.gen(function* () {
      const { layer } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].breakers.forceOpen(name)
      yield* settled
      yield* all[1].breakers.forceClosed(name)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["forced-closed", "forced-closed"])
    })
  )

  it.effect("a forced state that the store has lost is told again, and holds though others told what they found out", () =>
    Effect.gen(function* () {
      const { direct, entries, layer, lose, trouble } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].breakers.forceOpen(name)
      yield* settled
      trouble.down = true
      yield* lose
      const late = yield* instance(direct)
      yield* late.fail(5)
      yield* settled
      assert.deepInclude((yield* entries)[0], { state: "open" })
      trouble.down = false
      yield* settled
      yield* settled
      assert.deepStrictEqual(yield* states([...all, late]), ["forced-open", "forced-open", "forced-open"])
      assert.deepInclude((yield* entries)[0], { state: "forced-open", byPerson: true })
    })
  )

  it.effect("an instance that missed how an order ended does not bring it back", () =>
    Effect.gen(function* () {
      const { entries, layer, trouble, direct } = yield* troubled
      const [one, missing] = [yield* instance(direct), yield* instance(layer)]
      yield* one.breakers.forceOpen(name)
      yield* settled
      trouble.down = true
      yield* one.breakers.reset(name)
      yield* settled
      yield* one.fail(5)
      yield* settled
      assert.deepStrictEqual(yield* states([one, missing]), ["open", "forced-open"])
      trouble.down = false
      yield* settled
      assert.deepStrictEqual(yield* states([one, missing]), ["open", "open"])
      assert.deepInclude((yield* entries)[0], { state: "open", byPerson: false })
    })
  )

  it.effect("after the store has lost everything what is told anew is followed", () =>
    Effect.gen(function* () {
      const { layer, lose } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      for (let times = 0; times < 3; times++) {
        yield* all[0].breakers.forceClosed(name)
        yield* settled
        yield* all[0].breakers.reset(name)
        yield* settled
      }
      yield* lose
      yield* all[0].fail(5)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["open", "open"])
    })
  )
})

describe("what changes during an exchange", () => {
  it.effect("is told with the next one", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[0].fail(5)
      trouble.meanwhile = Effect.asVoid(Effect.orDie(all[0].breakers.forceClosed(name)))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* states(all), ["forced-closed", "forced-closed"])
    })
  )

  it.effect("is not undone by what was told before", () =>
    Effect.gen(function* () {
      const { direct, layer, trouble } = yield* troubled
      const [one, other] = [yield* instance(layer), yield* instance(direct)]
      trouble.down = true
      yield* other.fail(5)
      yield* settled
      trouble.down = false
      trouble.meanwhile = Effect.asVoid(Effect.orDie(one.breakers.reset(name)))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* states([one, other]), ["closed", "closed"])
    })
  )
})

describe("a store in trouble", () => {
  it.effect("keeps no call waiting and is told what is still true once it is back", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      trouble.down = true
      yield* all[0].fail(5)
      yield* TestClock.adjust("20 seconds")
      yield* all[1].succeed(100)
      assert.deepStrictEqual(yield* states(all), ["open", "closed"])
      trouble.down = false
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["open", "open"])
      const refused = yield* Effect.flip(all[1].breakers.protect(name, Effect.void))
      assert.isTrue(refused._tag === "BreakerOpen" && refused.retryInMillis === 38_000)
    })
  )

  it.effect("what is over when it is back is not told, is not undone by older news, and newer ones are followed", () =>
    Effect.gen(function* () {
      const { entries, layer, trouble } = yield* troubled
      const all = [yield* instance(layer), yield* instance(layer)] as const
      yield* all[1].breakers.reset(name)
      yield* settled
      trouble.down = true
      yield* all[0].fail(5)
      yield* TestClock.adjust("5 minutes")
      trouble.down = false
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["half-open", "closed"])
      assert.deepInclude((yield* entries)[0], { state: "closed", byPerson: true })
      yield* all[1].fail(5)
      yield* settled
      assert.deepStrictEqual(yield* states(all), ["open", "open"])
    })
  )

  it.effect("one that hangs delays the start by 5 s and no call, and is asked again", () =>
    Effect.gen(function* () {
      const { layer, trouble } = yield* troubled
      trouble.hangs = true
      const starting = yield* Effect.forkChild(Effect.scoped(Effect.andThen(instance(layer), Effect.void)), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(starting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(starting.pollUnsafe(), Exit.void)
      trouble.hangs = false
      const one = yield* instance(layer)
      trouble.hangs = true
      yield* one.fail(5)
      const asked = trouble.asked
      yield* TestClock.adjust("30 seconds")
      assert.isAtLeast(trouble.asked - asked, 5)
      trouble.hangs = false
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* (yield* instance(layer)).state, "open")
    })
  )

  it.effect("the first failure of a series is told, and its end", () => {
    const told: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => void told.push(String(Array.isArray(message) ? message[0] : message)))
    return Effect.gen(function* () {
      const { layer, trouble } = yield* troubled
      yield* instance(layer)
      trouble.down = true
      yield* TestClock.adjust("30 seconds")
      trouble.down = false
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(told, [
        "circuit breakers cannot be shared; every instance decides by itself",
        "circuit breakers are shared again"
      ])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})
