/**
 * Carries out an operation that this process was permitted to send, and everything that follows from its outcome: the next
 * gateway, closing what a decline left open, ending the payment. Runs in the scope of the service.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isChargeKind, type Operation } from "../../domain/operation/Operation.ts"
import type { Attempt } from "../../domain/operation/Settle.ts"
import type { Source } from "../../domain/payment/Event.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import * as Presets from "../../domain/Presets.ts"
import type { CallCost } from "../../domain/routing/GatewayWindows.ts"
import * as Cost from "../../domain/routing/policy/Cost.ts"
import * as Failover from "../../domain/routing/plan/Failover.ts"
import * as Segment from "../../domain/routing/Segment.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import type { EventStoreError, Fence } from "../../services/EventStore.ts"
import { type Gateway, Gateways } from "../../services/Gateway.ts"
import { type Routing, RoutingPolicy } from "../../services/routing/RoutingPolicy.ts"
import { Settings } from "../../services/Settings.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Spans from "../observability/Spans.ts"
import { type Answering, Background } from "./Background.ts"
import { conclude, type Conclusion, type Persist, type Started } from "./Conclude.ts"
import * as GatewayCall from "./GatewayCall.ts"

/** Calls, records, and goes on until nothing is left that this process may start. */
export const drive = ({ payment, started, ...options }: DriveOptions & { readonly payment: Payment; readonly started: Started }) =>
  goOn({ payment, started }, options)

interface DriveOptions {
  readonly source: Source
  readonly persist: Persist
  readonly lease?: Fence
}

type Drives = Effect.Services<ReturnType<typeof driveOne>>

const goOn = ({ payment, started }: Conclusion, options: DriveOptions): Effect.Effect<Payment, EventStoreError, Drives> =>
  started === undefined
    ? Effect.succeed(payment)
    : Effect.flatMap(
        Effect.suspend(() => driveOne(payment, started, options)),
        (concluded) => goOn(concluded, options)
      )

const driveOne = (payment: Payment, started: Started, options: DriveOptions) => {
  const operation = operationOf(payment, started.operation)
  if (operation === undefined) return Effect.succeed<Conclusion>({ payment, started: undefined })
  const { gateway, kind, number } = operation.intent
  return Effect.contextWith((context: Context.Context<Gateways>) => {
    const driven = Effect.matchEffect(Context.get(context, Gateways).get(gateway), {
      onFailure: () => notConfigured(payment, operation),
      onSuccess: (found) =>
        found.account === operation.intent.account
          ? callAndConclude(callOf(payment, operation, started, { context, gateway: found }), payment, started, options)
          : notConfigured(payment, operation)
    })
    return Spans.inContext(context, driven, {
      name: `Operation.${kind}`,
      attributes: () => ({ payment: payment.id, gateway, kind, operation: number, source: options.source })
    })
  })
}

const notConfigured = (payment: Payment, { intent: { gateway, number } }: Operation): Effect.Effect<Conclusion> =>
  PaymentLog.about(
    payment.id,
    gateway
  )(Effect.logError(`the account of the gateway is not configured; operation ${number} stays open`)).pipe(
    Effect.as<Conclusion>({ payment, started: undefined })
  )

const callOf = (
  payment: Payment,
  operation: Operation,
  started: Started,
  { context, gateway }: { readonly context: Context.Context<never>; readonly gateway: Gateway }
): GatewayCall.CallOptions => {
  const isCharge = isChargeKind(operation.intent.kind)
  return {
    gateway,
    payment: payment.id,
    operation,
    permission: started.permission,
    notAfter: isCharge ? payment.completeBefore : undefined,
    retryNotSent: !isCharge || !hasAlternative(payment),
    segment: Segment.ofPayment(payment.details),
    fee: isCharge ? feeOf(Context.get(context, RoutingPolicy), payment, gateway.name) : undefined
  }
}

/** Made apart from what leads to the call: while the gateway is asked, this is all that is held of it. */
const callAndConclude = (call: GatewayCall.CallOptions, payment: Payment, started: Started, options: DriveOptions) =>
  CrashPoint.before(
    "operation/before-call",
    Effect.flatMap(GatewayCall.call(call), (attempts) =>
      CrashPoint.before("operation/after-call", concludeCall(attempts, payment, started, options))
    )
  )

const concludeCall = (attempts: ReadonlyArray<Attempt>, payment: Payment, { operation, permission }: Started, options: DriveOptions) => {
  const { lease, persist, source } = options
  const concluded = Clock.clockWith((clock) =>
    conclude({
      payment,
      truth: {
        operation,
        evidence: { _tag: "Sent", permission: permission.index, attempts },
        source,
        observedAt: GatewayCall.databaseTimeAt(clock, permission)
      },
      persist,
      ...(lease === undefined ? {} : { lease })
    })
  )
  return Effect.flatMap(concluded, (conclusion) => CrashPoint.before("operation/after-outcome", Effect.succeed<Conclusion>(conclusion)))
}

/** What the gateway's price list says of the payment; `undefined` where it says nothing. */
const feeOf = ({ policy }: Routing, { details }: Payment, gateway: GatewayName): CallCost | undefined => {
  const entry = Cost.entryFor(policy.fees.get(gateway), details)
  return entry === undefined ? undefined : { currency: details.amount.currency, minor: Cost.feeMinor(entry, details.amount.minor) }
}

const hasAlternative = (payment: Payment): boolean => {
  const plan = payment.operations[0]?.intent.decision?.ranked ?? []
  return plan.some(({ gateway }) => payment.operations.every((operation) => operation.intent.gateway !== gateway))
}

/**
 * Keeps an outcome while the database is away: repeats the commit with backoff until it is stored (rule 16). When that takes
 * longer than a caller should wait, the caller is told what is durable.
 */
const keepTrying =
  (durable: Payment, answer: Answering, context: Context.Context<Background>): Persist =>
  (commit) =>
    Effect.suspend(() => {
      const issuedAt = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
      return Effect.catchTag(commit, "EventStoreError", (error) => keep(commit, { error, issuedAt, durable, answer, context }))
    })

/** A commit that failed: when it was issued, what is durable without it, and who waits. */
interface Unstored {
  readonly error: EventStoreError
  readonly issuedAt: number
  readonly durable: Payment
  readonly answer: Answering
  readonly context: Context.Context<Background>
}

const keep = Effect.fnUntraced(function* <A, R>(commit: Effect.Effect<A, EventStoreError, R>, unstored: Unstored) {
  const { answer, context, durable, error, issuedAt } = unstored
  if (!error.isRetryable) return yield* error
  yield* PaymentLog.about(
    durable.id,
    durable.operations.at(-1)?.intent.gateway
  )(Effect.logWarning(`the outcome cannot be stored, trying again: ${error.message}`))
  const { storeWaitMillis } = Context.get(context, Settings)
  const left = storeWaitMillis - (Context.get(context, Clock.Clock).currentTimeMillisUnsafe() - issuedAt)
  const toldMeanwhile = Effect.sleep(Duration.millis(Math.max(0, left))).pipe(
    Effect.andThen(Deferred.succeed(answer, durable)),
    Effect.andThen(Effect.never)
  )
  return yield* Context.get(context, Background).whileUnstored(Effect.raceFirst(repeat(commit), toldMeanwhile))
})

/** Presets `outcomes`: 100 ms doubled, capped, without end while a repetition may work. */
const repeat = Effect.fnUntraced(function* <A, R>(commit: Effect.Effect<A, EventStoreError, R>) {
  for (let retry = 0; ; retry++) {
    const delay = Math.min(Presets.outcomes.retryBaseMillis.value * 2 ** Math.min(retry, 10), Presets.outcomes.retryCapMillis.value)
    yield* Effect.sleep(Duration.millis(delay))
    const result = yield* Effect.result(commit)
    if (result._tag === "Success") return result.success
    if (!result.failure.isRetryable) return yield* result.failure
  }
})

/** Drives an operation in the scope of the service; its callers wait for the answer. */
export const driveInBackground = (payment: Payment, started: Started) =>
  Effect.contextWith((context: Context.Context<Background>) => runInBackground(withoutGrounds(payment), started, context))

/** Apart, so that the work holds the payment as it is needed for that, and nothing else of it. */
const runInBackground = (payment: Payment, started: Started, context: Context.Context<Background>) =>
  Context.get(context, Background).run(payment, (answer) =>
    drive({ payment, started, source: "response", persist: keepTrying(payment, answer, context) })
  )

/** A payment waits for its gateway with what it goes on by, not with what that was decided from. */
const withoutGrounds = (payment: Payment): Payment => ({
  ...payment,
  operations: payment.operations.map((operation) => {
    const { intent } = operation
    return intent.decision === undefined
      ? operation
      : { ...operation, intent: { ...intent, decision: Failover.withoutGrounds(intent.decision) } }
  })
})
