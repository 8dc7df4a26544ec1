/**
 * API keys: who is asking, and what they may do.
 *
 * `Authorization: Bearer <key>`. A key belongs to one merchant and has scopes. Keys are compared as SHA-256 digests in constant time,
 * and with every configured key, so that neither the time nor the order tells how close a guess was. GET needs `payments:read`, every
 * other method `payments:write`; what is under `/resilience` needs `resilience`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createHash, timingSafeEqual } from "node:crypto"
import type { TenantId } from "../../domain/payment/Ids.ts"
import type { ApiKeyConfig, Scope } from "../config/Config.ts"
import { Problem, toResponse } from "./Problems.ts"

/** The merchant whose key was presented. */
export class Caller extends Context.Service<Caller, { readonly merchant: TenantId }>()("aegispay/edges/http/ApiKeyAuth/Caller") {}

/** Requires a key and provides its merchant. */
export class ApiKeyAuth extends HttpApiMiddleware.Service<ApiKeyAuth, { provides: Caller }>()("aegispay/edges/http/ApiKeyAuth", {
  security: { apiKey: HttpApiSecurity.bearer }
}) {}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

const unauthorized = new Problem({
  code: "unauthorized",
  detail: "Send an API key of this server: Authorization: Bearer <key>.",
  headers: { "www-authenticate": 'Bearer realm="aegispay"' }
})

/** Looks up a key that was presented. */
const finder = (keys: ReadonlyArray<ApiKeyConfig>) => {
  const known = keys.map(({ key, merchant, scopes }) => ({ digest: digest(Redacted.value(key)), merchant, scopes }))
  return (presented: string) => {
    const presentedDigest = digest(presented)
    let found: (typeof known)[number] | undefined
    for (const candidate of known) if (timingSafeEqual(candidate.digest, presentedDigest)) found = candidate
    return found
  }
}

/** The key that a request shows, if it is one of these. */
const shown = (keys: ReadonlyArray<ApiKeyConfig>) => {
  const find = finder(keys)
  return HttpApiBuilder.securityDecode(HttpApiSecurity.bearer).pipe(
    Effect.map((credential) => find(Redacted.value(credential))),
    // Only keys in the query would be looked for there.
    Effect.provideService(HttpServerRequest.ParsedSearchParams, {})
  )
}

/** Whose key a request shows, if it shows one of these: for what comes before the check of the key, and grants nothing. */
export const merchantOf = (keys: ReadonlyArray<ApiKeyConfig>) => Effect.map(shown(keys), (found) => found?.merchant)

const lacking = (scope: Scope) => new Problem({ code: "scope_missing", detail: `This API key does not have the scope ${scope}.` })

/** Requires a key with a scope, for a route beside the API: fails with the problem to answer. */
export const required = (keys: ReadonlyArray<ApiKeyConfig>, scope: Scope) =>
  Effect.flatMap(shown(keys), (found) =>
    found === undefined ? Effect.fail(unauthorized) : found.scopes.includes(scope) ? Effect.void : Effect.fail(lacking(scope))
  )

/** What it takes to use an endpoint. Those of operators are of all merchants. */
const scopeOf = ({ method, path }: { readonly method: string; readonly path: string }): Scope => {
  if (path.startsWith("/resilience/")) return "resilience"
  return method === "GET" ? "payments:read" : "payments:write"
}

/** The check against these keys. */
export const layer = (keys: ReadonlyArray<ApiKeyConfig>): Layer.Layer<ApiKeyAuth> =>
  Layer.sync(ApiKeyAuth, () => {
    const find = finder(keys)
    return ApiKeyAuth.of({
      apiKey: (handler, { credential, endpoint }) => {
        const found = find(Redacted.value(credential))
        if (found === undefined) return toResponse(unauthorized)
        const scope = scopeOf(endpoint)
        if (!found.scopes.includes(scope)) return toResponse(lacking(scope))
        return handler.pipe(Effect.provideService(Caller, { merchant: found.merchant }), Effect.annotateLogs("merchant", found.merchant))
      }
    })
  })
