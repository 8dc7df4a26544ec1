/**
 * What is counted of hooks, as functions named after what happened.
 */
import type * as Context from "effect/Context"
import type { HookFailure, HookKind } from "../../domain/hooks/HookKind.ts"
import type { FraudAction } from "../../domain/hooks/Verdict.ts"
import type { LabelsOf } from "../metrics/Catalog.ts"
import * as Family from "../metrics/Family.ts"

const runs = Family.of("aegispay_hook_runs_total")
const durations = Family.of("aegispay_hook_duration_milliseconds")
const rejections = Family.of("aegispay_hook_rejections_total")
const refusals = Family.of("aegispay_hook_answers_refused_total")
const drops = Family.of("aegispay_hook_dropped_total")
const verdicts = Family.of("aegispay_fraud_verdicts_total")

type Metrics = Context.Context<never>

/** A hook's run ended; `durationMillis` of one that was begun. */
export const ran = (
  metrics: Metrics,
  run: {
    readonly kind: HookKind
    readonly hook: string
    readonly result: "done" | HookFailure
    readonly durationMillis?: number
  }
): void => {
  runs(run).updateUnsafe(1, metrics)
  if (run.durationMillis !== undefined) durations(run).updateUnsafe(run.durationMillis, metrics)
}

/** A validation refused a payment, or a fraud check blocked it. */
export const rejected = (metrics: Metrics, rejection: LabelsOf<"aegispay_hook_rejections_total">): void =>
  rejections(rejection).updateUnsafe(1, metrics)

/** An answer was not followed, because nothing allows what it says. */
export const answerRefused = (metrics: Metrics, refusal: LabelsOf<"aegispay_hook_answers_refused_total">): void =>
  refusals(refusal).updateUnsafe(1, metrics)

/** A hook did not keep up. */
export const dropped = (metrics: Metrics, drop: LabelsOf<"aegispay_hook_dropped_total">, count: number): void =>
  drops(drop).updateUnsafe(count, metrics)

/** A fraud check gave its verdict. */
export const judged = (metrics: Metrics, verdict: { readonly hook: string; readonly action: FraudAction }): void =>
  verdicts(verdict).updateUnsafe(1, metrics)
