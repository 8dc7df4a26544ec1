/**
 * What an error handler may advise after a charge that certainly did not happen.
 *
 * An error handler is asked only where the engine has the proof of that (`NotCharged`), and only about what comes next. Its advice can make
 * that stricter, or choose among what the safety table allows. It can never make a charge of something that may have happened, go where the
 * table or the merchant's policy forbids, or pass the retry caps and the payment's time.
 */
import * as Schema from "effect/Schema"
import { safetyOf } from "../operation/Decline.ts"
import type { NotCharged } from "../operation/Settle.ts"
import { GatewayName } from "../payment/Ids.ts"

const Sentence = Schema.String.check(Schema.isMaxLength(300))

/**
 * - `as_planned`: what the engine would do. The same as no advice, but no other handler is asked.
 * - `fail`: no further charge; the payment ends as failed.
 * - `other_gateway`: another gateway of the plan, `gateway` where it names one.
 * - `same_gateway`: another charge at the same gateway, as soon as it takes one.
 * - `step_up`: the same gateway again, asking for the customer's authentication; only where that is what the gateway asked for.
 */
export const Advice = Schema.Union([
  Schema.TaggedStruct("as_planned", { reason: Schema.optionalKey(Sentence) }),
  Schema.TaggedStruct("fail", { reason: Sentence }),
  Schema.TaggedStruct("other_gateway", { gateway: Schema.optionalKey(GatewayName), reason: Sentence }),
  Schema.TaggedStruct("same_gateway", { reason: Sentence }),
  Schema.TaggedStruct("step_up", { reason: Sentence })
])
export type Advice = typeof Advice.Type

/** What the engine would do next. */
export type Planned =
  | { readonly _tag: "fail_over"; readonly remaining: ReadonlyArray<GatewayName> }
  | { readonly _tag: "step_up" }
  | { readonly _tag: "fail" }

/** What an advice comes to. `refused`: why it is not followed; the engine goes on as planned then. */
export type Bounded =
  | { readonly _tag: "planned" }
  | { readonly _tag: "fail" }
  | { readonly _tag: "go_to"; readonly gateway: GatewayName }
  | { readonly _tag: "refused"; readonly why: string }

const planned: Bounded = { _tag: "planned" }
const refused = (why: string): Bounded => ({ _tag: "refused", why })

/** Bounds an advice. `at`: the gateway where the charge did not happen. */
export const bound = (
  advice: Advice,
  context: { readonly because: NotCharged["because"]; readonly planned: Planned; readonly at: GatewayName }
): Bounded => {
  switch (advice._tag) {
    case "as_planned":
      return planned
    case "fail":
      return context.planned._tag === "fail" ? planned : { _tag: "fail" }
    case "other_gateway":
      return elsewhere(advice.gateway, context.planned)
    case "step_up":
      return context.planned._tag === "step_up"
        ? planned
        : refused("the gateway did not ask for the customer's authentication, or they are away")
    case "same_gateway":
      return again(context)
  }
}

const elsewhere = (gateway: GatewayName | undefined, next: Planned): Bounded => {
  if (next._tag !== "fail_over") return refused("the safety table or the policy allows no other gateway here")
  if (gateway === undefined) return planned
  return next.remaining.includes(gateway)
    ? { _tag: "go_to", gateway }
    : refused(`gateway ${gateway} is not among those that are left of the plan`)
}

/** Where the engine may charge again at all, and the table lets it be the same gateway without anything new from the customer. */
const again = ({
  at,
  because,
  planned: next
}: {
  readonly because: NotCharged["because"]
  readonly planned: Planned
  readonly at: GatewayName
}) => {
  if (next._tag !== "fail_over") return refused("the safety table or the policy allows no further charge here")
  const later = because._tag === "Declined" ? safetyOf[because.category].sameGatewayLater : "yes"
  return later === "yes" || later === "capped"
    ? ({ _tag: "go_to", gateway: at } satisfies Bounded)
    : refused(`the safety table does not allow another charge at ${at} after this decline`)
}
