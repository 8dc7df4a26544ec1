/**
 * `GET /metrics`: everything in effect's metric registry in the text format of Prometheus, sorted, so that two answers can be compared.
 *
 * The figures are those of all merchants, so it takes a key with the scope `metrics`, which no key has unless the configuration says so; with
 * `http.metrics.public` it takes none, for a network that nobody else can reach.
 *
 * What the metrics are is in services/metrics/Catalog.ts. A host's own metrics in the same registry are there too.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type { HttpConfig } from "../../config/Config.ts"
import * as ApiKeyAuth from "../ApiKeyAuth.ts"
import { toResponse } from "../Problems.ts"

/** The address. */
export const template = "/metrics"

/** Version 0.0.4 of the text format is the one that every collector reads. */
const contentType = "text/plain; version=0.0.4; charset=utf-8"

const text = Effect.map(Effect.context(), (context) => {
  const registry = [...Context.get(context, Metric.MetricRegistry)]
  registry.sort(([left, { id: leftId }], [right, { id: rightId }]) => order(leftId, rightId) || order(left, right))
  return PrometheusMetrics.formatUnsafe(Context.add(context, Metric.MetricRegistry, new Map(registry)))
})

const order = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)

/** The route, where it is switched on. */
export const layer = ({ apiKeys, metrics }: Pick<HttpConfig, "apiKeys" | "metrics">) => {
  const allowed = metrics?.public === true ? Effect.void : ApiKeyAuth.required(apiKeys, "metrics")
  const handler = Effect.map(Effect.andThen(allowed, text), (body) => HttpServerResponse.text(body, { contentType }))
  return HttpRouter.add("GET", template, Effect.catchTag(handler, "Problem", toResponse))
}
