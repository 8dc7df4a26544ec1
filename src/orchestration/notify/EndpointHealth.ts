/**
 * How the endpoints do, as one relay sees them: one that fails time after time is paused, so that waiting for it does not take the
 * places of deliveries to others. Pure.
 *
 * After some failures in a row an endpoint is paused, each time for longer; when the pause is over one delivery at a time tries it.
 * One success ends all of it. A payment that is not tried meanwhile has not failed.
 */
import * as Presets from "../../domain/Presets.ts"

/** An endpoint. Times in epoch milliseconds of this process. */
export interface Endpoint {
  readonly failuresInRow: number
  readonly pausedUntil: number
  /** Deliveries under way. */
  readonly inFlight: number
}

/** Nothing is known of it. */
export const unknown: Endpoint = { failuresInRow: 0, pausedUntil: 0, inFlight: 0 }

const isFailing = (endpoint: Endpoint): boolean => endpoint.failuresInRow >= Presets.relay.pauseAfterFailures.value

/** How long a delivery has to wait, in milliseconds; 0: it may go now. */
export const waitMillis = (endpoint: Endpoint, now: number): number => {
  if (!isFailing(endpoint)) return 0
  if (endpoint.pausedUntil > now) return endpoint.pausedUntil - now
  return endpoint.inFlight > 0 ? Presets.relay.pauseBaseMillis.value : 0
}

/** A delivery starts. */
export const started = (endpoint: Endpoint): Endpoint => ({ ...endpoint, inFlight: endpoint.inFlight + 1 })

/** A delivery ended. */
export const ended = (endpoint: Endpoint, delivered: boolean, now: number): Endpoint => {
  const inFlight = endpoint.inFlight - 1
  if (delivered) return { failuresInRow: 0, pausedUntil: 0, inFlight }
  const failuresInRow = endpoint.failuresInRow + 1
  const beyond = failuresInRow - Presets.relay.pauseAfterFailures.value
  const pause =
    beyond < 0 ? 0 : Math.min(Presets.relay.pauseBaseMillis.value * 2 ** Math.min(beyond, 20), Presets.relay.pauseCapMillis.value)
  return { failuresInRow, pausedUntil: Math.max(endpoint.pausedUntil, now + pause), inFlight }
}
