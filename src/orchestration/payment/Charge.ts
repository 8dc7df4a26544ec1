/**
 * Creating and charging a payment, and preparing one inside a host's transaction.
 *
 * Key look-up, hooks, route, then one commit (payment, claim, intent), the call in the scope of the service, one commit (outcome). A
 * payment that succeeds at once has two commits. One that a hook blocks has one, with no intent: no gateway hears of it.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Money } from "../../domain/Money.ts"
import type { Command } from "../../domain/payment/Command.ts"
import { decide } from "../../domain/payment/Decide.ts"
import type { CaptureMethod, Customer, Metadata, PaymentDetails } from "../../domain/payment/Event.ts"
import { bucketOf, type IdempotencyKey, makePaymentId, OperationNumber, type PaymentId, type TenantId } from "../../domain/payment/Ids.ts"
import type { PaymentMethod } from "../../domain/payment/PaymentMethod.ts"
import { initial, type Payment } from "../../domain/payment/State.ts"
import * as View from "../../domain/payment/View.ts"
import type { RoutingDecision } from "../../domain/routing/Decision.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { EventStoreError } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import { CallInsideTransaction, HostTransaction } from "../../services/HostTransaction.ts"
import { Ids } from "../../services/Ids.ts"
import * as Metrics from "../../services/Metrics.ts"
import { Settings } from "../../services/Settings.ts"
import type { Change } from "../hooks/Listening.ts"
import { ActiveHooks } from "../hooks/Registry.ts"
import * as Screening from "../hooks/Screening.ts"
import { type Answering, Background } from "../operation/Background.ts"
import { type Started, startedBy } from "../operation/Conclude.ts"
import { driveInBackground } from "../operation/Drive.ts"
import { NotAccepting } from "./Errors.ts"
import * as Idempotency from "./Idempotency.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Spans from "../observability/Spans.ts"
import * as Journal from "../operation/Journal.ts"
import * as RouteSelection from "../routing/RouteSelection.ts"

/** A payment to be charged. */
export interface ChargeRequest {
  readonly tenant: TenantId
  /** The caller's idempotency key. */
  readonly key: IdempotencyKey
  readonly amount: Money
  readonly method: PaymentMethod
  /** Default `automatic`. */
  readonly captureMethod?: CaptureMethod
  readonly customer?: Customer
  /** Where the customer comes back to after an action. */
  readonly returnUrl?: string
  /** The customer is not there: a merchant-initiated payment with a stored method. Default false. */
  readonly offSession?: boolean
  readonly metadata?: Metadata
}

/** Refuses to go on inside a host's transaction: a defect of the caller (rule 15). */
export const outsideTransaction = (program: string) =>
  HostTransaction.use((transaction) =>
    Effect.flatMap(transaction.isOpen, (inside) => (inside ? Effect.die(new CallInsideTransaction({ program })) : Effect.void))
  )

/** Refuses new intents while too many outcomes wait for the database (rule 16). */
export const accepting = () =>
  Effect.contextWith((context: Context.Context<Background>) => {
    const unstored = Context.get(context, Background).unstored()
    const { maxUnstoredOutcomes } = Context.get(context, Settings)
    return unstored >= maxUnstoredOutcomes ? Effect.fail(new NotAccepting({ unstored })) : Effect.void
  })

/** The answer to whoever waits: the payment when its work has come to rest. Being interrupted ends only the wait. */
export const waitFor = (answering: Answering, operation: OperationNumber | undefined) =>
  Effect.map(Deferred.await(answering), (payment): Idempotency.Answer => ({ payment: View.ofPayment(payment), operation, replayed: false }))

/** Creates a payment and charges it. Dies with `CallInsideTransaction` inside a host's transaction. */
export const charge = (request: ChargeRequest) =>
  // Made where it is run: whoever waits for the answer holds the request, and nothing of how it was begun.
  Effect.suspend(() =>
    Spans.within(
      Effect.andThen(outsideTransaction("Charge.charge"), Effect.flatMap(begin(request, driveAtOnce), awaited)),
      "Charge.charge",
      { attributes: () => ({ merchant: request.tenant }) }
    )
  )

const awaited = (begun: Begun<Effect.Success<ReturnType<typeof driveAtOnce>>>) => {
  if (begun._tag === "Replayed") return Effect.succeed(begun.answer)
  const { answering, change } = begun.value
  return answering === undefined ? Effect.succeed(answerOf(change.after, undefined)) : waitFor(answering, firstOperation)
}

/**
 * Joins the host's transaction: payment, claim and first intent become durable with the host's own rows, or not at all. Calls no
 * gateway; the call starts after the commit, and recovery makes up for a crash in between (rule 15). Outside a transaction it
 * commits and starts the call at once, without waiting for it.
 */
export const prepare = (request: ChargeRequest) =>
  Spans.within(
    Effect.map(begin(request, startAfterCommit), (begun) => (begun._tag === "Replayed" ? begun.answer : begun.value)),
    "Charge.prepare",
    { attributes: () => ({ merchant: request.tenant }) }
  )

const driveAtOnce = Effect.fnUntraced(function* ({ change, started }: Durable) {
  yield* Journal.publish(change)
  return { change, answering: started === undefined ? undefined : yield* driveInBackground(change.after, started) }
})

const startAfterCommit = Effect.fnUntraced(function* ({ change, started }: Durable) {
  const transaction = yield* HostTransaction
  const context = yield* Effect.context<Effect.Services<ReturnType<typeof driveAtOnce>>>()
  const { after: payment } = change
  const begun = (yield* transaction.isOpen) ? driveWhereKept({ change, started }) : driveAtOnce({ change, started })
  const callback = Effect.andThen(CrashPoint.reach("prepare/after-host-commit"), transaction.outside(begun))
  yield* transaction.afterCommit(callback.pipe(Effect.asVoid, Effect.provideContext(context)))
  return answerOf(payment, started?.operation)
})

/**
 * A transaction commits without a payment where its host took that back by a statement of its own (to a savepoint, say), which nobody else
 * hears of. Nothing is sent for what is not there; what cannot be read is left to recovery.
 */
const driveWhereKept = (durable: Durable) => {
  const { after: payment } = durable.change
  return Journal.load({ id: payment.id }).pipe(
    Effect.matchEffect({
      onFailure: (error) =>
        PaymentLog.about(payment.id)(Effect.logWarning(`the host's transaction has ended, and nothing is sent now: ${error.message}`)),
      onSuccess: () => driveAtOnce(durable)
    })
  )
}

const answerOf = (payment: Payment, operation: OperationNumber | undefined): Idempotency.Answer => ({
  payment: View.ofPayment(payment),
  operation,
  replayed: false
})

const firstOperation = OperationNumber.make(1)

/** The first commit, as what follows it needs it. `started`: none where a hook blocked the payment. */
interface Durable {
  readonly change: Change
  readonly started: Started | undefined
}

type Begun<A> = { readonly _tag: "Begun"; readonly value: A } | { readonly _tag: "Replayed"; readonly answer: Idempotency.Answer }

/**
 * The first commit: payment, claim and intent, and what follows it at once; or the answer of the request that had the key before.
 * Between the commit and what follows it a caller that leaves is not noticed (rule 16).
 */
const begin = Effect.fnUntraced(function* <A, E, R>(request: ChargeRequest, onBegun: (durable: Durable) => Effect.Effect<A, E, R>) {
  const keyed = { tenant: request.tenant, key: request.key, fingerprint: yield* fingerprintOf(request) }
  const known = yield* Idempotency.lookUp(keyed)
  if (Option.isSome(known)) return { _tag: "Replayed", answer: known.value } satisfies Begun<A>
  yield* accepting()
  const details = detailsOf(request, yield* Settings)
  const id = yield* newId(request)
  const registry = yield* ActiveHooks
  const screened = Screening.hasHooks(registry) ? yield* Screening.screen(registry, id, details) : undefined
  const command: Command =
    screened?._tag === "Blocked" ? { _tag: "BlockPayment", details, block: screened.block } : yield* initiation(id, details, screened)
  const state = initial(id)
  const events = yield* Effect.fromResult(decide(command, state))
  const stamped = yield* Journal.stamp(state, events)
  const operation = command._tag === "BlockPayment" ? undefined : firstOperation
  const claim = { ...keyed, command: "charge", operation } as const
  const committed = yield* Effect.uninterruptible(
    Effect.gen(function* () {
      const { result, times } = yield* Journal.commit({ payment: state, events: stamped, claim, quiet: true })
      yield* Metrics.committed(result._tag)
      if (result._tag !== "Committed") return result
      const started = startedBy({ result, times }, stamped)
      if (started === undefined && operation !== undefined) return yield* Effect.die(new Error("an initiated payment has no intent"))
      if (started === undefined) yield* Metrics.recorded({ before: { ...result.payment, ended: undefined }, after: result.payment, events })
      yield* CrashPoint.reach("charge/after-intent")
      const change = { before: state, after: result.payment, events: stamped }
      return { _tag: "Begun", value: yield* onBegun({ change, started }) } satisfies Begun<A>
    })
  )
  switch (committed._tag) {
    case "Begun":
      return committed
    case "KeyTaken":
      return { _tag: "Replayed", answer: yield* Idempotency.answerOf(committed.claim, keyed) } satisfies Begun<A>
    case "VersionConflict":
    case "LeaseLost":
      return yield* new EventStoreError({
        operation: "Charge.charge",
        reason: { _tag: "Corrupt", detail: `new payment ${state.id} already has events` }
      })
  }
})

/** Routed by what hooks have added to it; recorded as it was asked for. */
const initiation = (id: PaymentId, details: PaymentDetails, passed: Screening.Passed | undefined) =>
  Effect.flatMap(RouteSelection.select(id, passed?.details ?? details), (decision) =>
    Effect.map(firstTerms(decision), (terms): Command => ({
      _tag: "InitiatePayment",
      details,
      screening: passed?.screening,
      terms,
      decision
    }))
  )

/** Card data is left out: brand, BIN and fingerprint describe the card, not the request. */
const fingerprintOf = (request: ChargeRequest) => {
  const { amount, captureMethod, customer, metadata, method, offSession, returnUrl } = request
  const { references, token, type } = method
  return Idempotency.fingerprint("charge", {
    amount,
    captureMethod: captureMethod ?? "automatic",
    customer,
    metadata: metadata ?? {},
    method: { type, references, token },
    offSession: offSession ?? false,
    returnUrl
  })
}

const detailsOf = (
  request: ChargeRequest,
  settings: { readonly completeWithinPresentMillis: number; readonly completeWithinAbsentMillis: number }
): PaymentDetails => {
  const customerPresent = request.offSession !== true
  return {
    tenant: request.tenant,
    amount: request.amount,
    captureMethod: request.captureMethod ?? "automatic",
    method: request.method,
    ...(request.customer === undefined ? {} : { customer: request.customer }),
    ...(request.returnUrl === undefined ? {} : { returnUrl: request.returnUrl }),
    customerPresent,
    metadata: request.metadata ?? {},
    completeWithinMillis: customerPresent ? settings.completeWithinPresentMillis : settings.completeWithinAbsentMillis
  }
}

const firstTerms = ({ ranked: [first] }: RoutingDecision) =>
  Effect.contextWith((context: Context.Context<Gateways>) => {
    if (first === undefined) return Effect.die(new Error("a plan without a gateway"))
    const { sendWindowMillis } = Context.get(context, Settings)
    return Effect.map(Effect.orDie(Context.get(context, Gateways).get(first.gateway)), (gateway) =>
      RouteSelection.termsOf(gateway, sendWindowMillis)
    )
  })

const newId = (request: ChargeRequest) =>
  Ids.use((ids) =>
    Effect.map(ids.uuids(1), ([uuid = ""]) => makePaymentId({ bucket: bucketOf({ tenant: request.tenant, key: request.key }), uuid }))
  )
