/**
 * Declined attempts by card: what the card networks' retry caps are counted by, across payments and gateways.
 *
 * A card is known by the fingerprint that its host gives it, within one merchant: the networks count by merchant, and merchants learn
 * nothing of each other. Only declines are recorded, after their outcome is durable and beside it, so that a payment that succeeds writes
 * nothing here. What that costs in precision: attempts of one card that are under way at once do not see each other; what a process knew
 * when it was killed, before a moment of idle time wrote it down, is not counted.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { OperationNumber, PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import type { DeclinedAttempt } from "../../domain/routing/policy/RetryCaps.ts"

/** A card of a merchant. */
export interface Card {
  readonly tenant: TenantId
  /** As the payment method has it: 1 to 128 visible ASCII characters, no card number. */
  readonly fingerprint: string
}

/** A declined attempt and which operation it was. */
export interface CardAttempt extends DeclinedAttempt {
  readonly payment: PaymentId
  readonly operation: OperationNumber
}

/** An attempt to be remembered until a time (epoch milliseconds). */
export interface NewCardAttempt extends CardAttempt {
  readonly card: Card
  readonly keepUntil: number
}

/** The most attempts of one card that are answered: the newest. More than any cap allows. */
export const maxAttempts = 500

/** The counts could not be read. */
export class CardAttemptsUnavailable extends Schema.TaggedError<CardAttemptsUnavailable>()("CardAttemptsUnavailable", {
  cause: Schema.Defect()
}) {
  override get message(): string {
    return "the declined attempts of a card could not be read; retry caps cannot be checked until the database answers"
  }
}

/**
 * Declined attempts by card.
 *
 * - `record`: never fails and is never waited for on a store. Recording an operation again changes nothing.
 * - `of`: the attempts of a card that are to be remembered still, newest first, at most `maxAttempts`. Those that this process recorded are
 *   seen at once, those of others within moments.
 */
export class CardAttempts extends Context.Service<
  CardAttempts,
  {
    readonly record: (attempt: NewCardAttempt) => Effect.Effect<void>
    readonly of: (card: Card) => Effect.Effect<ReadonlyArray<CardAttempt>, CardAttemptsUnavailable>
  }
>()("aegispay/services/routing/CardAttempts") {}
