/**
 * The body of a request: read up to a limit, parsed, checked and decoded strictly.
 *
 * Before any schema sees it: the media type, the announced and the real size, the nesting, and every text. A NUL or half a
 * surrogate pair cannot be stored, and a card number must not be; each is refused where it is met, without being repeated.
 */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import { looksLikeCardNumber } from "../../domain/payment/PaymentMethod.ts"
import * as Presets from "../../domain/Presets.ts"
import { describe, pathOf, problemsOf } from "../config/Issues.ts"
import { Problem } from "./Problems.ts"

/** The largest body, in bytes. Default: the preset, 64 KiB. */
export const MaxBodyBytes = Context.Reference<number>("aegispay/edges/http/RequestBody/MaxBodyBytes", {
  defaultValue: () => Presets.http.maxBodyBytes.value
})

/** The deepest nesting; a payment needs three. */
const maxDepth = 16

/** Reads and decodes the body; an empty one counts as `{}`. Fails with `Problem`. */
export const decode = <A, E>(schema: Schema.Codec<A, E>): Effect.Effect<A, Problem, HttpServerRequest.HttpServerRequest> => {
  const decodeStrictly = Schema.decodeUnknownEffect(schema, { errors: "all", onExcessProperty: "error" })
  return Effect.gen(function* () {
    const text = yield* read
    const input = text === "" ? {} : yield* parse(text)
    const refusal = refusalOf(input)
    if (refusal !== undefined) return yield* refusal
    return yield* Effect.mapError(decodeStrictly(input), (error) => {
      const errors = problemsOf(error.issue, input)
      const detail = errors.slice(0, 3).map(describe).join("; ")
      return new Problem({
        code: "invalid_request",
        detail: `The body is not as described: ${detail}${errors.length > 3 ? "; ..." : ""}.`,
        errors
      })
    })
  })
}

const tooLarge = (limit: number) => new Problem({ code: "body_too_large", detail: `A body may have at most ${limit} bytes.` })

const read = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const limit = yield* MaxBodyBytes
  const announced = request.headers["content-length"]
  if (announced !== undefined && !(Number(announced) <= limit)) return yield* tooLarge(limit)
  const hasBody = request.headers["transfer-encoding"] !== undefined || (announced !== undefined && announced !== "0")
  if (hasBody && !isJson(request.headers["content-type"])) {
    return yield* new Problem({ code: "unsupported_media_type", detail: "Send the body as application/json in UTF-8." })
  }
  return yield* request.text.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limit)),
    Effect.mapError((error) =>
      error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
        ? tooLarge(limit)
        : new Problem({ code: "malformed_json", detail: "The body could not be read to its end." })
    )
  )
})

const isJson = (contentType: string | undefined): boolean => {
  const [type = "", ...parameters] = (contentType ?? "").toLowerCase().split(";")
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith("charset="))
  return type.trim() === "application/json" && (charset === undefined || /^charset="?utf-8"?$/.test(charset))
}

/** The parser's own message quotes the body, so it is not passed on. */
const parse = (text: string) =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: () => new Problem({ code: "malformed_json", detail: "The body is not valid JSON." })
  })

/** Where texts may hold long numbers that are none of a card. */
const mayHoldNumbers = new Set<PropertyKey>(["returnUrl"])

const at = (keys: ReadonlyArray<PropertyKey>, message: string) => {
  const path = pathOf(keys)
  return { path, message }
}

const refused = (keys: ReadonlyArray<PropertyKey>, message: string) => {
  const problem = at(keys, message)
  return new Problem({ code: "invalid_request", detail: `The body is not as described: ${describe(problem)}.`, errors: [problem] })
}

const cardNumber = (keys: ReadonlyArray<PropertyKey>) =>
  new Problem({
    code: "card_number_refused",
    detail:
      "A value looks like a card number. Send a token of the gateway or of a vault instead; card numbers are neither taken nor stored.",
    errors: [at(keys, "looks like a card number; send a token of the gateway or of a vault instead")]
  })

/** What no body may hold. Walks without recursion, breadth first; the size of the body bounds it. */
export const refusalOf = (input: unknown): Problem | undefined => {
  const waiting: Array<{ readonly value: unknown; readonly keys: ReadonlyArray<PropertyKey> }> = [{ value: input, keys: [] }]
  for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
    const { keys, value } = entry
    if (typeof value === "string") {
      const refusal = textRefusal(value, keys)
      if (refusal !== undefined) return refusal
    }
    if (typeof value !== "object" || value === null) continue
    if (keys.length === maxDepth) return refused([], `is nested deeper than ${maxDepth} levels`)
    for (const [name, child] of Object.entries(value)) {
      const key = Array.isArray(value) ? Number(name) : name
      const refusal = Array.isArray(value) ? undefined : textRefusal(name, [...keys, key])
      if (refusal !== undefined) return refusal
      waiting.push({ value: child, keys: [...keys, key] })
    }
  }
  return undefined
}

const textRefusal = (text: string, keys: ReadonlyArray<PropertyKey>): Problem | undefined => {
  if (text.includes("\u0000") || !text.isWellFormed()) return refused(keys, "holds a NUL or half a surrogate pair")
  return looksLikeCardNumber(text) && !(keys.length === 1 && mayHoldNumbers.has(keys[0] ?? "")) ? cardNumber(keys) : undefined
}
