/**
 * Named places between two durable steps, where a test ends the process.
 *
 * A durable step is a commit, a request that a gateway may act on, or a delivery that a receiver may act on. Whatever happens at one of
 * these places must leave a payment that recovery can finish. Outside of tests the reference is unset: reaching a point is then one look
 * at the fiber's context, about 0.1 microseconds.
 *
 * @example
 * yield* CrashPoint.reach("operation/before-call")
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * Every point, in the order in which a payment meets them.
 *
 * - `charge/after-intent`: payment, claim and intent are durable; nothing runs yet that would send.
 * - `prepare/after-host-commit`: the host's transaction is durable; its callback runs, the call has not started.
 * - `modify/after-intent`: the intent of a confirm, capture, refund or cancel is durable; nothing runs yet that would send.
 * - `operation/before-call`: right before the first byte of an operation, a failover's and a repetition's included.
 * - `call/between-attempts`: a request was answered or lost, and is about to be sent again under the same permission.
 * - `operation/after-call`: the gateway has answered; the answer is in this process' memory alone.
 * - `operation/after-outcome`: the outcome is durable, with the intent of what follows from it.
 * - `recovery/after-lease`: the payment is leased for recovery, nothing was asked.
 * - `recovery/after-question`: the gateway has told what happened; that is in this process' memory alone.
 * - `recovery/after-target`: what a void was to end has turned out to have succeeded, which is durable; the void is still open.
 * - `recovery/after-permission`: the permission to send again is durable; nothing was sent.
 * - `recovery/before-review`: all that could be asked was asked, and its answer is durable; the review is not.
 * - `webhook/after-store`: the webhook is in the inbox; the gateway was not told so.
 * - `webhook/after-truth`: what the webhook tells is durable; it still waits in the inbox, and nothing that follows has started.
 * - `relay/after-delivery`: the endpoint has taken events; the outbox does not know it.
 */
export const points = [
  "charge/after-intent",
  "prepare/after-host-commit",
  "modify/after-intent",
  "operation/before-call",
  "call/between-attempts",
  "operation/after-call",
  "operation/after-outcome",
  "recovery/after-lease",
  "recovery/after-question",
  "recovery/after-target",
  "recovery/after-permission",
  "recovery/before-review",
  "webhook/after-store",
  "webhook/after-truth",
  "relay/after-delivery"
] as const

export type Point = (typeof points)[number]

/** What happens at a point; nothing unless a test provides it. */
export const CrashPoint = Context.Reference<((point: Point) => Effect.Effect<void>) | undefined>("aegispay/services/CrashPoint", {
  defaultValue: () => undefined
})

/** Stands at a gap between two durable steps, with what comes after it: where nobody waits at the point, that is all there is of it. */
export const before = <A, E, R>(point: Point, next: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const atPoint = fiber.getRef(CrashPoint)
    return atPoint === undefined ? next : Effect.andThen(atPoint(point), next)
  })

/** Stands at a gap between two durable steps. */
export const reach = (point: Point): Effect.Effect<void> => Effect.withFiber((fiber) => fiber.getRef(CrashPoint)?.(point) ?? Effect.void)
