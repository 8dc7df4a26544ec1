/**
 * What the interface could not decode of a request's path, query and headers, as problems.
 *
 * A payment id that cannot be one answers like one that is not there. An answer that cannot be encoded is a defect.
 */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import type * as Layer from "effect/Layer"
import { problemsOf } from "../config/Issues.ts"
import { paymentNotFound, Problem, toResponse } from "./Problems.ts"

/** Turns decoding errors into problems. */
export class RequestErrors extends HttpApiMiddleware.Service<RequestErrors>()("aegispay/edges/http/RequestErrors") {}

const keyForm = "1 to 255 visible ASCII characters without blanks, sent once"

const answer = (error: HttpApiSchemaError): Effect.Effect<HttpServerResponse, HttpApiSchemaError, HttpServerRequest.HttpServerRequest> => {
  switch (error.kind) {
    case "Params":
      return toResponse(paymentNotFound)
    case "Headers":
      return Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
        toResponse(
          headers["idempotency-key"] === undefined
            ? new Problem({ code: "idempotency_key_missing", detail: `Send an Idempotency-Key header: ${keyForm}.` })
            : new Problem({ code: "idempotency_key_invalid", detail: `The Idempotency-Key must be ${keyForm}.` })
        )
      )
    case "Query":
      return toResponse(
        new Problem({
          code: "invalid_request",
          detail: "The query is not as described; errors names each parameter.",
          errors: problemsOf(error.cause.issue, undefined)
        })
      )
    default:
      return Effect.fail(error)
  }
}

export const layer: Layer.Layer<RequestErrors> = HttpApiMiddleware.layerSchemaErrorTransform(RequestErrors, answer)
