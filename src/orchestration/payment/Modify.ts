/**
 * Commands on an existing payment: confirm, capture, cancel, refund. Each claims its idempotency key in the transaction of the
 * intent it causes (rule 11), and is decided again when somebody else changed the payment meanwhile.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Money } from "../../domain/Money.ts"
import type { Operation } from "../../domain/operation/Operation.ts"
import { type Command, CommandRefused, type GatewayTerms } from "../../domain/payment/Command.ts"
import { decide } from "../../domain/payment/Decide.ts"
import type { NewEvent } from "../../domain/payment/Event.ts"
import { GatewayName, type IdempotencyKey, type OperationNumber, type PaymentId, type TenantId } from "../../domain/payment/Ids.ts"
import { lastCharge, type Payment } from "../../domain/payment/State.ts"
import { cancellable, capturable, charges, refundable, status } from "../../domain/payment/Status.ts"
import * as View from "../../domain/payment/View.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { type Claim, type CommandName, EventStore } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { Settings } from "../../services/Settings.ts"
import { accepting, outsideTransaction, waitFor } from "./Charge.ts"
import { startedBy } from "../operation/Conclude.ts"
import { driveInBackground } from "../operation/Drive.ts"
import { TooManyConflicts } from "./Errors.ts"
import * as Idempotency from "./Idempotency.ts"
import * as Conflicts from "../observability/Conflicts.ts"
import * as Spans from "../observability/Spans.ts"
import * as Journal from "../operation/Journal.ts"
import * as OptimisticUpdate from "../resilience/OptimisticUpdate.ts"
import { termsOf } from "../routing/RouteSelection.ts"

/** Which payment, whose, under which key. */
export interface PaymentCommand {
  readonly tenant: TenantId
  readonly key: IdempotencyKey
  readonly id: PaymentId
}

/** Continues a payment after the customer's action. */
export const confirm = (command: PaymentCommand) =>
  modify({ ...command, name: "confirm", content: {}, toCommand: (terms, _, now) => ({ _tag: "ConfirmPayment", terms, now }) })

/** Captures an authorized amount: all that is left, or `amount`. `final` releases the rest. */
export const capture = (command: PaymentCommand & { readonly amount?: bigint; readonly final?: boolean }) =>
  modify({
    ...command,
    name: "capture",
    content: { amount: command.amount, final: command.final },
    toCommand: (terms, payment) => ({
      _tag: "CapturePayment",
      amount: moneyOf(payment, command.amount),
      final: command.final ?? false,
      terms
    })
  })

/** Refunds what was captured: all that is left, or `amount`. */
export const refund = (command: PaymentCommand & { readonly amount?: bigint }) =>
  modify({
    ...command,
    name: "refund",
    content: { amount: command.amount },
    toCommand: (terms, payment) => ({ _tag: "RefundPayment", amount: moneyOf(payment, command.amount), terms })
  })

/** Cancels what can be cancelled, or records the wish while the outcome is awaited. */
export const cancel = (command: PaymentCommand) =>
  modify({ ...command, name: "cancel", content: {}, toCommand: (terms) => ({ _tag: "CancelPayment", purpose: "cancel", terms }) })

const moneyOf = (payment: Payment, minor: bigint | undefined): Money | undefined =>
  minor === undefined ? undefined : { currency: payment.details.amount.currency, minor }

interface Modification extends PaymentCommand {
  readonly name: CommandName
  readonly content: object
  /** `now`: database time; asked for where the command is a confirm, the time of the last event otherwise. */
  readonly toCommand: (terms: GatewayTerms, payment: Payment, now: number) => Command
}

const modify = (modification: Modification) =>
  Spans.within(keepToKey(modification), `Modify.${modification.name}`, {
    attributes: () => ({ merchant: modification.tenant, payment: modification.id })
  })

const keepToKey = Effect.fnUntraced(function* (modification: Modification) {
  const { content, id, key, name, tenant } = modification
  yield* outsideTransaction(`Modify.${name}`)
  const keyed = { tenant, key, fingerprint: yield* Idempotency.fingerprint(name, { ...content, id }) }
  const known = yield* Idempotency.lookUp(keyed)
  if (Option.isSome(known)) return known.value
  yield* accepting()
  return yield* Effect.catchTag(decideAndStart(modification, keyed), "CommandRefused", (refused) =>
    // What the first of two allows no more, because it was recorded meanwhile, is no refusal of the second: it is the same request.
    Effect.flatMap(Idempotency.lookUpAgain(keyed), (twin) => (Option.isSome(twin) ? Effect.succeed(twin.value) : Effect.fail(refused)))
  )
})

const decideAndStart = Effect.fnUntraced(function* (modification: Modification, keyed: Idempotency.KeyedRequest) {
  const { id, name, tenant } = modification
  const store = yield* EventStore
  const conflicts = Conflicts.of("payment")
  const { retries } = OptimisticUpdate.onConflict
  for (let attempt = 0; attempt <= retries; attempt++) {
    if (attempt > 0) yield* OptimisticUpdate.wait(attempt - 1)
    const payment = yield* Journal.load({ id, tenant })
    if (payment.operations.length === 0) return yield* neverSent(payment, name)
    const terms = yield* termsFor(payment, name)
    const now = name === "confirm" ? yield* store.now : payment.updatedAt
    const events = yield* Effect.fromResult(decide(modification.toCommand(terms, payment, now), payment))
    const stamped = yield* Journal.stamp(payment, events)
    const committed = yield* Effect.uninterruptible(
      commitAndStart(payment, stamped, { ...keyed, command: name, operation: operationOf(stamped) })
    )
    if (committed._tag === "VersionConflict") {
      yield* conflicts.met({ exhausted: attempt === retries })
      continue
    }
    yield* conflicts.written
    if (committed._tag === "KeyTaken") return yield* Idempotency.answerOf(committed.claim, keyed)
    if (committed._tag === "Started") return yield* waitFor(committed.answering, committed.operation)
    if (committed._tag === "Committed") {
      return { payment: View.ofPayment(committed.payment), operation: undefined, replayed: false } satisfies Idempotency.Answer
    }
  }
  return yield* new TooManyConflicts({ id, attempts: retries + 1 })
})

/** A hook blocked it: there is nothing that a command could be about, and no gateway whose terms it would need. */
const neverSent = (payment: Payment, command: CommandName) =>
  new CommandRefused({ command, status: status(payment), reason: { _tag: "IllegalInStatus" } })

/** Between the commit and the start of its operation a caller that leaves is not noticed (rule 16). */
const commitAndStart = Effect.fnUntraced(function* (payment: Payment, events: ReadonlyArray<NewEvent>, claim: Claim) {
  const { result, times } = yield* Journal.commit({ payment, events, claim })
  yield* Metrics.committed(result._tag)
  const started = result._tag === "Committed" ? startedBy({ result, times }, events) : undefined
  if (result._tag !== "Committed" || started === undefined) return result
  yield* CrashPoint.reach("modify/after-intent")
  const answering = yield* driveInBackground(result.payment, started)
  return { _tag: "Started", answering, operation: started.operation } as const
})

const operationOf = (events: ReadonlyArray<NewEvent>): OperationNumber | undefined => {
  const intended = events.find(({ event }) => event._tag === "OperationIntended")?.event
  return intended?._tag === "OperationIntended" ? intended.intent.number : undefined
}

/** The terms of the gateway that has the charge which the command is about. */
const termsFor = Effect.fnUntraced(function* (payment: Payment, command: CommandName) {
  const gateways = yield* Gateways
  const settings = yield* Settings
  const name = (chargeOf(payment, command) ?? charges(payment)[0] ?? lastCharge(payment))?.intent.gateway ?? GatewayName.make("none")
  return termsOf(yield* gateways.get(name), settings.sendWindowMillis)
})

const chargeOf = (payment: Payment, command: CommandName): Operation | undefined => {
  switch (command) {
    case "capture":
      return capturable(payment)
    case "cancel":
      return cancellable(payment)
    case "refund":
      return refundable(payment)
    case "charge":
    case "confirm":
      return undefined
  }
}
