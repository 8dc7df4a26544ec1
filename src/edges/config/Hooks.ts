/**
 * The section `hooks` of the configuration: which of the built-in hooks are in force, and what holds for all hooks. Without it none is.
 *
 * ```json
 * { "hooks": {
 *     "onFraudFailure": "block",
 *     "highValue": { "flagFrom": { "EUR": 50000 }, "blockFrom": { "EUR": 500000 } },
 *     "geographic": { "blockedCountries": ["KP"] },
 *     "velocity": {},
 *     "paymentLogging": {},
 *     "retryAdvice": { "advice": { "soft": "fail" } } } }
 * ```
 *
 * An empty section of a hook switches its defaults on. Shape and ranges are those of the domain's built-in hooks.
 */
import * as Schema from "effect/Schema"
import { BuiltinHooks } from "../../domain/hooks/builtin/BuiltinHooks.ts"
import { defaults, type HookSettings } from "../../services/hooks/HookSettings.ts"
import { between } from "./Fields.ts"

/** The section. `blockAtScore`: a fraud score as high as this blocks; default: only a verdict that says so does. */
export const Section = Schema.Struct({
  onFraudFailure: Schema.optionalKey(Schema.Literals(["allow", "block"]).annotate({ message: 'expected "allow" or "block"' })),
  onValidationFailure: Schema.optionalKey(Schema.Literals(["accept", "refuse"]).annotate({ message: 'expected "accept" or "refuse"' })),
  blockAtScore: Schema.optionalKey(between(0, 100)),
  ...BuiltinHooks.fields
}).annotate({ message: 'expected hooks by their names, such as { "velocity": {}, "paymentLogging": {} }' })

/** What holds for all hooks, and the built-in ones that are in force. */
export interface HooksInForce {
  readonly settings: HookSettings
  readonly builtin: BuiltinHooks
}

/** What the section says, with the presets for what it leaves out. */
export const settingsOf = (section: typeof Section.Type = {}): HooksInForce => {
  const { blockAtScore, onFraudFailure, onValidationFailure, ...builtin } = section
  return {
    settings: {
      limits: defaults.limits,
      minConfidence: defaults.minConfidence,
      queue: defaults.queue,
      listenerConcurrency: defaults.listenerConcurrency,
      blockAtScore,
      onFraudFailure: onFraudFailure ?? defaults.onFraudFailure,
      onValidationFailure: onValidationFailure ?? defaults.onValidationFailure
    },
    builtin
  }
}
