/**
 * The sketch: its bins against the logarithm they stand for, quantiles against exact ones, merging.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Sketch from "../../../src/domain/routing/Sketch.ts"

/** Spread over all magnitudes, as durations are: a uniform choice would hardly ever be below a minute. */
const Duration = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: Math.log(600_000) }))
const Durations = Schema.NonEmptyArray(Duration)
const durationsOf = (logarithms: ReadonlyArray<number>) => logarithms.map((logarithm) => Math.min(Math.exp(logarithm), 600_000))

const sketchOf = (durations: ReadonlyArray<number>) => {
  const sketch = Sketch.make()
  for (const duration of durations) Sketch.add(sketch, Sketch.binOf(duration))
  return sketch
}

const merged = (...sketches: ReadonlyArray<Sketch.Sketch>) => {
  const sum = Sketch.make()
  for (const sketch of sketches) {
    for (let bin = 0; bin < Sketch.binCount; bin++) Sketch.addTimes(sum, bin, Sketch.countAt(sketch, bin))
  }
  return sum
}

const exactQuantile = (durations: ReadonlyArray<number>, q: number) => {
  const sorted = [...durations].sort((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? 0
}

const isClose = (estimate: number, exact: number) => Math.abs(estimate - exact) <= exact * (Sketch.relativeError + 1e-9)

describe("Sketch", () => {
  it.prop("quantiles are within 2 % of the exact ones", { logarithms: Durations }, ({ logarithms }) => {
    const durations = durationsOf(logarithms)
    const sketch = sketchOf(durations)
    assert.strictEqual(Sketch.size(sketch), durations.length)
    for (const q of [0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1]) {
      const [estimate, exact] = [Sketch.quantile(sketch, q), exactQuantile(durations, q)]
      assert.isTrue(isClose(estimate, exact), `q ${q}: ${estimate} for ${exact}`)
    }
  })

  it("every duration is within 2 % of what its bin stands for, and bins are in the order of durations", () => {
    let last = 0
    for (let logarithm = 0; logarithm <= Math.log(600_000); logarithm += 0.0005) {
      const duration = Math.exp(logarithm)
      const bin = Sketch.binOf(duration)
      assert.isTrue(isClose(Sketch.durationOf(bin), duration), `${Sketch.durationOf(bin)} for ${duration}`)
      assert.isTrue(bin === last || bin === last + 1, `bin ${bin} after ${last}`)
      last = bin
    }
    assert.strictEqual(last, Sketch.binCount - 1)
  })

  it("the edge of a bin belongs to it, and what follows to the next", () => {
    const growth = (1 + Sketch.relativeError) / (1 - Sketch.relativeError)
    for (let bin = 1; bin < Sketch.binCount - 1; bin++) {
      const edge = growth ** bin
      assert.strictEqual(Sketch.binOf(edge), bin)
      assert.strictEqual(Sketch.binOf(edge * (1 + 1e-12)), bin + 1)
    }
  })

  it("durations outside of 1 ms to 10 min count as the nearest of them", () => {
    for (const short of [0, -5, 0.3, 1, Number.NaN, Number.NEGATIVE_INFINITY]) assert.strictEqual(Sketch.binOf(short), 0)
    for (const long of [600_000, 1e12, Number.POSITIVE_INFINITY]) assert.strictEqual(Sketch.binOf(long), Sketch.binCount - 1)
    assert.strictEqual(Sketch.durationOf(0), 1)
    const sketch = Sketch.make()
    Sketch.addTimes(sketch, -3, 2)
    Sketch.addTimes(sketch, Sketch.binCount + 7, 3)
    assert.deepStrictEqual([Sketch.countAt(sketch, 0), Sketch.countAt(sketch, Sketch.binCount - 1), Sketch.size(sketch)], [2, 3, 5])
  })

  it.prop("merging is associative and commutative", { a: Durations, b: Durations, c: Durations }, ({ a, b, c }) => {
    const [x, y, z] = [sketchOf(durationsOf(a)), sketchOf(durationsOf(b)), sketchOf(durationsOf(c))]
    const all = sketchOf(durationsOf([...a, ...b, ...c]))
    for (const sum of [merged(merged(x, y), z), merged(x, merged(y, z)), merged(z, y, x)]) assert.deepStrictEqual(sum, all)
    Sketch.removeAll(all, y)
    assert.deepStrictEqual(all, merged(x, z))
  })

  it("an empty sketch has quantile 0; its size does not change", () => {
    const sketch = Sketch.make()
    assert.strictEqual(Sketch.quantile(sketch, 0.99), 0)
    assert.strictEqual(sketch.byteLength, Sketch.bytes)
    assert.isBelow(61 * Sketch.bytes, 88_000)
  })
})
