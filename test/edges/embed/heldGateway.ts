/** A gateway that answers when it is told to. */
import * as Effect from "effect/Effect"
import { ScriptedGateway } from "../../../src/public/testing.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"

/** `called`: until a request has come. `answer`: lets every request be answered. `scripted`: what was sent. */
export const heldGateway = () => {
  const scripted = ScriptedGateway.make("psp")
  const called = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  const gateway: Gateway = {
    ...scripted,
    send: (request) => {
      called.resolve()
      return Effect.andThen(
        Effect.promise(() => answer.promise),
        scripted.send(request)
      )
    }
  }
  return { gateway, scripted, called: called.promise, answer: () => answer.resolve() }
}
