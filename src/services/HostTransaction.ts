/**
 * The host's own database transaction, as far as payments have to know of it (rule 15).
 *
 * Only `prepare` may join it. A call to a gateway inside it dies with `CallInsideTransaction`: the host could still roll back,
 * and nothing would remember the charge.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A program that calls gateways was run inside a database transaction. This is a defect of the caller. */
export class CallInsideTransaction extends Schema.TaggedError<CallInsideTransaction>()("CallInsideTransaction", {
  program: Schema.String
}) {
  override get message(): string {
    return `${this.program} calls a gateway and must not run inside a database transaction; use prepare inside it and let the call start after the commit`
  }
}

/**
 * The host's transaction.
 *
 * - `isOpen`: is the calling fiber inside one?
 * - `outside`: runs an effect on a connection of its own, whatever transaction the calling fiber is in. Detached work must use it.
 * - `afterCommit`: runs an effect once the transaction has committed, at once when there is none, never when it rolls back.
 */
export class HostTransaction extends Context.Service<
  HostTransaction,
  {
    readonly isOpen: Effect.Effect<boolean>
    readonly outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    readonly afterCommit: (effect: Effect.Effect<void>) => Effect.Effect<void>
  }
>()("aegispay/services/HostTransaction") {}
