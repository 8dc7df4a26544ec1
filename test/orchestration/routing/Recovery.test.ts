/**
 * How traffic comes back to a gateway that was down, where there are few payments: one a minute, every other one small.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { make, type PolicyData } from "../../../src/domain/routing/policy/Policy.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { eur } from "../../support/payments.ts"
import { chargeRequest, engine, notSent, success, testGateway } from "../../support/TestEngine.ts"

const small = 2_000n
const large = 20_000n
const EUR = CurrencyCode.make("EUR")

/** A payment as the test saw it. `minute`: since the beginning. `sent`: how often it was sent to the gateway that was down. */
interface Seen {
  readonly minute: number
  readonly amount: bigint
  readonly gateway: string
  readonly sent: number
}

/** Charges one payment a minute over a cheap gateway and a dear one; the cheap one is down in `outage`. */
const hours = Effect.fnUntraced(function* (options: {
  readonly minutes: number
  readonly outage: readonly [number, number]
  readonly amountOf: (minute: number) => bigint
  readonly data?: PolicyData
}) {
  const { amountOf, minutes, outage } = options
  let isDown = false
  const answering = (name: string, outcome: () => Outcome | undefined) =>
    testGateway(name, {
      send: (intent) =>
        Effect.delay(
          Effect.sync(() => outcome() ?? success(intent)),
          "400 millis"
        )
    })
  const cheap = answering("cheap", () => (isDown ? notSent : undefined))
  const dear = answering("dear", () => undefined)
  const fees = new Map([
    [GatewayName.make("cheap"), [{ currency: EUR, fixedMinor: 20, basisPoints: 90 }]],
    [GatewayName.make("dear"), [{ currency: EUR, fixedMinor: 25, basisPoints: 140 }]]
  ])
  const routing = Layer.succeed(RoutingPolicy, { policy: make(options.data, fees), customRules: [] })
  return yield* Effect.gen(function* () {
    const payments = yield* Payments
    const seen: Array<Seen> = []
    for (let minute = 0; minute < minutes; minute++) {
      isDown = minute >= outage[0] && minute < outage[1]
      const before = cheap.sent.length
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest(`minute-${minute}`, { amount: eur(amountOf(minute)) })))
      yield* TestClock.adjust("1 minute")
      const { payment } = yield* Fiber.join(charging)
      seen.push({ minute, amount: amountOf(minute), gateway: payment.gateway ?? "none", sent: cheap.sent.length - before })
    }
    return seen
  }).pipe(Random.withSeed(11), Effect.provide(Layer.provide(engine([cheap, dear], { retries: 0 }), routing)))
})

const everyOther = (minute: number) => (minute % 2 === 0 ? small : large)

/** The share of the payments between two minutes that the cheap gateway took. */
const shareOf = (seen: ReadonlyArray<Seen>, from: number, to: number, amount?: bigint) => {
  const those = seen.filter((one) => one.minute >= from && one.minute < to && (amount === undefined || one.amount === amount))
  return those.filter(({ gateway }) => gateway === "cheap").length / those.length
}

describe("a gateway that comes back, at 60 payments an hour", () => {
  it.effect("has the small payments again within 10 minutes, all of them within an hour", () =>
    Effect.gen(function* () {
      const [from, to] = [60, 105]
      const seen = yield* hours({ minutes: 240, outage: [from, to], amountOf: everyOther })
      assert.isAbove(shareOf(seen, 30, from), 0.85, "before")
      assert.isAbove(shareOf(seen, to + 10, to + 60, small), 0.85, "small ones after ten minutes")
      assert.isAbove(shareOf(seen, to + 60, to + 120), 0.85, "all after an hour")
      // Once the breaker has opened no large payment is sent to it first.
      const opened = seen.findIndex(({ minute, sent }) => minute > from && sent === 0)
      const risked = seen.filter(({ amount, minute, sent }) => minute > opened && minute < to && amount === large && sent > 0)
      assert.deepStrictEqual(risked, [])
    })
  )

  it.effect("where no payment is small one in ten minutes is a probe: it has them again within 90 minutes", () =>
    Effect.gen(function* () {
      const [from, to] = [60, 105]
      const seen = yield* hours({ minutes: 300, outage: [from, to], amountOf: () => large })
      const risked = seen.filter(({ minute, sent }) => minute >= from + 10 && minute < to && sent > 0)
      assert.isAtMost(risked.length, 4, "payments that met it while it was down")
      assert.isAbove(shareOf(seen, to + 90, to + 180), 0.85)
    })
  )

  it.effect("drawn scores probe it too", () =>
    Effect.gen(function* () {
      const [from, to] = [60, 105]
      const seen = yield* hours({ minutes: 200, outage: [from, to], amountOf: everyOther, data: { policy: "thompson" } })
      assert.isAbove(shareOf(seen, to + 15, to + 75, small), 0.3)
      assert.isAbove(seen.filter(({ minute, sent }) => minute >= to && minute < to + 10 && sent > 0).length, 2)
    })
  )
})
