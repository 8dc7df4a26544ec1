/**
 * What validations and fraud checks answer, and how their answers are put together.
 *
 * A validation that refuses ends the payment; the first one does. Of fraud checks any block blocks, and the highest score counts.
 */
import * as Schema from "effect/Schema"
import { HookFailure, HookName } from "./HookKind.ts"

/** A machine-readable reason: 1 to 64 characters of `a-z 0-9 _`. */
export const ReasonCode = Schema.String.check(Schema.isPattern(/^[a-z0-9_]{1,64}$/))

const Sentence = Schema.String.check(Schema.isMaxLength(500))

/** What a validation answers. `message`: for the caller, at most 500 characters. */
export const Validation = Schema.Union([
  Schema.TaggedStruct("Accepted", {}),
  Schema.TaggedStruct("Refused", { code: ReasonCode, message: Sentence })
])
export type Validation = typeof Validation.Type

/** Nothing is wrong. */
export const accepted: Validation = { _tag: "Accepted" }

/** Something is wrong. */
export const refused = (code: string, message: string): Validation => ({ _tag: "Refused", code, message })

/** How likely a payment is fraud, in [0, 100]: 0 certainly not, 100 certainly. */
export const FraudScore = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

/** `flag`: the payment goes on, and the verdict stands in its history. `block`: the payment fails. */
export const FraudAction = Schema.Literals(["allow", "flag", "block"])
export type FraudAction = typeof FraudAction.Type

/** What a fraud check answers. `code`: why, for programs. `message`: why, for people; not shown to the customer. */
export const FraudVerdict = Schema.Struct({
  action: FraudAction,
  score: Schema.optionalKey(FraudScore),
  code: Schema.optionalKey(ReasonCode),
  message: Schema.optionalKey(Sentence)
})
export type FraudVerdict = typeof FraudVerdict.Type

/** A verdict as it is recorded. `failure`: the check gave none, and the configuration says what that means. */
export const RecordedVerdict = Schema.Struct({
  hook: HookName,
  action: FraudAction,
  score: Schema.optionalKey(FraudScore),
  code: Schema.optionalKey(ReasonCode),
  message: Schema.optionalKey(Sentence),
  failure: Schema.optionalKey(HookFailure)
})
export type RecordedVerdict = typeof RecordedVerdict.Type

/** What the fraud checks say together: the severest action and the highest score. `by`: whose action it is, the first of them. */
export interface CombinedVerdict {
  readonly action: FraudAction
  readonly score?: number
  readonly by?: RecordedVerdict
}

/** What the fraud checks said together, as it is shown. */
export const FraudSummary = Schema.Struct({ action: FraudAction, score: Schema.optionalKey(FraudScore) })
export type FraudSummary = typeof FraudSummary.Type

const severity: { readonly [Action in FraudAction]: number } = { allow: 0, flag: 1, block: 2 }

/** Any block blocks, the highest score wins. `blockAtScore`: a score as high as this blocks too. */
export const combine = (verdicts: ReadonlyArray<RecordedVerdict>, blockAtScore?: number): CombinedVerdict => {
  let by: RecordedVerdict | undefined
  let score: number | undefined
  let highest: RecordedVerdict | undefined
  for (const verdict of verdicts) {
    if (verdict.action !== "allow" && (by === undefined || severity[verdict.action] > severity[by.action])) by = verdict
    if (verdict.score !== undefined && (score === undefined || verdict.score > score)) {
      score = verdict.score
      highest = verdict
    }
  }
  const scored = score === undefined ? {} : { score }
  if (by?.action !== "block" && blockAtScore !== undefined && score !== undefined && score >= blockAtScore && highest !== undefined)
    return { action: "block", ...scored, by: highest }
  return by === undefined ? { action: "allow", ...scored } : { action: by.action, ...scored, by }
}
