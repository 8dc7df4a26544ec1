/**
 * Pauses that a gateway asked for: when it answered that it wants no more requests for a time, nobody asks before.
 *
 * Kept per kind of operation, since gateways limit these apart: too many charges are no reason to hold back a refund. The state is changed in
 * place; time is an argument, in milliseconds of a clock that does not step.
 */
import type { OperationKind } from "../operation/Operation.ts"
import * as Presets from "../Presets.ts"

/** Until when nothing is sent, by kind of operation. */
export type Pauses = Map<OperationKind, number>

/** None. */
export const make = (): Pauses => new Map()

/** A gateway asked for a pause. The longest one that was asked for holds, and none is longer than the preset `gatewayCall.maxPauseMillis`. */
export const begin = (pauses: Pauses, kind: OperationKind, asked: { readonly millis: number; readonly now: number }): void => {
  const until = asked.now + Math.min(asked.millis, Presets.gatewayCall.maxPauseMillis.value)
  if (until > (pauses.get(kind) ?? asked.now)) pauses.set(kind, until)
}

/** How much longer nothing is sent; 0: it may be. */
export const leftMillis = (pauses: Pauses, kind: OperationKind, now: number): number => {
  const until = pauses.get(kind)
  return until === undefined ? 0 : Math.max(0, until - now)
}
