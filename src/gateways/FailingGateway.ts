/**
 * What goes wrong with a gateway, as one configuration for tests: any gateway, with a share of its calls failing the way calls do.
 *
 * Draws come from the `Random` service, so a seeded one gives the same failures every time.
 *
 * ```ts
 * const gateway = FailingGateway.make(ScriptedGateway.make("psp"))
 * ```
 *
 * **Gotchas**: a request whose answer is lost did take effect. A test that compares payments with the gateway has to recover first.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Outcome } from "../domain/operation/Outcome.ts"
import { type Gateway, gaveUp } from "../services/Gateway.ts"

/** Which share of the calls fails in which way, 0 to 1 each and together. */
export interface Failures {
  /** The request arrives nowhere, and nothing is answered: half of them; the other half arrives and takes effect, with no answer in time. */
  readonly timeout: number
  /** It takes effect, and its answer is lost. */
  readonly partial: number
  /** The connection is refused: nothing was sent. */
  readonly network: number
  /** It takes effect, and what called it ends without a word: nothing of it goes on, as in a process that dies. */
  readonly crash: number
}

/** The shares of requirement A22; one call in twenty times out. */
export const defaults: Failures = { timeout: 0.05, partial: 0.1, network: 0.05, crash: 0.01 }

/** The call ended as the process would have. */
export class Crashed extends Error {
  override readonly name = "Crashed"
}

/** The same gateway with failures. Look-ups are left as they are. */
export const make = <G extends Gateway>(gateway: G, failures: Partial<Failures> = {}): G => {
  const { crash, network, partial, timeout } = { ...defaults, ...failures }
  const lost = (reason: "timeout" | "connection_lost"): Outcome => gaveUp(reason, "simulated: the answer was lost")
  const send: Gateway["send"] = (request) =>
    Effect.flatMap(Random.next, (drawn) => {
      let below = network
      if (drawn < below) return Effect.succeed<Outcome>({ _tag: "NotSent", reason: "connection_refused", message: "simulated: refused" })
      if (drawn < (below += timeout / 2)) return Effect.succeed(lost("timeout"))
      if (drawn < (below += timeout / 2)) return Effect.as(gateway.send(request), lost("timeout"))
      if (drawn < (below += partial)) return Effect.as(gateway.send(request), lost("connection_lost"))
      if (drawn < below + crash) return Effect.andThen(gateway.send(request), Effect.die(new Crashed("simulated: the caller died")))
      return gateway.send(request)
    })
  return { ...gateway, send }
}
