/** What is wrong with data from outside: said in words, without the value. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { PositiveAmount } from "../../../src/domain/Money.ts"
import { describe as lineOf, problemsOf } from "../../../src/edges/config/Issues.ts"

const Price = Schema.Struct({ amount: PositiveAmount, currency: CurrencyCode })

const linesOf = (input: unknown): ReadonlyArray<string> => {
  const decoded = Schema.decodeUnknownResult(Price, { errors: "all" })(input)
  return Result.isSuccess(decoded) ? [] : problemsOf(decoded.failure.issue, input).map(lineOf)
}

describe("a problem", () => {
  it("says what kind of number it was", () => {
    for (const [amount, kind] of [
      [-5, "a negative number"],
      [0, "zero"],
      [-0, "zero"],
      [49.9, "a fraction"],
      [2 ** 53, "a number above 2^53-1"],
      [Number.POSITIVE_INFINITY, "a number above 2^53-1"],
      ["5", "a string"]
    ] as const) {
      const [line = ""] = linesOf({ amount, currency: "EUR" })
      assert.match(line, /^amount: expected an integer in minor units/)
      assert.isTrue(line.endsWith(`, got ${kind}`), line)
    }
  })
  it("leaves a code in capitals as it is", () => {
    assert.match(linesOf({ amount: 1, currency: "XXX" })[0] ?? "", /^currency: XXX has no minor unit/)
    assert.match(linesOf({ amount: 1, currency: "EURO" })[0] ?? "", /^currency: EURO is not a known currency/)
  })
})
