/**
 * Watches the calls that the engine makes to a gateway, faults included: how long each took and why it went wrong.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { safetyOf } from "../../domain/operation/Decline.ts"
import type { Outcome } from "../../domain/operation/Outcome.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { Gateway } from "../../services/Gateway.ts"

/** `error`: why it went wrong; a decline by the customer's bank is no error. */
interface Call {
  readonly gateway: GatewayName
  readonly startedAt: number
  readonly endedAt: number
  readonly error: string | undefined
}

/** `onCall`: told of every request that ended. `now`: in the time that it is told in. */
export interface Watch {
  readonly now: () => number
  readonly onCall: (call: Call) => void
}

/** The same gateway, watched. Look-ups are not counted: nobody waits for them. */
export const watched = (gateway: Gateway, { now, onCall }: Watch): Gateway => ({
  ...gateway,
  send: (request) =>
    Effect.suspend(() => {
      const startedAt = now()
      return Effect.onExit(gateway.send(request), (exit) =>
        Effect.sync(() => onCall({ gateway: gateway.name, startedAt, endedAt: now(), error: errorOf(exit) }))
      )
    })
})

const errorOf = (exit: Exit.Exit<Outcome>): string | undefined => {
  if (Exit.isFailure(exit)) return "given_up"
  switch (exit.value._tag) {
    case "Declined":
      return safetyOf[exit.value.category].countsAgainstGateway === "no" ? undefined : exit.value.category
    case "NotSent":
    case "Unknown":
      return exit.value.reason
    case "Pending":
    case "RequiresAction":
    case "Succeeded":
      return undefined
  }
}
