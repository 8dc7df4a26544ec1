/**
 * Names of circuit breakers: `<gateway>.<operation kind>` for gateways, a name of their own for other dependencies ("exchange-rates").
 *
 * They are made of `a-z 0-9 . _ -`, so they stand in a URL and in a metric's label as they are. They come from the configuration and
 * the program, never from a request: whoever makes one of an id or a key makes breakers without a bound.
 */
import * as Schema from "effect/Schema"
import { OperationKind } from "../operation/Operation.ts"
import { GatewayName } from "../payment/Ids.ts"

/** 1 to 128 characters of `a-z 0-9 . _ -`, beginning with a letter or digit. */
export const BreakerName = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9._-]{0,127}$/)).pipe(Schema.brand("BreakerName"))
export type BreakerName = typeof BreakerName.Type

/** The breaker of one kind of operation at one gateway. */
export const of = (gateway: GatewayName, kind: OperationKind): BreakerName => `${gateway}.${kind}` as BreakerName

/** The gateway and the kind that a name is made of; `undefined` for the breaker of another dependency. */
export const partsOf = (name: BreakerName): { readonly gateway: GatewayName; readonly kind: OperationKind } | undefined => {
  const dot = name.lastIndexOf(".")
  const gateway = name.slice(0, Math.max(0, dot))
  const kind = name.slice(dot + 1)
  return isGateway(gateway) && isKind(kind) ? { gateway, kind } : undefined
}

const isGateway = Schema.is(GatewayName)
const isKind = Schema.is(OperationKind)
