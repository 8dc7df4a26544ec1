/** The set of references by digest: nothing is lost, nothing is taken for another, and it is bounded. */
import { assert, describe, it } from "@effect/vitest"
import * as ReferenceSet from "../../../src/orchestration/recovery/ReferenceSet.ts"

const reference = (index: number) => `pay_${index.toString(16).padStart(36, "0")}-${1 + (index % 3)}`

describe("a set of references", () => {
  it("knows the 200,000 that were added, each new once, and none of 200,000 others", () => {
    const set = ReferenceSet.make(1_000_000)
    const counts = { added: 0, known: 0, addedAgain: 0, others: 0 }
    for (let index = 0; index < 200_000; index++) if (set.add(reference(index))) counts.added++
    for (let index = 0; index < 200_000; index++) {
      if (set.has(reference(index))) counts.known++
      if (set.add(reference(index))) counts.addedAgain++
      if (set.has(reference(index + 200_000))) counts.others++
    }
    assert.deepStrictEqual(counts, { added: 200_000, known: 200_000, addedAgain: 0, others: 0 })
    assert.isFalse(set.isFull())
  })

  it("takes no more than its maximum", () => {
    const set = ReferenceSet.make(10)
    for (let index = 0; index < 20; index++) set.add(reference(index))
    assert.isTrue(set.isFull())
    assert.isTrue(set.has(reference(9)))
    assert.isFalse(set.has(reference(10)))
  })

  it("any text is a reference", () => {
    const set = ReferenceSet.make(10)
    for (const text of ["", "a", "live a", "\u0000", "東京"]) {
      assert.isTrue(set.add(text))
      assert.isFalse(set.add(text))
    }
  })
})
