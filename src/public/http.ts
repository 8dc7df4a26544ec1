/**
 * The package `aegispay/http`: the HTTP interface as a layer over the engine, on a Node server.
 *
 * `HttpServer.layer(config.http)` needs `Payments`, `Background`, `PaymentRepository`, `EventStore`, `Gateways` and `WebhookInbox`; `Config.load`
 * reads the configuration of a file, `Config.decode` that of data. `HttpNotifier.layer` posts the events that a relay delivers.
 * `HttpRateSource.make` reads exchange rates, over the client of `GatewayHttpClient.layer`.
 * `ProcessMetrics.layer` adds the process to what `GET /metrics` shows.
 */
export * as Config from "../edges/config/Config.ts"
export * as GatewayHttpClient from "../layers/node/GatewayHttpClient.ts"
export * as HttpNotifier from "../layers/node/HttpNotifier.ts"
export * as HttpRateSource from "../layers/node/HttpRateSource.ts"
export * as HttpServer from "../edges/http/HttpServer.ts"
export * as ProcessMetrics from "../layers/node/ProcessMetrics.ts"
export * as Background from "../orchestration/operation/Background.ts"
