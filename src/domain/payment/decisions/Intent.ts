/**
 * What the decisions share: building the intent of an operation, and refusing.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type Money } from "../../Money.ts"
import { effectiveReplay } from "../../operation/Capabilities.ts"
import type { Intent, Operation, OperationKind, Purpose, RequestDetails } from "../../operation/Operation.ts"
import type { RoutingDecision } from "../../routing/Decision.ts"
import { type Command, CommandRefused, type GatewayTerms, type RefusalReason } from "../Command.ts"
import type { PaymentEvent } from "../Event.ts"
import { OperationNumber, requestKeyOf } from "../Ids.ts"
import { referenceFor } from "../PaymentMethod.ts"
import type { Payment, PaymentState } from "../State.ts"
import { openOperations, status } from "../Status.ts"

/** The events, or why the command is refused. */
export type Decision = Result.Result<ReadonlyArray<PaymentEvent>, CommandRefused>

/** A command by its tag. */
export type Case<Tag extends Command["_tag"]> = Extract<Command, { _tag: Tag }>

export const refuse = (state: PaymentState, command: Command["_tag"], reason: RefusalReason): Decision =>
  Result.fail(new CommandRefused({ command, status: status(state), reason }))

/** The payment's status does not allow it. */
export const illegal: RefusalReason = { _tag: "IllegalInStatus" }

interface IntentSpec {
  readonly kind: OperationKind
  readonly purpose: Purpose
  readonly amount: Money
  readonly terms: GatewayTerms
  readonly target?: Operation
  readonly final?: boolean
  readonly stepUp?: boolean
  readonly decision?: RoutingDecision | undefined
}

/** What the intent is built from beside the spec. */
interface Base {
  readonly id: Payment["id"]
  readonly details: Payment["details"]
  readonly operations: number
}

/** To be filled in place: what an intent does not have is left out, and a spread for each such field would copy it as often. */
type Filled<A> = { -readonly [Field in keyof A]: A[Field] }

/** Builds the intent: everything the request will be made from (rule 14). */
export const intend = (base: Base, spec: IntentSpec): PaymentEvent => {
  const number = OperationNumber.make(base.operations + 1)
  const capabilities = spec.terms.capabilitiesOf(spec.kind)
  const windowHolds = spec.terms.sendWindowMillis + capabilities.settleTimeMillis <= capabilities.replayWindowMillis
  const intent: Filled<Intent> = {
    number,
    kind: spec.kind,
    purpose: spec.purpose,
    gateway: spec.terms.gateway,
    account: spec.terms.account,
    adapterVersion: spec.terms.adapterVersion,
    apiVersion: spec.terms.apiVersion,
    requestKey: requestKeyOf({ payment: base.id, operation: number }),
    amount: spec.amount,
    details: requestOf(base, spec),
    protection: {
      sendWindowMillis: spec.terms.sendWindowMillis,
      settleTimeMillis: capabilities.settleTimeMillis,
      replay: windowHolds ? effectiveReplay(capabilities) : "none",
      replayWindowMillis: capabilities.replayWindowMillis,
      leavesOpenAfterDecline: capabilities.leavesOpenAfterDecline
    }
  }
  if (spec.target !== undefined) intent.target = spec.target.intent.number
  if (spec.decision !== undefined) intent.decision = spec.decision
  return { _tag: "OperationIntended", intent }
}

const requestOf = ({ details: { customerPresent, method, returnUrl } }: Base, spec: IntentSpec): RequestDetails => {
  const request: Filled<RequestDetails> = { customerPresent }
  if (spec.kind === "authorize" || spec.kind === "sale") {
    const token = Option.getOrUndefined(referenceFor(method, spec.terms.gateway))
    if (token !== undefined) {
      request.token = token
      request.methodType = method.type
    }
  }
  if (returnUrl !== undefined) request.returnUrl = returnUrl
  if (spec.target !== undefined) {
    const reference = referenceOf(spec.target)
    if (reference !== undefined) request.targetReference = reference
    request.targetRequestKey = spec.target.intent.requestKey
  }
  if (spec.final !== undefined) request.final = spec.final
  if (spec.stepUp === true) request.stepUp = true
  return request
}

/** The PSP's id of an operation's object; of a confirm that was told none, what it acted on. */
const referenceOf = ({ gatewayReference, intent }: Operation) =>
  gatewayReference ?? (intent.kind === "confirm" ? intent.details.targetReference : undefined)

export const start = (payment: Payment, spec: IntentSpec): Decision =>
  Result.succeed([intend({ id: payment.id, details: payment.details, operations: payment.operations.length }, spec)])

export const sameAccount = (operation: Operation, terms: GatewayTerms): boolean =>
  operation.intent.gateway === terms.gateway && operation.intent.account === terms.account

/** An open operation of these kinds on the same target. */
export const excluding = (payment: Payment, target: Operation, kinds: ReadonlyArray<OperationKind>): Operation | undefined =>
  openOperations(payment).find((open) => kinds.includes(open.intent.kind) && open.intent.target === target.intent.number)
