/**
 * How often a declined card may be tried again, by the rules of its network. Past them a network charges a fee for every attempt and may look
 * into the merchant.
 *
 * The rules are data with dates, because networks change them: of several for one network the newest that has begun counts. What is
 * counted are declined attempts of one card at one merchant, across payments and gateways, whatever their amount. That is a little stricter
 * than what the networks publish (Visa counts by amount and after the first decline, and starts anew after an approval), so staying
 * within it stays within theirs.
 *
 * **Gotchas**: only what was declined is counted, and it is counted when the decline is known. Attempts of one card that are under way at
 * the same moment do not see each other, so that many can exceed a cap by as many.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { DeclineCategory } from "../../operation/Decline.ts"
import type { PaymentMethod } from "../../payment/PaymentMethod.ts"
import { Brands, Name, range, someOf } from "./Bounds.ts"

const hourMillis = 3_600_000
const dayMillis = 86_400_000

const Categories = Schema.Array(DeclineCategory.annotate({ message: `expected one of ${DeclineCategory.literals.join(", ")}` })).check(
  Schema.isMaxLength(DeclineCategory.literals.length)
)

/** The beginning of a day in UTC. */
const dayOf = (text: string): Option.Option<DateTime.Utc> => Option.map(DateTime.make(`${text}T00:00:00Z`), DateTime.toUtc)

/** Only days that there are: others would be read as some day of the next month. */
const day = Schema.String.annotate({ message: "expected a day such as 2025-05-19" }).check(
  Schema.makeFilter<string>((text) =>
    Option.exists(dayOf(text), (utc) => DateTime.formatIsoDateUtc(utc) === text) ? undefined : "expected a day such as 2025-05-19"
  )
)

/** At most `max` declined attempts within a rolling window. */
const Limit = Schema.Struct({ max: range.integer(1, 200), hours: range.integer(1, 90 * 24) })

/**
 * The caps of a network from a day on (UTC).
 *
 * - `brands`: the brands of payment methods it concerns.
 * - `counts`: the decline categories that are an attempt at the network.
 * - `neverDays`: for how long a card must not be tried again after its network forbade every further attempt.
 * - `never`: categories after which it must not either. None by default: an expired card is a hard decline, and the next attempt may have its
 *   new date.
 */
export const NetworkCaps = Schema.Struct({
  network: Name,
  brands: Brands,
  from: day,
  limits: someOf(Limit, 8),
  counts: Categories,
  never: Categories,
  neverDays: range.integer(1, 1_000)
})
export type NetworkCaps = typeof NetworkCaps.Type

/** A declined attempt. `at`: epoch milliseconds. */
export interface DeclinedAttempt {
  readonly at: number
  readonly category: DeclineCategory
  /** The network forbade every further attempt. */
  readonly networkForbids?: true
}

/** What the caps say of one more attempt. */
export interface CapsVerdict {
  readonly network: string
  /** Declined attempts within the longest window. */
  readonly declined: number
  /** Why it may not be made; `undefined`: it may. */
  readonly refused: string | undefined
}

/** Caps by brand, the newest first. */
export type CapsByBrand = ReadonlyMap<string, ReadonlyArray<{ readonly beginsAt: number; readonly caps: NetworkCaps }>>

/** Makes caps ready for looking up. */
export const byBrand = (all: ReadonlyArray<NetworkCaps>): CapsByBrand => {
  const brands = new Set(all.flatMap((caps) => caps.brands))
  const dated = all.map((caps) => ({ beginsAt: firstMilliOf(caps.from), caps })).sort((left, right) => right.beginsAt - left.beginsAt)
  return new Map([...brands].map((brand) => [brand, dated.filter(({ caps }) => caps.brands.includes(brand))]))
}

/** The caps that hold for a payment method at a time; `undefined`: none do. */
export const capsFor = (all: CapsByBrand, method: PaymentMethod, now: number): NetworkCaps | undefined =>
  method.brand === undefined ? undefined : all.get(method.brand)?.find(({ beginsAt }) => beginsAt <= now)?.caps

/** Judges one more attempt after those that were declined. */
export const judge = (caps: NetworkCaps, attempts: ReadonlyArray<DeclinedAttempt>, now: number): CapsVerdict => {
  // As with nearly every payment: no cap is below 1.
  if (attempts.length === 0) return { network: caps.network, declined: 0, refused: undefined }
  const longest = caps.limits.reduce((hours, limit) => Math.max(hours, limit.hours), 0)
  const within = (hours: number) =>
    attempts.reduce((count, { at, category }) => (caps.counts.includes(category) && at > now - hours * hourMillis ? count + 1 : count), 0)
  const verdict = { network: caps.network, declined: within(longest) }
  const forbidden = attempts.find((attempt) => forbids(caps, attempt) && attempt.at > now - caps.neverDays * dayMillis)
  if (forbidden !== undefined) {
    const what = forbidden.networkForbids === true ? "its answer to an earlier attempt" : `a ${forbidden.category} decline of this card`
    return { ...verdict, refused: `${caps.network}: ${what} forbids every further attempt with this card` }
  }
  const reached = caps.limits.find(({ hours, max }) => within(hours) >= max)
  return {
    ...verdict,
    refused:
      reached &&
      `${caps.network}: ${within(reached.hours)} declined attempts of this card in ${spanOf(reached.hours)}, the cap is ${reached.max}`
  }
}

const forbids = (caps: NetworkCaps, { category, networkForbids }: Omit<DeclinedAttempt, "at">): boolean =>
  networkForbids === true || caps.never.includes(category)

/** How long a declined attempt has to be remembered; 0: it counts for nothing. */
export const rememberMillis = (caps: NetworkCaps, declined: Omit<DeclinedAttempt, "at">): number => {
  const counted = caps.counts.includes(declined.category)
    ? caps.limits.reduce((hours, limit) => Math.max(hours, limit.hours), 0) * hourMillis
    : 0
  return forbids(caps, declined) ? Math.max(counted, caps.neverDays * dayMillis) : counted
}

const spanOf = (hours: number): string => (hours % 24 === 0 && hours > 24 ? `${hours / 24} days` : `${hours} h`)

/** What is no day never begins. */
const firstMilliOf = (from: string): number =>
  Option.match(dayOf(from), { onNone: () => Number.POSITIVE_INFINITY, onSome: DateTime.toEpochMillis })
