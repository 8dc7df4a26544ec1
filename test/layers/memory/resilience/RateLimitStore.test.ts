/**
 * Rate limits in memory: the contract, and that memory is bounded by evicting whom it hurts least.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { RateLimit } from "../../../../src/domain/resilience/RateLimit.ts"
import * as State from "../../../../src/domain/resilience/RateLimitState.ts"
import * as Keys from "../../../../src/layers/memory/resilience/RateLimitKeys.ts"
import * as MemoryRateLimitStore from "../../../../src/layers/memory/resilience/RateLimitStore.ts"
import { RateLimitStore } from "../../../../src/services/resilience/RateLimitStore.ts"
import { suite } from "../../../contracts/RateLimitStore.ts"

suite("memory", MemoryRateLimitStore.layer, { runs: 200 })

const start = 1_700_000_000_000
const limit: RateLimit = {
  name: "l",
  scope: "ip",
  algorithm: "token_bucket",
  limit: 10,
  windowMillis: 60_000,
  burst: 3,
  block: { refusals: 1, withinMillis: 60_000, durationMillis: 3_600_000 }
}

/** A store of `maxKeys`, asked at times of the test's choice. */
const storeOf = (maxKeys: number) =>
  Effect.runSync(
    Effect.provide(
      Effect.map(RateLimitStore, ({ takeUnsafe }) => (key: string, now: number, cost = 1) => {
        const decision = takeUnsafe?.({ limits: [limit], keys: [key], cost }, now)
        return { allowed: decision?.allowed, remaining: decision?.standings[0]?.remaining }
      }),
      MemoryRateLimitStore.layerWith({ maxKeys })
    )
  )

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapBytes = (): number => {
  collect()
  return process.memoryUsage().heapUsed
}

/** Asks for a key as a check does, and leaves this state behind. */
const touch = (table: Keys.RateLimitKeys, key: string, now: number, state: Partial<State.RateLimitState> = {}): number => {
  table.check++
  const slot = Keys.hold(table, limit, key, now)
  Keys.save(table, slot, { ...State.make(), at: now, ...state })
  return slot
}

describe("RateLimitStore: memory, bounded", () => {
  it("a million distinct keys leave no more than the bound", () => {
    const table = Keys.make(1_000)
    for (let index = 0; index < 1_000_000; index++) {
      touch(table, `198.51.100.${index}`, start, { used: 1 })
      if (index % 50_000 === 0) assert.isAtMost(Keys.size(table), 1_000)
    }
    assert.strictEqual(Keys.size(table), 1_000)
    const found = [...table.slotsOf.token_bucket.values()].reduce((sum, slots) => sum + slots.size, 0)
    assert.strictEqual(found, 1_000, "nothing else holds keys")
    assert.strictEqual(table.keys.length, 1_000)
    assert.strictEqual(table.numbers.length, 8_192)
  })

  it("keys that are as good as never seen are cleared away as others come", () => {
    const table = Keys.make(100_000)
    for (let index = 0; index < 1_000; index++) {
      touch(table, `early-${index}`, start, { used: 60_000 })
    }
    for (let index = 0; index < 1_000; index++) touch(table, `late-${index}`, start + 6_000, { used: 60_000 })
    assert.isAtMost(Keys.size(table), 1_001)
  })

  it("whoever has used most stays: a flood of new keys does not free the one that exhausted its limit", () => {
    const take = storeOf(1_000)
    assert.isTrue(take("exhausted", start, 13).allowed)
    for (let index = 0; index < 50_000; index++) take(`flood-${index}`, start + (index >> 6))
    assert.isFalse(take("exhausted", start + 800).allowed)
  })

  it("blocked keys go last: only when all are blocked", () => {
    const take = storeOf(100)
    for (let index = 0; index < 99; index++) {
      take(`bad-${index}`, start, 13)
      assert.isFalse(take(`bad-${index}`, start).allowed)
    }
    for (let index = 0; index < 5_000; index++) take(`flood-${index}`, start + index, 13)
    for (let index = 0; index < 99; index++) assert.strictEqual(take(`bad-${index}`, start + 120_000).allowed, false, `bad-${index}`)
    // The hundredth blocked key leaves no room but theirs.
    take("bad-99", start + 120_000, 13)
    assert.isFalse(take("bad-99", start + 120_000).allowed)
    assert.isTrue(take("new", start + 120_000).allowed)
    const stillBlocked = Array.from({ length: 100 }, (_, index) => take(`bad-${index}`, start + 120_001)).filter(
      ({ allowed }) => allowed === false
    )
    assert.isAtLeast(stillBlocked.length, 98)
  })

  it("a key that was evicted starts fresh", () => {
    const take = storeOf(20)
    take("a", start, 13)
    // All others have used as much later, so the first one is the next to be whole again.
    for (let index = 0; index < 20; index++) take(`b-${index}`, start + 1 + index, 13)
    assert.strictEqual(take("a", start + 20).remaining, 12)
  })

  it("a check never evicts the keys it names itself", () => {
    const limits = Array.from({ length: 10 }, (_, index): RateLimit => ({ ...limit, name: `l-${index}` }))
    const keys = limits.map(() => "k")
    Effect.runSync(
      Effect.gen(function* () {
        const store = yield* RateLimitStore
        for (let index = 0; index < 100; index++) yield* store.take({ limits: [limit], keys: [`filling-${index}`], cost: 13 })
        for (let asked = 0; asked < 13; asked++) {
          const { standings } = yield* store.take({ limits, keys, cost: 1 })
          for (const { remaining } of standings) assert.strictEqual(remaining, 12 - asked)
        }
      }).pipe(Effect.provide(MemoryRateLimitStore.layerWith({ maxKeys: 1 })))
    )
  })

  it("a long key is kept as a hash", () => {
    const table = Keys.make(100)
    const long = "x".repeat(10_000)
    assert.strictEqual(table.keys[touch(table, long, start)]?.length, 44)
    assert.strictEqual(touch(table, long, start), touch(table, long, start))
  })

  it("a key does not keep the text in memory that it was cut from", () => {
    const table = Keys.make(2_000)
    const before = heapBytes()
    // Each is a piece of a header of its own: 64 MB if they were kept.
    for (let index = 0; index < 2_000; index++) touch(table, `${index}${"y".repeat(32_768)}`.slice(0, 20), start, { used: 1 })
    assert.isBelow(heapBytes() - before, 16 * 2 ** 20)
    assert.strictEqual(Keys.size(table), 2_000)
  })
})
