/**
 * Asking routing strategies: the first confident answer that names a gateway which can take the payment puts that gateway first.
 *
 * They choose among what the policy has let through, so nothing that cannot take a payment gets one. The order of the others stays, for
 * failover.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as HookText from "../../domain/hooks/HookText.ts"
import * as PaymentFacts from "../../domain/hooks/PaymentFacts.ts"
import * as RoutingAnswer from "../../domain/hooks/RoutingAnswer.ts"
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import type { RoutingDecision } from "../../domain/routing/Decision.ts"
import * as Chosen from "../../domain/routing/plan/Chosen.ts"
import * as HookMetrics from "../../services/hooks/HookMetrics.ts"
import type { AvailableGateway } from "../../services/hooks/Hooks.ts"
import * as Isolation from "./Isolation.ts"
import type { Registry } from "./Registry.ts"

const decodeAnswer = Schema.decodeUnknownResult(RoutingAnswer.RoutingAnswer)

const readAnswer = (answer: unknown): Isolation.Reading<RoutingAnswer.RoutingAnswer | undefined> =>
  answer === undefined
    ? { value: undefined }
    : Result.match(decodeAnswer(answer), {
        onFailure: (error) => ({ invalid: "the answer is no routing answer", because: error.message }),
        onSuccess: (value) => ({ value: value.reason === undefined ? value : { ...value, reason: HookText.clean(value.reason, 200) } })
      })

/** The decision after the strategies; the same one where none of them has an answer that counts. */
export const choose = Effect.fnUntraced(function* (registry: Registry, id: PaymentId, details: PaymentDetails, decision: RoutingDecision) {
  const payment = PaymentFacts.of(id, details)
  const available = PaymentFacts.copied(
    decision.ranked.map(({ feeMinor, gateway, signals }): AvailableGateway => {
      return { gateway, ...(feeMinor === undefined ? {} : { feeMinor }), ...(signals === undefined ? {} : { signals }) }
    })
  ).toSorted((left, right) => (left.gateway < right.gateway ? -1 : 1))
  const names = available.map(({ gateway }) => gateway)
  const { minConfidence } = registry.settings
  const limitOf = yield* Isolation.limitsOf(registry, "routing_strategy")
  for (const entry of registry.lists.routing_strategy) {
    const now = yield* Clock.currentTimeMillis
    const ran = yield* Isolation.run(registry, entry, {
      limitMillis: limitOf(entry),
      effect: () => entry.hook.run(PaymentFacts.frozen({ payment, available, now })),
      read: readAnswer
    })
    if (ran._tag === "NoAnswer" || ran.value === undefined) continue
    const judged = RoutingAnswer.judge(ran.value, { available: names, minConfidence })
    if (judged === "chosen") return Chosen.byHook(decision, entry.name, ran.value)
    if (judged === "unsure") continue
    HookMetrics.answerRefused(registry.context, { kind: "routing_strategy", hook: entry.name })
    const detail = `gateway ${ran.value.gateway} is not among those that can take the payment`
    yield* Isolation.report(registry, entry, { failure: "invalid", detail }, now)
  }
  return decision
})
