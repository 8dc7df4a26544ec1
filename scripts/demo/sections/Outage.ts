/**
 * A gateway goes down under load and comes back: `npm run demo:outage`, shorter.
 */
import * as Effect from "effect/Effect"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import * as Outage from "../Outage.ts"
import type { Section } from "../Section.ts"

const never = 1_000_000_000

/** A breaker that nothing opens. */
const off: BreakerSettings.BreakerSettings = {
  ...BreakerSettings.gatewayDefault,
  failureThreshold: never,
  minimumCalls: never,
  slowCallMinimumCalls: never
}

export const section: Section = {
  name: "outage",
  title: "An outage of a gateway, and its recovery",
  shows: [
    "Payments at a steady rate. The process of the cheapest gateway is killed (SIGKILL) and started again: its circuit breaker opens after 5 failures,",
    "payments go to the others, probes find it alive, and the traffic comes back. `npm run demo:outage` shows it at length."
  ],
  sabotage: "no circuit breaker opens",
  run: Effect.fnUntraced(function* ({ sabotaged, say }) {
    const result = yield* Outage.run({
      ...Outage.defaults,
      perSecond: 25,
      beforeMillis: 1_500,
      outageMillis: 2_500,
      afterMillis: 1_000,
      say,
      ...(sabotaged ? { settings: { breakers: { settings: off, byGateway: {}, byName: {} } } } : {})
    })
    return result.checks
  })
}
