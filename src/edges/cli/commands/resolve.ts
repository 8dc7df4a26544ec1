/**
 * `aegispay payment resolve`: a person's word on what nobody else could find out. Recorded with its reason, for ever.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type GatewayReference, OperationNumber, type PaymentId, type TenantId } from "../../../domain/payment/Ids.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import type { NotResolvable } from "../../../orchestration/recovery/Review.ts"
import * as PaymentJson from "../../http/PaymentJson.ts"
import { cannotRun, notDone } from "../Failure.ts"
import { print } from "../Output.ts"
import * as PaymentText from "../PaymentText.ts"
import * as Engine from "../runtime/Engine.ts"
import * as Target from "../runtime/Target.ts"

export interface Input {
  readonly id: PaymentId
  readonly merchant: Option.Option<TenantId>
  readonly as: "succeeded" | "failed"
  readonly reason: string
  readonly operation: Option.Option<number>
  readonly reference: Option.Option<GatewayReference>
  readonly withoutAnswer: boolean
}

const hints: { readonly [Why in NotResolvable["why"]]?: string } = {
  reference_needed: "; give it with --reference",
  unanswered: "; where the gateway's own records show that nothing happened, say so with --without-answer"
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const target = yield* Target.load
  const payment = yield* Payments.Payments.use((payments) =>
    payments.resolve({
      id: input.id,
      as: input.as,
      reason: input.reason,
      withoutAnswer: input.withoutAnswer,
      ...(Option.isSome(input.merchant) ? { tenant: input.merchant.value } : {}),
      ...(Option.isSome(input.operation) ? { operation: OperationNumber.make(input.operation.value) } : {}),
      ...(Option.isSome(input.reference) ? { gatewayReference: input.reference.value } : {})
    })
  ).pipe(
    Effect.mapError((error) => {
      switch (error._tag) {
        case "NotResolvable":
          return notDone(error.message + (hints[error.why] ?? ""))
        case "PaymentNotFound":
          return notDone(error.message)
        default:
          return cannotRun(error.message)
      }
    }),
    Effect.provide(Engine.layer(target, "existing"))
  )
  yield* print({ json: PaymentJson.ofView(payment), text: PaymentText.payment(payment) })
})
