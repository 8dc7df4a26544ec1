/**
 * The HTTP interface as a layer: routes, OpenAPI at `/openapi.json`, the reference page at `/docs`, on a Node server.
 *
 * ```ts
 * const Http = HttpServer.layer(config.http)   // needs Payments, Background, PaymentRepository, EventStore, Gateways, WebhookInbox
 * const { url } = yield* HttpServer.Listening
 * ```
 *
 * It binds 127.0.0.1 unless the configuration says otherwise. When the layer is closed it takes no new requests and waits for those
 * in hand, at most `shutdownMillis`; the engine then waits for its own work.
 *
 * Where the context has a `Chaos`, there is `/ops/chaos` too.
 *
 * Where the configuration has rate limits, a `RateLimiter` of the context counts them; without one they are counted in this process' memory.
 *
 * Gotcha: `Background` has to be the engine's own: build it with `Payments.layerEngine` over `Background.layer`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as EffectHttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Background } from "../../orchestration/operation/Background.ts"
import type { Payments } from "../../orchestration/payment/Payments.ts"
import { Chaos } from "../../services/chaos/Chaos.ts"
import { EventStore } from "../../services/EventStore.ts"
import type { Gateways } from "../../services/Gateway.ts"
import type { WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import type { PaymentRepository } from "../../services/PaymentRepository.ts"
import type { HttpConfig } from "../config/Config.ts"
import { Api } from "./Api.ts"
import * as ApiKeyAuth from "./ApiKeyAuth.ts"
import * as ChaosApi from "./chaos/ChaosApi.ts"
import * as ChaosHandlers from "./chaos/ChaosHandlers.ts"
import * as HealthHandlers from "./HealthHandlers.ts"
import * as NodeServer from "./NodeServer.ts"
import * as MetricsHandlers from "./observability/MetricsHandlers.ts"
import * as PaymentHandlers from "./PaymentHandlers.ts"
import { MaxBodyBytes } from "./RequestBody.ts"
import * as RequestEdge from "./RequestEdge.ts"
import * as RequestErrors from "./RequestErrors.ts"
import * as ClientAddress from "./resilience/ClientAddress.ts"
import * as ManagementHandlers from "./resilience/ManagementHandlers.ts"
import * as RateLimits from "./resilience/RateLimits.ts"
import * as Webhooks from "./Webhooks.ts"

/** A server that listens; `url` has no trailing slash. */
export class Listening extends Context.Service<Listening, { readonly url: string }>()("aegispay/edges/http/HttpServer/Listening") {}

/** Why an address cannot be bound. */
export const ListenReason = Schema.Literals(["port_in_use", "not_permitted", "no_such_address", "other"])

/** The address cannot be bound. */
export class ListenFailed extends Schema.TaggedError<ListenFailed>()("ListenFailed", {
  host: Schema.String,
  port: Schema.Int,
  reason: ListenReason,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot listen on ${this.host}:${this.port}: ${explanations[this.reason]}`
  }
}

const explanations: { readonly [Reason in typeof ListenReason.Type]: string } = {
  port_in_use: "the port is in use by another process; stop it or set http.port to another one (0 takes a free port)",
  not_permitted: "this user may not bind this port; ports below 1024 need a privilege",
  no_such_address: "this machine does not have this address; check http.host",
  other: "the system refused"
}

const reasonOf = (cause: unknown): typeof ListenReason.Type => {
  switch ((cause as { readonly code?: unknown } | undefined)?.code) {
    case "EADDRINUSE":
      return "port_in_use"
    case "EACCES":
    case "EPERM":
      return "not_permitted"
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "no_such_address"
    default:
      return "other"
  }
}

/** The routes without a server. */
export const routes = (config: Pick<HttpConfig, "apiKeys" | "metrics">) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api).pipe(
      Layer.provide([PaymentHandlers.layer, ManagementHandlers.layer, HealthHandlers.layer]),
      Layer.provide([ApiKeyAuth.layer(config.apiKeys), RequestErrors.layer])
    ),
    Webhooks.layer,
    config.metrics?.enabled === false ? Layer.empty : MetricsHandlers.layer(config),
    ChaosHandlers.layer(config),
    documentation
  )

/** The description of an interface, for programs and for people. */
const pagesOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<Id, Groups>) => {
  let document: HttpServerResponse.HttpServerResponse | undefined
  const described = Effect.sync(() => (document ??= HttpServerResponse.jsonUnsafe(OpenApi.fromApi(api))))
  return Layer.merge(HttpRouter.add("GET", "/openapi.json", described), HttpApiScalar.layer(api, { path: "/docs" }))
}

/** The switch of faults is described where it is. */
const documentation = Layer.unwrap(
  Effect.map(Effect.serviceOption(Chaos), (chaos) => (Option.isSome(chaos) ? pagesOf(ChaosApi.documented) : pagesOf(Api)))
)

/** An address has one spelling, so that nothing in front of this server and the server itself can disagree on what it means. */
const exactRoutes = { caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, maxParamLength: 1_024 }

/** The whole application as one effect per request, for servers and for tests without one. */
export const app = Effect.fnUntraced(function* (
  config: Pick<HttpConfig, "apiKeys" | "metrics" | "maxBodyBytes" | "rateLimits" | "trustedProxies">
) {
  const router = yield* Effect.provideService(HttpRouter.toHttpEffect(routes(config)), HttpRouter.RouterConfig, exactRoutes)
  const { apiKeys, rateLimits: settings, trustedProxies = [] } = config
  const limited =
    settings === undefined
      ? router
      : RateLimits.limit(router, { settings, apiKeys, limiter: yield* RateLimits.limiter(settings), events: yield* EventStore })
  const hasChaos = Option.isSome(yield* Effect.serviceOption(Chaos))
  return RequestEdge.wrap(limited, { hasChaos }).pipe(
    ClientAddress.behind(trustedProxies),
    Effect.provideService(MaxBodyBytes, config.maxBodyBytes)
  )
})

/** What the interface is served from. */
export type Dependencies = Payments | PaymentRepository | EventStore | Background | Gateways | WebhookInbox

/** Serves the interface. Fails with `ListenFailed` when the address cannot be bound. */
export const layer = (config: HttpConfig): Layer.Layer<Listening, ListenFailed, Dependencies> =>
  Layer.effect(
    Listening,
    Effect.gen(function* () {
      const server = yield* EffectHttpServer.HttpServer
      yield* server.serve(yield* app(config))
      return Listening.of({ url: EffectHttpServer.formatAddress(server.address) })
    })
  ).pipe(
    Layer.provide(
      NodeHttpServer.layer(() => NodeServer.make(config), {
        host: config.host,
        port: config.port,
        gracefulShutdownTimeout: Duration.millis(config.shutdownMillis)
      })
    ),
    Layer.catchTag("ServeError", ({ cause }) =>
      Layer.effect(Listening, Effect.fail(new ListenFailed({ host: config.host, port: config.port, reason: reasonOf(cause), cause })))
    )
  )
