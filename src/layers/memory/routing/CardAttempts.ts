/**
 * Declined attempts by card in the memory of one process; a restart forgets them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Presets from "../../../domain/Presets.ts"
import { type Card, CardAttempts, maxAttempts, type NewCardAttempt } from "../../../services/routing/CardAttempts.ts"

const maxCards = Presets.routing.cardAttemptsKept.value

/** A merchant's name has no blank. */
const cardOf = ({ fingerprint, tenant }: Card): string => `${tenant} ${fingerprint}`

/** Of more than 100,000 cards the one that was declined longest ago is forgotten. */
export const layer: Layer.Layer<CardAttempts> = Layer.effect(
  CardAttempts,
  Effect.sync(() => {
    /** By card, in the order of their last declines. */
    const cards = new Map<string, ReadonlyArray<NewCardAttempt>>()

    const record = (attempt: NewCardAttempt, now: number): void => {
      const card = cardOf(attempt.card)
      const known = cards.get(card) ?? []
      if (known.some(({ operation, payment }) => payment === attempt.payment && operation === attempt.operation)) return
      cards.delete(card)
      const kept = [...known, attempt].filter(({ keepUntil }) => keepUntil > now).sort((left, right) => right.at - left.at)
      if (kept.length > 0) cards.set(card, kept.slice(0, maxAttempts))
      const oldest = cards.size > maxCards ? cards.keys().next().value : undefined
      if (oldest !== undefined) cards.delete(oldest)
    }

    return CardAttempts.of({
      record: (attempt) => Effect.map(Clock.currentTimeMillis, (now) => record(attempt, now)),
      of: (card) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          (cards.get(cardOf(card)) ?? [])
            .filter(({ keepUntil }) => keepUntil > now)
            .map(({ card: _card, keepUntil: _keepUntil, ...attempt }) => attempt)
        )
    })
  })
)
