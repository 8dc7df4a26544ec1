/**
 * The merchants' endpoint: keeps what was delivered and in which order, behind a network that loses notifications and answers.
 */
import * as Effect from "effect/Effect"
import { type Notification, Notifier } from "../../services/notify/Notifier.ts"
import * as Chance from "./Chance.ts"
import type { Faults } from "./Faults.ts"

/** A notification that arrived, for the first time or again. */
export interface Received {
  readonly payment: string
  readonly version: number
}

/** The notifier of an instance. `onReceived`: told of everything that arrives, whether or not its answer does. */
export const notifier = (faults: Faults, onReceived: (notification: Notification) => void): Notifier["Service"] =>
  Notifier.of({
    endpointOf: () => "http://merchant",
    deliver: (_endpoint, notification) =>
      Effect.gen(function* () {
        yield* Effect.sleep(Chance.between(faults.draw, 1, 50))
        if (faults.strikes("lost")) return { _tag: "Retry", reason: "no answer" } as const
        onReceived(notification)
        yield* Effect.sleep(Chance.between(faults.draw, 1, 50))
        return faults.strikes("unanswered") ? ({ _tag: "Retry", reason: "no answer" } as const) : ({ _tag: "Delivered" } as const)
      })
  })
