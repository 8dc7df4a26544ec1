/**
 * A routing policy: how gateways are scored, what rules and caps hold, how much is explored. Data with defaults, as the configuration file
 * has it, and made ready for deciding by `make`.
 *
 * The version of a policy is a digest of its data. It is stored with every decision, so that decisions of one policy can be told from
 * those of another.
 */
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../Currency.ts"
import type { GatewayName } from "../../payment/Ids.ts"
import * as Presets from "../../Presets.ts"
import type { ScoreParts } from "../Decision.ts"
import { GatewayNames, range } from "./Bounds.ts"
import type { Fees } from "./Cost.ts"
import * as RetryCaps from "./RetryCaps.ts"
import * as Rules from "./Rules.ts"

const amountMinor = range.integer(0, Number.MAX_SAFE_INTEGER)
const isCurrency = Schema.is(CurrencyCode)

/** Amounts by currency. Keys are checked as a whole: a record whose key schema refuses a key would drop the entry without a word. */
const AmountByCurrency = Schema.Record(Schema.String, amountMinor).check(
  Schema.makeFilter((amounts) => (Object.keys(amounts).every(isCurrency) ? undefined : "a key is a currency code, such as EUR"))
)

/**
 * How a score is made; see `Scoring.ts` for the formulas.
 *
 * - `priorMean`, `priorStrength`: what is assumed of a gateway before it was called, and how many calls that assumption is worth.
 * - `approvalFloor`: as long as at least this share of charges is approved, approvals do not count; below it the success rate shrinks with
 *   it. 1: they count fully. 0: never.
 * - `optimism`: so many standard deviations are added to what is known of a gateway's success, for payments that may be explored. 0: none.
 * - `latencyTargetMillis`: a p95 up to it is as good as can be. `latencyLimitMillis`: from it on as bad.
 * - `costLimitBasisPoints`: fees of this share of the amount are as bad as can be; none at all is as good.
 */
const Scoring = Schema.Struct({
  priorMean: Schema.optionalKey(range.share),
  priorStrength: Schema.optionalKey(range.number(0.1, 10_000)),
  approvalFloor: Schema.optionalKey(range.share),
  optimism: Schema.optionalKey(range.number(0, 10)),
  latencyTargetMillis: Schema.optionalKey(range.integer(1, 600_000)),
  latencyLimitMillis: Schema.optionalKey(range.integer(1, 600_000)),
  costLimitBasisPoints: Schema.optionalKey(range.integer(1, 10_000))
})

/**
 * The data of a policy; what is left out takes its preset.
 *
 * - `policy`: `weighted`: by score. `fixed`: in the order of `order`, the others after them as configured. `thompson`: by scores whose success
 *   is drawn from what is known of each gateway, so that what is known little of is tried more often.
 * - `minHealthScore`: a gateway of less health is left out while another is there. Default: what its circuit breaker says (`minHealthScore` of
 *   the breaker's settings).
 * - `exploration`: this share of the payments up to an amount, by currency, goes to another gateway than the best one. A currency that
 *   is not listed is not explored. `overdueMaxAmount`: up to it a payment may be a probe that is overdue; default ten times `maxAmount`, `{}`: none
 *   is.
 */
export const PolicyData = Schema.Struct({
  policy: Schema.optionalKey(
    Schema.Literals(["weighted", "fixed", "thompson"]).annotate({ message: "expected weighted, fixed or thompson" })
  ),
  order: Schema.optionalKey(GatewayNames),
  weights: Schema.optionalKey(Rules.Weights),
  scoring: Schema.optionalKey(Scoring),
  minHealthScore: Schema.optionalKey(range.share),
  exploration: Schema.optionalKey(
    Schema.Struct({
      share: Schema.optionalKey(range.share),
      maxAmount: Schema.optionalKey(AmountByCurrency),
      overdueMaxAmount: Schema.optionalKey(AmountByCurrency)
    })
  ),
  rules: Schema.optionalKey(Schema.Array(Rules.RoutingRule).check(Schema.isMaxLength(200))),
  retryCaps: Schema.optionalKey(Schema.Array(RetryCaps.NetworkCaps).check(Schema.isMaxLength(50)))
}).check(
  Schema.makeFilter(({ exploration, policy }) =>
    policy === "fixed" && exploration?.share !== undefined && exploration.share > 0
      ? { path: ["exploration", "share"], issue: "the policy fixed explores nothing: leave it out, or choose another policy" }
      : undefined
  ),
  Schema.makeFilter(({ scoring }) => {
    const { latencyLimitMillis, latencyTargetMillis } = { ...scoringPresets, ...scoring }
    return latencyTargetMillis < latencyLimitMillis
      ? undefined
      : { path: ["scoring", "latencyTargetMillis"], issue: `must be below latencyLimitMillis (${latencyLimitMillis})` }
  })
)
export type PolicyData = typeof PolicyData.Type

const scoringPresets = {
  priorMean: Presets.routing.priorMean.value,
  priorStrength: Presets.routing.priorStrength.value,
  approvalFloor: Presets.routing.approvalFloor.value,
  optimism: Presets.routing.optimism.value,
  latencyTargetMillis: Presets.routing.latencyTargetMillis.value,
  latencyLimitMillis: Presets.routing.latencyLimitMillis.value,
  costLimitBasisPoints: Presets.routing.costLimitBasisPoints.value
}

/** The settings of scores, with what the formulas take from them made once. */
export interface ScoringSettings {
  readonly priorMean: number
  readonly priorStrength: number
  readonly approvalFloor: number
  readonly optimism: number
  readonly latencyTargetMillis: number
  readonly latencyLimitMillis: number
  readonly costLimitBasisPoints: number
  /** ln limit, and ln(limit / target). */
  readonly latencyLimitLog: number
  readonly latencySpanLog: number
}

const scaled = (settings: typeof scoringPresets): ScoringSettings => ({
  ...settings,
  latencyLimitLog: Math.log(settings.latencyLimitMillis),
  latencySpanLog: Math.log(settings.latencyLimitMillis / settings.latencyTargetMillis)
})

/** The same settings with another latency target; the limit stays above it. */
export const withLatencyTarget = (settings: ScoringSettings, latencyTargetMillis: number): ScoringSettings =>
  scaled({ ...settings, latencyTargetMillis, latencyLimitMillis: Math.max(settings.latencyLimitMillis, latencyTargetMillis + 1) })

/** A policy, ready for deciding. */
export interface Policy {
  readonly kind: NonNullable<PolicyData["policy"]>
  readonly version: string
  /** The place of each gateway that `order` names. */
  readonly order: ReadonlyMap<GatewayName, number>
  /** Adding up to 1. */
  readonly weights: ScoreParts
  readonly scoring: ScoringSettings
  /** `undefined`: the breakers' own. */
  readonly minHealthScore: number | undefined
  readonly explorationShare: number
  readonly explorationMaxAmount: ReadonlyMap<string, number>
  readonly overdueProbeMaxAmount: ReadonlyMap<string, number>
  /** By priority. */
  readonly rules: ReadonlyArray<Rules.RoutingRule>
  readonly retryCaps: RetryCaps.CapsByBrand
  readonly fees: ReadonlyMap<GatewayName, Fees>
}

/** Makes a policy of its data and the gateways' price lists. */
export const make = (data: PolicyData = {}, fees: ReadonlyMap<GatewayName, Fees> = new Map()): Policy => {
  const explorationMaxAmount = data.exploration?.maxAmount ?? Presets.routing.explorationMaxAmount.value
  const complete = {
    policy: data.policy ?? Presets.routing.policy.value,
    order: data.order ?? [],
    weights: weightsOf(data.weights ?? Presets.routing.weights.value),
    scoring: { ...scoringPresets, ...data.scoring },
    minHealthScore: data.minHealthScore,
    explorationShare: data.exploration?.share ?? Presets.routing.explorationShare.value,
    explorationMaxAmount,
    overdueProbeMaxAmount: data.exploration?.overdueMaxAmount ?? overdueAmounts(explorationMaxAmount),
    rules: Rules.byPriority(data.rules ?? []),
    retryCaps: data.retryCaps ?? Presets.routing.retryCaps.value,
    fees: [...fees]
  }
  return {
    kind: complete.policy,
    version: digest(canonical(complete)),
    order: new Map(complete.order.map((gateway, index) => [gateway, index])),
    weights: complete.weights,
    scoring: scaled(complete.scoring),
    minHealthScore: complete.minHealthScore,
    explorationShare: complete.explorationShare,
    explorationMaxAmount: new Map(Object.entries(complete.explorationMaxAmount)),
    overdueProbeMaxAmount: new Map(Object.entries(complete.overdueProbeMaxAmount)),
    rules: complete.rules,
    retryCaps: RetryCaps.byBrand(complete.retryCaps),
    fees
  }
}

const overdueAmounts = (amounts: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(amounts).map(([currency, most]) => [currency, most * Presets.routing.overdueProbeFactor.value]))

/** Weights that add up to 1. */
export const weightsOf = ({ cost, latency, success }: Rules.Weights): ScoreParts => {
  const total = success + latency + cost
  return { success: success / total, latency: latency / total, cost: cost / total }
}

/** JSON with its keys in order, so that the same data always reads the same. */
const canonical = (data: unknown): string =>
  JSON.stringify(data, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)))
      : value
  )

/** FNV-1a over the UTF-16 code units, two lanes of 32 bits with different starts: tells policies apart, protects nothing. */
const digest = (text: string): string => {
  let high = 0x811c9dc5
  let low = 0x01000193
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    high = Math.imul(high ^ unit, 0x01000193) >>> 0
    low = Math.imul(low ^ unit ^ (high >>> 24), 0x01000193) >>> 0
  }
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0")
}
