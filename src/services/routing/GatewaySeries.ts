/**
 * The series of the gateways among the exported metrics: availability, approval rate and latencies of the last hour, and costs.
 *
 * They are not updated but read when metrics are exported, so that a call pays next to nothing for them. Their names and labels are in
 * metrics/Catalog.ts.
 */
import type * as Context from "effect/Context"
import type { CurrencyCode } from "../../domain/Currency.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { CallCost } from "../../domain/routing/GatewayWindows.ts"
import * as Family from "../metrics/Family.ts"
import type { GatewayStats } from "./GatewayMetrics.ts"

/** The most series of costs: then the costs of further currencies are not exported. */
const maxCosts = 1_000

/** What is read when metrics are exported, at a time of the clock. */
export interface GatewayReading {
  readonly gateway: GatewayName
  readonly statsAt: (now: number) => GatewayStats
}

/** Series that were registered in a registry. */
export interface GatewaySeries {
  /** Adds what a charge cost. */
  readonly addCost: (gateway: GatewayName, cost: CallCost) => void
  readonly remove: () => void
}

/** Registers the series of these gateways in the context's registry. */
export const register = (context: Context.Context<never>, readings: ReadonlyArray<GatewayReading>): GatewaySeries => {
  const series = Family.registrar(context)
  const costs = new Map<GatewayName, Map<CurrencyCode, CostTotal>>()
  let costCount = 0

  for (const reading of readings) registerStats(series, reading)

  const totalOf = (gateway: GatewayName, currency: CurrencyCode): CostTotal | undefined => {
    const byCurrency = costs.get(gateway) ?? new Map<CurrencyCode, CostTotal>()
    const known = byCurrency.get(currency)
    if (known !== undefined || costCount >= maxCosts) return known
    const total = { minor: 0, charges: 0 }
    costs.set(gateway, byCurrency.set(currency, total))
    costCount++
    series.counter("aegispay_gateway_cost_minor_total", { gateway, currency }, () => total.minor)
    series.counter("aegispay_gateway_costs_total", { gateway, currency }, () => total.charges)
    return total
  }

  return {
    addCost: (gateway, { currency, minor }) => {
      const total = totalOf(gateway, currency)
      if (total === undefined) return
      total.minor += minor
      total.charges++
    },
    remove: series.remove
  }
}

interface CostTotal {
  minor: number
  charges: number
}

const registerStats = (series: Family.Registrar, { gateway, statsAt }: GatewayReading): void => {
  const gauge = (
    name: "aegispay_gateway_window_calls" | "aegispay_gateway_success_rate" | "aegispay_gateway_approval_rate",
    value: (stats: GatewayStats) => number
  ) => series.gauge(name, { gateway }, (clock) => value(statsAt(clock.currentTimeMillisUnsafe())))
  gauge("aegispay_gateway_window_calls", ({ samples }) => samples)
  gauge("aegispay_gateway_success_rate", ({ successRate }) => successRate)
  gauge("aegispay_gateway_approval_rate", ({ approvalRate }) => approvalRate)
  const latency = (quantile: "0.5" | "0.95" | "0.99", value: (stats: GatewayStats) => number) =>
    series.gauge("aegispay_gateway_latency_milliseconds", { gateway, quantile }, (clock) => value(statsAt(clock.currentTimeMillisUnsafe())))
  latency("0.5", ({ p50Millis }) => p50Millis)
  latency("0.95", ({ p95Millis }) => p95Millis)
  latency("0.99", ({ p99Millis }) => p99Millis)
}
