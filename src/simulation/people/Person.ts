/**
 * The person of a simulation: looks into the PSP's records and says what became of what waits for a word.
 *
 * What is said is always what the PSP shows at that moment; of an account whose records cannot be seen nothing is said. A careful person speaks of
 * what is in review, and says that nothing happened without the PSP's answer only once nothing that was permitted can arrive any more. A hasty one
 * speaks of what is in doubt as well and does not wait: the engine has to refuse what is too early. What the customer may still pay is left alone.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isChargeKind, type Operation, settledAfter } from "../../domain/operation/Operation.ts"
import { GatewayReference } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import type { Handler } from "../../sandbox/Sandbox.ts"
import type { Resolution } from "../../orchestration/recovery/Review.ts"
import type { Chronicle } from "../Chronicle.ts"
import type { Instance } from "../Instance.ts"
import type { Upkeep } from "../Upkeep.ts"
import * as Chance from "../world/Chance.ts"
import { epochMillis, type Kernel, type Process } from "../world/Kernel.ts"
import * as Psp from "../world/Psp.ts"

type Manner = NonNullable<Upkeep["person"]>

export interface PersonOptions {
  readonly kernel: Kernel
  readonly seed: number
  readonly handler: Handler
  readonly chronicle: Chronicle
  readonly how: Manner
  /** A running instance by chance; none while all are down. */
  readonly instance: (draw: Chance.Draw) => Instance | undefined
}

/** How long an answer is waited for. */
const patienceMillis = 30_000

/** What the PSP shows of an operation. */
type Shown = { readonly as: "succeeded"; readonly gatewayReference: GatewayReference } | { readonly as: "failed" }

/** The person. */
export const make = (options: PersonOptions) => {
  const { chronicle, handler, kernel, seed } = options
  const draw = Chance.stream(seed, "person")

  const resolutionOf = (how: Manner, payment: Payment, operation: Operation, shown: Shown): Resolution | undefined => {
    const settled = epochMillis + kernel.now() > settledAfter(operation)
    if (how === "careful" && !settled) return undefined
    const withoutAnswer = how === "careful" && shown.as === "failed"
    return {
      id: payment.id,
      operation: operation.intent.number,
      reason: "as the PSP shows it",
      ...shown,
      ...(withoutAnswer ? { withoutAnswer } : {})
    }
  }

  const say = (resolution: Resolution, process: Process): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const end = (answer: string) => {
        chronicle.note("person", () => `${resolution.id} ${resolution.operation} ${resolution.as}: ${answer}`)
        kernel.post(process, () => resume(Effect.void))
      }
      const instance = options.instance(draw)
      if (instance === undefined) return end("nobody is there")
      const call = instance.call(
        ({ payments }) => payments.resolve(resolution),
        (exit) => {
          if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) chronicle.wrong("I10", `resolve died: ${String(Cause.squash(exit.cause))}`)
          end(Exit.isSuccess(exit) ? exit.value.status : String(Cause.squash(exit.cause)))
        },
        () => end("lost")
      )
      kernel.after(patienceMillis, process, () => {
        call.leave()
        resume(Effect.void)
      })
    })

  /** A capture has an id of its own at the PSP, which its records name by our reference. */
  const named = Effect.fnUntraced(function* ({ intent }: Operation, shown: Shown | undefined) {
    if (shown?.as !== "succeeded" || intent.kind !== "capture") return shown
    const id = yield* Psp.operationId(handler, intent.gateway, intent.requestKey)
    return id === undefined ? undefined : { ...shown, gatewayReference: GatewayReference.make(id) }
  })

  /** Looks at everything that waits once, and says what is shown. */
  const lookAround = Effect.fnUntraced(function* (process: Process, how: Manner) {
    const waits = chronicle.payments().flatMap((payment) => waitingOf(payment, how).map((operation) => ({ payment, operation })))
    if (waits.length === 0) return
    const truth = yield* Psp.truth(handler)
    for (const { operation, payment } of waits) {
      if (truth.unreadable.has(operation.intent.gateway)) continue
      const shown = yield* named(operation, shownOf(payment, operation, truth))
      const resolution = shown === undefined ? undefined : resolutionOf(how, payment, operation, shown)
      if (resolution !== undefined) yield* say(resolution, process)
    }
  })

  return {
    /** Once more, with care. */
    atLast: (process: Process) => lookAround(process, "careful"),
    live: (process: Process) =>
      Effect.forever(
        Effect.andThen(
          Effect.suspend(() => Effect.sleep(pauseMillis(draw))),
          lookAround(process, options.how)
        )
      )
  }
}

const pauseMillis = (draw: Chance.Draw): number => Chance.between(draw, 5_000, 40_000)

const waitingOf = (payment: Payment, how: Manner): ReadonlyArray<Operation> => {
  const reviewed = new Set(payment.reviews.map(({ operation }) => operation))
  return payment.operations.filter(
    ({ intent, progress }) => reviewed.has(intent.number) || (how === "hasty" && reviewed.size === 0 && progress._tag === "Uncertain")
  )
}

/** `undefined`: it may still change, or somebody would have to act at the PSP. */
const shownOf = (payment: Payment, operation: Operation, records: Psp.Truth): Shown | undefined => {
  const { gateway, kind, requestKey } = operation.intent
  if (isChargeKind(kind)) return chargeShown(payment, operation, records)
  const succeeded = (id: string): Shown => ({ as: "succeeded", gatewayReference: GatewayReference.make(id) })
  if (kind === "refund") {
    const refund = records.refunds.find((one) => one.account === gateway && one.reference === requestKey)
    if (refund === undefined || refund.status === "failed") return { as: "failed" }
    return refund.status === "succeeded" ? succeeded(refund.id) : undefined
  }
  const line = records.ledger.find((one) => one.account === gateway && one.reference === requestKey && one.kind === kind)
  return line === undefined ? { as: "failed" } : succeeded(line.charge_id)
}

const chargeShown = (payment: Payment, operation: Operation, { charges }: Psp.Truth): Shown | undefined => {
  const { requestKey } = objectOf(payment, operation).intent
  const charge = charges.find((one) => one.account === operation.intent.gateway && one.reference === requestKey)
  if (charge === undefined) return { as: "failed" }
  if (charge.amount_authorized > 0) return { as: "succeeded", gatewayReference: GatewayReference.make(charge.id) }
  return charge.status === "failed" || charge.status === "voided" ? { as: "failed" } : undefined
}

/** The operation that made the object: of a confirm, the one it continues. */
const objectOf = (payment: Payment, operation: Operation): Operation => {
  const { kind, target } = operation.intent
  const continued = kind === "confirm" && target !== undefined ? operationOf(payment, target) : undefined
  return continued === undefined ? operation : objectOf(payment, continued)
}
