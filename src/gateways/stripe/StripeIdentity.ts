/**
 * Whose key it is. The lists of another account are complete and empty: with its key every lost charge would look as if it had never been made,
 * and what is sent again under a key of ours would be executed there a second time (rule 14).
 *
 * `GET /v1/account` answers the account that a key belongs to (https://docs.stripe.com/api/accounts/retrieve). It is asked at the start; nothing
 * is sent before it was answered, and no absence counts. A process asks one question at a time, whoever waits for it, and none once it is
 * answered. A restricted key may not be allowed to ask: then the configured id is believed, and a warning says so, once.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { boundedMessage, type NotSent, type Unknown } from "../../domain/operation/Outcome.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Answer, unknown } from "../HttpGateway.ts"
import { accountIn, errorIn } from "./StripeBodies.ts"
import type { Get } from "./StripeLookup.ts"

/** What is known of the key. `reason`: why Stripe could not be asked. `refused`: its answer that the key is none, or none any more. */
type Standing =
  | { readonly _tag: "NotKnown"; readonly why: string; readonly reason?: NotSent["reason"]; readonly refused?: Answer }
  | { readonly _tag: "Believed" }
  | { readonly _tag: "Wrong"; readonly message: string }

/** Why nothing may be sent. `Refused`: what Stripe would answer, whatever is sent with the key. */
export type Hindrance = NotSent | { readonly _tag: "Refused"; readonly answer: Answer }

const believed: Standing = { _tag: "Believed" }

const standingOf = (accountId: string, answer: Answer): Standing => {
  if (answer.status === 403 && errorIn(answer.text) !== undefined) return believed
  const account = answer.status === 200 ? accountIn(answer.text) : undefined
  const why = `Stripe answered ${answer.status}`
  if (answer.status === 401 && errorIn(answer.text) !== undefined) return { _tag: "NotKnown", why, refused: answer }
  if (account === undefined) return { _tag: "NotKnown", why }
  if (account.id === accountId) return believed
  return { _tag: "Wrong", message: boundedMessage(`the key belongs to account ${account.id}, and ${accountId} is configured`) }
}

/** The identity of a configured account's key. `limitMillis`: how long a send waits for it at most. */
export const make = (options: {
  readonly gateway: GatewayName
  readonly accountId: string
  readonly get: Get
  readonly limitMillis: number
}) => {
  const { accountId, gateway } = options
  let standing: Standing = { _tag: "NotKnown", why: "it was not asked yet" }
  let asked: Deferred.Deferred<void> | undefined

  const ask = Effect.fnUntraced(function* () {
    const answer = yield* options.get("/v1/account")
    standing = standingOf(accountId, answer)
    if (standing._tag === "Wrong") {
      yield* Effect.logError(`gateway ${gateway}: ${standing.message}; nothing is sent, and what is not found counts as unknown`)
    } else if (answer.status === 403) {
      yield* Effect.logWarning(
        `gateway ${gateway}: the key may not read its account, so nobody checks that it belongs to ${accountId}; let it read accounts`
      )
    }
  })

  const answered = ask().pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(Presets.recovery.lookupTimeoutMillis.value / 2),
      orElse: () => Effect.fail(unknown("timeout", "the account was not told in time"))
    }),
    Effect.catch((failure) =>
      Effect.sync(() => {
        const reason = failure._tag === "NotSent" ? { reason: failure.reason } : {}
        standing = { _tag: "NotKnown", why: failure.message, ...reason }
      })
    )
  )

  /** Asks, where it is not known yet, or waits for the question that is under way. It goes on where whoever asked first has left. */
  const settled = Effect.uninterruptibleMask((restore) => {
    if (standing._tag !== "NotKnown") return Effect.void
    if (asked !== undefined) return restore(Deferred.await(asked))
    const mine = Deferred.makeUnsafe<void>()
    asked = mine
    const over = Effect.suspend(() => {
      asked = undefined
      return Deferred.succeed(mine, undefined)
    })
    return Effect.andThen(Effect.forkDetach(Effect.ensuring(answered, over)), restore(Deferred.await(mine)))
  })

  const hindrance = (): Hindrance | undefined => {
    if (standing._tag === "Believed") return undefined
    if (standing._tag === "Wrong") return { _tag: "NotSent", reason: "local_limit", message: standing.message }
    if (standing.refused !== undefined) return { _tag: "Refused", answer: standing.refused }
    const { reason = "connection_not_made", why } = standing
    return { _tag: "NotSent", reason, message: boundedMessage(`it is not known whose key it is: ${why}`) }
  }

  return {
    /** Asks now, so that a wrong key is in the log before the first payment. Never fails. */
    atStart: settled,
    /** Is there anything to wait for before a request is sent? */
    isBelieved: (): boolean => standing === believed,
    /** Why a request may not be sent, where it may not. Waits for an answer for a limited time. */
    hindrance: Effect.map(
      Effect.timeoutOrElse(settled, { duration: Duration.millis(options.limitMillis), orElse: () => Effect.void }),
      hindrance
    ),
    /** Fails where what is not found proves nothing. */
    isTheAccount: Effect.flatMap(settled, (): Effect.Effect<void, Unknown> => {
      if (standing._tag === "Believed") return Effect.void
      const why = standing._tag === "Wrong" ? standing.message : `it is not known whose key it is: ${standing.why}`
      return Effect.fail(unknown("inconclusive", `not found, but ${why}`))
    })
  }
}
