/**
 * Somebody who is told of everything that the engine counts and measures; nobody unless a host has collectors.
 *
 * It is called where something is counted, so it must do no more than put it away.
 */
import * as Context from "effect/Context"

export type Observe = (name: string, value: number, labels: Readonly<Record<string, string>>) => void

export const MetricsObserver = Context.Reference<Observe | undefined>("aegispay/services/metrics/Observer", {
  defaultValue: () => undefined
})
