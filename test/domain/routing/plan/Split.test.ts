/**
 * Volume splits: every gateway gets its share, the same payment the same gateway, and what one cannot take goes to the others in proportion.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Split from "../../../../src/domain/routing/plan/Split.ts"
import { name, paymentId } from "../../../support/routing.ts"

const [a, b, c] = [name("a"), name("b"), name("c")]
const payments = 20_000

const shareOf = (split: Parameters<typeof Split.placeOf>[0]["split"], unusable: ReadonlyArray<string> = []) => {
  const counts = new Map<string, number>()
  for (let number = 0; number < payments; number++) {
    const { order } = place(split, number, unusable)
    const first = order[0] ?? "rest"
    counts.set(first, (counts.get(first) ?? 0) + 1)
  }
  return (gateway: string) => (counts.get(gateway) ?? 0) / payments
}

const place = (split: Parameters<typeof Split.placeOf>[0]["split"], number: number, unusable: ReadonlyArray<string> = []) =>
  Split.placeOf({ rule: "split", payment: paymentId(number), split, usable: (gateway) => !unusable.includes(gateway) })

/** Five standard errors of a share: a true split is further off in one of two million tests. */
const near = (actual: number, expected: number) =>
  assert.closeTo(actual, expected, 5 * Math.sqrt((expected * (1 - expected)) / payments) + 1e-12)

describe("Split", () => {
  it("every gateway gets its share, and the rest what is left", () => {
    const share = shareOf([
      { gateway: a, share: 60 },
      { gateway: b, share: 25 }
    ])
    near(share("a"), 0.6)
    near(share("b"), 0.25)
    near(share("rest"), 0.15)
  })

  it("shares that add up to 100 leave no rest", () => {
    const share = shareOf([
      { gateway: a, share: 33.34 },
      { gateway: b, share: 33.33 },
      { gateway: c, share: 33.33 }
    ])
    assert.strictEqual(share("rest"), 0)
    near(share("b"), 0.3333)
  })

  it("a payment stays where it belongs, with the order of the others", () => {
    const split = [
      { gateway: a, share: 50 },
      { gateway: b, share: 30 },
      { gateway: c, share: 20 }
    ]
    for (let number = 0; number < 100; number++) assert.deepStrictEqual(place(split, number), place(split, number))
    assert.isAbove(new Set(Array.from({ length: 100 }, (_, number) => place(split, number).order.join())).size, 3)
  })

  it("a gateway that cannot be used leaves its payments to the others in proportion, and moves no other payment", () => {
    const split = [
      { gateway: a, share: 50 },
      { gateway: b, share: 30 },
      { gateway: c, share: 20 }
    ]
    const share = shareOf(split, ["a"])
    assert.strictEqual(share("a"), 0)
    near(share("b"), 0.6)
    near(share("c"), 0.4)
    for (let number = 0; number < 1_000; number++) {
      const before = place(split, number).order
      assert.deepStrictEqual(
        place(split, number, ["a"]).order,
        before.filter((gateway) => gateway !== a)
      )
    }
  })

  it("two rules split independently of each other", () => {
    const split = [
      { gateway: a, share: 50 },
      { gateway: b, share: 50 }
    ]
    let both = 0
    for (let number = 0; number < payments; number++) {
      const other = Split.placeOf({ rule: "other", payment: paymentId(number), split, usable: () => true })
      if (place(split, number).order[0] === a && other.order[0] === a) both++
    }
    near(both / payments, 0.25)
  })

  it("tells the probability of every place", () => {
    const { rest, shares } = place(
      [
        { gateway: a, share: 60 },
        { gateway: b, share: 20 },
        { gateway: c, share: 10 }
      ],
      1,
      ["b"]
    )
    assert.closeTo(rest, 10 / 80, 1e-12)
    assert.deepStrictEqual([...shares.keys()], [a, c])
    assert.closeTo((shares.get(a) ?? 0) + (shares.get(c) ?? 0) + rest, 1, 1e-12)
  })

  it("where none can be used everything is rest", () => {
    assert.deepStrictEqual(place([{ gateway: a, share: 100 }], 1, ["a"]), { order: [], rest: 1, shares: new Map() })
  })
})
