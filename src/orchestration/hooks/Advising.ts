/**
 * Asking error handlers what follows a charge that certainly did not happen. Their advice is bounded by the domain (`Advice.ts`): it can make
 * what follows stricter, or choose among what is allowed anyway.
 *
 * **Gotchas**: the decline is in hand and not durable while they are asked, which is why they have so little time. A process that ends
 * meanwhile leaves an open operation, and recovery asks the gateway.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Advice from "../../domain/hooks/Advice.ts"
import * as HookText from "../../domain/hooks/HookText.ts"
import * as PaymentFacts from "../../domain/hooks/PaymentFacts.ts"
import type { NotCharged } from "../../domain/operation/Settle.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { Payment } from "../../domain/payment/State.ts"
import * as HookMetrics from "../../services/hooks/HookMetrics.ts"
import * as Isolation from "./Isolation.ts"
import type { Registry } from "./Registry.ts"

const decodeAdvice = Schema.decodeUnknownResult(Schema.toType(Advice.Advice))

const readAdvice = (answer: unknown): Isolation.Reading<Advice.Advice | undefined> =>
  answer === undefined
    ? { value: undefined }
    : Result.match(decodeAdvice(answer), {
        onFailure: (error) => ({ invalid: "the answer is no advice", because: error.message }),
        onSuccess: (value) => ({ value: value.reason === undefined ? value : { ...value, reason: HookText.clean(value.reason, 300) } })
      })

/** What is asked about. `at`: the gateway where the charge did not happen. */
export interface Question {
  readonly payment: Payment
  readonly after: NotCharged
  readonly at: GatewayName
  readonly planned: Advice.Planned
}

/** The first advice that is given; `undefined`: none. */
export const ask = Effect.fnUntraced(function* (registry: Registry, question: Question) {
  const { after, at, payment, planned } = question
  const facts = PaymentFacts.of(payment.id, payment.details)
  const asked = PaymentFacts.copied({
    gateway: at,
    because: after.because,
    planned,
    charges: payment.operations.filter(({ intent }) => intent.purpose === "charge").length
  })
  const limitOf = yield* Isolation.limitsOf(registry, "error_handler")
  for (const entry of registry.lists.error_handler) {
    const now = yield* Clock.currentTimeMillis
    const ran = yield* Isolation.run(registry, entry, {
      limitMillis: limitOf(entry),
      effect: () => entry.hook.run(PaymentFacts.frozen({ payment: facts, ...asked, now })),
      read: readAdvice
    })
    if (ran._tag === "Answered" && ran.value !== undefined) return { entry, advice: ran.value }
  }
  return undefined
})

/** An advice as `ask` answers it. */
export type Given = Effect.Success<ReturnType<typeof ask>>

/** What an advice comes to where the engine would do `planned`. What is not followed is reported under the name of the hook. */
export const follow = (registry: Registry, given: NonNullable<Given>, question: Question): Effect.Effect<Advice.Bounded> => {
  const { after, at, planned } = question
  const bounded = Advice.bound(given.advice, { because: after.because, planned, at })
  if (bounded._tag !== "refused") return Effect.succeed(bounded)
  HookMetrics.answerRefused(registry.context, { kind: "error_handler", hook: given.entry.name })
  return Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.as(
      Isolation.report(
        registry,
        given.entry,
        { failure: "invalid", detail: `the advice "${given.advice._tag}" is not followed: ${bounded.why}` },
        now
      ),
      bounded
    )
  )
}
