/**
 * The scope of the service: calls and outcome commits go on here when their caller has gone (rule 16).
 *
 * Work runs outside any transaction of its caller. When the service is closed it waits for the work in hand, for as long as one call and
 * one wait for the store may take by the settings (`closeWaitMillis`). What is cut off then is found by recovery, like after a crash: an
 * outcome that cannot be stored, or a payment that went on to another gateway late.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import type { Payment } from "../../domain/payment/State.ts"
import { HostTransaction } from "../../services/HostTransaction.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type EngineSettings, Settings } from "../../services/Settings.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"

/** Work on one payment, and the answer its callers wait for. */
export type Answering = Deferred.Deferred<Payment>

/**
 * - `run`: works on a payment in the scope of the service. The callers' answer is completed by the work, and at its end at the
 *   latest; when the work fails or dies, with the payment as it was given.
 * - `answering`: the answer that is being worked on in this process, if any.
 * - `unstored`: how many outcomes wait for the database now.
 * - `whileUnstored`: counts an outcome as waiting while an effect runs.
 */
export class Background extends Context.Service<
  Background,
  {
    readonly run: <E, R>(payment: Payment, work: (answer: Answering) => Effect.Effect<Payment, E, R>) => Effect.Effect<Answering, never, R>
    readonly answering: (id: PaymentId) => Answering | undefined
    readonly unstored: () => number
    readonly whileUnstored: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("aegispay/orchestration/operation/Background") {}

/**
 * How long closing waits at most. Whatever comes before the last attempt of a call (its turn in the bulkhead, attempts, the waits between
 * them) is within the permission to send, and the last attempt takes its time limit: with the presets 30 s + 15 s + 5 s. A gateway that
 * declares a `connectLimitMillis` needs less by as much.
 */
const closeWaitMillis = (settings: Pick<EngineSettings, "attemptTimeoutMillis" | "sendWindowMillis" | "storeWaitMillis">): number =>
  settings.sendWindowMillis + settings.attemptTimeoutMillis + settings.storeWaitMillis

/** The scope ends with the layer's. */
export const layer: Layer.Layer<Background, never, HostTransaction> = Layer.effect(
  Background,
  Effect.gen(function* () {
    const transaction = yield* HostTransaction
    const settings = yield* Settings
    const fibers = new Set<Fiber.Fiber<Payment>>()
    const inFlight = new Map<PaymentId, Answering>()
    let unstored = 0
    let isClosed = false
    const begun = (fiber: Fiber.Fiber<Payment>, payment: Payment, answer: Answering) => {
      fibers.add(fiber)
      fiber.addObserver((exit) => {
        fibers.delete(fiber)
        // Also what was cut off at the end of the service answers: with what is durable without it.
        Deferred.doneUnsafe(answer, Effect.succeed(Exit.isSuccess(exit) ? exit.value : payment))
        if (inFlight.get(payment.id) === answer) inFlight.delete(payment.id)
      })
    }
    yield* Effect.addFinalizer(() =>
      awaitEmpty(fibers).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(closeWaitMillis(settings)),
          orElse: () => Effect.logWarning(`${inFlight.size} payments were still in progress at shutdown; recovery will find them`)
        }),
        Effect.andThen(
          Effect.suspend(() => {
            isClosed = true
            return Fiber.interruptAll(fibers)
          })
        )
      )
    )
    return Background.of({
      run: <E, R>(payment: Payment, work: (answer: Answering) => Effect.Effect<Payment, E, R>) =>
        Effect.suspend(() => {
          const answer = Deferred.makeUnsafe<Payment>()
          if (isClosed) {
            Deferred.doneUnsafe(answer, Effect.succeed(payment))
            return Effect.succeed(answer)
          }
          inFlight.set(payment.id, answer)
          const guarded = transaction.outside(Effect.catchCause(work(answer), fallingBack(payment)))
          // The fiber is noted in its own first step: there is no moment at which it runs and nobody would hear of its end.
          const noted = Effect.withFiber<Payment, never, R>((fiber) => {
            begun(fiber as Fiber.Fiber<Payment>, payment, answer)
            return guarded
          })
          return Effect.as(Effect.forkDetach(noted, { startImmediately: true }), answer)
        }),
      answering: (id) => inFlight.get(id),
      unstored: () => unstored,
      whileUnstored: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => Metrics.unstoredOutcomes(++unstored)),
          () => effect,
          () => Effect.suspend(() => Metrics.unstoredOutcomes(--unstored))
        )
    })
  })
)

/** Ends when nobody is left, also of those who come meanwhile. */
const awaitEmpty = (fibers: ReadonlySet<Fiber.Fiber<Payment>>): Effect.Effect<void> =>
  Effect.suspend(() => (fibers.size === 0 ? Effect.void : Effect.andThen(Fiber.awaitAll(fibers), awaitEmpty(fibers))))

/** Work that failed or died is for recovery; what was interrupted stays so. */
const fallingBack =
  (payment: Payment) =>
  (cause: Cause.Cause<unknown>): Effect.Effect<Payment> =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(cause as Cause.Cause<never>)
      : Effect.as(
          PaymentLog.about(payment.id)(Effect.logError("work on the payment died; recovery will finish it", Cause.squash(cause))),
          payment
        )
