/**
 * Values that the settings of several built-in hooks are made of, with what is said about a value outside of its bounds.
 */
import * as Schema from "effect/Schema"
import type { FraudAction, FraudVerdict } from "../Verdict.ts"
import * as Presets from "../../Presets.ts"

/** `Finite` would say its own sentence; the checks that follow refuse NaN and Infinity. */
// @effect-diagnostics-next-line schemaNumber:off
const numeric = (message: string) => Schema.Number.annotate({ message })

/** A whole number in a range. */
export const integer = (minimum: number, maximum: number) => {
  const message = `expected an integer from ${minimum} to ${maximum}`
  return numeric(message).check(Schema.isInt({ message }), Schema.isBetween({ minimum, maximum }, { message }))
}

/** What is done about a payment that a check cannot judge. */
export const Unjudged = Schema.Literals(["allow", "flag", "block"]).annotate({ message: 'expected "allow", "flag" or "block"' })

/** What is done about a payment that a check has something against. */
export const Found = Schema.Literals(["flag", "block"]).annotate({ message: 'expected "flag" or "block"' })

/** Settings that every fraud check has. `flagScore`: the score of what is flagged. */
export const scored = { flagScore: Schema.optionalKey(integer(0, 100)) }

/** Settings that every built-in hook has. `priority`: lowest first. `enabled`: whether it takes part from the start; default true. */
export const registered = {
  enabled: Schema.optionalKey(Schema.Boolean.annotate({ message: "expected true or false" })),
  priority: Schema.optionalKey(integer(0, 1_000_000))
}

/** Nothing to say against the payment. */
export const allowed: FraudVerdict = { action: "allow" }

/** A verdict with its score. */
export const verdict = (
  action: FraudAction,
  settings: { readonly flagScore?: number },
  why: { readonly code: string; readonly message: string }
): FraudVerdict => {
  switch (action) {
    case "allow":
      return allowed
    case "flag":
      return { action, score: settings.flagScore ?? Presets.builtinHooks.flagScore.value, ...why }
    case "block":
      return { action, score: Presets.builtinHooks.blockScore.value, ...why }
  }
}
