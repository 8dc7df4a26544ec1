/**
 * The HTTP interface, declared: routes, what they take, what they answer. OpenAPI and the reference page are made from it.
 *
 * Gotcha: bodies are declared here for the documentation; RequestBody.ts reads and decodes them, so that size, media type, depth and
 * texts are checked first. Handlers answer responses of their own, because one shape has several statuses.
 */
import * as Schema from "effect/Schema"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { IdempotencyKey, PaymentId } from "../../domain/payment/Ids.ts"
import { ApiKeyAuth } from "./ApiKeyAuth.ts"
import * as Json from "./PaymentJson.ts"
import { contentType, problems, type ProblemCode } from "./Problems.ts"
import { RequestErrors } from "./RequestErrors.ts"
import * as ResilienceJson from "./resilience/ResilienceJson.ts"

/** The body of every error of a status. */
export const problem = (status: number) => {
  const codes = (Object.keys(problems) as Array<ProblemCode>).filter((code) => problems[code].status === status)
  return Schema.Struct({
    type: Schema.String,
    title: Schema.String,
    status: Schema.Literal(status),
    detail: Schema.String,
    code: Schema.Literals(codes),
    errors: Schema.optionalKey(Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))),
    correlationId: Schema.optionalKey(Schema.String)
  })
    .annotate({ identifier: `Problem${status}`, description: "RFC 9457 problem details; docs/errors.md explains every code" })
    .pipe(HttpApiSchema.status(status), HttpApiSchema.asJson({ contentType }))
}

const commandErrors = [400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503].map(problem)
const readErrors = [400, 401, 403, 404, 429, 500, 503].map(problem)

const headers = { "idempotency-key": IdempotencyKey }
const params = { id: PaymentId }

const atRest = (status: number, description: string) => Json.Payment.annotate({ description }).pipe(HttpApiSchema.status(status))
const accepted = atRest(202, "In doubt, pending, or waiting for the customer (see nextAction): not final yet")
const done = atRest(200, "The payment as it is now")

const command = { params, headers, success: [done, accepted], error: commandErrors } as const

const create = HttpApiEndpoint.post("create", "/v1/payments", {
  headers,
  payload: Json.NewPayment,
  success: [atRest(201, "Charged, authorized, or declined (status failed, with its category)"), accepted],
  error: commandErrors
}).annotate(OpenApi.Summary, "Create a payment and charge it")

const get = HttpApiEndpoint.get("get", "/v1/payments/:id", { params, success: Json.Payment, error: readErrors }).annotate(
  OpenApi.Summary,
  "Get a payment"
)

const list = HttpApiEndpoint.get("list", "/v1/payments", {
  query: Json.ListQuery,
  success: Json.pageOf(Json.Payment),
  error: readErrors
}).annotate(OpenApi.Summary, "List payments, newest first")

const events = HttpApiEndpoint.get("events", "/v1/payments/:id/events", {
  params,
  query: Json.EventsQuery,
  success: Json.pageOf(Json.PaymentEvent),
  error: readErrors
}).annotate(OpenApi.Summary, "List the events of a payment, oldest first")

const confirm = HttpApiEndpoint.post("confirm", "/v1/payments/:id/confirm", { ...command, payload: Json.Empty }).annotate(
  OpenApi.Summary,
  "Continue a payment after the customer's action"
)

const capture = HttpApiEndpoint.post("capture", "/v1/payments/:id/capture", { ...command, payload: Json.Capture }).annotate(
  OpenApi.Summary,
  "Capture an authorized amount"
)

const cancel = HttpApiEndpoint.post("cancel", "/v1/payments/:id/cancel", { ...command, payload: Json.Empty }).annotate(
  OpenApi.Summary,
  "Cancel a payment"
)

const refund = HttpApiEndpoint.post("refund", "/v1/payments/:id/refunds", { ...command, payload: Json.Refund }).annotate(
  OpenApi.Summary,
  "Refund a captured amount"
)

/** Everything under an API key. The last middleware is the outermost: the key is checked before anything is read. */
export class PaymentsGroup extends HttpApiGroup.make("payments")
  .add(create, list, get, events, confirm, capture, cancel, refund)
  .middleware(RequestErrors)
  .middleware(ApiKeyAuth)
  .annotateMerge(OpenApi.annotations({ title: "Payments" })) {}

const managementErrors = [400, 401, 403, 404, 413, 415, 429, 500, 503].map(problem)
const breaker = { params: { name: Schema.String }, payload: Json.Empty, success: ResilienceJson.Breaker, error: managementErrors } as const

/** For those who operate the service: a key with the scope `resilience`. */
export class ResilienceGroup extends HttpApiGroup.make("resilience")
  .add(
    HttpApiEndpoint.get("breakers", "/resilience/circuit-breakers", {
      success: ResilienceJson.Breakers,
      error: managementErrors
    }).annotate(OpenApi.Summary, "List the circuit breakers"),
    HttpApiEndpoint.post("reset", "/resilience/circuit-breakers/:name/reset", breaker).annotate(
      OpenApi.Summary,
      "Close a circuit breaker and forget what it counted"
    ),
    HttpApiEndpoint.post("forceOpen", "/resilience/circuit-breakers/:name/force-open", breaker).annotate(
      OpenApi.Summary,
      "Refuse the calls of a circuit breaker until it is reset"
    ),
    HttpApiEndpoint.post("forceClosed", "/resilience/circuit-breakers/:name/force-closed", breaker).annotate(
      OpenApi.Summary,
      "Let the calls of a circuit breaker through until it is reset"
    ),
    HttpApiEndpoint.get("rateLimits", "/resilience/rate-limits/:key/:endpoint", {
      params: { key: Schema.String, endpoint: Schema.String },
      success: ResilienceJson.RateLimitStatus,
      error: managementErrors
    }).annotate(OpenApi.Summary, "Where a key stands with the rate limits of a group of routes"),
    HttpApiEndpoint.get("idempotency", "/resilience/idempotency/stats", {
      success: ResilienceJson.IdempotencyStats,
      error: managementErrors
    }).annotate(OpenApi.Summary, "Requests with an idempotency key since this process began"),
    HttpApiEndpoint.get("resilienceHealth", "/resilience/health", {
      success: ResilienceJson.External,
      error: managementErrors
    }).annotate(OpenApi.Summary, "How gateways and other dependencies do, as this process knows it")
  )
  .middleware(RequestErrors)
  .middleware(ApiKeyAuth)
  .annotateMerge(OpenApi.annotations({ title: "Resilience" })) {}

/** The state of the service. */
export const Health = Schema.Struct({
  status: Schema.Literals(["ok", "unavailable"]),
  checks: Schema.Struct({
    database: Schema.Literals(["ok", "unavailable"]),
    accepting: Schema.Literals(["ok", "unavailable"])
  })
})
const externallyUnhealthy = ResilienceJson.External.pipe(HttpApiSchema.status(503))
const unhealthy = Health.pipe(HttpApiSchema.status(503))

/** Without a key: for load balancers and supervisors. */
export class HealthGroup extends HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("health", "/health", { success: [Health, unhealthy] }),
    HttpApiEndpoint.get("live", "/health/live", { success: Schema.Struct({ status: Schema.Literal("ok") }) }),
    HttpApiEndpoint.get("ready", "/health/ready", { success: [Health, unhealthy] }),
    HttpApiEndpoint.get("external", "/health/external", { success: [ResilienceJson.External, externallyUnhealthy] }).annotate(
      OpenApi.Summary,
      "How gateways and other dependencies do, as this process knows it"
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Health" })) {}

/** The whole interface. Unknown fields and unknown query parameters are refused. */
export class Api extends HttpApi.make("aegispay")
  .add(PaymentsGroup, ResilienceGroup, HealthGroup)
  .annotate(HttpApi.ParseOptions, { onExcessProperty: "error", errors: "all" })
  .annotate(HttpApi.HeadersParseOptions, {})
  .annotateMerge(
    OpenApi.annotations({
      title: "AegisPay",
      version: "1",
      description: "Payments over several gateways, charged at most once. Amounts are integers in minor units of the currency."
    })
  ) {}
