/**
 * Advice by the category of a decline: whether a payment goes on elsewhere, at the same gateway, or ends.
 *
 * It is advice: the safety table, the policy, the retry caps and the payment's time bound it. What it adds is a merchant's own "no": a category
 * set to `fail` ends the payment where the engine would go on, and so does `maxCharges`.
 *
 * ```json
 * { "advice": { "soft": "fail", "rate_limited": "same_gateway" }, "maxCharges": 2 }
 * ```
 */
import * as Schema from "effect/Schema"
import type { NotCharged } from "../../operation/Settle.ts"
import * as Presets from "../../Presets.ts"
import type { Advice, Planned } from "../Advice.ts"
import { integer, registered } from "./Bounds.ts"

const words = ["as_planned", "other_gateway", "same_gateway", "fail"] as const
const Word = Schema.Literals(words).annotate({ message: `expected one of ${words.join(", ")}` })
const word = Schema.optionalKey(Word)

/** Settings of the handler. `advice`: by category of the decline; `not_sent`: nothing was sent; `absent`: the gateway knows nothing of it. */
export const RetryAdvice = Schema.Struct({
  ...registered,
  advice: Schema.optionalKey(
    Schema.Struct({
      soft: word,
      hard: word,
      fraud: word,
      authentication_required: word,
      invalid_data: word,
      gateway_error: word,
      rate_limited: word,
      configuration: word,
      not_sent: word,
      absent: word
    })
  ),
  maxCharges: Schema.optionalKey(integer(1, 10))
})
export type RetryAdvice = typeof RetryAdvice.Type

/** Why the advice is asked for, in the words of the settings. */
type Category = keyof NonNullable<RetryAdvice["advice"]>

const categoryOf = (because: NotCharged["because"]): Category => {
  switch (because._tag) {
    case "Declined":
      return because.category
    case "NotSent":
      return "not_sent"
    case "Absent":
      return "absent"
  }
}

/** What follows a charge that did not happen. `charges`: how many were made. Where the engine ends the payment anyway there is nothing to say. */
export const advise = (
  settings: RetryAdvice,
  { because, charges, planned }: { readonly because: NotCharged["because"]; readonly charges: number; readonly planned: Planned }
): Advice | undefined => {
  if (planned._tag === "fail") return undefined
  const maxCharges = settings.maxCharges ?? Presets.builtinHooks.retryMaxCharges.value
  if (charges >= maxCharges) return { _tag: "fail", reason: `${charges} charges were made, the most there may be` }
  const category = categoryOf(because)
  const advised = settings.advice?.[category] ?? Presets.builtinHooks.retryAdvice.value[category]
  // The customer is asked to authenticate at the same gateway: no other can be meant, and only a refusal to go on says anything.
  if (planned._tag === "step_up" && advised !== "fail") return undefined
  if (advised === "as_planned") return undefined
  return { _tag: advised, reason: `${category}: by the settings of the handler` }
}
