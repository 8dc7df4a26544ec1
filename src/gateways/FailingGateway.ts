/**
 * What goes wrong with a gateway, as one configuration for tests: any gateway, with a share of its calls failing the way calls do.
 *
 * Draws come from the `Random` service, so a seeded one gives the same failures every time. What each fault means is in chaos/Faults.ts; a
 * plan with times, bursts and cascades is for `ChaosGateway`.
 *
 * ```ts
 * const gateway = FailingGateway.make(ScriptedGateway.make("psp"))
 * ```
 *
 * **Gotchas**: a request whose answer is lost did take effect. A test that compares payments with the gateway has to recover first.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Injection } from "../domain/chaos/Injection.ts"
import type { Gateway, LookupRequest } from "../services/Gateway.ts"
import * as Faults from "./chaos/Faults.ts"

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
  // Read and called on the adapter itself, which may be an object of a class: a copy has neither what is inherited nor its `this`.
  const { account, adapterVersion, apiVersion, capabilities, connectLimitMillis, hold, list, name, webhooks } = gateway
  const send: Gateway["send"] = (request) =>
    Effect.flatMap(Random.next, (drawn) => {
      const carryOut = Effect.suspend(() => gateway.send(request))
      const meets = (injection: Injection) => Faults.send(injection, { carryOut, crash: dies })
      let below = network
      if (drawn < below) return meets({ type: "network" })
      if (drawn < (below += timeout / 2)) return meets({ type: "timeout", executed: false, hangMillis: 0 })
      if (drawn < (below += timeout / 2)) return meets({ type: "timeout", executed: true, hangMillis: 0 })
      if (drawn < (below += partial)) return meets({ type: "response_lost" })
      if (drawn < below + crash) return meets({ type: "crash", executed: true })
      return carryOut
    })
  return {
    ...gateway,
    name,
    account,
    adapterVersion,
    apiVersion,
    capabilities,
    send,
    lookup: (request: LookupRequest) => gateway.lookup(request),
    ...(connectLimitMillis === undefined ? {} : { connectLimitMillis }),
    ...(webhooks === undefined ? {} : { webhooks }),
    ...(hold === undefined ? {} : { hold: (request: LookupRequest) => hold.call(gateway, request) }),
    ...(list === undefined ? {} : { list: (range: Parameters<typeof list>[0]) => list.call(gateway, range) })
  }
}

const dies = Effect.suspend(() => Effect.die(new Crashed("injected: the caller died")))
