/**
 * What adapters share that speak HTTP: one request, one bounded answer, and what its failure means for money.
 *
 * No retries and no redirects (rule 2): a redirect is an answer like any other, and the adapter takes it for `Unknown`. A failure
 * is `NotSent` only where the connection was certainly never made; everything later may have been acted on.
 *
 * **Gotchas**: the code of an error does not tell whether there was a connection. `ECONNREFUSED` and `EHOSTUNREACH` are also what
 * reading from an established connection fails with when the network reports the host gone; only the system call tells.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Presets from "../domain/Presets.ts"
import { boundedMessage, type NotSent, type NotSentReason, type Unknown } from "../domain/operation/Outcome.ts"

/** The most bytes of an answer that are read: 256 KiB. An answer is a few kilobytes; more is not an answer. */
export const maxAnswerBytes = 262_144

/** An answer, read to its end. */
export interface Answer {
  readonly status: number
  readonly headers: { readonly [name: string]: string | undefined }
  readonly text: string
  /** When its head came, in epoch milliseconds. */
  readonly receivedAt?: number
}

/**
 * Sends one request and reads its answer. Fails with the outcome that the failure means; interruption closes the connection.
 *
 * `maxBytes`: of the answer; more is for lists. Trace headers are left out: the request is what the intent says (rule 14), and the PSP need not know our traces.
 */
export const exchange = (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest,
  maxBytes = maxAnswerBytes
): Effect.Effect<Answer, NotSent | Unknown> =>
  Effect.flatMap(
    Effect.mapError(Effect.provideService(client.execute(request), HttpClient.TracerPropagationEnabled, false), meaningOf),
    (response) =>
      Effect.zipWith(Clock.currentTimeMillis, readBounded(response.stream, maxBytes), (receivedAt, text): Answer => ({
        status: response.status,
        headers: response.headers,
        text,
        receivedAt
      })).pipe(
        Effect.mapError((error) =>
          error === tooLong
            ? unknown("unreadable", `the answer has more than ${maxBytes} bytes`)
            : unknown("connection_lost", "the connection was lost while the answer was read")
        )
      )
  )

const tooLong = Symbol("more bytes than an answer may have")

const readBounded = (
  stream: Stream.Stream<Uint8Array, HttpClientError>,
  maxBytes: number
): Effect.Effect<string, HttpClientError | typeof tooLong> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    return stream.pipe(
      Stream.runForEach((chunk) => {
        bytes += chunk.byteLength
        if (bytes > maxBytes) return Effect.fail(tooLong)
        text += decoder.decode(chunk, { stream: true })
        return Effect.void
      }),
      Effect.map(() => text + decoder.decode())
    )
  })

/** What a failed exchange means: not sent where no connection was made, unknown otherwise. */
const meaningOf = (error: HttpClientError): NotSent | Unknown => {
  if (error.reason._tag === "InvalidUrlError" || error.reason._tag === "EncodeError") {
    return { _tag: "NotSent", reason: "local_limit", message: "the request could not be made from the gateway's address and the intent" }
  }
  const origins = originsOf("cause" in error.reason ? error.reason.cause : undefined)
  const codes = origins.map(({ code }) => code).join(", ")
  const reasons = origins.map(reasonOf)
  const reason = reasons[0]
  return reason === undefined || reasons.includes(undefined)
    ? unknown("connection_lost", `the connection was lost before the answer (${codes || error.reason._tag})`)
    : { _tag: "NotSent", reason, message: boundedMessage(`no connection to the gateway was made (${codes})`) }
}

interface Origin {
  readonly code: string
  readonly syscall: string | undefined
}

/** What the causes at the bottom were; of several tried addresses, all of them. */
const originsOf = (cause: unknown): ReadonlyArray<Origin> => {
  if (typeof cause !== "object" || cause === null) return []
  if ("errors" in cause && Array.isArray(cause.errors) && cause.errors.length > 0) return cause.errors.flatMap(originsOf)
  if ("code" in cause && typeof cause.code === "string") {
    return [{ code: cause.code, syscall: "syscall" in cause && typeof cause.syscall === "string" ? cause.syscall : undefined }]
  }
  return "cause" in cause ? originsOf(cause.cause) : []
}

/** Errors of `connect` after which there was no connection. A reset (`ECONNRESET`) is not among them: somebody had accepted. */
const notConnected: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "ETIMEDOUT",
  "EMFILE"
])

/** Why no connection was made, or `undefined` where one may have been. */
const reasonOf = ({ code, syscall }: Origin): NotSentReason | undefined => {
  if (syscall === "getaddrinfo") return "name_not_resolved"
  if (syscall === "connect" && notConnected.has(code)) return code === "ECONNREFUSED" ? "connection_refused" : "connection_not_made"
  // undici's own limit on connecting.
  return code === "UND_ERR_CONNECT_TIMEOUT" ? "connection_not_made" : undefined
}

/** An answer without the account's secret, should the gateway repeat it: what an answer says ends up in outcomes and events. */
export const withoutSecret = (answer: Answer, secret: Redacted.Redacted): Answer => {
  const text = Redacted.value(secret)
  return text !== "" && answer.text.includes(text) ? { ...answer, text: answer.text.replaceAll(text, "<redacted>") } : answer
}

/** An unknown outcome. */
export const unknown = (reason: Unknown["reason"], message: string): Unknown => ({
  _tag: "Unknown",
  reason,
  message: boundedMessage(message)
})

/**
 * `Retry-After` as milliseconds, at most one hour (preset `gatewayCall.maxPauseMillis`); `undefined` where it is missing or unreadable.
 *
 * It is a number of seconds or a date (RFC 9110, 10.2.3). A date is the gateway's: it counts from the `Date` of the answer, so that its clock
 * is compared with itself, and from when the answer came where that is missing.
 */
export const askedRetryAfterMillis = ({ headers, receivedAt }: Answer): number | undefined => {
  const asked = headers["retry-after"]?.trim() ?? ""
  const millis = /^\d+(\.\d+)?$/.test(asked)
    ? Number(asked) * 1000
    : (dateOf(asked) ?? Number.NaN) - (dateOf(headers["date"]) ?? receivedAt ?? Number.NaN)
  return Number.isNaN(millis) ? undefined : Math.min(Math.max(0, Math.ceil(millis)), Presets.gatewayCall.maxPauseMillis.value)
}

/** The same where the gateway certainly wants a pause: 1 s where it does not say how long. */
export const retryAfterMillis = (answer: Answer): number => askedRetryAfterMillis(answer) ?? 1000

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** `Sun, 06 Nov 1994 08:49:37 GMT`, and the obsolete `Sunday, 06-Nov-94 08:49:37 GMT`. */
const withZone = /^[A-Z][a-z]+, (?<day>\d{2})[ -](?<month>[A-Z][a-z]{2})[ -](?<year>\d{4}|\d{2}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/
/** The obsolete `Sun Nov  6 08:49:37 1994`, which means GMT too. */
const withoutZone = /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d{2}:\d{2}:\d{2}) (?<year>\d{4})$/

/** A date of HTTP in any of its three forms (RFC 9110, 5.6.7) as epoch milliseconds. */
const dateOf = (text: string | undefined): number | undefined => {
  const { day = "", month = "", time = "", year = "" } = (withZone.exec(text ?? "") ?? withoutZone.exec(text ?? ""))?.groups ?? {}
  const monthNumber = months.indexOf(month) + 1
  if (monthNumber === 0) return undefined
  const two = (value: number | string) => String(value).trim().padStart(2, "0")
  const parsed = DateTime.make(`${year.length === 2 ? "20" : ""}${year}-${two(monthNumber)}-${two(day)}T${time}Z`)
  return Option.getOrUndefined(Option.map(parsed, DateTime.toEpochMillis))
}
