/**
 * Which of the built-in hooks are wanted, each with its settings; one that is left out is not there. An empty section is its defaults.
 */
import * as Schema from "effect/Schema"
import { Geographic } from "./Geographic.ts"
import { HighValue } from "./HighValue.ts"
import { PaymentLogging } from "./PaymentLine.ts"
import { RetryAdvice } from "./RetryAdvice.ts"
import { Velocity } from "./Velocity.ts"

export const BuiltinHooks = Schema.Struct({
  highValue: Schema.optionalKey(HighValue),
  geographic: Schema.optionalKey(Geographic),
  velocity: Schema.optionalKey(Velocity),
  paymentLogging: Schema.optionalKey(PaymentLogging),
  retryAdvice: Schema.optionalKey(RetryAdvice)
})
export type BuiltinHooks = typeof BuiltinHooks.Type
