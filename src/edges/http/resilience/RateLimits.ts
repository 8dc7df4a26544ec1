/**
 * Rate limits of the HTTP interface: every request is counted before its route, its key and its body are looked at.
 *
 * A request has the limits of its group of routes and those of `all`, one key for each scope: `ip` its address (ClientAddress.ts); `api_key`
 * the merchant whose key it shows, none if it shows none; `user` the customer; `endpoint` its method and route; `global` everybody. One that shows
 * no valid key has those of `unauthorized` too. They are asked in one check, so a refusal by one takes nothing from the others. It is answered 429 with `Retry-After`; every answer tells where it
 * stands (RateLimitHeaders.ts).
 *
 * The customer of a new payment is known when the body is decoded: the handler asks for it then (`ofCustomer`). Of another request it is that of the
 * payment that its address names, which is read once the other limits have let it pass. A refusal then gives back what the first check took. Customers
 * are counted per merchant. Where there is none the merchant itself is counted, and without a valid key the address.
 *
 * Without an answer of the store everything is let through, or answered 503, as the configuration says.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { TenantId } from "../../../domain/payment/Ids.ts"
import type { Decision, RateLimit, Scope } from "../../../domain/resilience/RateLimit.ts"
import * as MemoryRateLimitStore from "../../../layers/memory/resilience/RateLimitStore.ts"
import { layerWith, RateLimiter } from "../../../orchestration/resilience/RateLimiter.ts"
import type { EventStore } from "../../../services/EventStore.ts"
import type { RateLimitStoreError } from "../../../services/resilience/RateLimitStore.ts"
import type { ApiKeyConfig } from "../../config/Config.ts"
import { type RateLimitSettings, type RouteGroup, routeGroups } from "../../config/RateLimits.ts"
import * as ApiKeyAuth from "../ApiKeyAuth.ts"
import { Problem, toResponse } from "../Problems.ts"
import { pathOf, RouteTemplate } from "../RequestEdge.ts"
import * as Webhooks from "../Webhooks.ts"
import * as ClientAddress from "./ClientAddress.ts"
import * as PaymentCustomers from "./PaymentCustomers.ts"
import * as RateLimitHeaders from "./RateLimitHeaders.ts"

type Limiter = RateLimiter["Service"]

/** What a request is counted by. */
type Subject = { readonly [_ in Scope]: string | undefined }

/** A request that is being limited, for what is known of it only later. */
interface Counted {
  readonly limiter: Limiter
  readonly merchant: TenantId | undefined
  /** Limits of the customer, where the customer is not known yet. */
  readonly ofCustomer: ReadonlyArray<RateLimit>
  /** The checks so far. */
  readonly decisions: Array<Decision>
  /** Gives back what the first check took. */
  readonly giveBack: Effect.Effect<void>
}

const InHand = Context.Reference<Counted | undefined>("aegispay/edges/http/resilience/RateLimits/InHand", { defaultValue: () => undefined })

/** The limits of this server and who counts them, for whoever asks where a key stands; `undefined`: there are none. */
const InForce = Context.Reference<{ readonly limiter: Limiter; readonly settings: RateLimitSettings } | undefined>(
  "aegispay/edges/http/resilience/RateLimits/InForce",
  { defaultValue: () => undefined }
)

const groupOf = (method: string, template: string): RouteGroup | undefined => {
  if (template.startsWith("/health")) return "health"
  if (template === Webhooks.template) return "webhooks"
  if (!template.startsWith("/v1/payments")) return undefined
  if (method === "GET" || method === "HEAD") return "status"
  if (template === "/v1/payments") return "initiate"
  return template.endsWith("/refunds") ? "refund" : undefined
}

/** Does it need an API key? */
const isKeyed = (template: string): boolean => template.startsWith("/v1/payments") || template.startsWith("/resilience/")

/** The limits of a request: of its group, of what shows no valid key where one is needed, and those of all but load balancers and gateways. */
const limitsOf = (
  { limits }: RateLimitSettings,
  group: RouteGroup | undefined,
  options: { readonly unauthorized: boolean }
): ReadonlyArray<RateLimit> => [
  ...(group === undefined ? [] : limits[group]),
  ...(options.unauthorized ? limits.unauthorized : []),
  ...(group === "health" || group === "webhooks" ? [] : limits.all)
]

/** The payment that an address names. */
const paymentIn = (url: string, template: string): string | undefined =>
  template.startsWith("/v1/payments/:id") ? pathOf(url).split("/", 4)[3] : undefined

/** A customer of a merchant, or the merchant itself. Its id has no blank, so the two are never the same. */
const keyOfUser = (merchant: TenantId, customer: string | undefined): string =>
  customer === undefined ? merchant : `${merchant} ${customer}`

/** Of whoever is no merchant: begins with a blank, as no merchant does. */
const keyOfStranger = (address: string): string => ` ${address}`

const customerOnly = { ip: undefined, api_key: undefined, endpoint: undefined, global: undefined }

const unavailable = ({ message }: RateLimitStoreError) =>
  Effect.as(
    Effect.logDebug(message),
    new Problem({
      code: "rate_limits_unavailable",
      detail: "The rate limits cannot be checked at the moment, so nothing was started. Retry with the same Idempotency-Key.",
      retryAfterSeconds: 1
    })
  )

/** The rate limiter of the context; without one, one in memory for as long as the scope lasts. */
export const limiter = Effect.fnUntraced(function* ({ maxKeys, onStoreFailure }: RateLimitSettings) {
  const given = yield* Effect.serviceOption(RateLimiter)
  if (Option.isSome(given)) return given.value
  const inMemory = layerWith({ onStoreFailure }).pipe(Layer.provide(MemoryRateLimitStore.layerWith({ maxKeys })))
  return Context.get(yield* Layer.build(inMemory), RateLimiter)
})

/** Asks the limits whose key is known; answers `undefined` when there are none. */
const ask = Effect.fnUntraced(function* (limiter: Limiter, limits: ReadonlyArray<RateLimit>, subject: Subject) {
  const applying = limits.filter(({ scope }) => subject[scope] !== undefined)
  if (applying.length === 0) return undefined
  const keys = applying.map(({ scope }) => subject[scope] ?? "")
  const decision = yield* Effect.catch(limiter.check(applying, keys), (error) => Effect.flatMap(unavailable(error), Effect.fail))
  const giveBack = decision.standings.length === 0 ? Effect.void : limiter.refund(applying, keys)
  return { decision, giveBack }
})

/** Limits the requests of an application. */
export const limit = <E, R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  options: {
    readonly limiter: Limiter
    readonly settings: RateLimitSettings
    readonly apiKeys: ReadonlyArray<ApiKeyConfig>
    readonly events: EventStore["Service"]
  }
) => {
  const customerOf = PaymentCustomers.make(options.events)
  const { limiter, settings } = options
  const merchantOf = ApiKeyAuth.merchantOf(options.apiKeys)
  const refuse = (decisions: ReadonlyArray<Decision>, problem: Problem) =>
    Effect.map(toResponse(problem), HttpServerResponse.setHeaders(RateLimitHeaders.of(decisions)))

  return Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const template = yield* RouteTemplate
    const group = groupOf(request.method, template)
    const keyed = isKeyed(template)
    const merchant =
      keyed || settings.limits.all.some(({ scope }) => scope === "api_key" || scope === "user") ? yield* merchantOf : undefined
    const limits = limitsOf(settings, group, { unauthorized: keyed && merchant === undefined })
    if (limits.length === 0) return yield* app
    const payment = paymentIn(request.url, template)
    const ofUser = limits.filter(({ scope }) => scope === "user")
    const address = ClientAddress.of(request)
    // Of a merchant's request the customer is found out later.
    const isLater = merchant !== undefined && (group === "initiate" || payment !== undefined)
    const asked = yield* Effect.result(
      ask(limiter, limits, {
        user: isLater ? undefined : merchant === undefined ? keyOfStranger(address) : keyOfUser(merchant, undefined),
        ip: address,
        api_key: merchant,
        endpoint: `${request.method} ${template}`,
        global: ""
      })
    )
    if (asked._tag === "Failure") return yield* refuse([], asked.failure)
    const first = asked.success
    if (first?.decision.allowed === false) return yield* refuse([first.decision], RateLimitHeaders.problemOf(first.decision))
    const decisions = first === undefined ? [] : [first.decision]
    const counted: Counted = {
      limiter,
      merchant,
      ofCustomer: isLater ? ofUser : [],
      decisions,
      giveBack: first?.giveBack ?? Effect.void
    }
    if (isLater && payment !== undefined && ofUser.length > 0) {
      const known = yield* Effect.result(askCustomer(counted, yield* customerOf(merchant, payment)))
      if (known._tag === "Failure") return yield* refuse(decisions, known.failure)
    }
    const response = yield* Effect.provideService(app, InHand, counted)
    return HttpServerResponse.setHeaders(response, RateLimitHeaders.of(decisions))
  }).pipe(Effect.provideService(InForce, { limiter, settings }))
}

/** Asks the limits of the customer. Fails with the problem it is to be answered. */
const askCustomer = Effect.fnUntraced(function* (counted: Counted, customer: string | undefined) {
  const { decisions, giveBack, limiter, merchant, ofCustomer } = counted
  if (merchant === undefined) return
  const asked = yield* ask(limiter, ofCustomer, { ...customerOnly, user: keyOfUser(merchant, customer) })
  if (asked === undefined) return
  decisions.push(asked.decision)
  if (asked.decision.allowed) return
  yield* giveBack
  return yield* RateLimitHeaders.problemOf(asked.decision)
})

/** Counts the request for a new payment's customer, once it is known whose it is. Fails with the problem it is to be answered. */
export const ofCustomer = (customer: string | undefined): Effect.Effect<void, Problem> =>
  Effect.flatMap(InHand, (inHand) => (inHand === undefined ? Effect.void : askCustomer(inHand, customer)))

const maxKeyLength = 512

/** What is the key of a scope, where a person names it. */
const keyOfScope = (scope: Scope, key: string): string => (scope === "global" ? "" : key)

/**
 * Where a key stands with the limits of a group of routes. `key`: what the scope counts by, an address, a merchant, a merchant and a customer
 * with a blank between them, or a method and a route.
 */
export const statusOf = Effect.fnUntraced(function* ({ endpoint, key }: { readonly endpoint: string; readonly key: string }) {
  const group = routeGroups.find((name) => name === endpoint)
  if (group === undefined) {
    return yield* new Problem({ code: "invalid_request", detail: `The endpoint is a group of routes: ${routeGroups.join(", ")}.` })
  }
  if (key.length > maxKeyLength || key.includes("\u0000")) {
    return yield* new Problem({ code: "invalid_request", detail: `The key has at most ${maxKeyLength} characters, and no NUL.` })
  }
  const inForce = yield* InForce
  const limits = inForce?.settings.limits[group] ?? []
  if (inForce === undefined || limits.length === 0) return { endpoint, key, allowed: true, limits: [] }
  const keys = limits.map(({ scope }) => keyOfScope(scope, key))
  const decision = yield* Effect.catch(inForce.limiter.peek(limits, keys), (error) => Effect.flatMap(unavailable(error), Effect.fail))
  if (decision.standings.length === 0) return yield* unchecked
  return {
    endpoint,
    key,
    allowed: decision.allowed,
    limits: decision.standings.map(({ blocked, limit, remaining, resetAfterMillis, retryAfterMillis }) => ({
      name: limit.name,
      scope: limit.scope,
      limit: limit.limit,
      burst: limit.burst,
      windowMillis: limit.windowMillis,
      remaining,
      blocked,
      resetAfterMillis,
      retryAfterMillis
    }))
  }
})

const unchecked = new Problem({
  code: "rate_limits_unavailable",
  detail: "The rate limits cannot be checked at the moment.",
  retryAfterSeconds: 1
})
