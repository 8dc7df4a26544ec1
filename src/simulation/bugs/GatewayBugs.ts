/**
 * Bugs between the engine and a gateway: what an answer means, what is sent, what is declared.
 */
import * as Effect from "effect/Effect"
import type { Declined, Outcome } from "../../domain/operation/Outcome.ts"
import { RequestKey } from "../../domain/payment/Ids.ts"
import type { Bug } from "./Bug.ts"

const declined = (code: string): Declined => ({ _tag: "Declined", category: "gateway_error", code, message: "planted" })

/** Another meaning for some answers of a gateway. */
const answering = (name: string, breaks: string, meaning: (outcome: Outcome) => Outcome): Bug => ({
  name,
  breaks,
  gateway: (gateway) => ({ ...gateway, send: (request) => Effect.map(gateway.send(request), meaning) })
})

export const failoverAfterUnknown = answering("failover-after-unknown", "an unknown outcome is taken for a technical refusal", (outcome) =>
  outcome._tag === "Unknown" ? declined("unknown") : outcome
)

export const conflictAsDeclined = answering("conflict-as-declined", "a 409 is taken for declined", (outcome) =>
  outcome._tag === "Unknown" && outcome.reason === "conflict" ? declined("conflict") : outcome
)

/** The engine's own limit is longer: what this bug answers comes first. */
const impatienceMillis = 10_000

export const timeoutAsDeclined: Bug = {
  name: "timeout-as-declined",
  breaks: "a request without an answer is taken for declined",
  gateway: (gateway) => ({
    ...gateway,
    send: (request) =>
      gateway
        .send(request)
        .pipe(Effect.timeoutOrElse({ duration: impatienceMillis, orElse: () => Effect.succeed<Outcome>(declined("timeout")) }))
  })
}

export const hiddenRetry: Bug = {
  name: "last-attempt-decides",
  breaks: "after a lost answer the outcome is that of the next attempt alone",
  gateway: (gateway) => ({
    ...gateway,
    send: (request) =>
      Effect.flatMap(gateway.send(request), (outcome) => (outcome._tag === "Unknown" ? gateway.send(request) : Effect.succeed(outcome)))
  })
}

export const newKeyOnRetry: Bug = {
  name: "new-key-on-retry",
  breaks: "a repeated request has a key of its own",
  gateway: (gateway) => {
    const sent = new Map<string, number>()
    return {
      ...gateway,
      send: (request) =>
        Effect.suspend(() => {
          const key = request.intent.requestKey
          const times = (sent.get(key) ?? 0) + 1
          sent.set(key, times)
          return times === 1
            ? gateway.send(request)
            : gateway.send({
                ...request,
                intent: { ...request.intent, requestKey: RequestKey.make(`${key}-${"r".repeat(Math.min(times, 12))}`) }
              })
        })
    }
  }
}

export const absentAsFailed: Bug = {
  name: "not-found-as-failed",
  breaks: "what a look-up does not find is taken for declined",
  gateway: (gateway) => ({
    ...gateway,
    lookup: (request) =>
      Effect.map(gateway.lookup(request), (answer) =>
        answer._tag === "Absent" ? { ...declined("not_found"), category: "soft" as const } : answer
      )
  })
}

export const openObjectIgnored: Bug = {
  name: "open-object-ignored",
  breaks: "an object that a decline left open is not closed before the next gateway",
  gateway: (gateway) => {
    const { operations } = gateway.capabilities
    const closed = Object.fromEntries(Object.entries(operations).map(([kind, one]) => [kind, { ...one, leavesOpenAfterDecline: false }]))
    return { ...gateway, capabilities: { ...gateway.capabilities, operations: closed as typeof operations } }
  }
}
