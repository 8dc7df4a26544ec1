/**
 * Routing rules: which payments are routed otherwise than by score alone, and how. Data, so that they stand in the configuration file.
 *
 * Rules are looked at by priority, lowest number first, in the given order among equals; the first whose conditions all hold counts,
 * and no other. A rule without conditions concerns every payment. A host's own rules are functions; among equal priorities they
 * come first.
 *
 * What a rule may do: leave gateways out (`exclude`, `only`), put some first (`prefer`), split payments among several (`split`), score by
 * other weights or by a `strategy`, change how much is explored. `exclude` and `only` are kept to the letter: where they leave nothing the
 * payment is refused. `prefer`, `split` and weights only change the order, so what they name and cannot be used is passed over.
 *
 * ```json
 * { "name": "large amounts", "when": { "amount": { "currency": "EUR", "min": 100000 } }, "then": { "strategy": "most_reliable" } }
 * { "name": "trial", "when": { "countries": ["DE"] }, "then": { "split": [{ "gateway": "new-psp", "share": 10 }] } }
 * ```
 */
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../Currency.ts"
import { GatewayName, type PaymentId } from "../../payment/Ids.ts"
import type { PaymentDetails } from "../../payment/Event.ts"
import * as Presets from "../../Presets.ts"
import { Brands, Countries, GatewayNames, Methods, Name, range, someOf } from "./Bounds.ts"

const amountMinor = range.integer(0, Number.MAX_SAFE_INTEGER)

const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const
const timeOfDay = Schema.String.annotate({ message: "expected a time of day such as 08:30" }).check(
  Schema.isPattern(/^([01]\d|2[0-3]):[0-5]\d$/, { message: "expected a time of day such as 08:30" })
)

/**
 * When a rule holds, in UTC: on these days, from a time of day on and before another. A window over midnight (`from` after `to`) belongs
 * to the day on which it began.
 */
const TimeWindow = Schema.Struct({
  days: Schema.optionalKey(someOf(Schema.Literals(weekdays).annotate({ message: `expected one of ${weekdays.join(", ")}` }), 7)),
  from: Schema.optionalKey(timeOfDay),
  to: Schema.optionalKey(timeOfDay)
})

const metadataValue = Schema.String.annotate({ message: "expected a text" }).check(
  Schema.isMaxLength(500, { message: "expected a text of at most 500 characters" })
)

/** What a payment has to be for a rule to concern it. All that are given have to hold. */
export const RuleConditions = Schema.Struct({
  currencies: Schema.optionalKey(someOf(CurrencyCode, 200)),
  methods: Schema.optionalKey(Methods),
  brands: Schema.optionalKey(Brands),
  /** Of the card's issuer, or else the customer's. */
  countries: Schema.optionalKey(Countries),
  /** In minor units, both ends included. An amount in another currency does not match. */
  amount: Schema.optionalKey(
    Schema.Struct({ currency: CurrencyCode, min: Schema.optionalKey(amountMinor), max: Schema.optionalKey(amountMinor) }).check(
      Schema.makeFilter(({ max, min }) =>
        min !== undefined && max !== undefined && min > max
          ? { path: ["min"], issue: `must not be above max (${max}): no amount is both` }
          : undefined
      )
    )
  ),
  time: Schema.optionalKey(TimeWindow),
  /** The payment's metadata have each of these entries. */
  metadata: Schema.optionalKey(
    Schema.Record(Schema.String, metadataValue).check(Schema.isMaxProperties(20, { message: "expected at most 20 entries" }))
  ),
  captureMethods: Schema.optionalKey(
    someOf(Schema.Literals(["automatic", "manual"]).annotate({ message: "expected automatic or manual" }), 2)
  ),
  customerPresent: Schema.optionalKey(Schema.Boolean.annotate({ message: "expected true or false" }))
})
export type RuleConditions = typeof RuleConditions.Type

/** How much each part of a score counts. They are compared with each other only: 5, 3, 2 is 0.5, 0.3, 0.2. */
export const Weights = Schema.Struct({
  success: range.number(0, 1_000),
  latency: range.number(0, 1_000),
  cost: range.number(0, 1_000)
}).check(
  Schema.makeFilter(({ cost, latency, success }) => (success + latency + cost > 0 ? undefined : "at least one weight must be above 0"))
)
export type Weights = typeof Weights.Type

/** Built-in ways to score: see `strategies`. */
const Strategy = Schema.Literals(["most_reliable", "low_latency", "lowest_cost"]).annotate({
  message: "expected most_reliable, low_latency or lowest_cost"
})

/** A gateway's percentage of the payments that a rule concerns. */
export const SplitShare = Schema.Struct({
  gateway: GatewayName.annotate({ message: "expected the name of a gateway" }),
  share: range.number(0.01, 100)
})
export type SplitShare = typeof SplitShare.Type

/** Percentages of at most 100; the rest is routed as without the split. */
const Split = someOf(SplitShare, 32).check(
  Schema.makeFilter((shares) => {
    const total = shares.reduce((sum, { share }) => sum + share, 0)
    if (total > 100 + 1e-9) return `the shares add up to ${total}, more than 100`
    return new Set(shares.map(({ gateway }) => gateway)).size < shares.length ? "a gateway is named twice" : undefined
  })
)

/** What a rule does. */
export const RuleAction = Schema.Struct({
  prefer: Schema.optionalKey(GatewayNames),
  exclude: Schema.optionalKey(GatewayNames),
  only: Schema.optionalKey(GatewayNames),
  split: Schema.optionalKey(Split),
  strategy: Schema.optionalKey(Strategy),
  /** Instead of the policy's or the strategy's. */
  weights: Schema.optionalKey(Weights),
  /** Instead of the policy's. */
  latencyTargetMillis: Schema.optionalKey(range.integer(1, 600_000)),
  /** Instead of the policy's; 0: nothing is explored. */
  explorationShare: Schema.optionalKey(range.share)
}).check(
  Schema.makeFilter((action) =>
    Object.values(action).some((value) => value !== undefined)
      ? undefined
      : "says nothing: name at least one of prefer, exclude, only, split, strategy, weights, latencyTargetMillis, explorationShare"
  ),
  Schema.makeFilter(({ exclude, only }) => {
    const both = only?.findIndex((gateway) => exclude?.includes(gateway) === true) ?? -1
    return both < 0 ? undefined : { path: ["only", both], issue: "is in exclude as well" }
  })
)
export type RuleAction = typeof RuleAction.Type

/** A rule as data. `priority`: lowest first, default 100. */
export const RoutingRule = Schema.Struct({
  name: Name,
  priority: Schema.optionalKey(range.integer(0, 1_000_000)),
  when: Schema.optionalKey(RuleConditions),
  // oxlint-disable-next-line unicorn/no-thenable -- `when ... then ...`: nobody awaits a rule, and an object is no function
  then: RuleAction
})
export type RoutingRule = typeof RoutingRule.Type

/** What a rule is decided by. `now`: epoch milliseconds. */
export interface RuleContext {
  readonly payment: PaymentId
  readonly details: PaymentDetails
  readonly now: number
}

/** A rule that concerns a payment. */
export interface MatchedRule {
  readonly name: string
  readonly priority: number
  readonly action: RuleAction
}

/** The priority of a rule that names none. */
export const defaultPriority = Presets.routing.rulePriority.value

/** By priority, stable. */
export const byPriority = <Rule extends { readonly priority?: number }>(rules: ReadonlyArray<Rule>): ReadonlyArray<Rule> =>
  [...rules].sort((left, right) => (left.priority ?? defaultPriority) - (right.priority ?? defaultPriority))

/** The first rule, of those in order of priority, that concerns the payment. */
export const firstMatch = (rules: ReadonlyArray<RoutingRule>, context: RuleContext): MatchedRule | undefined => {
  for (const rule of rules) {
    if (rule.when === undefined || matches(rule.when, context)) {
      return { name: rule.name, priority: rule.priority ?? defaultPriority, action: rule.then }
    }
  }
  return undefined
}

const includes = <A>(list: ReadonlyArray<A> | undefined, value: A | undefined): boolean =>
  list === undefined || (value !== undefined && list.includes(value))

/** Do all conditions hold? */
export const matches = (when: RuleConditions, { details, now }: RuleContext): boolean => {
  const { amount, captureMethod, customer, customerPresent, metadata, method } = details
  return (
    includes(when.currencies, amount.currency) &&
    includes(when.methods, method.type) &&
    includes(when.brands, method.brand) &&
    includes(when.countries, method.country ?? customer?.country) &&
    includes(when.captureMethods, captureMethod) &&
    (when.customerPresent === undefined || when.customerPresent === customerPresent) &&
    (when.amount === undefined || isWithin(when.amount, details)) &&
    (when.time === undefined || isDuring(when.time, now)) &&
    (when.metadata === undefined || hasAll(when.metadata, metadata))
  )
}

const isWithin = (range: NonNullable<RuleConditions["amount"]>, { amount }: PaymentDetails): boolean =>
  range.currency === amount.currency &&
  (range.min === undefined || amount.minor >= range.min) &&
  (range.max === undefined || amount.minor <= range.max)

const hasAll = (wanted: Readonly<Record<string, string>>, metadata: PaymentDetails["metadata"]): boolean =>
  Object.entries(wanted).every(([key, value]) => Object.hasOwn(metadata, key) && metadata[key] === value)

const minutesOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

const isDuring = ({ days, from = "00:00", to }: NonNullable<RuleConditions["time"]>, now: number): boolean => {
  const minutes = Math.floor(now / 60_000)
  const minute = minutes - Math.floor(minutes / 1_440) * 1_440
  const begins = minutesOf(from)
  const ends = to === undefined || to === "00:00" ? 1_440 : minutesOf(to)
  const overMidnight = ends <= begins
  const beganYesterday = overMidnight && minute < ends
  if (!beganYesterday && (minute < begins || (!overMidnight && minute >= ends))) return false
  if (days === undefined) return true
  // 1970-01-01 was a Thursday.
  const day = Math.floor(minutes / 1_440) + 4 - (beganYesterday ? 1 : 0)
  const weekday = weekdays[((day % 7) + 7) % 7]
  return weekday !== undefined && days.includes(weekday)
}

/**
 * What the built-in strategies mean. `most_reliable`: success alone, and nothing is explored. `low_latency` and `lowest_cost`: their part
 * before the others, while success still counts: a fast or cheap gateway that fails is neither.
 */
export const strategies: {
  readonly [Name in NonNullable<RuleAction["strategy"]>]: { readonly weights: Weights; readonly explores: boolean }
} = {
  most_reliable: { weights: { success: 1, latency: 0, cost: 0 }, explores: false },
  low_latency: { weights: { success: 0.4, latency: 0.6, cost: 0 }, explores: true },
  lowest_cost: { weights: { success: 0.4, latency: 0, cost: 0.6 }, explores: true }
}
