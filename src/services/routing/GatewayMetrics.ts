/**
 * How gateways have been doing: what routing decides by.
 *
 * A rolling window of one hour, in bounded memory, recorded whether or not a policy uses it: of every gateway, and of its segments
 * (`domain/routing/Segment.ts`). Two rates are kept apart:
 *
 * - **availability** (`successRate`): did the gateway do its work? Issuer declines are healthy; technical refusals, unknown outcomes and
 *   connections that could not be made are failures; what was interrupted or not sent by our own doing is no call at all.
 * - **approval** (`approvalRate`): of the charges it answered, how many were approved? Only declines that another gateway might have
 *   approved count; a stolen card is stolen everywhere.
 *
 * `domain/routing/Attribution.ts` says which outcome counts as what.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type * as GatewayWindows from "../../domain/routing/GatewayWindows.ts"
import type { Segment, SegmentCode } from "../../domain/routing/Segment.ts"

/** One call to a gateway, with its verdicts, its segment and its cost. */
export type GatewaySample = GatewayWindows.GatewaySample

/** A call of the past. `at`: when it was answered, epoch milliseconds. */
export interface PastSample extends GatewaySample {
  readonly at: number
}

/** What is known of a gateway as a whole. */
export type GatewayHealth = GatewayWindows.GatewayHealth

/** What is known of a gateway for a segment, from the narrowest level with enough calls. */
export type GatewayStats = GatewayWindows.GatewayStats

/** What a gateway's charges cost in one currency. */
export type GatewayCost = GatewayWindows.GatewayCost

/** What is asked about at a time. `segment`: 0, the default, is the gateway as a whole. `since`: epoch milliseconds. */
export interface StatsAsked {
  readonly segment: SegmentCode
  readonly since?: number | undefined
}

/**
 * Metrics of gateways.
 *
 * - `record`: O(1), never fails, is never waited for on a store.
 * - `health`: of one gateway; of one never recorded: no samples, rate 1.
 * - `stats`: of one gateway for a segment; without a segment, of the gateway as a whole (then without a mean cost).
 * - `statsAt`: the same at a time of the clock, at once, for a segment by its code: what a decision reads, and an exporter, which runs no
 *   effects. Without a mean cost. `since`: what was counted before says nothing any more (but for approvals).
 * - `costs`: mean costs of a gateway by currency.
 * - `oldestKnownAt`: since when calls in the window are known at all (epoch milliseconds); `undefined`: none are.
 * - `restore`: counts calls of the past in their own minutes; those outside of the window are left out. They count for this instance only
 *   and are not shared: every instance can learn them from the same events. Consecutive failures are not restored.
 */
export class GatewayMetrics extends Context.Service<
  GatewayMetrics,
  {
    readonly record: (sample: GatewaySample) => Effect.Effect<void>
    readonly health: (gateway: GatewayName) => Effect.Effect<GatewayHealth>
    readonly stats: (gateway: GatewayName, segment?: Segment) => Effect.Effect<GatewayStats>
    readonly statsAt: (gateway: GatewayName, now: number, asked?: StatsAsked) => GatewayStats
    readonly costs: (gateway: GatewayName) => Effect.Effect<ReadonlyArray<GatewayCost>>
    readonly oldestKnownAt: Effect.Effect<number | undefined>
    readonly restore: (samples: ReadonlyArray<PastSample>) => Effect.Effect<void>
  }
>()("aegispay/services/routing/GatewayMetrics") {}
