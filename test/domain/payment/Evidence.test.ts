/** The evidence of a review that stands for several things: the same in whichever order they were told, however much of it there is. */
import { assert, describe, it } from "@effect/vitest"
import type { PaymentEvent } from "../../../src/domain/payment/Event.ts"
import { evolve, initial, type Payment } from "../../../src/domain/payment/State.ts"
import * as View from "../../../src/domain/payment/View.ts"
import * as Payments from "../../support/payments.ts"

const id = Payments.newPaymentId()

const evidenceAfter = (told: ReadonlyArray<string>): string => {
  const events: ReadonlyArray<PaymentEvent> = [
    ...Payments.charging({ payment: id }),
    ...told.map((evidence): PaymentEvent => ({
      _tag: "ReviewOpened",
      operation: Payments.operationNumber(1),
      reason: "amount_mismatch",
      evidence,
      about: evidence.slice(0, 40)
    }))
  ]
  const state = events.reduce(
    (current, event, index) => evolve(current, { version: index + 1, recordedAt: 1_000, event }),
    initial(id) as Payment | ReturnType<typeof initial>
  ) as Payment
  return View.ofPayment(state).reviews[0]?.evidence ?? ""
}

/** Every order of a few. */
const ordersOf = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length <= 1 ? [items] : items.flatMap((item, nth) => ordersOf(items.toSpliced(nth, 1)).map((rest) => [item, ...rest]))

describe("the evidence of one review", () => {
  for (const [name, told] of [
    ["that fits", ["c", "a", "b; d"]],
    ["that does not fit", ["a", "b", "c", "d"].map((letter, nth) => `dispute ${letter} ${"x".repeat(290 + 30 * nth)}`)],
    ["of which the first alone is long", [`a ${"x".repeat(990)}`, "b", `c ${"y".repeat(600)}`, "d"]],
    ["in pieces that do not fit", [`b ${"x".repeat(400)}; a`, `c ${"y".repeat(500)}; d`, `e; ${"f".repeat(300)}`]]
  ] as const) {
    it(`${name} does not depend on the order`, () => {
      const texts = new Set(ordersOf(told).map(evidenceAfter))
      assert.lengthOf([...texts], 1, [...texts].map((text) => text.length).join(" "))
      const [text = ""] = texts
      assert.isAtMost(text.length, 1_000)
      const sentences = told.flatMap((one) => one.split("; ")).sort()
      assert.strictEqual(text, sentences.join("; ").slice(0, 1_000))
    })
  }
})
