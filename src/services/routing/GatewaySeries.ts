/**
 * The series of the gateways among the exported metrics: availability, approval rate and latencies of the last hour, and costs.
 *
 * They are not updated but read when metrics are exported, so that a call pays next to nothing for them. Labels: `gateway`: the names in
 * the configuration; `quantile`: 0.5, 0.95, 0.99; `currency`: the codes of the list.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { CurrencyCode } from "../../domain/Currency.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { CallCost } from "../../domain/routing/GatewayWindows.ts"
import type { GatewayStats } from "./GatewayMetrics.ts"

/** The most series of costs: then the costs of further currencies are not exported. */
const maxCosts = 1_000

interface Description {
  readonly name: string
  readonly description: string
  readonly labels: Readonly<Record<string, string>>
}

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
  const registrations: Array<Metric.Registration> = []
  const costs = new Map<GatewayName, Map<CurrencyCode, CostTotal>>()
  let costCount = 0

  const gauge = ({ description, labels, name }: Description, valueAt: (now: number) => number) => {
    const get = (context: Context.Context<never>) => ({ value: valueAt(Context.get(context, Clock.Clock).currentTimeMillisUnsafe()) })
    const metric = Metric.gauge(name, { description, attributes: labels })
    registrations.push(Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} }))
  }

  const counter = ({ description, labels, name }: Description, count: () => number) => {
    const get = () => ({ count: count(), incremental: true })
    const metric = Metric.counter(name, { description, attributes: labels, incremental: true })
    registrations.push(Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} }))
  }

  for (const { gateway, statsAt } of readings) {
    for (const { value, ...series } of seriesOf(gateway)) gauge(series, (now) => value(statsAt(now)))
  }

  const totalOf = (gateway: GatewayName, currency: CurrencyCode): CostTotal | undefined => {
    const byCurrency = costs.get(gateway) ?? new Map<CurrencyCode, CostTotal>()
    const known = byCurrency.get(currency)
    if (known !== undefined || costCount >= maxCosts) return known
    const total = { minor: 0, charges: 0 }
    costs.set(gateway, byCurrency.set(currency, total))
    costCount++
    const labels = { gateway, currency }
    const ofCosts = { name: "aegispay_gateway_cost_minor_total", description: "costs of charges, in minor units of the currency", labels }
    const ofCharges = { name: "aegispay_gateway_costs_total", description: "charges whose cost is known", labels }
    counter(ofCosts, () => total.minor)
    counter(ofCharges, () => total.charges)
    return total
  }

  return {
    addCost: (gateway, { currency, minor }) => {
      const total = totalOf(gateway, currency)
      if (total === undefined) return
      total.minor += minor
      total.charges++
    },
    remove: () => {
      for (const registration of registrations) registration.remove()
    }
  }
}

interface CostTotal {
  minor: number
  charges: number
}

const seriesOf = (gateway: GatewayName): ReadonlyArray<Description & { readonly value: (stats: GatewayStats) => number }> => {
  const labels = { gateway }
  const latency = (quantile: string, value: (stats: GatewayStats) => number) => ({
    name: "aegispay_gateway_latency_milliseconds",
    description: "latency of calls in the last hour, by quantile",
    labels: { gateway, quantile },
    value
  })
  return [
    {
      name: "aegispay_gateway_window_calls",
      description: "calls in the last hour that count for or against the gateway",
      labels,
      value: ({ samples }) => samples
    },
    {
      name: "aegispay_gateway_success_rate",
      description: "availability in the last hour, in [0, 1]",
      labels,
      value: ({ successRate }) => successRate
    },
    {
      name: "aegispay_gateway_approval_rate",
      description: "approvals in the last hour, in [0, 1]",
      labels,
      value: ({ approvalRate }) => approvalRate
    },
    latency("0.5", ({ p50Millis }) => p50Millis),
    latency("0.95", ({ p95Millis }) => p95Millis),
    latency("0.99", ({ p99Millis }) => p99Millis)
  ]
}
