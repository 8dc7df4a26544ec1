/**
 * `aegispay pay`: charges a payment with an engine in this process. It takes what the HTTP interface takes, decoded by the same schema.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { IdempotencyKey, TenantId } from "../../../domain/payment/Ids.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import { describe, problemsOf } from "../../config/Issues.ts"
import { NewPayment } from "../../http/PaymentJson.ts"
import { failureOf, keyOf, show } from "../Answers.ts"
import { cannotRun } from "../Failure.ts"
import * as Engine from "../runtime/Engine.ts"
import * as Target from "../runtime/Target.ts"

export interface Input {
  readonly amount: bigint
  readonly currency: string
  readonly token: Option.Option<string>
  readonly references: Option.Option<Readonly<Record<string, string>>>
  readonly type: string
  readonly manual: boolean
  readonly offSession: boolean
  readonly returnUrl: Option.Option<string>
  readonly metadata: Option.Option<Readonly<Record<string, string>>>
  readonly key: Option.Option<IdempotencyKey>
  readonly merchant: Option.Option<TenantId>
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const { amount, currency, paymentMethod, ...rest } = yield* requestOf(input)
  const target = yield* Target.load
  const tenant = yield* Target.merchant(target, input.merchant)
  const key = keyOf(input.key)
  const answer = yield* Payments.Payments.use((payments) =>
    payments.charge({ ...rest, tenant, key, amount: { currency, minor: amount }, method: paymentMethod })
  ).pipe(
    Effect.mapError(failureOf(key)),
    Effect.onInterrupt(() => Console.error(`aegispay: interrupted; repeat the command with --key ${key} to see how it ended`)),
    Effect.provide(Engine.layer(target, "create"))
  )
  yield* show(answer, key)
})

/** What is wrong is named by the flag it came from; a value that may be a card number is not repeated. */
const requestOf = (input: Input) => {
  if (Option.isSome(input.token) === Option.isSome(input.references)) {
    return Effect.fail(cannotRun("give either --token (the same at every gateway) or --gateway-reference GATEWAY=TOKEN, once per gateway"))
  }
  const request = {
    amount: Number(input.amount),
    currency: input.currency,
    paymentMethod: { type: input.type, ...optional("token", input.token), ...optional("references", input.references) },
    captureMethod: input.manual ? "manual" : "automatic",
    offSession: input.offSession,
    ...optional("returnUrl", input.returnUrl),
    ...optional("metadata", input.metadata)
  }
  return Effect.mapError(Schema.decodeUnknownEffect(NewPayment, { errors: "all" })(request), (error) =>
    cannotRun(
      problemsOf(error.issue, request)
        .map((problem) => describe({ ...problem, path: flagOf(problem.path) }))
        .join("; ")
    )
  )
}

const optional = (name: string, value: Option.Option<unknown>) => (Option.isNone(value) ? {} : { [name]: value.value })

const flagOf = (path: string): string => {
  const [first = "", second = ""] = path.split(".")
  if (first === "paymentMethod") return second === "references" ? "--gateway-reference" : `--${second === "" ? "token" : second}`
  return `--${first.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
