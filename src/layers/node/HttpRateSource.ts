/**
 * A source of exchange rates over HTTP: one GET, one bounded JSON answer of the form that the usual ones share.
 *
 *     { "base": "EUR", "date": "2026-11-20", "rates": { "USD": 1.0847, "JPY": 168.12 } }     Frankfurter (frankfurter.dev/v1)
 *     { "base": "USD", "timestamp": 1763712000, "rates": { "EUR": 0.92191 } }                Open Exchange Rates (docs.openexchangerates.org)
 *
 * Rates may be numbers or strings. A number is read digit by digit, as it was written: no float comes in between. The address may hold `{from}`
 * and `{to}`; without them one answer serves all pairs.
 *
 * Only https, unless loopback is allowed by name; no redirects; of an answer at most 256 KiB are read; keys belong into headers, which are
 * redacted. An address is never part of an error.
 *
 * **Gotchas**: the `HttpClient` in context must not follow redirects (`GatewayHttpClient.layer` does not). No time limit here: it is the caller's.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { CurrencyCode } from "../../domain/Currency.ts"
import * as Presets from "../../domain/Presets.ts"
import type { Pair } from "../../domain/rates/Rate.ts"
import * as RateTable from "../../domain/rates/RateTable.ts"
import { type RateSource, RateSourceFailed } from "../../services/rates/RateSource.ts"

export interface HttpRateSourceOptions {
  /** 1 to 32 characters of `a-z 0-9 - _`, beginning with a letter or digit. */
  readonly name: string
  /** May hold `{from}` and `{to}`. */
  readonly url: string
  /** Sent with every request: `{ authorization: Redacted.make("Token ...") }`. Default: none. */
  readonly headers?: Readonly<Record<string, Redacted.Redacted>>
  /** Takes http too, to 127.0.0.0/8, ::1 and localhost. Default false. */
  readonly allowLoopback?: boolean
  /** How old a source may say that its rates are. Default: the preset `rates.sourceAgeMillis` (5 days). */
  readonly sourceAgeMillis?: number
}

/** A source that cannot be used. */
export class InvalidRateSource extends Schema.TaggedError<InvalidRateSource>()("InvalidRateSource", {
  source: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `the source of exchange rates "${this.source}" cannot be used: ${this.reason}`
  }
}

/** The most bytes of an answer that are read: 256 KiB. 170 rates are 4 KiB. */
const maxAnswerBytes = 262_144

/** The longest pause that a source may ask for, in milliseconds: 1 h. */
const maxRetryAfterMillis = 3_600_000

const isLoopback = (host: string): boolean => /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/.test(host)
const isName = Schema.is(RateTable.SourceName)

/** The source. Fails where the name or the address is none. */
export const make = Effect.fnUntraced(function* (options: HttpRateSourceOptions) {
  const client = yield* HttpClient.HttpClient
  const { name } = options
  if (!isName(name)) return yield* new InvalidRateSource({ source: name, reason: "its name is not 1 to 32 characters of a-z 0-9 - _" })
  const problem = problemOf(options)
  if (problem !== undefined) return yield* new InvalidRateSource({ source: name, reason: problem })
  return {
    name,
    answerOf: ({ from, to }) => [options.url.includes("{from}") ? from : "", options.url.includes("{to}") ? to : ""].join(">"),
    fetch: (pair) => fetch(client, { ...options, name }, pair)
  } satisfies RateSource
})

const addressOf = (url: string, { from, to }: { readonly from: string; readonly to: string }): string =>
  url.replaceAll("{from}", from).replaceAll("{to}", to)

const problemOf = ({ allowLoopback = false, url }: HttpRateSourceOptions): string | undefined => {
  const address = addressOf(url, { from: "EUR", to: "USD" })
  if (/[{}]/.test(address)) return "its address holds braces other than {from} and {to}"
  if (!URL.canParse(address)) return "its address is no URL"
  const { hash, hostname, password, protocol, username } = new URL(address)
  if (protocol !== "https:" && !(protocol === "http:" && allowLoopback && isLoopback(hostname))) return "its address is not https"
  return username !== "" || password !== "" || hash !== "" ? "its address holds a user, a password or a fragment" : undefined
}

type Named = HttpRateSourceOptions & { readonly name: RateTable.SourceName }

const fetch = Effect.fnUntraced(function* (client: HttpClient.HttpClient, options: Named, pair: Pair) {
  const { headers = {}, name: source, url } = options
  const failed = (problem: RateSourceFailed["problem"], detail: string, retryAfterMillis?: number) =>
    new RateSourceFailed({ source, problem, detail, ...(retryAfterMillis === undefined ? {} : { retryAfterMillis }) })

  const request = HttpClientRequest.get(addressOf(url, pair)).pipe(
    HttpClientRequest.acceptJson,
    HttpClientRequest.setHeaders(Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, Redacted.value(value)])))
  )
  const response = yield* Effect.provideService(client.execute(request), HttpClient.TracerPropagationEnabled, false).pipe(
    Effect.mapError(({ reason }) => failed("unreachable", `it cannot be reached (${reason._tag})`))
  )
  const text = yield* readBounded(response).pipe(
    Effect.mapError(() => failed("unreachable", "the connection was lost while its answer was read"))
  )
  const { status } = response
  if (status === 408 || status === 429 || status >= 500) return yield* failed("overloaded", `it answered ${status}`, retryAfterOf(response))
  if (status >= 300 && status < 400) return yield* failed("refused", `it answered ${status}; redirects are not followed`)
  if (status !== 200) return yield* failed("refused", `it answered ${status}`)
  if (text === undefined) return yield* failed("unreadable", `its answer has more than ${maxAnswerBytes} bytes`)
  const table = tableOf(text)
  if (Result.isFailure(table)) return yield* failed("unreadable", `its answer holds no rates (${table.failure})`)
  const age = (yield* Clock.currentTimeMillis) - (table.success.asOf ?? Number.NaN)
  if (age > (options.sourceAgeMillis ?? Presets.rates.sourceAgeMillis.value)) {
    return yield* failed("outdated", `its rates are ${Math.floor(age / 3_600_000)} h old`)
  }
  return table.success
})

/** The text of an answer; `undefined`: there are more bytes than are read. */
const readBounded = (response: HttpClientResponse) =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    return response.stream.pipe(
      Stream.runForEachWhile((chunk) =>
        Effect.sync(() => {
          bytes += chunk.byteLength
          if (bytes > maxAnswerBytes) return false
          text += decoder.decode(chunk, { stream: true })
          return true
        })
      ),
      Effect.map(() => (bytes > maxAnswerBytes ? undefined : text + decoder.decode()))
    )
  })

const retryAfterOf = ({ headers }: HttpClientResponse): number | undefined => {
  const seconds = Number(headers["retry-after"] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(Math.ceil(seconds * 1_000), maxRetryAfterMillis) : undefined
}

/** Every number as the text that it was. The third argument is of ES2026 (tc39.es/proposal-json-parse-with-source), which Node 22 has. */
const digits = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === "number" ? (context?.source ?? String(value)) : value

const Body = Schema.Struct({
  base: CurrencyCode,
  rates: Schema.Record(Schema.String, Schema.Unknown),
  timestamp: Schema.optionalKey(Schema.String),
  date: Schema.optionalKey(Schema.String),
  amount: Schema.optionalKey(Schema.String)
})
const decodeBody = Schema.decodeUnknownResult(Body)

/** Refuses in a few words, and repeats nothing of what the answer holds. */
const tableOf = (text: string): Result.Result<RateTable.RateTable, string> => {
  const json = Result.try({ try: () => JSON.parse(text, digits) as unknown, catch: () => "it is no JSON" })
  if (Result.isFailure(json)) return Result.fail(json.failure)
  const body = decodeBody(json.success)
  if (Result.isFailure(body)) return Result.fail("base or rates are missing")
  const { amount = "1", base, rates } = body.success
  if (!/^1(\.0*)?$/.test(amount)) return Result.fail("they are for another amount than 1")
  const decimals = Object.fromEntries(Object.entries(rates).filter((entry): entry is [string, string] => typeof entry[1] === "string"))
  const table = RateTable.make({ base, decimals, asOf: asOfOf(body.success) })
  return table.rates.length === 0 ? Result.fail("none of them is one") : Result.succeed(table)
}

const asOfOf = ({ date, timestamp }: typeof Body.Type): number | undefined => {
  if (timestamp !== undefined && /^\d{9,11}$/.test(timestamp)) return Number(timestamp) * 1_000
  const day = date !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(date) ? DateTime.make(`${date}T00:00:00Z`) : Option.none()
  return Option.getOrUndefined(Option.map(day, DateTime.toEpochMillis))
}
