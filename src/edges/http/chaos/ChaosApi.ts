/**
 * `/ops/chaos`, declared for the documentation of a server that has the switch; `ChaosHandlers` serves it.
 */
import * as DateTime from "effect/DateTime"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ChaosPlan } from "../../../domain/chaos/ChaosPlan.ts"
import { GatewayName } from "../../../domain/payment/Ids.ts"
import { integer } from "../../config/Fields.ts"
import { Api, problem } from "../Api.ts"
import { ApiKeyAuth } from "../ApiKeyAuth.ts"

/** The addresses. */
export const template = "/ops/chaos"
export const repetitionTemplate = "/ops/chaos/repetition"
export const holdTemplate = "/ops/chaos/hold"

/** What is wrong with a time that is none. */
export const startedAtMessage = "expected the time that the status shows as startedAt"

/** When a plan began, as the status shows it. */
export const StartedAt = Schema.String.annotate({ message: startedAtMessage }).check(
  Schema.makeFilter((text) => Option.isSome(DateTime.make(text)) || startedAtMessage)
)

/** Whoever holds a plan says so once in a while: at least once an hour. */
export const HoldMillis = integer(1_000, 3_600_000)

/** Which plan goes on, and for how long. */
export const Hold = Schema.Struct({ startedAt: StartedAt, holdMillis: HoldMillis })

const Status = Schema.Struct({
  running: Schema.Boolean,
  plan: Schema.optionalKey(ChaosPlan),
  startedAt: Schema.optionalKey(Schema.String),
  elapsedMillis: Schema.Finite,
  injections: Schema.Int,
  remaining: Schema.Int,
  counts: Schema.Array(
    Schema.Struct({ type: Schema.String, target: Schema.String, gateway: Schema.optionalKey(GatewayName), count: Schema.Int })
  ),
  clockOffsetMillis: Schema.Finite,
  lapsesInMillis: Schema.optionalKey(Schema.Int),
  lapsed: Schema.optionalKey(Schema.Boolean),
  gateways: Schema.Array(GatewayName)
}).annotate({ identifier: "ChaosStatus" })

const error = [400, 401, 403, 404, 413, 415, 429, 500].map(problem)

const group = HttpApiGroup.make("chaos")
  .add(
    HttpApiEndpoint.get("chaosStatus", template, { success: Status, error }).annotate(OpenApi.Summary, "Which faults are injected"),
    HttpApiEndpoint.put("chaosStart", template, {
      query: { holdMillis: Schema.optionalKey(Schema.String) },
      payload: ChaosPlan,
      success: Status,
      error
    }).annotate(OpenApi.Summary, "Start a plan of faults; a running one ends"),
    HttpApiEndpoint.delete("chaosStop", template, {
      query: { startedAt: Schema.optionalKey(Schema.String) },
      success: Status,
      error
    }).annotate(OpenApi.Summary, "End the faults"),
    HttpApiEndpoint.get("chaosRepetition", repetitionTemplate, { success: ChaosPlan, error }).annotate(
      OpenApi.Summary,
      "A plan that does the same again"
    ),
    HttpApiEndpoint.put("chaosHold", holdTemplate, { payload: Hold, success: Status, error }).annotate(
      OpenApi.Summary,
      "Let a plan that is held go on"
    )
  )
  .middleware(ApiKeyAuth)
  .annotateMerge(OpenApi.annotations({ title: "Faults on purpose" }))

/** The interface of a server that has the switch. For its documentation: the routes are those of `ChaosHandlers`. */
export const documented = Api.add(group)
