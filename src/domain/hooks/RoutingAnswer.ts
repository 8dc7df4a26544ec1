/**
 * What a routing strategy answers, and which answer counts: the first confident one that names a gateway that can take the payment.
 */
import * as Schema from "effect/Schema"
import { GatewayName } from "../payment/Ids.ts"

/** `confidence`: how sure the strategy is, in [0, 1]. */
export const RoutingAnswer = Schema.Struct({
  gateway: GatewayName,
  confidence: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
})
export type RoutingAnswer = typeof RoutingAnswer.Type

/** What an answer comes to. `unsure`: the next strategy is asked. `unavailable`: it names what cannot take the payment, which is reported. */
export type Judged = "chosen" | "unsure" | "unavailable"

/** Judges an answer. `available`: the gateways that can take the payment. */
export const judge = (
  answer: RoutingAnswer,
  options: { readonly available: ReadonlyArray<GatewayName>; readonly minConfidence: number }
): Judged => {
  if (answer.confidence < options.minConfidence) return "unsure"
  return options.available.includes(answer.gateway) ? "chosen" : "unavailable"
}
