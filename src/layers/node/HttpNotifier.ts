/**
 * A notifier that posts events to the merchants' HTTP endpoints, signed as Standard Webhooks describes it (standardwebhooks.com):
 *
 *     webhook-id: <event id>   webhook-timestamp: <unix seconds>   webhook-signature: v1,<base64 HMAC-SHA256(secret, "id.timestamp.body")>
 *
 * During a rotation of secrets there is one signature for each, separated by blanks. The id is the same in every repetition.
 *
 * Only https, unless loopback is allowed by name; no redirects; of the answer the status counts, and little of the body is read. Any
 * 2xx is delivered, 410 is never tried again, everything else is tried again.
 *
 * **Gotchas**: the `HttpClient` in context must not follow redirects. Addresses are the operator's: where merchants may choose them, put a
 * proxy in between that refuses addresses of the own network.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createHmac } from "node:crypto"
import { TenantId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Delivery, type Notification, Notifier } from "../../services/notify/Notifier.ts"

/** Where the events of a merchant go. */
export interface HttpEndpoint {
  readonly merchant: TenantId
  readonly url: string
  /** `whsec_` and the base64 of 24 to 64 bytes. One, or several during a rotation: each signs. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
}

export interface HttpNotifierOptions {
  /** One for a merchant at most; a merchant without one is not notified. */
  readonly endpoints: ReadonlyArray<HttpEndpoint>
  /** Takes http too, to 127.0.0.0/8, ::1 and localhost. Default false. */
  readonly allowLoopback?: boolean
  /** Of one delivery, in milliseconds. Default: the preset `relay.deliveryTimeoutMillis`. */
  readonly timeoutMillis?: number
}

/** An endpoint that cannot be used. */
export class InvalidEndpoint extends Schema.TaggedError<InvalidEndpoint>()("InvalidEndpoint", {
  merchant: TenantId,
  reason: Schema.String
}) {
  override get message(): string {
    return `the endpoint of merchant ${this.merchant} cannot be used: ${this.reason}`
  }
}

/** The most bytes of an answer that are read: 16 KiB. Nothing in it counts. */
const maxAnswerBytes = 16_384

/** How long the rest of an answer is waited for: what was said is known by then. */
const drainTimeout = Duration.seconds(1)

/** The longest wait that a receiver may ask for, in milliseconds: 1 h. */
const maxRetryAfterMillis = 3_600_000

interface Ready {
  readonly url: string
  readonly keys: ReadonlyArray<Redacted.Redacted<Uint8Array>>
}

const isLoopback = (host: string): boolean => /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/.test(host)

const readyOf = (endpoint: HttpEndpoint, allowLoopback: boolean): Result.Result<Ready, InvalidEndpoint> => {
  const refuse = (reason: string) => Result.fail(new InvalidEndpoint({ merchant: endpoint.merchant, reason }))
  if (!URL.canParse(endpoint.url)) return refuse("its address is no URL")
  const { hash, hostname, password, protocol, username } = new URL(endpoint.url)
  if (protocol !== "https:" && !(protocol === "http:" && allowLoopback && isLoopback(hostname))) return refuse("its address is not https")
  if (username !== "" || password !== "" || hash !== "") return refuse("its address holds a user, a password or a fragment")
  if (endpoint.secrets.length === 0) return refuse("it has no secret")
  const keys: Array<Redacted.Redacted<Uint8Array>> = []
  for (const secret of endpoint.secrets) {
    const text = Redacted.value(secret)
    const key = text.startsWith("whsec_") ? Result.getOrUndefined(Base64.decode(text.slice(6))) : undefined
    if (key === undefined || key.length < 24 || key.length > 64) return refuse("a secret is not whsec_ and the base64 of 24 to 64 bytes")
    keys.push(Redacted.make(key))
  }
  return Result.succeed({ url: endpoint.url, keys })
}

/** The value of `webhook-signature`: one signature for each key. */
export const signature = (options: {
  readonly keys: ReadonlyArray<Redacted.Redacted<Uint8Array>>
  readonly id: string
  readonly timestampSeconds: number
  readonly body: string
}): string =>
  options.keys
    .map((key) =>
      createHmac("sha256", Redacted.value(key)).update(`${options.id}.${options.timestampSeconds}.${options.body}`).digest("base64")
    )
    .map((digest) => `v1,${digest}`)
    .join(" ")

/** What is read of an answer, so that its connection can be used again; a long one is left. */
const drain = (response: HttpClientResponse) =>
  Effect.suspend(() => {
    let bytes = 0
    const read = Stream.runForEachWhile(response.stream, (chunk) => Effect.sync(() => (bytes += chunk.byteLength) <= maxAnswerBytes))
    return Effect.ignore(Effect.timeoutOption(read, drainTimeout))
  })

const retryAfterOf = (response: HttpClientResponse): { readonly retryAfterMillis?: number } => {
  const seconds = Number(response.headers["retry-after"] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMillis: Math.min(Math.ceil(seconds * 1000), maxRetryAfterMillis) } : {}
}

const deliveryOf = (response: HttpClientResponse): Delivery => {
  const { status } = response
  if (status >= 200 && status < 300) return { _tag: "Delivered" }
  if (status === 410) return { _tag: "Rejected", reason: "the endpoint answered 410: it is gone" }
  const redirect = status >= 300 && status < 400 ? "; redirects are not followed" : ""
  return { _tag: "Retry", reason: `the endpoint answered ${status}${redirect}`, ...retryAfterOf(response) }
}

const send = Effect.fnUntraced(function* (client: HttpClient.HttpClient, endpoint: Ready, { body, id }: Notification) {
  const timestampSeconds = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const request = HttpClientRequest.post(endpoint.url).pipe(
    HttpClientRequest.bodyText(body, "application/json"),
    HttpClientRequest.setHeaders({
      "webhook-id": id,
      "webhook-timestamp": String(timestampSeconds),
      "webhook-signature": signature({ keys: endpoint.keys, id, timestampSeconds, body })
    })
  )
  const response = yield* Effect.provideService(client.execute(request), HttpClient.TracerPropagationEnabled, false)
  yield* drain(response)
  return deliveryOf(response)
})

/** Posts to these endpoints. Fails with `InvalidEndpoint` on the first that cannot be used. */
export const layer = (options: HttpNotifierOptions): Layer.Layer<Notifier, InvalidEndpoint, HttpClient.HttpClient> =>
  Layer.effect(
    Notifier,
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const timeout = Duration.millis(options.timeoutMillis ?? Presets.relay.deliveryTimeoutMillis.value)
      const endpoints = new Map<string, Ready>()
      for (const endpoint of options.endpoints) {
        const { merchant } = endpoint
        if (endpoints.has(merchant)) return yield* new InvalidEndpoint({ merchant, reason: "it has two endpoints" })
        endpoints.set(merchant, yield* Effect.fromResult(readyOf(endpoint, options.allowLoopback ?? false)))
      }
      return Notifier.of({
        endpointOf: (tenant) => (endpoints.has(tenant) ? tenant : undefined),
        deliver: (name, notification) => {
          const endpoint = endpoints.get(name)
          if (endpoint === undefined) return Effect.succeed<Delivery>({ _tag: "Retry", reason: "the merchant has no endpoint" })
          return send(client, endpoint, notification).pipe(
            Effect.timeoutOrElse({
              duration: timeout,
              orElse: () => Effect.succeed<Delivery>({ _tag: "Retry", reason: "the endpoint did not answer in time" })
            }),
            Effect.catch((error) =>
              Effect.succeed<Delivery>({ _tag: "Retry", reason: `the endpoint cannot be reached (${error.reason._tag})` })
            )
          )
        }
      })
    })
  )
