/**
 * Whose key it is. The lists of another account are complete and empty: with its key every lost charge would look as if it had never been made.
 *
 * `GET /v1/account` answers the account that a key belongs to (https://docs.stripe.com/api/accounts/retrieve). It is asked at the start, and
 * again before an absence counts as long as it was not answered. A restricted key may not be allowed to ask: then the configured id is believed,
 * and a warning says so, once.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { boundedMessage, type Unknown } from "../../domain/operation/Outcome.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Answer, unknown } from "../HttpGateway.ts"
import { accountIn, errorIn } from "./StripeBodies.ts"
import type { Get } from "./StripeLookup.ts"

/** What is known of the key. */
type Standing =
  | { readonly _tag: "NotKnown"; readonly why: string }
  | { readonly _tag: "Believed" }
  | { readonly _tag: "Wrong"; readonly message: string }

const believed: Standing = { _tag: "Believed" }

const standingOf = (accountId: string, answer: Answer): Standing => {
  if (answer.status === 403 && errorIn(answer.text) !== undefined) return believed
  const account = answer.status === 200 ? accountIn(answer.text) : undefined
  if (account === undefined) return { _tag: "NotKnown", why: `Stripe answered ${answer.status}` }
  if (account.id === accountId) return believed
  return { _tag: "Wrong", message: boundedMessage(`the key belongs to account ${account.id}, and ${accountId} is configured`) }
}

/** The identity of a configured account's key. */
export const make = (options: { readonly gateway: GatewayName; readonly accountId: string; readonly get: Get }) => {
  const { accountId, gateway } = options
  let standing: Standing = { _tag: "NotKnown", why: "it was not asked yet" }

  const ask = Effect.fnUntraced(function* () {
    const answer = yield* options.get("/v1/account")
    if (standing._tag !== "NotKnown") return
    standing = standingOf(accountId, answer)
    if (standing._tag === "Wrong") {
      yield* Effect.logError(`gateway ${gateway}: ${standing.message}; nothing is sent, and what is not found counts as unknown`)
    } else if (answer.status === 403) {
      yield* Effect.logWarning(
        `gateway ${gateway}: the key may not read its account, so nobody checks that it belongs to ${accountId}; let it read accounts`
      )
    }
  })

  /** Asks, where it is not known yet, for a limited time. */
  const settled = Effect.suspend(() =>
    standing._tag === "NotKnown"
      ? ask().pipe(
          Effect.timeoutOrElse({
            duration: Duration.millis(Presets.recovery.lookupTimeoutMillis.value / 2),
            orElse: () => Effect.fail(unknown("timeout", "the account was not told in time"))
          }),
          Effect.catch(({ message }) => Effect.sync(() => void (standing = stillNotKnown(standing, message))))
        )
      : Effect.void
  )

  return {
    /** Asks now, so that a wrong key is in the log before the first payment. Never fails. */
    atStart: settled,
    /** Why nothing may be sent: the key is known to be another account's. */
    wrong: (): string | undefined => (standing._tag === "Wrong" ? standing.message : undefined),
    /** Fails where what is not found proves nothing. */
    isTheAccount: Effect.flatMap(settled, (): Effect.Effect<void, Unknown> => {
      if (standing._tag === "Believed") return Effect.void
      const why = standing._tag === "Wrong" ? standing.message : `it is not known whose key it is: ${standing.why}`
      return Effect.fail(unknown("inconclusive", `not found, but ${why}`))
    })
  }
}

const stillNotKnown = (standing: Standing, why: string): Standing => (standing._tag === "NotKnown" ? { _tag: "NotKnown", why } : standing)
