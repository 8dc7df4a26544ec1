/**
 * What the programs answer when they cannot do what was asked. None of them means that the customer was charged; where that
 * is not known, the error says so.
 */
import * as Schema from "effect/Schema"
import { IdempotencyKey, PaymentId } from "../../domain/payment/Ids.ts"
import { ExcludedGateway } from "../../domain/routing/Decision.ts"

/** The key was used for another request. Nothing was changed. */
export class IdempotencyKeyReused extends Schema.TaggedError<IdempotencyKeyReused>()("IdempotencyKeyReused", {
  key: IdempotencyKey
}) {
  override get message(): string {
    return `idempotency key "${this.key}" was used before with another request; use a new key for a new request`
  }
}

/** The first request with this key is still running. */
export class RequestInProgress extends Schema.TaggedError<RequestInProgress>()("RequestInProgress", {
  key: IdempotencyKey,
  retryAfterMillis: Schema.Int
}) {
  override get message(): string {
    return `the first request with idempotency key "${this.key}" is still in progress; repeat it with the same key after ${this.retryAfterMillis} ms`
  }
}

/** No configured gateway can take this payment: why each cannot, the rule that concerned it, and the policy's version. Nothing was written. */
export class NoUsableGateway extends Schema.TaggedError<NoUsableGateway>()("NoUsableGateway", {
  excluded: Schema.Array(ExcludedGateway),
  rule: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const reasons = this.excluded.map((excluded) => `${excluded.gateway}: ${excluded.message}`).join("; ")
    return `no configured gateway can take this payment (${reasons || "none is configured"})`
  }
}

/** No such payment of this merchant. */
export class PaymentNotFound extends Schema.TaggedError<PaymentNotFound>()("PaymentNotFound", { id: PaymentId }) {
  override get message(): string {
    return `there is no payment ${this.id}`
  }
}

/** Too many outcomes wait for the database: no new money command is accepted (rule 16). Nothing was written. */
export class NotAccepting extends Schema.TaggedError<NotAccepting>()("NotAccepting", { unstored: Schema.Int }) {
  override get message(): string {
    return `${this.unstored} outcomes wait for the database; no new payments are accepted until they are stored; retry with the same key`
  }
}

/** Somebody else changed the payment each time this command was decided. Nothing was written. */
export class TooManyConflicts extends Schema.TaggedError<TooManyConflicts>()("TooManyConflicts", {
  id: PaymentId,
  attempts: Schema.Int
}) {
  override get message(): string {
    return `payment ${this.id} changed ${this.attempts} times while this command was being decided; retry with the same key`
  }
}
