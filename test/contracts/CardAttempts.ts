/**
 * What remembering the declined attempts of cards does, wherever they are kept.
 */
import { assert, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import type { DeclineCategory } from "../../src/domain/operation/Decline.ts"
import { type Card, CardAttempts, maxAttempts } from "../../src/services/routing/CardAttempts.ts"
import { newPaymentId, newTenant, operationNumber } from "../support/payments.ts"

const hour = 3_600_000

const newCard = (): Card => ({ tenant: newTenant(), fingerprint: "fp_1" })

/** Records a decline of a card that happened some hours ago; answers its payment. */
const decline = Effect.fnUntraced(function* (
  card: Card,
  options: {
    readonly payment?: ReturnType<typeof newPaymentId>
    readonly operation?: number
    readonly hoursAgo?: number
    readonly keepHours?: number
    readonly category?: DeclineCategory
    readonly networkForbids?: true
  } = {}
) {
  const attempts = yield* CardAttempts
  const now = yield* Clock.currentTimeMillis
  const payment = options.payment ?? newPaymentId()
  yield* attempts.record({
    card,
    payment,
    operation: operationNumber(options.operation ?? 1),
    at: now - (options.hoursAgo ?? 0) * hour,
    category: options.category ?? "soft",
    ...(options.networkForbids === undefined ? {} : { networkForbids: true }),
    keepUntil: now + (options.keepHours ?? 24) * hour
  })
  return payment
})

const of = (card: Card) => CardAttempts.use((attempts) => attempts.of(card))

export const suite = <E>(name: string, attemptsLayer: Layer.Layer<CardAttempts, E>): void =>
  layer(attemptsLayer)(`CardAttempts: ${name}`, (it) => {
    it.effect("a card that was never declined has no attempts", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* of(newCard()), [])
      })
    )

    it.effect("what was recorded is seen at once, newest first, with what it was", () =>
      Effect.gen(function* () {
        const card = newCard()
        yield* TestClock.setTime(1_700_000_000_000)
        const older = yield* decline(card, { hoursAgo: 2, category: "hard", networkForbids: true })
        const newer = yield* decline(card, { operation: 3 })
        const now = yield* Clock.currentTimeMillis
        assert.deepStrictEqual(yield* of(card), [
          { payment: newer, operation: operationNumber(3), at: now, category: "soft" },
          { payment: older, operation: operationNumber(1), at: now - 2 * hour, category: "hard", networkForbids: true }
        ])
      })
    )

    it.effect("an operation counts once, however often it is recorded", () =>
      Effect.gen(function* () {
        const card = newCard()
        const payment = yield* decline(card)
        yield* of(card)
        yield* decline(card, { payment })
        assert.lengthOf(yield* of(card), 1)
        yield* decline(card, { payment, operation: 2 })
        assert.lengthOf(yield* of(card), 2)
      })
    )

    it.effect("cards are apart, and so are the cards of one fingerprint at two merchants", () =>
      Effect.gen(function* () {
        const card = newCard()
        yield* decline(card)
        assert.deepStrictEqual(yield* of({ ...card, fingerprint: "fp_2" }), [])
        assert.deepStrictEqual(yield* of({ ...card, tenant: newTenant() }), [])
        assert.lengthOf(yield* of(card), 1)
      })
    )

    it.effect("an attempt is forgotten when its time is over", () =>
      Effect.gen(function* () {
        const card = newCard()
        yield* decline(card, { keepHours: 1 })
        const kept = yield* decline(card, { keepHours: 48 })
        yield* TestClock.adjust("1 hours")
        assert.deepStrictEqual(
          (yield* of(card)).map(({ payment }) => payment),
          [kept]
        )
      })
    )

    it.effect("the newest attempts are answered, at most 500", () =>
      Effect.gen(function* () {
        const card = newCard()
        for (let ago = maxAttempts + 10; ago > 0; ago--) yield* decline(card, { hoursAgo: ago / 100 })
        const attempts = yield* of(card)
        assert.lengthOf(attempts, maxAttempts)
        const now = yield* Clock.currentTimeMillis
        assert.strictEqual(attempts[0]?.at, now - hour / 100)
      })
    )
  })
