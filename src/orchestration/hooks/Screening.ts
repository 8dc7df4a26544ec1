/**
 * What hooks do with a payment before anything is stored of it: validations, then fraud checks, then enrichments.
 *
 * One after the other, by priority: what a later hook sees or overrides depends on the earlier ones. Each kind has a limit of its own for all
 * of its hooks together, so a payment waits no longer however many there are.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Enrichment from "../../domain/hooks/Enrichment.ts"
import type { HookName } from "../../domain/hooks/HookKind.ts"
import * as PaymentFacts from "../../domain/hooks/PaymentFacts.ts"
import * as HookText from "../../domain/hooks/HookText.ts"
import type { EnrichedField } from "../../domain/hooks/Records.ts"
import { combine, FraudVerdict, type RecordedVerdict, Validation } from "../../domain/hooks/Verdict.ts"
import type { Block, Screening } from "../../domain/payment/Command.ts"
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import * as HookMetrics from "../../services/hooks/HookMetrics.ts"
import type { HookOf } from "../../services/hooks/Hooks.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Isolation from "./Isolation.ts"
import type { Entry, Registry } from "./Registry.ts"

/** A payment that goes on, with the details that hooks added to. */
export interface Passed {
  readonly _tag: "Passed"
  readonly details: PaymentDetails
  readonly screening: Screening
}

/** A payment that does not go on. */
export interface Blocked {
  readonly _tag: "Blocked"
  readonly block: Block
}

/** Is there anybody who screens payments? */
export const hasHooks = (registry: Registry | undefined): registry is Registry =>
  registry !== undefined && registry.lists.pre_validation.length + registry.lists.fraud_check.length + registry.lists.enrichment.length > 0

/** Screens a payment. */
export const screen = (registry: Registry, id: PaymentId, details: PaymentDetails) => PaymentLog.about(id)(screened(registry, id, details))

const screened = Effect.fnUntraced(function* (registry: Registry, id: PaymentId, details: PaymentDetails) {
  const payment = PaymentFacts.of(id, details)
  const validated = yield* validate(registry, payment)
  if (validated._tag === "Blocked") return validated
  const verdicts = yield* judge(registry, payment)
  const combined = combine(verdicts, registry.settings.blockAtScore)
  if (combined.action === "block" && combined.by !== undefined) {
    const { code, hook, message, score } = combined.by
    HookMetrics.rejected(registry.context, { kind: "fraud_check", hook })
    const block: Block = {
      check: "fraud_check",
      by: hook,
      code: code ?? (combined.by.action === "block" ? "fraud_suspected" : "fraud_score"),
      message: message ?? (combined.by.action === "block" ? "the check blocks the payment" : `its score is ${score}`),
      verdicts
    }
    return { _tag: "Blocked", block } satisfies Blocked
  }
  const enriched = yield* enrich(registry, id, details)
  const screening: Screening = { validations: validated.names, verdicts, enriched }
  return { _tag: "Passed", details: Enrichment.apply(details, enriched), screening } satisfies Passed
})

const decodeValidation = Schema.decodeUnknownResult(Validation)

/** What a validation says, or why it is none. Texts are cut to what may be stored, without card numbers. */
export const readValidation = (answer: unknown): Isolation.Reading<Validation> =>
  Result.match(decodeValidation(storable(answer)), {
    onFailure: (error) => ({ invalid: "the answer is no validation", because: error.message }),
    onSuccess: (value) => ({ value })
  })

/** What a validation or a check may say, read once, with texts that may be stored. */
const storable = (answer: unknown): unknown => {
  if (typeof answer !== "object" || answer === null) return answer
  const said = Object.fromEntries(
    ["_tag", "action", "score", "code", "message"].flatMap((field) => (field in answer ? [[field, Reflect.get(answer, field)]] : []))
  ) as Record<string, unknown>
  const { code, message } = said
  if (typeof code === "string") said["code"] = HookText.cleanCode(code)
  if (typeof message === "string") said["message"] = HookText.clean(message, 500)
  return said
}

const validate = Effect.fnUntraced(function* (registry: Registry, payment: PaymentFacts.PaymentFacts) {
  const names: Array<HookName> = []
  const limitOf = yield* Isolation.limitsOf(registry, "pre_validation")
  for (const entry of registry.lists.pre_validation) {
    const now = yield* Clock.currentTimeMillis
    const ran = yield* Isolation.run(registry, entry, {
      limitMillis: limitOf(entry),
      effect: () => entry.hook.run(PaymentFacts.frozen({ payment, now })),
      read: readValidation
    })
    const refusal = refusalOf(registry, entry, ran)
    if (refusal === undefined) {
      if (ran._tag === "Answered") names.push(entry.name)
      continue
    }
    HookMetrics.rejected(registry.context, { kind: "pre_validation", hook: entry.name })
    const block: Block = { check: "pre_validation", by: entry.name, ...refusal, verdicts: [] }
    return { _tag: "Blocked", block } satisfies Blocked
  }
  return { _tag: "Validated", names } as const
})

const refusalOf = (registry: Registry, { hook }: Entry<HookOf<"pre_validation">>, ran: Isolation.Ran<Validation>) => {
  if (ran._tag === "Answered") return ran.value._tag === "Refused" ? { code: ran.value.code, message: ran.value.message } : undefined
  return (hook.onFailure ?? registry.settings.onValidationFailure) === "refuse"
    ? { code: "validation_unavailable", message: "the payment could not be validated; nothing was charged" }
    : undefined
}

const decodeVerdict = Schema.decodeUnknownResult(FraudVerdict)

const readVerdict = (answer: unknown): Isolation.Reading<FraudVerdict> =>
  Result.match(decodeVerdict(storable(answer)), {
    onFailure: (error) => ({ invalid: "the answer is no verdict", because: error.message }),
    onSuccess: (value) => ({ value })
  })

/** All checks are asked, also after one that blocks: what they say is recorded, and measured against disputes later. */
const judge = Effect.fnUntraced(function* (registry: Registry, payment: PaymentFacts.PaymentFacts) {
  const verdicts: Array<RecordedVerdict> = []
  const limitOf = yield* Isolation.limitsOf(registry, "fraud_check")
  for (const entry of registry.lists.fraud_check) {
    const now = yield* Clock.currentTimeMillis
    const ran = yield* Isolation.run(registry, entry, {
      limitMillis: limitOf(entry),
      effect: () => entry.hook.run(PaymentFacts.frozen({ payment, now })),
      read: readVerdict
    })
    const verdict: RecordedVerdict =
      ran._tag === "Answered"
        ? { hook: entry.name, ...ran.value }
        : {
            hook: entry.name,
            action: (entry.hook.onFailure ?? registry.settings.onFraudFailure) === "block" ? "block" : "allow",
            code: "check_unavailable",
            message: "the check gave no verdict",
            failure: ran.failure
          }
    HookMetrics.judged(registry.context, verdict)
    verdicts.push(verdict)
  }
  return verdicts
})

/** Each enrichment is told what those before it have set. */
const enrich = Effect.fnUntraced(function* (registry: Registry, id: PaymentId, details: PaymentDetails) {
  let fields: ReadonlyArray<EnrichedField> = []
  const limitOf = yield* Isolation.limitsOf(registry, "enrichment")
  for (const entry of registry.lists.enrichment) {
    const now = yield* Clock.currentTimeMillis
    const before = Enrichment.apply(details, fields)
    const ran = yield* Isolation.run<ReadonlyArray<EnrichedField>>(registry, entry, {
      limitMillis: limitOf(entry),
      effect: () => entry.hook.run(PaymentFacts.frozen({ payment: PaymentFacts.of(id, before), now })),
      read: (answer) =>
        Result.match(Enrichment.judge(before, entry.name, answer), {
          onFailure: (because) => ({ invalid: "the answer is refused", because }),
          onSuccess: (value) => ({ value })
        })
    })
    if (ran._tag === "Answered") fields = Enrichment.merged([...fields, ...ran.value])
  }
  return fields
})
