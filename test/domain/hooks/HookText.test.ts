/**
 * Texts of hooks are kept for ever: no card number is in them, however it is written.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as HookText from "../../../src/domain/hooks/HookText.ts"
import { looksLikeCardNumber } from "../../../src/domain/payment/PaymentMethod.ts"

/** A published test number (docs.stripe.com/testing), and how people write one. */
const number = "4111111111111111"
const written = [
  number,
  "4111 1111 1111 1111",
  "4111-1111-1111-1111",
  "4111.1111.1111.1111",
  "4111 - 1111 - 1111 - 1111",
  "4111\u00a01111\u00a01111\u00a01111",
  "4111\u20131111\u20131111\u20131111",
  "4111_1111_1111_1111",
  "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"
]

describe("a text of a hook", () => {
  for (const card of written) {
    it(`is kept without "${card}"`, () => {
      assert.strictEqual(HookText.clean(`card ${card} is stolen`, 500), "card [card number] is stolen")
      assert.strictEqual(HookText.clean(`no:${card}; x${card}x`, 500), "no:[card number]; x[card number]x")
    })
  }

  it("keeps what stands beside a number, and numbers that are none", () => {
    assert.strictEqual(HookText.clean("1 4111 1111 1111 1111 99", 500), "1 [card number] 99")
    assert.strictEqual(
      HookText.clean("4111111111111112 and 2026-11-21 10:30:00, order 12345678", 500),
      "4111111111111112 and 2026-11-21 10:30:00, order 12345678"
    )
  })

  it("is cut, and a number is none of what is cut through", () => {
    assert.strictEqual(HookText.clean(`${"x".repeat(10)}${number}`, 14), `${"x".repeat(10)}[car`)
    assert.lengthOf(HookText.clean("x".repeat(100_000), 500), 500)
    const spaced = "4 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 - 1 ; "
    assert.notMatch(HookText.clean(spaced.repeat(200), 500), /\d/)
  })

  it("is such as a store takes", () => {
    assert.strictEqual(HookText.clean("a\u0000b\ud800c", 500), "ab\ufffdc")
    assert.isTrue(HookText.clean("\u{1f600}".repeat(10), 5).isWellFormed())
  })

  it("a code stays a code", () => {
    assert.strictEqual(HookText.cleanCode(`pan_${number}`), "pan_card_number")
    assert.strictEqual(HookText.cleanCode("4111_1111_1111_1111"), "card_number")
    assert.strictEqual(HookText.cleanCode("listed"), "listed")
  })

  it.prop(
    "no text of digits and separators keeps a card number",
    { text: Schema.String.check(Schema.isPattern(/^[0-9 .\-x]{0,60}$/)) },
    ({ text }) => {
      const kept = HookText.clean(`${text} ${number} ${text}`, 500)
      assert.isFalse(looksLikeCardNumber(kept), kept)
    }
  )
})
