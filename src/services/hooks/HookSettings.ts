/**
 * How hooks are bounded, and what it means that one gives no answer. The presets unless provided.
 */
import * as Context from "effect/Context"
import type { HookKind } from "../../domain/hooks/HookKind.ts"
import * as Presets from "../../domain/Presets.ts"

/** In milliseconds. `eachMillis`: one run, unless the hook says otherwise. `totalMillis`: all hooks of the kind together, for one payment. */
export interface HookLimits {
  readonly eachMillis: number
  readonly totalMillis: number
}

export interface HookSettings {
  readonly limits: { readonly [Kind in HookKind]: HookLimits }
  /** What it means that a validation gave no answer. */
  readonly onValidationFailure: "accept" | "refuse"
  /** What it means that a fraud check gave no verdict. */
  readonly onFraudFailure: "allow" | "block"
  /** A fraud score as high as this blocks, whatever the check says to do; `undefined`: only a verdict that says so blocks. */
  readonly blockAtScore: number | undefined
  /** In [0, 1]: a routing strategy that is less sure is passed over. */
  readonly minConfidence: number
  /** How many events may wait for one listener, or for the post-validations. */
  readonly queue: number
  /** How many events one listener handles at a time. */
  readonly listenerConcurrency: number
}

const preset = Presets.hooks
const inBackground: HookLimits = { eachMillis: preset.backgroundMillis.value, totalMillis: preset.backgroundMillis.value }

/** The presets as settings. */
export const defaults: HookSettings = {
  limits: {
    pre_validation: { eachMillis: preset.validationMillis.value, totalMillis: preset.validationTotalMillis.value },
    fraud_check: { eachMillis: preset.fraudMillis.value, totalMillis: preset.fraudTotalMillis.value },
    enrichment: { eachMillis: preset.enrichmentMillis.value, totalMillis: preset.enrichmentTotalMillis.value },
    routing_strategy: { eachMillis: preset.routingMillis.value, totalMillis: preset.routingTotalMillis.value },
    error_handler: { eachMillis: preset.errorMillis.value, totalMillis: preset.errorTotalMillis.value },
    post_validation: inBackground,
    event_listener: inBackground,
    metrics_collector: inBackground
  },
  onValidationFailure: preset.onValidationFailure.value,
  onFraudFailure: preset.onFraudFailure.value,
  blockAtScore: undefined,
  minConfidence: preset.minConfidence.value,
  queue: preset.queue.value,
  listenerConcurrency: preset.listenerConcurrency.value
}

/** The settings in force, read where the registry of hooks is built. */
export const HookSettings = Context.Reference<HookSettings>("aegispay/services/hooks/HookSettings", { defaultValue: () => defaults })
