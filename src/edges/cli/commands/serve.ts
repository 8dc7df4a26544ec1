/**
 * `aegispay serve`: the HTTP interface over the engine, with recovery on an interval, the processing of webhooks and the delivery of
 * notifications, until it is stopped.
 *
 * A stop (SIGINT, SIGTERM) takes no new requests, waits for those in hand, then for deliveries under way, then for the engine's gateway
 * calls and commits, and releases the database.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Dependencies from "../../../orchestration/resilience/dependency/Dependencies.ts"
import type { HttpConfig } from "../../config/Config.ts"
import * as HttpServer from "../../http/HttpServer.ts"
import { cannotRun, endsByInterruption } from "../Failure.ts"
import { bindProblem } from "../ListenProblem.ts"
import { print } from "../Output.ts"
import * as InjectedFaults from "../runtime/chaos/InjectedFaults.ts"
import * as Engine from "../runtime/Engine.ts"
import * as GatewayRegistry from "../runtime/GatewayRegistry.ts"
import * as Notifications from "../runtime/Notifications.ts"
import * as NotifyLoops from "../runtime/NotifyLoops.ts"
import * as Observation from "../runtime/Observation.ts"
import * as RecoveryLoop from "../runtime/RecoveryLoop.ts"
import * as Target from "../runtime/Target.ts"
import { version } from "../Version.ts"

export interface Input {
  readonly port: Option.Option<number>
  readonly host: Option.Option<string>
  readonly allowMissingGateways: boolean
  readonly allowChaos: boolean
  readonly allowChaosAtAllGateways: boolean
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const target = yield* Target.load
  const { config, source } = target
  if (config.gateways.length === 0) return yield* cannotRun(`${source}: gateways: no payment could be made; configure at least one`)
  if (config.http.apiKeys.length === 0)
    return yield* cannotRun(`${source}: http.apiKeys: nobody could use the server; add at least one key`)
  yield* InjectedFaults.check(target, input)
  const http: HttpConfig = {
    ...config.http,
    ...(Option.isSome(input.port) ? { port: input.port.value } : {}),
    ...(Option.isSome(input.host) ? { host: input.host.value } : {})
  }
  let serverUrl: string | undefined
  return yield* Effect.gen(function* () {
    if (!input.allowMissingGateways) yield* GatewayRegistry.requireOpenAccounts(target)
    yield* Observation.start
    // Opened before the server's: it closes after it, so that requests are no longer taken while deliveries end.
    const loops = yield* Scope.fork(yield* Effect.scope)
    const { url } = Context.get(yield* Layer.build(listening(http)), HttpServer.Listening)
    serverUrl = url
    yield* Scope.provide(
      NotifyLoops.start({
        receives: Notifications.receives(target),
        discardAfterMillis: config.notifications.discardAfterMillis
      }),
      loops
    )
    yield* RecoveryLoop.start(config)
    yield* announce(target, url)
    yield* endsByInterruption
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.mergeAll(
        Engine.layer(target, "serve", () => serverUrl),
        Notifications.layer(target),
        Dependencies.layer
      ).pipe(Layer.provideMerge(InjectedFaults.layer(input)))
    )
  )
})

const listening = (http: HttpConfig) =>
  HttpServer.layer(http).pipe(
    Layer.catchTag("ListenFailed", ({ cause, host, port }) =>
      Layer.effect(HttpServer.Listening, Effect.fail(cannotRun(bindProblem(cause, { host, port, choose: "--port" }))))
    )
  )

/** Where everything is. Secrets are shown of the development set-up only: its key was made here, the sandbox' keys are public. */
const announce = Effect.fnUntraced(function* ({ config, development, source }: Target.Target, url: string) {
  const gateways = config.gateways.map(({ name }) => name)
  const key = development === undefined ? undefined : Redacted.value(development.apiKey)
  const sandbox = config.sandbox === undefined ? undefined : `http://${config.sandbox.host}:${config.sandbox.port}`
  const account = config.gateways.find(({ kind }) => kind === "sandbox")
  yield* print({
    json: {
      url,
      version,
      source,
      database: config.database._tag === "Embedded" ? "embedded" : "server",
      gateways,
      ...(sandbox === undefined ? {} : { sandbox }),
      ...(key === undefined ? {} : { apiKey: key })
    },
    text: [
      `aegispay ${version} listening on ${url}`,
      `  API reference   ${url}/docs`,
      `  configuration   ${development === undefined ? source : `none: development set-up in ${source}`}`,
      `  database        ${config.database._tag === "Embedded" ? `embedded, in ${config.database.dataDir}` : "server"}`,
      `  gateways        ${gateways.join(", ")}`,
      ...(key === undefined ? [] : [`  API key         ${key}`]),
      ...(sandbox === undefined ? [] : [`  sandbox PSP     ${sandbox}`]),
      ...(development === undefined || account === undefined
        ? []
        : [`  its ledger      curl -sS -H 'Authorization: Bearer ${Redacted.value(account.secretKey)}' ${account.baseUrl}/ledger`]),
      ...(key === undefined ? [] : ["", "A first payment:", "", firstPayment(url, key)])
    ]
  })
})

/** Works when pasted, any number of times: the same key is the same payment. */
const firstPayment = (url: string, key: string): string =>
  `curl -sS ${url}/v1/payments -H 'Authorization: Bearer ${key}' -H 'Idempotency-Key: first-payment' ` +
  `-H 'Content-Type: application/json' -d '{"amount":4990,"currency":"EUR","paymentMethod":{"type":"card","token":"tok_success"}}'`
