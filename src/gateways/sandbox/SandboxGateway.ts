/**
 * The adapter of the sandbox PSP, and the template of every adapter: this file talks, `SandboxWire.ts` maps.
 *
 * @example
 * const gateway = yield* SandboxGateway.make({
 *   name: GatewayName.make("sandbox-a"), baseUrl: "http://127.0.0.1:9090/a", secretKey: Redacted.make("sk_sandbox_a")
 * })
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Currency from "../../domain/Currency.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../../domain/operation/Capabilities.ts"
import { boundedMessage, type Outcome } from "../../domain/operation/Outcome.ts"
import { createHash } from "node:crypto"
import { AccountFingerprint, type GatewayName } from "../../domain/payment/Ids.ts"
import type { Gateway, HoldAnswer, LookupAnswer } from "../../services/Gateway.ts"
import * as Credentials from "../Credentials.ts"
import { exchange, unknown, withoutSecret } from "../HttpGateway.ts"
import * as SandboxList from "./SandboxList.ts"
import * as SandboxLookup from "./SandboxLookup.ts"
import * as SandboxWebhook from "./SandboxWebhook.ts"
import * as Wire from "./SandboxWire.ts"

/** An account of the sandbox. What is declared here must hold there: recovery is planned from it. */
export interface SandboxAccount {
  readonly name: GatewayName
  /** Address of the account, for example `http://127.0.0.1:9090/a`. */
  readonly baseUrl: string
  readonly secretKey: Redacted.Redacted
  /** Secret of its webhooks. Default: none, and then none are taken. */
  readonly webhookSecret?: Redacted.Redacted
  /** Secrets that still count while the secret is being changed. */
  readonly previousWebhookSecrets?: ReadonlyArray<Redacted.Redacted>
  /** Does a declined charge stay open for the customer's page? Default false. */
  readonly leavesOpenAfterDecline?: boolean
  /** Default `single`. */
  readonly captures?: "single" | "multiple"
  /** How long after its execution an operation is visible to a look-up, in milliseconds. Default 0. */
  readonly lookupLagMillis?: number
  /**
   * How long after its last permitted send a request may still take effect, in milliseconds, the look-up lag apart. Default 20,000: an
   * attempt is given up after 15 s, and what is late executes 2 s after that (`tok_late`).
   */
  readonly settleTimeMillis?: number
  /** How long the account honours a request key, in milliseconds. Default 86,400,000 (24 h). */
  readonly replayWindowMillis?: number
  /** How long an authorization can be captured, in milliseconds; the account's option of that name. Default 604,800,000 (7 days). */
  readonly authorizationValidityMillis?: number
  /** How long the HTTP client connects at most, in milliseconds. Default: the preset `gatewayCall.connectLimitMillis`. */
  readonly connectLimitMillis?: number
}

/** Version of this adapter's mapping; stored with every intent. */
export const adapterVersion = "1"
const apiVersion = "v1"

/** The currencies of a sandbox account. Its exponents are those of ISO 4217; an adapter of a real PSP has a table of its own. */
const codes = "AUD BHD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF INR JPY KRW KWD MXN NOK NZD PLN SEK SGD TND USD ZAR"
  .split(" ")
  .filter(Currency.isKnown)
const currencies: ReadonlyMap<Currency.CurrencyCode, number> = new Map(codes.map((code) => [code, Currency.exponent(code)]))

const capabilitiesOf = (account: SandboxAccount): GatewayCapabilities => {
  const operation: OperationCapabilities = {
    lookupByReference: { lagMillis: account.lookupLagMillis ?? 0 },
    replay: "result",
    replayWindowMillis: account.replayWindowMillis ?? 86_400_000,
    cachesFailures: true,
    cancelByReference: "named",
    leavesOpenAfterDecline: false,
    settleTimeMillis: (account.settleTimeMillis ?? 20_000) + (account.lookupLagMillis ?? 0)
  }
  const charge = { ...operation, leavesOpenAfterDecline: account.leavesOpenAfterDecline ?? false }
  return {
    operations: { sale: charge, authorize: charge, confirm: charge, capture: operation, void: operation, refund: operation },
    captures: account.captures ?? "single",
    authorizationValidityMillis: account.authorizationValidityMillis ?? 7 * 86_400_000,
    currencies
  }
}

/** Short enough for a sandbox, and never nothing. */
const atLeast8 = { pattern: /^[\x21-\x7e]{8,}$/, expected: "at least 8 characters without spaces" }

/** A gateway of the sandbox. Its requests go through the `HttpClient` in context, which must not follow redirects. */
export const make = Effect.fnUntraced(function* (account: SandboxAccount) {
  yield* Credentials.check(account.name, [
    [account.secretKey, { what: "secret key", ...atLeast8 }],
    ...[account.webhookSecret, ...(account.previousWebhookSecrets ?? [])].map(
      (secret) => [secret, { what: "webhook secret", ...atLeast8 }] as const
    )
  ])
  const client = yield* HttpClient.HttpClient
  const baseUrl = account.baseUrl.replace(/\/+$/, "")
  const withKey = HttpClientRequest.bearerToken(account.secretKey)
  const ask = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.map(exchange(client, withKey(request)), (answer) => withoutSecret(answer, account.secretKey))

  const send: Gateway["send"] = ({ intent, payment }) => {
    const wire = Wire.toRequest(payment, intent, currencies)
    if (Result.isFailure(wire)) {
      return Effect.succeed<Outcome>({ _tag: "NotSent", reason: "local_limit", message: boundedMessage(wire.failure) })
    }
    const request = HttpClientRequest.post(`${baseUrl}${wire.success.path}`).pipe(
      HttpClientRequest.setHeader("idempotency-key", intent.requestKey),
      HttpClientRequest.bodyJsonUnsafe(wire.success.body)
    )
    return ask(request).pipe(
      Effect.map((answer) => Wire.toOutcome(intent, answer, currencies)),
      Effect.catch((outcome) => Effect.succeed<Outcome>(outcome))
    )
  }

  const lookup: Gateway["lookup"] = ({ gatewayReference, intent }) => {
    const path = SandboxLookup.lookupPath(intent, gatewayReference)
    return ask(HttpClientRequest.get(`${baseUrl}${path}`)).pipe(
      Effect.map((answer) => SandboxLookup.toLookupAnswer(intent, path, answer, currencies)),
      Effect.catch((failure) =>
        Effect.succeed<LookupAnswer>(
          failure._tag === "NotSent" ? { _tag: "Unknown", reason: "connection_lost", message: failure.message } : failure
        )
      )
    )
  }

  const hold: Gateway["hold"] = ({ gatewayReference, intent }) => {
    if (gatewayReference === undefined) return Effect.succeed(unknown("inconclusive", "the id of the charge is not known"))
    const path = SandboxLookup.lookupPath({ ...intent, kind: "authorize" }, gatewayReference)
    return ask(HttpClientRequest.get(`${baseUrl}${path}`)).pipe(
      Effect.map((answer) => SandboxLookup.toHoldAnswer(intent, path, answer)),
      Effect.catch(({ message }) => Effect.succeed<HoldAnswer>(unknown("connection_lost", message)))
    )
  }

  return {
    name: account.name,
    account: AccountFingerprint.make(`sandbox:${createHash("sha256").update(baseUrl).digest("hex").slice(0, 32)}`),
    adapterVersion,
    apiVersion,
    connectLimitMillis: account.connectLimitMillis,
    capabilities: capabilitiesOf(account),
    send,
    lookup,
    hold,
    list: SandboxList.make({
      gateway: account.name,
      exponents: currencies,
      page: (path) => ask(HttpClientRequest.get(`${baseUrl}${path}`))
    }),
    ...(account.webhookSecret === undefined
      ? {}
      : { webhooks: SandboxWebhook.make([account.webhookSecret, ...(account.previousWebhookSecrets ?? [])], currencies) })
  } satisfies Gateway
})
