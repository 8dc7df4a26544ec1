/**
 * What every store of rate limits does, whatever is behind it.
 *
 * `suite` wants a store that counts by the test's clock, so that it can be compared with a naive model to the millisecond; `suiteOwnTime` one
 * on its own clock.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { algorithms, capacityOf, type Decision, type RateLimit, retryAfterMillis } from "../../src/domain/resilience/RateLimit.ts"
import { RateLimitStore } from "../../src/services/resilience/RateLimitStore.ts"
import { RateLimitModel } from "../support/rateLimitModel.ts"

const start = 1_700_000_000_000
let names = 0
/** A limit and a key nobody else has used. */
const freshName = () => `contract-${++names}`

const limitOf = (fields: Partial<RateLimit> = {}): RateLimit => ({
  name: freshName(),
  scope: "user",
  algorithm: "token_bucket",
  limit: 5,
  windowMillis: 60_000,
  burst: 1,
  ...fields
})

const take = (limits: ReadonlyArray<RateLimit>, keys: ReadonlyArray<string>, cost = 1) =>
  Effect.flatMap(RateLimitStore, (store) => store.take({ limits, keys, cost }))
const peek = (limits: ReadonlyArray<RateLimit>, keys: ReadonlyArray<string>, cost = 1) =>
  Effect.flatMap(RateLimitStore, (store) => store.peek({ limits, keys, cost }))
const refund = (limits: ReadonlyArray<RateLimit>, keys: ReadonlyArray<string>, cost = 1) =>
  Effect.flatMap(RateLimitStore, (store) => store.refund({ limits, keys, cost }))
const reset = (limits: ReadonlyArray<RateLimit>, keys: ReadonlyArray<string>) =>
  Effect.flatMap(RateLimitStore, (store) => store.reset({ limits, keys }))
const blocked = Effect.flatMap(RateLimitStore, (store) => store.blocked)

const remaining = (decision: Decision) => decision.standings.map((standing) => standing.remaining)

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const GeneratedLimit = Schema.Struct({
  algorithm: Schema.Literals(algorithms),
  limit: int(1, 12),
  windowMillis: int(1, 600),
  burst: int(0, 5),
  block: Schema.optionalKey(Schema.Struct({ refusals: int(1, 4), withinMillis: int(1, 400), durationMillis: int(1, 900) }))
})
const Step = Schema.Struct({
  kind: Schema.Literals(["take", "take", "take", "peek", "refund"]),
  after: Schema.Union([int(0, 20), int(0, 700)]),
  cost: int(1, 3),
  key: int(0, 1)
})

/** `runs`: sequences to compare with the model, each of up to some ten steps. */
export const suite = <E>(name: string, storeLayer: Layer.Layer<RateLimitStore, E>, { runs }: { readonly runs: number }): void =>
  layer(storeLayer)(`RateLimitStore: ${name}`, (it) => {
    it.effect.prop(
      "does what the naive model does, for several limits at once",
      {
        limits: Schema.NonEmptyArray(GeneratedLimit).check(Schema.isMaxLength(3)),
        steps: Schema.NonEmptyArray(Step).check(Schema.isMaxLength(30))
      },
      ({ limits: generated, steps }) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(start)
          const limits = generated.map((fields) => limitOf(fields))
          const model = new RateLimitModel()
          let now = start
          for (const { after, cost, key, kind } of steps) {
            now += after
            yield* TestClock.setTime(now)
            const keys = limits.map((_, index) => (index === 0 ? `key-${key}` : "shared"))
            const asked = { limits, keys, cost, now }
            if (kind === "refund") {
              yield* refund(limits, keys, cost)
              model.refund(asked)
              continue
            }
            const decision = yield* kind === "take" ? take(limits, keys, cost) : peek(limits, keys, cost)
            assert.deepStrictEqual(
              {
                allowed: decision.allowed,
                remaining: remaining(decision),
                refused: decision.standings.map(({ refused }) => refused),
                blocked: decision.standings.map(({ blocked }) => blocked)
              },
              kind === "take" ? model.take(asked) : model.peek(asked)
            )
          }
        }),
      { arbitrary: { runs } }
    )

    for (const algorithm of algorithms) {
      it.effect(`${algorithm}: passes again exactly when it said it would`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(start)
          const limit = limitOf({ algorithm, limit: 7, burst: 0, windowMillis: 1_000 })
          assert.isTrue((yield* take([limit], ["k"], 7)).allowed)
          const refused = yield* take([limit], ["k"], 3)
          const wait = retryAfterMillis(refused)
          assert.isAbove(wait, 0)
          assert.strictEqual(refused.standings[0]?.retryAfterMillis, wait)
          yield* TestClock.setTime(start + wait - 1)
          assert.isFalse((yield* take([limit], ["k"], 3)).allowed)
          yield* TestClock.setTime(start + wait)
          assert.isTrue((yield* take([limit], ["k"], 3)).allowed)
        })
      )
    }

    it.effect("sliding_window: counts for a whole window, and for a sixtieth more at most", () =>
      Effect.gen(function* () {
        const limit = limitOf({ algorithm: "sliding_window", limit: 1, burst: 0, windowMillis: 600 })
        // The last millisecond of a step, and the first.
        for (const [key, takenAt, freeAt] of [
          ["last", start + 9, start + 610],
          ["first", start + 10, start + 620]
        ] as const) {
          yield* TestClock.setTime(takenAt)
          assert.isTrue((yield* take([limit], [key])).allowed)
          yield* TestClock.setTime(freeAt - 1)
          assert.isFalse((yield* take([limit], [key])).allowed)
          yield* TestClock.setTime(freeAt)
          assert.isTrue((yield* take([limit], [key])).allowed)
        }
      })
    )

    it.effect("a refusal by one limit takes nothing from the others, and names the limit and its scope", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        const limits = [limitOf({ limit: 100 }), limitOf({ limit: 1, burst: 0, scope: "ip" }), limitOf({ limit: 50, scope: "global" })]
        const keys = ["customer", "203.0.113.9", ""]
        assert.deepStrictEqual(remaining(yield* take(limits, keys)), [100, 0, 50])
        for (let asked = 0; asked < 3; asked++) {
          const { allowed, standings } = yield* take(limits, keys)
          assert.isFalse(allowed)
          assert.deepStrictEqual(
            standings.filter(({ refused }) => refused).map(({ limit }) => [limit.name, limit.scope]),
            [[limits[1]?.name, "ip"]]
          )
          assert.deepStrictEqual(
            standings.map(({ remaining }) => remaining),
            [100, 0, 50]
          )
        }
      })
    )

    it.effect("keys of any content and length are apart from each other, and so are limits", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        const [limit, other] = [limitOf({ limit: 1, burst: 0 }), limitOf({ limit: 1, burst: 0 })]
        const keys = [
          "",
          " ",
          "a",
          "A",
          "a\u0000",
          "\u0000a",
          "\ud800",
          "\udfff",
          "ä",
          "a\u0308",
          "__proto__",
          "x".repeat(10_000),
          `${"x".repeat(9_999)}y`
        ]
        for (const key of keys) {
          assert.isTrue((yield* take([limit], [key])).allowed, JSON.stringify(key.slice(0, 20)))
          assert.isTrue((yield* take([other], [key])).allowed)
        }
        for (const key of keys) assert.isFalse((yield* take([limit], [key])).allowed, JSON.stringify(key.slice(0, 20)))
      })
    )

    it.effect("looking takes nothing, and of a key that was never seen all is there", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        const limit = limitOf()
        for (let looked = 0; looked < 10; looked++) {
          const { allowed, standings } = yield* peek([limit], ["k"])
          assert.isTrue(allowed)
          assert.deepStrictEqual(standings, [
            { limit, refused: false, blocked: false, remaining: 6, moreAfterMillis: 0, resetAfterMillis: 0, retryAfterMillis: 0 }
          ])
        }
        yield* take([limit], ["k"], 6)
        assert.isFalse((yield* peek([limit], ["k"])).allowed)
      })
    )

    it.effect("looking changes nothing, not even while the clock stands back", () =>
      Effect.gen(function* () {
        for (const algorithm of algorithms) {
          yield* TestClock.setTime(start)
          const limit = limitOf({ algorithm })
          yield* take([limit], ["k"], 4)
          yield* TestClock.setTime(start - 3_600_000)
          assert.deepStrictEqual(remaining(yield* peek([limit], ["k"])), [2])
          yield* TestClock.setTime(start + 1)
          assert.deepStrictEqual(remaining(yield* peek([limit], ["k"])), [2])
        }
      })
    )

    it.effect("what is given back can be taken again, and never more than was taken", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        for (const algorithm of algorithms) {
          const limit = limitOf({ algorithm })
          yield* refund([limit], ["k"])
          yield* take([limit], ["k"], 4)
          yield* refund([limit], ["k"], 2)
          assert.deepStrictEqual(remaining(yield* peek([limit], ["k"])), [4])
          yield* refund([limit], ["k"], 5)
          assert.deepStrictEqual(remaining(yield* take([limit], ["k"])), [5])
        }
      })
    )

    it.effect("blocks a key after the refusals of its setting, counts it among the blocked, and lets it go", () =>
      Effect.gen(function* () {
        // After whatever other tests have blocked.
        const later = start + 3_600_000
        yield* TestClock.setTime(later)
        const before = yield* blocked
        const limit = limitOf({ limit: 1, burst: 0, windowMillis: 100, block: { refusals: 2, withinMillis: 1_000, durationMillis: 5_000 } })
        const free = limitOf({ limit: 100 })
        yield* take([limit, free], ["k", "k"])
        assert.isFalse((yield* take([limit, free], ["k", "k"])).standings[0]?.blocked)
        const second = yield* take([limit, free], ["k", "k"])
        assert.deepStrictEqual(
          second.standings.map(({ blocked, refused, retryAfterMillis }) => [blocked, refused, retryAfterMillis]),
          [
            [true, true, 5_000],
            [false, false, 0]
          ]
        )
        assert.strictEqual(yield* blocked, before + 1)
        yield* TestClock.setTime(later + 4_999)
        assert.isFalse((yield* take([limit], ["k"])).allowed)
        assert.isTrue((yield* take([limit], ["other"])).allowed)
        yield* TestClock.setTime(later + 5_000)
        assert.strictEqual(yield* blocked, before)
        assert.isTrue((yield* take([limit], ["k"])).allowed)
      })
    )

    it.effect("reset forgets what was counted, blocks included, of these keys alone", () =>
      Effect.gen(function* () {
        const later = start + 7_200_000
        yield* TestClock.setTime(later)
        const before = yield* blocked
        const limit = limitOf({ limit: 1, burst: 0, block: { refusals: 1, withinMillis: 1_000, durationMillis: 5_000 } })
        for (const key of ["a", "b"]) {
          yield* take([limit], [key])
          assert.isTrue((yield* take([limit], [key])).standings[0]?.blocked)
        }
        assert.strictEqual(yield* blocked, before + 2)
        yield* reset([limit], ["a"])
        yield* reset([limit], ["never seen"])
        assert.strictEqual(yield* blocked, before + 1)
        assert.isTrue((yield* take([limit], ["a"])).allowed)
        assert.isFalse((yield* take([limit], ["b"])).allowed)
      })
    )

    it.effect("is exact with the largest figures", () =>
      Effect.gen(function* () {
        for (const algorithm of algorithms) {
          yield* TestClock.setTime(start)
          const limit = limitOf({ algorithm, limit: 1_000_000, burst: 1_000_000, windowMillis: 86_399_999 })
          assert.deepStrictEqual(remaining(yield* take([limit], ["k"], 1_999_999)), [1])
          assert.isTrue((yield* take([limit], ["k"])).allowed)
          const refused = yield* take([limit], ["k"])
          assert.isFalse(refused.allowed)
          const wait = retryAfterMillis(refused)
          // A unit of a token bucket takes 86.399999 ms.
          if (algorithm === "token_bucket") assert.strictEqual(wait, 87)
          yield* TestClock.setTime(start + wait - 1)
          assert.isFalse((yield* peek([limit], ["k"])).allowed)
          yield* TestClock.setTime(start + wait)
          assert.isTrue((yield* peek([limit], ["k"])).allowed)
        }
      })
    )

    it.effect("a limit that is changed goes on with what was counted", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        const limit = limitOf({ algorithm: "sliding_window" })
        yield* take([limit], ["k"], 4)
        assert.deepStrictEqual(remaining(yield* peek([{ ...limit, limit: 9 }], ["k"])), [6])
        const lower = { ...limit, limit: 1 }
        assert.deepStrictEqual(remaining(yield* take([lower], ["k"])), [0])
        assert.isFalse((yield* peek([lower], ["k"])).allowed)
      })
    )

    it.effect("of many that come at once exactly as many pass as fit, and what is left agrees", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        for (const algorithm of algorithms) {
          const [narrow, wide] = [limitOf({ algorithm, limit: 20, burst: 3 }), limitOf({ algorithm, limit: 1_000 })]
          const decisions = yield* Effect.forEach(
            Array.from({ length: 100 }),
            // In either order, as two programs would.
            (_, index) => (index % 2 === 0 ? take([narrow, wide], ["k", "all"]) : take([wide, narrow], ["all", "k"])),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(decisions.filter(({ allowed }) => allowed).length, 23)
          assert.deepStrictEqual(remaining(yield* peek([narrow, wide], ["k", "all"])), [0, capacityOf(wide) - 23])
        }
      })
    )
  })

/** On the store's own clock. */
export const suiteOwnTime = <E>(name: string, storeLayer: Layer.Layer<RateLimitStore, E>): void =>
  layer(storeLayer, { excludeTestServices: true })(`RateLimitStore: ${name}`, (it) => {
    it.effect("of many that come at once on several keys exactly as many pass as fit", () =>
      Effect.gen(function* () {
        const limits = [
          limitOf({ limit: 30, burst: 7, windowMillis: 3_600_000 }),
          limitOf({ limit: 60, windowMillis: 3_600_000, burst: 0 })
        ]
        const decisions = yield* Effect.forEach(
          Array.from({ length: 200 }),
          (_, index) =>
            take(index % 2 === 0 ? limits : limits.toReversed(), index % 2 === 0 ? [`k-${index % 4}`, ""] : ["", `k-${index % 4}`]),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(decisions.filter(({ allowed }) => allowed).length, 60)
      })
    )

    for (const algorithm of algorithms) {
      it.effect(`${algorithm}: time passes`, () =>
        Effect.gen(function* () {
          const limit = limitOf({ algorithm, limit: 2, burst: 0, windowMillis: 60 })
          yield* take([limit], ["k"], 2)
          const again = yield* Effect.timeout(Effect.repeat(take([limit], ["k"], 2), { until: ({ allowed }) => allowed }), "10 seconds")
          assert.isTrue(again.allowed)
        })
      )
    }
  })
