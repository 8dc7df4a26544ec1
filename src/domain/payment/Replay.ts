/**
 * Folding a history, with the check that it is one: versions 1..n without a gap.
 *
 * A gap or a duplicate means that history is damaged. That payment halts and somebody is told; nothing is guessed.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PaymentId } from "./Ids.ts"
import { evolve, initial, type Recorded, type PaymentState } from "./State.ts"

/** A history with a gap or a duplicate version. The payment halts until a person has looked. */
export class EventContinuityError extends Schema.TaggedError<EventContinuityError>()("EventContinuityError", {
  paymentId: PaymentId,
  expectedVersion: Schema.Int,
  actualVersion: Schema.Int
}) {
  override get message(): string {
    return `history of ${this.paymentId} is damaged: version ${this.expectedVersion} expected, ${this.actualVersion} found; the payment is halted until a person has looked`
  }
}

/** Folds events onto a state; each version must be the next one. */
export const replayFrom = (state: PaymentState, events: ReadonlyArray<Recorded>): Result.Result<PaymentState, EventContinuityError> => {
  let current = state
  for (const recorded of events) {
    if (recorded.version !== current.version + 1 || (current._tag === "New") !== (recorded.event._tag === "PaymentInitiated")) {
      return Result.fail(
        new EventContinuityError({ paymentId: state.id, expectedVersion: current.version + 1, actualVersion: recorded.version })
      )
    }
    current = evolve(current, recorded)
  }
  return Result.succeed(current)
}

/** Folds a whole history. */
export const replay = (id: PaymentId, events: ReadonlyArray<Recorded>): Result.Result<PaymentState, EventContinuityError> =>
  replayFrom(initial(id), events)
