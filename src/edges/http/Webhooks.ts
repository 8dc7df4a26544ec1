/**
 * `POST /v1/webhooks/{gateway}`: webhooks of the gateways. No API key: the signature over the raw body is the proof (rule 18).
 *
 * 200 after the event is durable, also for one that was received before; it is processed later. 401 for a signature that does not hold,
 * 404 for a gateway that is not configured or sends no webhooks, 413 above 64 KiB, 503 where it cannot be stored: the gateway sends it
 * again. Bodies are not logged.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as WebhookReceipt from "../../orchestration/notify/WebhookReceipt.ts"
import { Gateways } from "../../services/Gateway.ts"
import { maxBodyBytes, WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import * as RequestSubject from "./observability/RequestSubject.ts"
import { ofEngineError, Problem, toResponse } from "./Problems.ts"

/** The address, as templates of routes are written. */
export const template = "/v1/webhooks/:gateway"

const tooLarge = new Problem({ code: "body_too_large", detail: `A webhook may have at most ${maxBodyBytes} bytes.` })

/** The bytes as they came. */
const rawBody = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const announced = request.headers["content-length"]
  if (announced !== undefined && !(Number(announced) <= maxBodyBytes)) return yield* tooLarge
  return yield* request.arrayBuffer.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodyBytes)),
    Effect.map((buffer) => new Uint8Array(buffer)),
    Effect.mapError((error) =>
      error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
        ? tooLarge
        : new Problem({ code: "invalid_request", detail: "The body could not be read to its end." })
    )
  )
})

const answerTo = (receipt: WebhookReceipt.Receipt) => {
  switch (receipt._tag) {
    case "Accepted":
      return Effect.succeed(HttpServerResponse.jsonUnsafe({ received: true, duplicate: receipt.duplicate }))
    case "UnknownGateway":
      return toResponse(new Problem({ code: "not_found", detail: "No gateway of this name takes webhooks here." }))
    case "NotVerified":
      return toResponse(
        new Problem({ code: "webhook_not_verified", detail: `The signature of the webhook does not hold: ${receipt.reason}.` })
      )
    case "TooLarge":
      return toResponse(tooLarge)
    case "Full":
      return toResponse(
        new Problem({ code: "not_accepting", detail: "Too many webhooks wait to be processed; send it again.", retryAfterSeconds: 30 })
      )
  }
}

/** The route. */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const context = yield* Effect.context<Gateways | WebhookInbox>()
    const handler = Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const { gateway = "" } = yield* HttpRouter.params
      const body = yield* rawBody
      const receipt = yield* WebhookReceipt.receive({ gateway, body, headers: request.headers })
      if (receipt._tag === "Accepted") yield* RequestSubject.learned({ gateway: receipt.gateway, webhook: receipt.eventId })
      return yield* answerTo(receipt)
    }).pipe(
      Effect.catchTag("Problem", toResponse),
      Effect.catchTag("EventStoreError", (error) =>
        Effect.andThen(Effect.logWarning(`a webhook could not be stored: ${error.message}`), toResponse(ofEngineError(error)))
      ),
      Effect.provideContext(context)
    )
    return HttpRouter.add("POST", template, handler)
  })
)
