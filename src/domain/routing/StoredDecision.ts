/**
 * A routing decision in the few hundred bytes in which it is stored with its intent. Most of a payment's events would be its decision if
 * that were stored with the names of its fields; `RoutingDecision` stays what programs see.
 *
 * Nothing is lost but what is said twice: a gateway is a row of figures, a usual reason is its number, and what is as usual is left out.
 * `format` tells what "usual" means: it is fixed for ever, and has nothing to do with today's presets. Reasons may be appended to its list.
 *
 * Decisions that were stored with the names of their fields are read as they are.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { GatewayName } from "../payment/Ids.ts"
import type { ExcludedGateway, ExclusionReason, GatewaySignals, RankedGateway, ScoreParts } from "./Decision.ts"
import { maxGateways, RoutingDecision } from "./Decision.ts"

const format = 1

/** A gateway as a row; `null`: there is no such figure. What is left out at the end is as usual. */
const Cell = Schema.NullOr(Schema.Union([Schema.Finite, Schema.String]))
type Cell = typeof Cell.Type
const Row = Schema.Array(Cell).check(Schema.isMaxLength(32))
type Row = typeof Row.Type

/**
 * - `p`: the policy, usually `weighted`. `v`: its version. `u`: the rule. `w`: the weights; usual ones are left out, `[]`: there are none.
 * - `r`: the reason, unless it is that of the first gateway.
 * - `o`: the propensity, usually 1; -1: there is none. `s`: those that could have been first, by their places in `g`. `x`: explored or not. `t`: when it was decided. `a`: after which operation.
 * - `c`: the retry caps: network, basis, declined attempts.
 * - `g`: the ranked gateways; `n`: those that were left out.
 */
const Lean = Schema.Struct({
  f: Schema.Literal(format),
  p: Schema.optionalKey(Schema.String),
  v: Schema.optionalKey(Schema.String),
  u: Schema.optionalKey(Schema.String),
  w: Schema.optionalKey(Row),
  r: Schema.optionalKey(Schema.String),
  o: Schema.optionalKey(Schema.Finite),
  s: Schema.optionalKey(Schema.Array(Schema.Union([Schema.Int, Schema.String])).check(Schema.isMaxLength(maxGateways))),
  x: Schema.optionalKey(Schema.Boolean),
  t: Schema.optionalKey(Schema.Int),
  a: Schema.optionalKey(Schema.Int),
  c: Schema.optionalKey(Row),
  g: Schema.Array(Row),
  n: Schema.optionalKey(Schema.Array(Row))
})
type Lean = typeof Lean.Type

const usualPolicy = "weighted"
const usualWeights: ScoreParts = { success: 0.5, latency: 0.3, cost: 0.2 }

/** Only ever appended to: their numbers are stored. */
const reasons: ReadonlyArray<string> = [
  "by score",
  "explored",
  "in the fixed order",
  "preferred by the rule",
  "by a score with a drawn success",
  "its share of the split",
  "in the split, by its share",
  "half-open: behind the others, for probes",
  "behind the others: a call would wait for its turn",
  "half-open: a probe is due",
  "half-open: a probe is overdue"
]
const numberOfReason = new Map(reasons.map((reason, number) => [reason, number]))

/** What is said of a reason if nothing else is. */
const usualMessage = (reason: string, rule: string | undefined): string | undefined => {
  switch (reason) {
    case "no_reference":
      return "the payment method has no reference for this gateway"
    case "not_recoverable":
      return "a lost answer could not be recovered: no look-up, replay or cancel"
    case "rule":
      return `left out by the rule "${rule}"`
    case "tried":
      return "was tried for this payment"
    case "not_configured":
      return "is not configured any more"
    default:
      return undefined
  }
}

const levels = ["", "full", "method_currency", "method", "gateway"]
const phases = ["closed", "half_open", "open"] as const
const probes = [undefined, "due", "overdue"] as const
const fullness = [undefined, true, false] as const

/** Level, breaker, probe and fullness in one number: usually a digit. */
const stateOf = ({ breaker, level, probe, saturated }: GatewaySignals): number =>
  Math.max(0, levels.indexOf(level ?? "")) +
  levels.length * (phases.indexOf(breaker) + phases.length * (probes.indexOf(probe) + probes.length * fullness.indexOf(saturated)))

/** The usual end of a row is left out. */
const trimmed = (row: Array<Cell>, usual: ReadonlyArray<Cell>): Row => {
  const least = row.length - usual.length
  while (row.length > least && row[row.length - 1] === usual[row.length - 1 - least]) row.pop()
  return row
}

const usualEnd: ReadonlyArray<Cell> = [0, null, null, null]

const cellsOf = (signals: GatewaySignals): Row => {
  const { approved, declined, failuresInRow, health, level, minHealth, p95Millis, retryAfterMillis, samples, successRate } = signals
  const unusualLevel = level === undefined || (level !== "" && levels.includes(level)) ? null : level
  const row = [samples, successRate, approved, declined, p95Millis, stateOf(signals), health]
  return trimmed([...row, failuresInRow, retryAfterMillis ?? null, unusualLevel, minHealth ?? null], usualEnd)
}

const rowOfRanked = ({ feeMinor, gateway, parts, reason, score, signals }: RankedGateway): Row => {
  const known = [parts?.success ?? null, parts?.latency ?? null, parts?.cost ?? null, feeMinor ?? null]
  const row = [gateway, score, numberOfReason.get(reason) ?? reason, ...known]
  return signals === undefined ? trimmed(row, [null, null, null, null]) : [...row, ...cellsOf(signals)]
}

const rowOfExcluded = ({ gateway, message, reason, signals }: ExcludedGateway, rule: string | undefined): Row => {
  const row = [gateway, reason, message === usualMessage(reason, rule) ? null : message]
  return signals === undefined ? trimmed(row, [null]) : [...row, ...cellsOf(signals)]
}

const sameWeights = (one: ScoreParts, other: ScoreParts): boolean =>
  one.success === other.success && one.latency === other.latency && one.cost === other.cost

const firstReason = (ranked: ReadonlyArray<RankedGateway>): string | undefined => ranked[0] && `${ranked[0].gateway}: ${ranked[0].reason}`

/** A decision as it is stored, with its fields in the order of the schema. Of whatever is a decision it makes what the schema lets pass. */
export const pack = (decision: RoutingDecision): Lean => {
  const { after, caps, decidedAt, excluded, explored, policy, propensity, ranked, reason, rule, support, version, weights } = decision
  const lean: { -readonly [Key in keyof Omit<Lean, "g" | "n">]: Lean[Key] } = { f: format }
  if (policy !== usualPolicy) lean.p = policy
  if (version !== undefined) lean.v = version
  if (rule !== undefined) lean.u = rule
  if (weights === undefined) lean.w = []
  else if (!sameWeights(weights, usualWeights)) lean.w = [weights.success, weights.latency, weights.cost]
  if (reason !== firstReason(ranked)) lean.r = reason
  if (propensity !== 1) lean.o = propensity ?? -1
  if (support !== undefined) {
    lean.s = support.map((name) => {
      const place = ranked.findIndex(({ gateway }) => gateway === name)
      return place < 0 ? name : place
    })
  }
  if (explored !== undefined) lean.x = explored
  if (decidedAt !== undefined) lean.t = decidedAt
  if (after !== undefined) lean.a = after
  if (caps !== undefined) lean.c = [caps.network, caps.basis, caps.declined]
  const g = ranked.map(rowOfRanked)
  return excluded.length === 0 ? { ...lean, g } : { ...lean, g, n: excluded.map((one) => rowOfExcluded(one, rule)) }
}

/** What a row says, as it may be read: whether it is a decision is judged by the schema of one, so casts here promise nothing. */
const unpack = (lean: Lean): RoutingDecision => {
  const ranked = lean.g.map(rankedOf)
  return {
    policy: lean.p ?? usualPolicy,
    reason: lean.r ?? firstReason(ranked) ?? "",
    ranked,
    excluded: (lean.n ?? []).map((row) => excludedOf(row, lean.u)),
    ...(lean.v === undefined ? {} : { version: lean.v }),
    ...(lean.u === undefined ? {} : { rule: lean.u }),
    ...(lean.w?.length === 0 ? {} : { weights: lean.w === undefined ? usualWeights : partsOf(lean.w) }),
    ...(lean.o === -1 ? {} : { propensity: lean.o ?? 1 }),
    ...(lean.s === undefined ? {} : { support: lean.s.map((at) => (typeof at === "string" ? at : ranked[at]?.gateway) as GatewayName) }),
    ...(lean.x === undefined ? {} : { explored: lean.x }),
    ...(lean.c === undefined ? {} : { caps: { network: lean.c[0], basis: lean.c[1], declined: lean.c[2] } as RoutingDecision["caps"] }),
    ...(lean.t === undefined ? {} : { decidedAt: lean.t }),
    ...(lean.a === undefined ? {} : { after: lean.a as RoutingDecision["after"] })
  } as RoutingDecision
}

const partsOf = ([success, latency, cost]: Row): ScoreParts => ({ success, latency, cost }) as ScoreParts

const isThere = (cell: Cell | undefined): boolean => cell !== undefined && cell !== null

const rankedOf = (row: Row): RankedGateway => {
  const [gateway, score, reason, success, latency, cost, feeMinor, ...signals] = row
  return {
    gateway,
    score,
    reason: typeof reason === "number" ? reasons[reason] : reason,
    ...(isThere(success) ? { parts: partsOf([success ?? null, latency ?? null, cost ?? null]) } : {}),
    ...(isThere(feeMinor) ? { feeMinor } : {}),
    ...(signals.length === 0 ? {} : { signals: signalsOf(signals) })
  } as RankedGateway
}

const excludedOf = ([gateway, reason, message, ...signals]: Row, rule: string | undefined): ExcludedGateway =>
  ({
    gateway,
    reason: reason as ExclusionReason,
    message: message ?? usualMessage(String(reason), rule),
    ...(signals.length === 0 ? {} : { signals: signalsOf(signals) })
  }) as ExcludedGateway

const signalsOf = (row: Row): GatewaySignals => {
  const [samples, successRate, approved, declined, p95Millis, packed, health, failuresInRow, retryAfterMillis, unusualLevel, minHealth] =
    row
  const state = Number(packed)
  const rest = Math.floor(state / levels.length)
  const level = unusualLevel ?? (state % levels.length === 0 ? undefined : levels[state % levels.length])
  const probe = probes[Math.floor(rest / phases.length) % probes.length]
  const saturated = fullness[Math.floor(rest / (phases.length * probes.length))]
  return {
    samples,
    successRate,
    approved,
    declined,
    p95Millis,
    breaker: phases[rest % phases.length],
    health,
    failuresInRow: failuresInRow ?? 0,
    ...(isThere(retryAfterMillis) ? { retryAfterMillis } : {}),
    ...(level === undefined ? {} : { level }),
    ...(isThere(minHealth) ? { minHealth } : {}),
    ...(probe === undefined ? {} : { probe }),
    ...(saturated === undefined ? {} : { saturated })
  } as GatewaySignals
}

const FromLean = Lean.pipe(
  Schema.decodeTo(Schema.toType(RoutingDecision), SchemaTransformation.transform<RoutingDecision, Lean>({ decode: unpack, encode: pack }))
)

/** A decision in an event: written lean, read in every form it was ever written in. */
export const StoredDecision = Schema.Union([FromLean, RoutingDecision])
