/**
 * The built-in hooks: what every merchant needs of the eight kinds, made from settings.
 *
 * Each is a hook like any other: one that is registered can be switched off and on, and is bounded and reported as they all are. None is in
 * force unless it is registered. In the configuration file they stand in the section `hooks`.
 *
 * ```ts
 * const hooks = BuiltinHooks.layer({ velocity: {}, geographic: { blockedCountries: ["KP"] } }).pipe(Layer.provideMerge(HookRegistry.layer))
 * const engine = Payments.layerEngine.pipe(Layer.provideMerge(hooks), Layer.provideMerge(storage))
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { BuiltinHooks } from "../../../domain/hooks/builtin/BuiltinHooks.ts"
import * as Geographic from "../../../domain/hooks/builtin/Geographic.ts"
import * as HighValue from "../../../domain/hooks/builtin/HighValue.ts"
import * as PaymentLine from "../../../domain/hooks/builtin/PaymentLine.ts"
import * as RetryAdvice from "../../../domain/hooks/builtin/RetryAdvice.ts"
import * as Velocity from "../../../domain/hooks/builtin/Velocity.ts"
import {
  type ErrorHandler,
  type EventListener,
  type FraudCheck,
  type Hook,
  type HookRefused,
  Hooks
} from "../../../services/hooks/Hooks.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import * as PaymentLog from "../../observability/PaymentLog.ts"

/** What every hook is registered with. */
const registeredAs = (name: string, { enabled, priority }: { readonly enabled?: boolean; readonly priority?: number }) => ({
  name,
  ...(enabled === undefined ? {} : { enabled }),
  ...(priority === undefined ? {} : { priority })
})

/** The fraud check by amount, `high-value`. */
export const highValue = (settings: HighValue.HighValue = {}): FraudCheck => ({
  ...registeredAs("high-value", settings),
  kind: "fraud_check",
  run: ({ payment }) => Effect.sync(() => HighValue.judge(settings, payment.amount))
})

/** The fraud check by country, `geographic`. */
export const geographic = (settings: Geographic.Geographic): FraudCheck => ({
  ...registeredAs("geographic", settings),
  kind: "fraud_check",
  run: ({ payment }) => Effect.sync(() => Geographic.judge(settings, payment))
})

/**
 * The fraud check by how often, `velocity`: counted in the store, so all instances count together and a restart forgets nothing.
 *
 * It fails where the store does not answer; then `onFailure` says whether the payment is blocked, and without it what holds for all checks.
 */
export const velocity = (settings: Velocity.Velocity = {}): Effect.Effect<FraudCheck, never, PaymentRepository> =>
  Effect.map(PaymentRepository, (repository) => ({
    ...registeredAs("velocity", settings),
    kind: "fraud_check",
    ...(settings.onFailure === undefined ? {} : { onFailure: settings.onFailure }),
    run: ({ payment }) => {
      // An empty id tells nobody apart.
      const customer = payment.customer?.id === "" ? undefined : payment.customer?.id
      const ofCustomer = customer === undefined ? {} : { customer }
      return Effect.map(
        Effect.forEach(
          Velocity.countable(settings, customer),
          (limit) =>
            Effect.map(
              repository.count({
                tenant: payment.tenant,
                ...(limit.per === "customer" ? ofCustomer : {}),
                withinMillis: limit.withinMillis,
                limit: limit.most
              }),
              (before) => ({ limit, before })
            ),
          { concurrency: "unbounded" }
        ),
        (counts) => Velocity.judge(settings, { counts, customer })
      )
    }
  }))

/**
 * The listener that writes one line for each event, `payment-logging`: which payment, of whom, what happened, how it stands now. Lines about
 * what asks for attention are warnings.
 */
export const paymentLogging = (settings: PaymentLine.PaymentLogging = {}): EventListener => ({
  ...registeredAs("payment-logging", settings),
  kind: "event_listener",
  ...(settings.eventTypes === undefined ? {} : { eventTypes: settings.eventTypes }),
  run: ({ event, eventId, paymentId, status, tenant, version }) =>
    Effect.logWithLevel(PaymentLine.isWarning(event) ? "Warn" : (settings.level ?? "Info"))("payment event").pipe(
      Effect.annotateLogs({ merchant: tenant, event: event._tag, eventId, version, status, ...PaymentLine.fieldsOf(event) }),
      PaymentLog.about(paymentId)
    )
})

/** The error handler that advises by the category of a decline, `retry-advice`. */
export const retryAdvice = (settings: RetryAdvice.RetryAdvice = {}): ErrorHandler => ({
  ...registeredAs("retry-advice", settings),
  kind: "error_handler",
  run: ({ because, charges, planned }) => Effect.sync(() => RetryAdvice.advise(settings, { because, charges, planned }))
})

/** Registers those that are wanted, for as long as the layer lives. */
export const layer = (wanted: BuiltinHooks): Layer.Layer<never, HookRefused, Hooks | PaymentRepository> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { registerScoped } = yield* Hooks
      yield* Effect.forEach(yield* all(wanted), registerScoped, { discard: true })
    })
  )

/** What costs nothing judges first. */
const all = Effect.fnUntraced(function* (wanted: BuiltinHooks): Effect.fn.Return<ReadonlyArray<Hook>, never, PaymentRepository> {
  const hooks: Array<Hook> = []
  if (wanted.highValue !== undefined) hooks.push(highValue(wanted.highValue))
  if (wanted.geographic !== undefined) hooks.push(geographic(wanted.geographic))
  if (wanted.velocity !== undefined) hooks.push(yield* velocity(wanted.velocity))
  if (wanted.retryAdvice !== undefined) hooks.push(retryAdvice(wanted.retryAdvice))
  if (wanted.paymentLogging !== undefined) hooks.push(paymentLogging(wanted.paymentLogging))
  return hooks
})
