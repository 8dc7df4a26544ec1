/**
 * Defaults of hooks: how long they may take, and how much of what they do not keep up with is kept.
 *
 * A payment waits for validations, fraud checks, enrichments and routing strategies before its first commit, and for error handlers after a
 * decline: at most the sum of the totals.
 */
import { preset } from "./Preset.ts"

export const hooks = {
  validationMillis: preset(500, "ms", "a look at the request, or one query of the host's own"),
  validationTotalMillis: preset(1_000, "ms", "two validations that take all they may: the customer waits for them"),
  fraudMillis: preset(1_000, "ms", "the wait before a fraud service is asked again: slower than that it would have failed anyway"),
  fraudTotalMillis: preset(2_000, "ms", "two checks that take all they may: about what a call to a gateway takes"),
  enrichmentMillis: preset(500, "ms", "one look-up at a service; what is not known by then is left out"),
  enrichmentTotalMillis: preset(1_000, "ms", "two enrichments that take all they may"),
  routingMillis: preset(100, "ms", "a decision of the policy takes microseconds; a strategy may ask a model that is near"),
  routingTotalMillis: preset(200, "ms", "two strategies that take all they may"),
  errorMillis: preset(200, "ms", "a decline that is in hand is not durable before"),
  errorTotalMillis: preset(400, "ms", "two handlers that take all they may"),
  backgroundMillis: preset(5_000, "ms", "listeners, collectors and post-validations: nobody waits for them"),
  onValidationFailure: preset("accept" as const, "accept or refuse", "a validation that is broken must not stop every payment"),
  onFraudFailure: preset("block" as const, "allow or block", "required: what could not be judged is not charged"),
  minConfidence: preset(0.5, "confidence of a routing strategy, in [0, 1]", "more likely right than not"),
  priority: preset(100, "priority, lowest first", "as for routing rules: room before and after"),
  maxAbandoned: preset(
    64,
    "runs of one hook that took too long and do not end",
    "a hook that hangs is not started again and again without end"
  ),
  queue: preset(1_000, "events waiting for one listener", "a few seconds of a busy process; what comes then is dropped and counted"),
  listenerConcurrency: preset(
    4,
    "events that one listener handles at a time",
    "listeners wait for others; the order of events is not theirs"
  ),
  collectMillis: preset(1_000, "ms", "how often a collector is given what came in"),
  collectMax: preset(10_000, "observations waiting", "about a second of 1,000 payments; what comes then is dropped and counted"),
  reports: preset(100, "failures kept", "the last ones of all hooks; metrics count all of them"),
  logMillis: preset(1_000, "ms", "a hook that fails with every payment is logged once a second, with how often it failed")
} as const
