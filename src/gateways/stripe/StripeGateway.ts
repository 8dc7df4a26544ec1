/**
 * The adapter of Stripe: PaymentIntents that are confirmed on the server, refunds, look-ups, lists and webhooks. This file talks;
 * `StripeRequest.ts` and `StripeWire.ts` map.
 *
 * Card numbers never come here: a payment method is a `pm_...` of Stripe's, or `cus_.../pm_...` for one that is saved with a customer.
 *
 * @example
 * const gateway = yield* StripeGateway.make({
 *   name: GatewayName.make("stripe-eu"), accountId: "acct_1Example",
 *   secretKey: Redacted.make(secretKey), webhookSecrets: [Redacted.make(webhookSecret)]
 * })
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import type { GatewayCapabilities, OperationCapabilities } from "../../domain/operation/Capabilities.ts"
import { boundedMessage, type NotSent, type Outcome } from "../../domain/operation/Outcome.ts"
import { AccountFingerprint, type GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import type { Gateway, GatewayRequest } from "../../services/Gateway.ts"
import * as Credentials from "../Credentials.ts"
import { exchange, unknown, withoutSecret } from "../HttpGateway.ts"
import { toOutcome } from "./StripeAnswer.ts"
import { exponents } from "./StripeCurrencies.ts"
import * as StripeIdentity from "./StripeIdentity.ts"
import * as StripeList from "./StripeList.ts"
import * as StripeLookup from "./StripeLookup.ts"
import { apiVersion, encode, type StripeRequest, toRequest } from "./StripeRequest.ts"
import * as StripeWebhook from "./StripeWebhook.ts"
import { referenceOf } from "./StripeWire.ts"

/** An account at Stripe. All times in milliseconds. */
export interface StripeAccount {
  readonly name: GatewayName
  /** `acct_...`: what tells this account from another, also after its keys have been changed. */
  readonly accountId: string
  /** A secret or restricted key: `sk_...` or `rk_...`. */
  readonly secretKey: Redacted.Redacted
  /** Secrets of the webhook endpoint (`whsec_...`), the present one first, the previous ones while it is being changed. Default: none are taken. */
  readonly webhookSecrets?: ReadonlyArray<Redacted.Redacted>
  /** Default `https://api.stripe.com`. */
  readonly baseUrl?: string
  /** How a charge is found whose answer was lost. Default `list`; `search` for an account that makes thousands of PaymentIntents in a few minutes. */
  readonly lookup?: StripeLookup.Strategy
  /** How far a search may be behind. Default 3,600,000: "up to an hour behind during outages", says Stripe. Not used with `list`. */
  readonly searchLagMillis?: number
  /**
   * How long after its last permitted send a request may still take effect, the search lag apart. Default 120,000: the official SDK waits 80 s
   * for an answer, and what is late may take as long again to arrive as the clocks of the network allow.
   */
  readonly settleTimeMillis?: number
  /** How long the HTTP client connects at most. Default: the preset `gatewayCall.connectLimitMillis`. */
  readonly connectLimitMillis?: number
}

/** Version of this adapter's mapping; stored with every intent. */
export const adapterVersion = "1"

/** "At least 24 hours", says https://docs.stripe.com/api/idempotent_requests. */
const replayWindowMillis = 86_400_000
/** Most card authorizations can be captured for 7 days (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method). */
const authorizationValidityMillis = 7 * 86_400_000
/** Lists of 100 objects with their charges: about 1 MB. */
const maxListBytes = 8 * 1_048_576

/** What holds at Stripe. Errors are stored under the key, 500s included; a declined PaymentIntent returns to `requires_payment_method`. */
const capabilitiesOf = (account: StripeAccount): GatewayCapabilities => {
  const settleTimeMillis = account.settleTimeMillis ?? 120_000
  const lagMillis = account.lookup === "search" ? (account.searchLagMillis ?? 3_600_000) : 0
  const operation: OperationCapabilities = {
    lookupByReference: { lagMillis: 0 },
    replay: "result",
    replayWindowMillis,
    cachesFailures: true,
    cancelByReference: "named",
    leavesOpenAfterDecline: false,
    settleTimeMillis
  }
  const confirm = { ...operation, leavesOpenAfterDecline: true }
  const charge = { ...confirm, lookupByReference: { lagMillis }, settleTimeMillis: settleTimeMillis + lagMillis }
  return {
    operations: { sale: charge, authorize: charge, confirm, capture: operation, void: operation, refund: operation },
    captures: "single",
    authorizationValidityMillis,
    currencies: exponents
  }
}

/** Test and live objects of an account know nothing of each other. */
const modeOf = (secretKey: Redacted.Redacted): string => (/^[a-z]{2}_live_/.test(Redacted.value(secretKey)) ? "live" : "test")

const keyShape: Credentials.Shape = {
  what: "secret key",
  pattern: /^(?:sk|rk)_(?:test|live)_[A-Za-z0-9_]+$/,
  expected: "a secret or restricted key (sk_test_..., sk_live_..., rk_test_..., rk_live_...)"
}
const webhookShape: Credentials.Shape = {
  what: "webhook secret",
  pattern: /^whsec_[\x21-\x7e]{16,}$/,
  expected: "the signing secret of an endpoint: whsec_ and at least 16 characters"
}

const lapsed: NotSent = {
  _tag: "NotSent",
  reason: "permission_lapsed",
  message: "the permission to send was over before it was known what may be sent"
}

const notSent = (message: string): NotSent => ({ _tag: "NotSent", reason: "local_limit", message: boundedMessage(message) })

/**
 * A gateway of Stripe. Its requests go through the `HttpClient` in context, which must not follow redirects. Fails where keys or secrets are
 * not such of Stripe's.
 */
export const make = Effect.fnUntraced(function* (account: StripeAccount) {
  yield* Credentials.check(account.name, [
    [account.secretKey, keyShape],
    ...(account.webhookSecrets ?? []).map((secret) => [secret, webhookShape] as const)
  ])
  const client = yield* HttpClient.HttpClient
  const baseUrl = (account.baseUrl ?? "https://api.stripe.com").replace(/\/+$/, "")
  const connectLimitMillis = account.connectLimitMillis ?? Presets.gatewayCall.connectLimitMillis.value
  const ask = (request: HttpClientRequest.HttpClientRequest, maxBytes?: number) => {
    const signed = request.pipe(HttpClientRequest.bearerToken(account.secretKey), HttpClientRequest.setHeader("stripe-version", apiVersion))
    return Effect.map(exchange(client, signed, maxBytes), (answer) => withoutSecret(answer, account.secretKey))
  }
  const get: StripeLookup.Get = (path) => ask(HttpClientRequest.get(`${baseUrl}${path}`), maxListBytes)
  const identity = StripeIdentity.make({ gateway: account.name, accountId: account.accountId, get, limitMillis: connectLimitMillis })
  const lookup = StripeLookup.make({ get, strategy: account.lookup ?? "list", isTheAccount: identity.isTheAccount })
  // Nothing here waits for it: a Stripe that is away keeps no process from starting. The first request does.
  yield* Effect.forkDetach(identity.atStart, { startImmediately: true })

  const post = ({ intent }: GatewayRequest, { form, path }: StripeRequest): Effect.Effect<Outcome> =>
    ask(
      HttpClientRequest.post(`${baseUrl}${path}`).pipe(
        HttpClientRequest.setHeader("idempotency-key", intent.requestKey),
        HttpClientRequest.bodyText(encode(form), "application/x-www-form-urlencoded")
      )
    ).pipe(
      Effect.map((answer) => toOutcome(intent, answer)),
      Effect.catch((outcome) => Effect.succeed<Outcome>(outcome))
    )

  const send: Gateway["send"] = (request) => {
    const { intent, payment } = request
    const { targetReference, targetRequestKey } = intent.details
    const isByReference = intent.kind === "void" && targetReference === undefined && targetRequestKey !== undefined
    const wire = isByReference ? undefined : toRequest(payment, intent)
    if (wire !== undefined && Result.isFailure(wire)) return Effect.succeed<Outcome>(notSent(wire.failure))
    const sent = Effect.suspend(() => (wire === undefined ? voidByReference(request, targetRequestKey ?? "") : post(request, wire.success)))
    if (identity.isBelieved()) return sent
    return Effect.flatMap(identity.hindrance, (hindrance) => {
      if (hindrance === undefined) return inTime(request, sent)
      return Effect.succeed<Outcome>(hindrance._tag === "Refused" ? toOutcome(intent, hindrance.answer) : hindrance)
    })
  }

  /** What had to be found out first may have taken longer than its timer: a process may have been suspended meanwhile. */
  const inTime = ({ leftMillis }: GatewayRequest, sent: Effect.Effect<Outcome>): Effect.Effect<Outcome> =>
    Effect.suspend(() => (leftMillis === undefined || leftMillis() >= connectLimitMillis ? sent : Effect.succeed<Outcome>(lapsed)))

  /**
   * Stripe cancels by its own id only: it is looked for first, as a look-up would, for as long as the permission leaves time to connect again
   * afterwards. What is not found proves nothing here: the look-up tells, which knows when.
   */
  const voidByReference = (request: GatewayRequest, reference: string): Effect.Effect<Outcome> => {
    const leftMillis = (request.leftMillis?.() ?? 2 * connectLimitMillis) - connectLimitMillis
    return lookup.find(request.payment, reference, undefined).pipe(
      Effect.map((object) => (object === undefined ? unknown("inconclusive", "nothing carries the reference now") : object)),
      Effect.timeoutOrElse({
        duration: Duration.millis(Math.min(Math.max(0, leftMillis), Presets.recovery.lookupTimeoutMillis.value)),
        orElse: () => Effect.fail(unknown("timeout", "the PaymentIntent was not found in time"))
      }),
      Effect.matchEffect({
        onFailure: (failure) => Effect.succeed<Outcome>(failure.reason === "inconclusive" ? failure : notSent(failure.message)),
        onSuccess: (object) => {
          if ("_tag" in object) return Effect.succeed<Outcome>(object)
          const wire = toRequest(request.payment, request.intent, object.id)
          return Result.isFailure(wire) ? Effect.succeed<Outcome>(notSent(wire.failure)) : inTime(request, post(request, wire.success))
        }
      })
    )
  }

  const digest = createHash("sha256").update(`${baseUrl} ${account.accountId}`).digest("hex").slice(0, 32)
  return {
    name: account.name,
    account: AccountFingerprint.make(`stripe:${modeOf(account.secretKey)}:${digest}`),
    adapterVersion,
    apiVersion,
    // Learning whose key it is, or finding the object of a void, and connecting again.
    connectLimitMillis: 2 * connectLimitMillis,
    capabilities: capabilitiesOf(account),
    send,
    lookup: lookup.answer,
    hold: lookup.hold,
    list: StripeList.make({ gateway: account.name, get }),
    ...(account.webhookSecrets === undefined || account.webhookSecrets.length === 0
      ? {}
      : {
          webhooks: StripeWebhook.make(account.webhookSecrets, (id) => Effect.map(lookup.byId(id), (object) => referenceOf(object)))
        })
  } satisfies Gateway
})
