/**
 * What every request passes, whatever route it takes: a correlation id in and out, one log line, one count, and a problem for what no
 * route answered.
 *
 * The log line has method, route template, status, duration, and the payment, its gateway or the webhook that it turned out to be about:
 * no query, no headers, no body. Routes without a template (unknown
 * addresses) are logged and counted as `unmatched`, so that nobody can flood the labels.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpServerError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import { looksLikeCardNumber } from "../../domain/payment/PaymentMethod.ts"
import * as Metrics from "../../services/Metrics.ts"
import { Api } from "./Api.ts"
import * as ChaosApi from "./chaos/ChaosApi.ts"
import { CorrelationId, internalError, Problem, toResponse } from "./Problems.ts"
import * as MetricsHandlers from "./observability/MetricsHandlers.ts"
import { RequestSubject, type Subject } from "./observability/RequestSubject.ts"
import * as Webhooks from "./Webhooks.ts"

/** The header, in and out. 1 to 64 characters of `A-Z a-z 0-9 . _ -`; anything else is replaced by a new id. */
export const correlationHeader = "x-correlation-id"

/** Status that the log gives a request whose caller left before the answer, as nginx does. */
const callerLeft = 499

interface RouteTemplate {
  readonly method: string
  readonly template: string
  readonly pattern: RegExp
}

const withPattern = (route: Omit<RouteTemplate, "pattern">): RouteTemplate => ({
  ...route,
  pattern: new RegExp(`^${route.template.replaceAll(/:[A-Za-z]+/g, "[^/]+").replaceAll(".", "[.]")}$`)
})

const routes: ReadonlyArray<RouteTemplate> = [
  ...Object.values(Api.groups).flatMap((group) =>
    Object.values(group.endpoints).map(({ method, path }) => ({ method: String(method), template: String(path) }))
  ),
  { method: "POST", template: Webhooks.template },
  { method: "GET", template: MetricsHandlers.template },
  { method: "GET", template: "/openapi.json" },
  { method: "GET", template: "/docs" }
].map(withPattern)

/** Where the process has the switch of injected faults. */
const chaosRoutes: ReadonlyArray<RouteTemplate> = [
  ...["GET", "PUT", "DELETE"].map((method) => ({ method, template: ChaosApi.template })),
  { method: "GET", template: ChaosApi.repetitionTemplate },
  { method: "PUT", template: ChaosApi.holdTemplate }
].map(withPattern)

/**
 * The path of an address as the router reads it: without host, up to `?`, `;` or `#`, and decoded but for reserved characters. Whoever read
 * it otherwise would take `/v1/payment%73` for another route than the one that answers.
 */
export const pathOf = (url: string): string => {
  const [path = ""] = url.replace(/^https?:\/\/.*?\//, "/").split(/[?;#]/, 1)
  return Result.getOrElse(
    Result.try(() => decodeURI(path)),
    () => path
  )
}

const routesAt = (url: string, hasChaos: boolean): ReadonlyArray<RouteTemplate> => {
  const path = pathOf(url)
  return (hasChaos ? [...routes, ...chaosRoutes] : routes).filter(({ pattern }) => pattern.test(path))
}

/** Template of a request that no route takes. */
export const unmatched = "unmatched"

/** The template of the route of the request in hand: its address is one of the interface's, whatever the method. */
export const RouteTemplate = Context.Reference<string>("aegispay/edges/http/RequestEdge/RouteTemplate", { defaultValue: () => unmatched })

/** Wraps the routes; what comes out never fails. `hasChaos`: the routes of injected faults are among them. */
export const wrap = <R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, R>,
  { hasChaos }: { readonly hasChaos: boolean }
) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const startedAt = yield* Clock.currentTimeMillis
    const correlationId = correlationOf(request.headers[correlationHeader])
    const found = routesAt(request.url, hasChaos)
    const template = found[0]?.template ?? unmatched
    const subject: Subject = {}
    const log = Effect.fnUntraced(function* (status: number) {
      const durationMillis = (yield* Clock.currentTimeMillis) - startedAt
      yield* Metrics.httpRequest({ route: template, status, durationMillis })
      yield* Effect.annotateLogs(Effect.logInfo("request"), { method: request.method, route: template, status, ...subject, durationMillis })
    })
    return yield* app.pipe(
      Effect.catchCause((cause) => answerTo(cause, request, found)),
      Effect.onExit((exit) => log(Exit.isSuccess(exit) ? exit.value.status : callerLeft)),
      Effect.map(
        HttpServerResponse.setHeaders({
          [correlationHeader]: correlationId,
          "cache-control": "no-store",
          "x-content-type-options": "nosniff"
        })
      ),
      Effect.provideService(CorrelationId, correlationId),
      Effect.provideService(RouteTemplate, template),
      Effect.provideService(RequestSubject, subject),
      Effect.annotateLogs("correlationId", correlationId)
    )
  })

const correlationOf = (sent: string | undefined): string =>
  sent !== undefined && /^[A-Za-z0-9._-]{1,64}$/.test(sent) && !looksLikeCardNumber(sent) ? sent : randomUUID()

/** A caller who left is not answered. Of what nobody foresaw the log gets all and the caller nothing. */
const answerTo = (cause: Cause.Cause<unknown>, request: HttpServerRequest.HttpServerRequest, routesHere: ReadonlyArray<RouteTemplate>) => {
  if (Cause.hasInterrupts(cause)) return Effect.failCause(Cause.interrupt())
  const error = Cause.squash(cause)
  if (isRouteNotFound(error)) return toResponse(noRoute(request, routesHere))
  return Effect.andThen(Effect.logError("request failed unexpectedly", cause), toResponse(internalError))
}

const isRouteNotFound = (error: unknown): error is HttpServerError =>
  typeof error === "object" && error !== null && (error as Partial<HttpServerError>).reason?._tag === "RouteNotFound"

const noRoute = (request: HttpServerRequest.HttpServerRequest, routesHere: ReadonlyArray<RouteTemplate>): Problem => {
  const methods = [...new Set(routesHere.map(({ method }) => method))]
  if (methods.length === 0 || methods.includes(request.method))
    return new Problem({ code: "not_found", detail: "See /docs for the addresses of this server." })
  const allow = methods.join(", ")
  return new Problem({ code: "method_not_allowed", detail: `This address takes ${allow}.`, headers: { allow } })
}
