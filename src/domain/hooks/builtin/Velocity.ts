/**
 * The fraud check by how often: payments of a merchant, or of one of its customers, within a time.
 *
 * The payment that is being judged counts: with `most` 10 the eleventh is too many. Every payment counts, whatever became of it, also one that
 * this check blocked; else an attacker had his tries for nothing. So whoever goes on stays blocked until he has paused.
 *
 * **Gotchas**: what is being created at the same moment is not seen, by other instances and by this one: as many more get through as arrive
 * at once. A customer is known by the id that the host gives; payments without one are told apart by nothing.
 *
 * ```json
 * { "limits": [{ "per": "customer", "most": 5, "withinMillis": 600000, "action": "block" }], "withoutCustomer": "flag" }
 * ```
 */
import * as Schema from "effect/Schema"
import * as Presets from "../../Presets.ts"
import type { FraudVerdict } from "../Verdict.ts"
import { allowed, Found, integer, registered, scored, Unjudged, verdict } from "./Bounds.ts"

/** The longest time that is looked back over, 7 days. */
const maxWithinMillis = 7 * 24 * 3_600_000

const Limit = Schema.Struct({
  per: Schema.Literals(["customer", "merchant"]).annotate({ message: 'expected "customer" or "merchant"' }),
  most: integer(1, 10_000),
  withinMillis: integer(1_000, maxWithinMillis),
  action: Found
})

/** At most `most` payments within `withinMillis`. */
export type Limit = typeof Limit.Type

const limitsMessage = "needs 1 to 8 entries"

/** Settings of the check. `onFailure`: what it means that the store cannot be asked; default: what holds for all fraud checks. */
export const Velocity = Schema.Struct({
  ...registered,
  ...scored,
  limits: Schema.optionalKey(
    Schema.Array(Limit).check(Schema.isMinLength(1, { message: limitsMessage }), Schema.isMaxLength(8, { message: limitsMessage }))
  ),
  withoutCustomer: Schema.optionalKey(Unjudged),
  onFailure: Schema.optionalKey(Schema.Literals(["allow", "block"]).annotate({ message: 'expected "allow" or "block"' }))
})
export type Velocity = typeof Velocity.Type

/** The limits in force. */
export const limitsOf = ({ limits = Presets.builtinHooks.velocityLimits.value }: Velocity): ReadonlyArray<Limit> => limits

/** Those that can be counted: without a customer's id only those of the merchant. */
export const countable = (settings: Velocity, customer: string | undefined): ReadonlyArray<Limit> =>
  limitsOf(settings).filter(({ per }) => per === "merchant" || customer !== undefined)

/** Judges the counts of payments before this one, each up to its limit's `most`. The severest limit that is reached counts. */
export const judge = (
  settings: Velocity,
  {
    counts,
    customer
  }: { readonly counts: ReadonlyArray<{ readonly limit: Limit; readonly before: number }>; readonly customer: string | undefined }
): FraudVerdict => {
  const reached = counts.filter(({ before, limit }) => before >= limit.most)
  const worst = reached.find(({ limit }) => limit.action === "block") ?? reached[0]
  if (worst?.limit.action !== "block" && customer === undefined && limitsOf(settings).some(({ per }) => per === "customer")) {
    const unjudged = settings.withoutCustomer ?? Presets.builtinHooks.velocityWithoutCustomer.value
    if (unjudged === "block" || (unjudged === "flag" && worst === undefined)) {
      return verdict(unjudged, settings, {
        code: "customer_unknown",
        message: "the payment names no customer whose payments could be counted"
      })
    }
  }
  if (worst === undefined) return allowed
  const { action, most, per, withinMillis } = worst.limit
  return verdict(action, settings, {
    code: per === "customer" ? "customer_velocity" : "merchant_velocity",
    message: `more than ${most} ${most === 1 ? "payment" : "payments"} of the ${per} within ${withinMillis / 1_000} s`
  })
}
