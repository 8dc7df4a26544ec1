/**
 * The callers of an experiment: each asks for a payment when its time has come, whatever became of the others, repeats the request under
 * its key where it is told to, and captures, cancels or refunds what it has bought. The same for an engine in this process and for a
 * server far away: a port says how it is reached.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Answers from "../../domain/chaos/experiment/Answers.ts"
import type { Arrival } from "../../domain/chaos/experiment/load/Arrivals.ts"
import * as Recorder from "../../domain/chaos/experiment/Recorder.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"

/** A payment, as far as its caller looks at it. */
export type Seen = Answers.Shown & {
  readonly id: string
  readonly operations: ReadonlyArray<{ readonly gateway: GatewayName }>
}

/** What is done with a payment that was made. */
export type Then = "capture" | "cancel" | "refund"

/** How the engine is reached. Each is one request: the payment, or the code of the error. */
export interface Port {
  readonly charge: (arrival: Arrival) => Effect.Effect<Seen | string>
  readonly followUp: (kind: Then, payment: Seen) => Effect.Effect<Seen | string>
}

export interface CallersOptions {
  readonly port: Port
  readonly recorder: Recorder.Recorder
  /** Milliseconds since the experiment began. */
  readonly now: () => number
  /** From an answer to what is done with the payment. */
  readonly followUpMillis: number
  /** Told of every charge, before it is asked for. */
  readonly onAsked: (charge: Recorder.Charge, arrival: Arrival) => void
  /** Told of every charge that was answered for good. */
  readonly onAnswered: (charge: Recorder.Charge, seen: Seen | undefined) => void
}

/** What the sandbox's accounts take, and what they refuse as a customer's bank would. */
export const tokens = { accepted: "tok_success", refused: "tok_declined_hard" } as const

/** The key that a payment is asked for under. */
export const keyOf = ({ index }: Arrival): string => `charge-${index}`

export const captureMethodOf = ({ kind }: Arrival): "manual" | "automatic" =>
  kind === "authorizeAndCapture" || kind === "cancel" ? "manual" : "automatic"

/** One payment, from its first request to whatever is done with it. */
export const live = Effect.fnUntraced(function* (options: CallersOptions, arrival: Arrival) {
  const { followUpMillis, now, port, recorder } = options
  const charge = Recorder.asked(recorder, arrival.atMillis)
  options.onAsked(charge, arrival)
  const again = arrival.kind === "duplicate" ? yield* Effect.forkChild(duplicate(options, arrival)) : undefined
  const heard = yield* insist(port.charge(arrival))
  const judged = typeof heard === "string" ? Answers.ofError(heard) : Answers.ofPayment(heard)
  const firstChoice = typeof heard === "string" ? undefined : heard.operations[0]?.gateway
  Recorder.answered(charge, { at: now(), ...judged, firstChoice })
  options.onAnswered(charge, typeof heard === "string" ? undefined : heard)
  if (again !== undefined) yield* Fiber.join(again)
  const then = thenOf(arrival)
  if (then === undefined || typeof heard === "string" || judged.answer !== "succeeded") return
  yield* Effect.sleep(followUpMillis)
  yield* followUp(options, then, heard)
})

const thenOf = ({ kind }: Arrival): Then | undefined => {
  switch (kind) {
    case "authorizeAndCapture":
      return "capture"
    case "cancel":
    case "refund":
      return kind
    case "charge":
    case "duplicate":
      return undefined
  }
}

/** The same request once more, while the first may still be under way. */
const duplicate = Effect.fnUntraced(function* ({ port, recorder }: CallersOptions, arrival: Arrival) {
  const { duplicate: counts } = recorder.followUps
  yield* Effect.sleep(arrival.duplicateAfterMillis)
  counts.asked++
  if (typeof (yield* insist(port.charge(arrival))) === "string") counts.failed++
})

const followUp = Effect.fnUntraced(function* ({ port, recorder }: CallersOptions, kind: Then, payment: Seen) {
  const counts = recorder.followUps[kind]
  counts.asked++
  const heard = yield* insist(port.followUp(kind, payment))
  if (typeof heard === "string" || !isDone(kind, heard)) counts.failed++
})

/** Has the payment come to what was asked for? */
const isDone = (kind: Then, { status }: Seen): boolean => {
  switch (kind) {
    case "capture":
      return status === "succeeded"
    case "cancel":
      return status === "cancelled"
    case "refund":
      return status === "refunded"
  }
}

/** Repeats a request under its key as long as it is told to: the payment, or the code of the error that ended it. */
const insist = Effect.fnUntraced(function* (ask: Effect.Effect<Seen | string>) {
  for (let times = 1; ; times++) {
    const heard = yield* ask
    const wait = typeof heard === "string" ? Answers.waitBeforeRepeating(heard, times) : undefined
    if (wait === undefined) return heard
    yield* Effect.sleep(wait)
  }
})
