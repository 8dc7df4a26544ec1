/**
 * What adapters refuse about their keys and secrets before anything is sent. An empty secret would verify whatever anybody signs with nothing.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { GatewayName } from "../domain/payment/Ids.ts"

/** A gateway account cannot be used as it is configured. */
export class GatewayMisconfigured extends Schema.TaggedError<GatewayMisconfigured>()("GatewayMisconfigured", {
  gateway: GatewayName,
  problem: Schema.String
}) {
  override get message(): string {
    return `gateway "${this.gateway}" cannot be used as it is configured: ${this.problem}`
  }
}

/** What a key or a secret has to look like. `expected`: in words, without the value. */
export interface Shape {
  readonly what: string
  readonly pattern: RegExp
  readonly expected: string
}

/** Refuses the first of the values that does not look as it has to. */
export const check = (
  gateway: GatewayName,
  values: ReadonlyArray<readonly [value: Redacted.Redacted | undefined, shape: Shape]>
): Effect.Effect<void, GatewayMisconfigured> => {
  const wrong = values.find(([value, { pattern }]) => value !== undefined && !pattern.test(Redacted.value(value)))
  if (wrong === undefined) return Effect.void
  const [, { expected, what }] = wrong
  return Effect.fail(new GatewayMisconfigured({ gateway, problem: `its ${what} is not ${expected}` }))
}
