/**
 * Creating and charging a payment, and preparing one inside a host's transaction.
 *
 * Key look-up where there are hooks, hooks, route, then one commit (payment, claim, intent), the call in the scope of the service, one commit
 * (outcome). A payment that succeeds at once has two commits. One that a hook blocks has one, with no intent: no gateway hears of it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Money } from "../../domain/Money.ts"
import type { Block, Command } from "../../domain/payment/Command.ts"
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
import { RoutingPolicy } from "../../services/routing/RoutingPolicy.ts"
import { Settings } from "../../services/Settings.ts"
import type { Change } from "../hooks/Listening.ts"
import { ActiveHooks } from "../hooks/Registry.ts"
import * as Screening from "../hooks/Screening.ts"
import { type Answering, Background } from "../operation/Background.ts"
import { type Started, startedBy } from "../operation/Conclude.ts"
import { driveInBackground } from "../operation/Drive.ts"
import { NotAccepting, NoUsableGateway } from "./Errors.ts"
import * as Idempotency from "./Idempotency.ts"
import * as KeyClaims from "./KeyClaims.ts"
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
      Effect.andThen(outsideTransaction("Charge.charge"), Effect.flatMap(begin(request, driveAtOnce, { claimAtOnce: true }), awaited)),
      "Charge.charge",
      { attributes: () => ({ merchant: request.tenant }) }
    )
  )

const awaited = (begun: Begun<Effect.Success<ReturnType<typeof driveAtOnce>>> | Replayed) => {
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
    Effect.map(begin(request, startAfterCommit, { claimAtOnce: false }), (begun) =>
      begun._tag === "Replayed" ? begun.answer : begun.value
    ),
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

interface Begun<A> {
  readonly _tag: "Begun"
  readonly value: A
}

interface Replayed {
  readonly _tag: "Replayed"
  readonly answer: Idempotency.Answer
}

/**
 * The first commit: payment, claim and intent, and what follows it at once; or the answer of the request that had the key before.
 *
 * The claim decides who is first, so the key is looked up first only where something depends on that (`KeyClaims`, `mayClaimAtOnce`), or where
 * `claimAtOnce` is false. Otherwise it is looked up when there is no commit in the end: a repeated request gets its payment, whatever stood in
 * its way.
 */
const begin = Effect.fnUntraced(function* <A, R>(
  request: ChargeRequest,
  onBegun: (durable: Durable) => Effect.Effect<A, never, R>,
  { claimAtOnce }: { readonly claimAtOnce: boolean }
) {
  const keyed = { tenant: request.tenant, key: request.key, fingerprint: yield* fingerprintOf(request) }
  const name = `${request.tenant} ${request.key}`
  const claims = yield* KeyClaims.KeyClaims
  const creation = { request, keyed, name, claims, id: yield* newId(request) }
  const isAtOnce = claimAtOnce && (yield* mayClaimAtOnce(claims, name))
  if (claimAtOnce && KeyClaims.isUnderWay(claims, name)) yield* Idempotency.inTime(keyed, KeyClaims.settled(claims, name))
  const created = yield* isAtOnce
    ? Effect.catchCause(create(creation, onBegun, { isCounted: false }), (cause) => takenAllTheSame(creation, cause))
    : createIfNew(creation, onBegun)
  if (created._tag === "Begun") return created
  KeyClaims.expectTaken(claims)
  return { _tag: "Replayed", answer: yield* Idempotency.answerOf(created.claim, keyed) } satisfies Replayed
})

/** A payment that is to be created. `name`: of its key among all of this process. */
interface Creation {
  readonly request: ChargeRequest
  readonly keyed: Idempotency.KeyedRequest
  readonly id: PaymentId
  readonly claims: KeyClaims.State
  readonly name: string
}

/** Not where a host's own code is asked about a payment before it is written: it must not see a request that is repeated (rule 11). */
const mayClaimAtOnce = (claims: KeyClaims.State, name: string) =>
  Effect.contextWith((context: Context.Context<never>) => {
    const registry = Context.get(context, ActiveHooks)
    const asksHost =
      (registry?.lists.routing_strategy.length ?? 0) > 0 ||
      Screening.hasHooks(registry) ||
      Context.get(context, RoutingPolicy).customRules.length > 0
    return Effect.succeed(!asksHost && KeyClaims.isFree(claims, name, Context.get(context, Clock.Clock).monotonicTimeNanosUnsafe()))
  })

/** Looks the key up, and creates the payment where it is new. */
const createIfNew = Effect.fnUntraced(function* <A, R>(creation: Creation, onBegun: (durable: Durable) => Effect.Effect<A, never, R>) {
  const known = yield* Idempotency.find(creation.keyed)
  if (Option.isSome(known)) return { _tag: "KeyTaken", claim: known.value } as const
  KeyClaims.foundNew(creation.claims)
  return yield* Effect.tapErrorTag(create(creation, onBegun, { isCounted: true }), "NoUsableGateway", (error) =>
    RouteSelection.notMade(creation.id, error)
  )
})

/**
 * Nothing was begun, for whatever reason: a key that is known is answered all the same. It may be known by this very request, where the answer
 * to its commit was lost: then nobody here knows what became of it, and the failure says so.
 */
const takenAllTheSame = Effect.fnUntraced(function* <E>({ claims, id, keyed }: Creation, cause: Cause.Cause<E>) {
  if (Cause.hasInterrupts(cause)) return yield* Effect.failCause(cause)
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  const isOfStore = error instanceof EventStoreError
  if (isOfStore) KeyClaims.expectTaken(claims)
  const known = yield* Effect.catchTag(Idempotency.find(keyed), "EventStoreError", (unread) =>
    isOfStore ? Effect.succeedNone : Effect.fail(unread)
  )
  if (Option.isSome(known) && known.value.payment !== id) return { _tag: "KeyTaken", claim: known.value } as const
  if (error instanceof NoUsableGateway) yield* RouteSelection.notMade(id, error)
  return yield* Effect.failCause(cause)
})

/**
 * Creates the payment. Between the commit and what follows it a caller that leaves is not noticed (rule 16). A repeated request may come as far
 * as its commit, so nothing is counted and nobody is told before that. `isCounted`: its key was, when it was looked up.
 */
const create = Effect.fnUntraced(function* <A, R>(
  { claims, id, keyed, name, request }: Creation,
  onBegun: (durable: Durable) => Effect.Effect<A, never, R>,
  { isCounted }: { readonly isCounted: boolean }
) {
  yield* accepting()
  const details = detailsOf(request, yield* Settings)
  const registry = yield* ActiveHooks
  const screened = Screening.hasHooks(registry) ? yield* Screening.screen(registry, id, details) : undefined
  const { command, selection } = screened?._tag === "Blocked" ? blocked(details, screened.block) : yield* initiation(id, details, screened)
  const state = initial(id)
  const events = yield* Effect.fromResult(decide(command, state))
  const stamped = yield* Journal.stamp(state, events)
  const operation = command._tag === "BlockPayment" ? undefined : firstOperation
  const claim = { ...keyed, command: "charge", operation } as const
  const committing = Effect.gen(function* () {
    const { result, times } = yield* Journal.commit({ payment: state, events: stamped, claim, quiet: true })
    KeyClaims.answered(claims, times)
    yield* Metrics.committed(result._tag)
    if (result._tag !== "Committed") return result
    if (!isCounted) yield* Metrics.idempotency("new")
    if (selection !== undefined) yield* RouteSelection.made(selection)
    const started = startedBy({ result, times }, stamped)
    if (started === undefined && operation !== undefined) return yield* Effect.die(new Error("an initiated payment has no intent"))
    if (started === undefined) yield* Metrics.recorded({ before: { ...result.payment, ended: undefined }, after: result.payment, events })
    yield* CrashPoint.reach("charge/after-intent")
    const change = { before: state, after: result.payment, events: stamped }
    return { _tag: "Begun", value: yield* onBegun({ change, started }) } satisfies Begun<A>
  })
  const committed = yield* Effect.uninterruptible(KeyClaims.claiming(claims, name, committing))
  switch (committed._tag) {
    case "Begun":
      return committed
    case "KeyTaken": {
      if (selection !== undefined) RouteSelection.withdrawn(selection)
      return committed
    }
    case "VersionConflict":
    case "LeaseLost":
      return yield* new EventStoreError({
        operation: "Charge.charge",
        reason: { _tag: "Corrupt", detail: `new payment ${state.id} already has events` }
      })
  }
})

/** What a payment is created by; how it was routed, unless it was blocked. */
interface Plan {
  readonly command: Command
  readonly selection: RouteSelection.Selection | undefined
}

const blocked = (details: PaymentDetails, block: Block): Plan => ({
  command: { _tag: "BlockPayment", details, block },
  selection: undefined
})

/** Routed by what hooks have added to it; recorded as it was asked for. */
const initiation = (id: PaymentId, details: PaymentDetails, passed: Screening.Passed | undefined) =>
  Effect.flatMap(RouteSelection.select(id, passed?.details ?? details), (selection) =>
    Effect.map(firstTerms(selection.decision), (terms): Plan => {
      const { decision } = selection
      return { command: { _tag: "InitiatePayment", details, screening: passed?.screening, terms, decision }, selection }
    })
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
    method: { references, token, type },
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
