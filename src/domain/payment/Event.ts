/**
 * The events of a payment: the source of truth, append-only, versioned from 1 without a gap.
 *
 * Every event has a schema version. A change of an event's shape raises its version and adds an upcaster, so that history
 * stays readable; nothing recorded is rewritten.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { HookName } from "../hooks/HookKind.ts"
import { EnrichedField, maxEnrichedFields, maxHooksPerKind } from "../hooks/Records.ts"
import { ReasonCode, RecordedVerdict } from "../hooks/Verdict.ts"
import { Money } from "../Money.ts"
import { DeclineCategory } from "../operation/Decline.ts"
import { Intent } from "../operation/Operation.ts"
import { EpochMillis, NextAction, NotSentReason, UnknownReason } from "../operation/Outcome.ts"
import { isCertainlyDecision } from "../routing/CertainDecision.ts"
import type { RoutingDecision } from "../routing/Decision.ts"
import { pack } from "../routing/StoredDecision.ts"
import { EventId, GatewayReference, OperationNumber, PaymentId, TenantId } from "./Ids.ts"
import { CountryCode, looksLikeCardNumber, PaymentMethod, withoutCardNumber } from "./PaymentMethod.ts"

const ShortText = (maximum: number) => Schema.String.check(Schema.isMaxLength(maximum))
const Millis = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const metadataKey = /^[A-Za-z0-9_.-]{1,40}$/

/**
 * The host's own data on a payment: at most 50 keys of at most 40 characters, values of at most 500, no card numbers. Keys are
 * checked as a whole: a record whose key schema refuses a key would drop the entry without a word.
 */
export const Metadata = Schema.Record(Schema.String, ShortText(500).check(withoutCardNumber)).check(
  Schema.isMaxProperties(50),
  Schema.makeFilter((metadata) =>
    Object.keys(metadata).every((key) => metadataKey.test(key) && !looksLikeCardNumber(key))
      ? undefined
      : "a key has 1 to 40 characters of A-Z a-z 0-9 _ . - and is no card number"
  )
)
export type Metadata = typeof Metadata.Type

/** Who pays, as the host knows it. */
export const Customer = Schema.Struct({
  id: Schema.optionalKey(ShortText(128).check(withoutCardNumber)),
  email: Schema.optionalKey(ShortText(254)),
  name: Schema.optionalKey(ShortText(200).check(withoutCardNumber)),
  country: Schema.optionalKey(CountryCode)
})
export type Customer = typeof Customer.Type

/** `automatic`: one sale. `manual`: authorize now, capture later. */
export const CaptureMethod = Schema.Literals(["automatic", "manual"])
export type CaptureMethod = typeof CaptureMethod.Type

/** What was asked for. `completeWithinMillis`: after it no failover and no first send (rule 12). */
export const PaymentDetails = Schema.Struct({
  tenant: TenantId,
  amount: Money,
  captureMethod: CaptureMethod,
  method: PaymentMethod,
  customer: Schema.optionalKey(Customer),
  returnUrl: Schema.optionalKey(ShortText(2048)),
  customerPresent: Schema.Boolean,
  metadata: Metadata,
  completeWithinMillis: Millis
})
export type PaymentDetails = typeof PaymentDetails.Type

/** Where a truth came from. All of them feed one reducer (rule 17). */
export const Source = Schema.Literals(["response", "webhook", "poll", "recovery", "person", "reconciliation"])
export type Source = typeof Source.Type

/** Why a person has to look. `unresolvable`: no capability of the gateway can find out; a later truth clears it. */
export const ReviewReason = Schema.Literals(["amount_mismatch", "contradiction", "unresolvable", "late_without_time"])
export type ReviewReason = typeof ReviewReason.Type

const operation = OperationNumber
const verdicts = Schema.Array(RecordedVerdict).check(Schema.isMaxLength(maxHooksPerKind))
/** `at`: the gateway's time of it. */
const dispute = { disputeId: ShortText(255), amount: Money, at: Schema.optionalKey(EpochMillis) }

export const PaymentEvent = Schema.Union([
  Schema.TaggedStruct("PaymentInitiated", { details: PaymentDetails }),
  /** `checks`: what it passed, validations by name included. `verdicts`: of the fraud checks, where there are any. */
  Schema.TaggedStruct("PaymentScreened", { checks: Schema.Array(ShortText(100)), verdicts: Schema.optionalKey(verdicts) }),
  /** A hook ended the payment before any gateway heard of it. `by`: which; `verdicts`: of the fraud checks, if it came to them. */
  Schema.TaggedStruct("PaymentBlocked", {
    check: Schema.Literals(["pre_validation", "fraud_check"]),
    by: HookName,
    code: ReasonCode,
    message: ShortText(500),
    verdicts: Schema.optionalKey(verdicts)
  }),
  /** Hooks added what they know: from here on the payment's details are these. */
  Schema.TaggedStruct("PaymentEnriched", { fields: Schema.Array(EnrichedField).check(Schema.isMaxLength(maxEnrichedFields)) }),
  /** A hook that looked at the payment after it came to rest found something wrong. It changes nothing; a person may have to. */
  Schema.TaggedStruct("PostValidationFailed", { by: HookName, code: ReasonCode, message: ShortText(500) }),
  Schema.TaggedStruct("OperationIntended", { intent: Intent }),
  Schema.TaggedStruct("ResendPermitted", { operation, sendWindowMillis: Millis, reason: ShortText(200) }),
  Schema.TaggedStruct("OperationSucceeded", {
    operation,
    source: Source,
    gatewayReference: GatewayReference,
    amount: Money,
    chargedAt: Schema.optionalKey(EpochMillis),
    named: Schema.Boolean,
    /** For a void: it counts as the end of its target (rule 13). */
    endsTarget: Schema.Boolean
  }),
  Schema.TaggedStruct("OperationDeclined", {
    operation,
    source: Source,
    category: DeclineCategory,
    code: ShortText(128),
    message: ShortText(1000),
    gatewayReference: Schema.optionalKey(GatewayReference),
    retryAfterMillis: Schema.optionalKey(Schema.Int),
    networkForbids: Schema.optionalKey(Schema.Literal(true))
  }),
  Schema.TaggedStruct("OperationNotSent", { operation, reason: NotSentReason, message: ShortText(1000) }),
  Schema.TaggedStruct("OperationAbsent", { operation, source: Source }),
  Schema.TaggedStruct("OperationUncertain", {
    operation,
    source: Source,
    reason: UnknownReason,
    message: ShortText(1000),
    gatewayReference: Schema.optionalKey(GatewayReference),
    sends: Schema.Int
  }),
  Schema.TaggedStruct("OperationPending", { operation, source: Source, gatewayReference: GatewayReference, sends: Schema.Int }),
  Schema.TaggedStruct("ActionRequired", {
    operation,
    source: Source,
    gatewayReference: GatewayReference,
    nextAction: NextAction,
    sends: Schema.Int,
    observedAt: EpochMillis
  }),
  Schema.TaggedStruct("CancelRequested", {}),
  Schema.TaggedStruct("PaymentFailed", { category: Schema.NullOr(DeclineCategory), code: ShortText(128), message: ShortText(1000) }),
  Schema.TaggedStruct("PaymentCancelled", {}),
  Schema.TaggedStruct("PaymentExpired", {}),
  Schema.TaggedStruct("LateSuccess", { operation }),
  Schema.TaggedStruct("CaptureFailed", { operation, source: Source, message: ShortText(1000) }),
  Schema.TaggedStruct("RefundFailed", { operation, source: Source, message: ShortText(1000) }),
  Schema.TaggedStruct("DisputeOpened", dispute),
  Schema.TaggedStruct("DisputeWon", dispute),
  Schema.TaggedStruct("DisputeLost", dispute),
  /** `about`: what it was opened for, where that has a name; the same is no news again, also when the review is closed. */
  Schema.TaggedStruct("ReviewOpened", {
    operation,
    reason: ReviewReason,
    evidence: ShortText(1000),
    about: Schema.optionalKey(ShortText(255))
  }),
  Schema.TaggedStruct("ReviewClosed", { operation, reason: ReviewReason, by: Source, note: ShortText(1000) })
])
export type PaymentEvent = typeof PaymentEvent.Type

/** The types of event. */
export type PaymentEventType = PaymentEvent["_tag"]

/** An event with its place in the payment's history, before the store has taken it. */
export interface NewEvent {
  readonly eventId: EventId
  readonly version: number
  /** When the process says it happened (epoch milliseconds of that process). */
  readonly occurredAt: number
  readonly event: PaymentEvent
}

/** An event as the store has it. `recordedAt` is database time in epoch milliseconds. */
export interface StoredEvent extends NewEvent {
  readonly paymentId: PaymentId
  readonly recordedAt: number
}

/** The schema version written now for every type of event. */
export const schemaVersion = 1

const decodeEvent = Schema.decodeUnknownResult(PaymentEvent)

/** An event as JSON data. */
export const encode = Schema.encodeResult(PaymentEvent)

type Check = (event: PaymentEvent) => Result.Result<PaymentEvent, Schema.SchemaError>

const checkOf = (schema: Schema.Codec<PaymentEvent, unknown>): Check => Schema.decodeUnknownResult(Schema.toType(schema))

/** The check of each type: looking for the right one among them all takes longer than most of them. */
const checks: ReadonlyMap<string, Check> = new Map(
  PaymentEvent.members.map((member): [string, Check] => [member.fields._tag.schema.literal, checkOf(member)])
)
const checkEvent = checkOf(PaymentEvent)

const { decision: _decision, ...plannedFields } = Intent.fields
/** The check of an intent but for its decision, which it leaves out. */
const checkPlanned = Schema.decodeUnknownResult(
  Schema.toType(Schema.TaggedStruct("OperationIntended", { intent: Schema.Struct(plannedFields) }))
)

/**
 * An event as the JSON data that is stored, without its type: as text it is what `encode` makes of it, to the byte, in less time. All checks of
 * its schema are made on the event; only amounts and routing decisions are stored as something else than they are, and `dataOf` makes that.
 */
export const toData = (event: PaymentEvent): Result.Result<object, Schema.SchemaError> =>
  event?._tag === "OperationIntended" ? intendedToData(event) : Result.map((checks.get(event?._tag) ?? checkEvent)(event), dataOf)

const intendedToData = (event: Extract<PaymentEvent, { _tag: "OperationIntended" }>): Result.Result<object, Schema.SchemaError> =>
  Result.flatMap(checkPlanned(event), ({ intent }) => {
    const { decision } = event.intent
    return isCertainlyDecision(decision) ? Result.succeed({ intent: intentData(intent, decision) }) : Result.map(checkEvent(event), dataOf)
  })

/** All fields of what is stored, so that none is forgotten. JSON leaves out those that are `undefined`. */
type FieldsOf<Stored> = { readonly [Name in keyof Stored]-?: Stored[Name] | undefined }

/**
 * Of an event as its schema has copied it, so that its fields are those of the schema, in that order. What else would be stored as something
 * else than it is does not fit the type. The events of every payment are put down field by field: copying one takes as long as writing it.
 */
const dataOf = (checked: PaymentEvent): object => {
  switch (checked._tag) {
    case "PaymentInitiated":
      return { details: detailsData(checked.details) }
    case "PaymentScreened":
      return { checks: checked.checks, verdicts: checked.verdicts } satisfies FieldsOf<Stored<"PaymentScreened">>
    case "OperationIntended":
      return { intent: intentData(checked.intent, checked.intent.decision) }
    case "OperationSucceeded":
      return {
        operation: checked.operation,
        source: checked.source,
        gatewayReference: checked.gatewayReference,
        amount: amountData(checked.amount),
        chargedAt: checked.chargedAt,
        named: checked.named,
        endsTarget: checked.endsTarget
      } satisfies FieldsOf<Stored<"OperationSucceeded">>
    case "DisputeOpened":
    case "DisputeWon":
    case "DisputeLost":
      return { ...checked, amount: amountData(checked.amount), _tag: undefined }
    default:
      return { ...(checked satisfies typeof PaymentEvent.Encoded), _tag: undefined }
  }
}

type Stored<Type extends PaymentEventType> = Omit<Extract<typeof PaymentEvent.Encoded, { readonly _tag: Type }>, "_tag">

const amountData = ({ currency, minor }: Money) => ({ currency, minor: minor.toString() })

const detailsData = (details: PaymentDetails): FieldsOf<typeof PaymentDetails.Encoded> => ({
  tenant: details.tenant,
  amount: amountData(details.amount),
  captureMethod: details.captureMethod,
  method: details.method,
  customer: details.customer,
  returnUrl: details.returnUrl,
  customerPresent: details.customerPresent,
  metadata: details.metadata,
  completeWithinMillis: details.completeWithinMillis
})

const intentData = (intent: Omit<Intent, "decision">, decision: RoutingDecision | undefined): FieldsOf<typeof Intent.Encoded> => ({
  number: intent.number,
  kind: intent.kind,
  purpose: intent.purpose,
  gateway: intent.gateway,
  account: intent.account,
  adapterVersion: intent.adapterVersion,
  apiVersion: intent.apiVersion,
  requestKey: intent.requestKey,
  amount: amountData(intent.amount),
  target: intent.target,
  details: intent.details,
  protection: intent.protection,
  decision: decision === undefined ? undefined : pack(decision)
})

/** Reads an event of any schema version: upcasters run before decoding. */
export const decode = (options: { readonly type: string; readonly schemaVersion: number; readonly data: unknown }) =>
  decodeEvent({ ...(options.data as object), _tag: options.type })
