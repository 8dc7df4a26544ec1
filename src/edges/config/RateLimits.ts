/**
 * The section `rateLimits` of the configuration. Without it nothing is limited; an empty one switches the presets on.
 *
 * ```json
 * { "rateLimits": {
 *     "store": "postgres",
 *     "routes": {
 *       "initiate": { "user": { "limit": 20 }, "ip": { "limit": 300, "windowMillis": 60000 } },
 *       "status": false,
 *       "all": { "api_key": { "algorithm": "sliding_window", "limit": 5000, "windowMillis": 60000,
 *                             "block": { "refusals": 1000, "withinMillis": 60000, "durationMillis": 300000 } } } } } }
 * ```
 *
 * A group of routes has at most one limit per scope. What a limit leaves out is that of the preset of its group and scope; where there is none,
 * `limit` and `windowMillis` are required. `false` takes a preset away. docs/rate-limits.md says what the groups and scopes are.
 */
import * as Schema from "effect/Schema"
import * as Presets from "../../domain/Presets.ts"
import { algorithms, type RateLimit, type Scope, scopes } from "../../domain/resilience/RateLimit.ts"
import { integer } from "./Fields.ts"
import type { Problem } from "./Issues.ts"

/**
 * Groups of routes. `all`: every request but those of `health` and `webhooks`, besides the limits of its own group. `unauthorized`: those below
 * `/v1/payments` and `/resilience` that show no API key, or a wrong one, besides the limits of their group.
 */
export const routeGroups = ["initiate", "status", "refund", "health", "webhooks", "unauthorized", "all"] as const
export type RouteGroup = (typeof routeGroups)[number]

const Limit = Schema.Struct({
  algorithm: Schema.optionalKey(
    Schema.Literals(algorithms).annotate({ message: 'expected "token_bucket", "sliding_window" or "fixed_window"' })
  ),
  limit: Schema.optionalKey(integer(1, 1_000_000)),
  windowMillis: Schema.optionalKey(integer(1_000, 86_400_000)),
  burst: Schema.optionalKey(integer(0, 1_000_000)),
  block: Schema.optionalKey(
    Schema.Struct({
      refusals: integer(1, 1_000_000),
      withinMillis: integer(1_000, 86_400_000),
      durationMillis: integer(1_000, 604_800_000)
    })
  )
})
type Limit = typeof Limit.Type

const limitOrNone = Schema.optionalKey(Schema.Union([Schema.Literal(false), Limit]))
/** Nobody has shown a key there. */
const public_ = { ip: limitOrNone, endpoint: limitOrNone, global: limitOrNone }
const keyed = { ...public_, user: limitOrNone, api_key: limitOrNone }
const group = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.optionalKey(Schema.Union([Schema.Literal(false), Schema.Struct(fields)]))

/** The section. */
export const RateLimits = Schema.Struct({
  store: Schema.optionalKey(
    Schema.Literals(["memory", "postgres", "redis"]).annotate({ message: 'expected "memory", "postgres" or "redis"' })
  ),
  onStoreFailure: Schema.optionalKey(Schema.Literals(["open", "closed"]).annotate({ message: 'expected "open" or "closed"' })),
  maxKeys: Schema.optionalKey(integer(1_000, 16_000_000)),
  routes: Schema.optionalKey(
    Schema.Struct({
      initiate: group(keyed),
      status: group(keyed),
      refund: group(keyed),
      health: group(public_),
      webhooks: group(public_),
      unauthorized: group(public_),
      all: group(keyed)
    })
  )
})
type Section = typeof RateLimits.Type

/** The limits in force. */
export interface RateLimitSettings {
  /** `memory`: every process counts for itself. Default: `redis` where it is configured, else `memory`. */
  readonly store: "memory" | "postgres" | "redis"
  /** Whether requests are let through (`open`) or refused while the store is away. */
  readonly onStoreFailure: "open" | "closed"
  /** Of the store in memory. */
  readonly maxKeys: number
  readonly limits: { readonly [_ in RouteGroup]: ReadonlyArray<RateLimit> }
}

const { rateLimits } = Presets

const presets: { readonly [_ in RouteGroup]: { readonly [_ in Scope]?: Limit } } = {
  initiate: {
    user: {
      limit: rateLimits.initiateLimit.value,
      windowMillis: rateLimits.initiateWindowMillis.value,
      burst: rateLimits.initiateBurst.value
    }
  },
  status: {
    user: { limit: rateLimits.statusLimit.value, windowMillis: rateLimits.statusWindowMillis.value, burst: rateLimits.statusBurst.value }
  },
  refund: {
    user: { limit: rateLimits.refundLimit.value, windowMillis: rateLimits.refundWindowMillis.value, burst: rateLimits.refundBurst.value }
  },
  health: {
    ip: { limit: rateLimits.healthLimit.value, windowMillis: rateLimits.healthWindowMillis.value, burst: rateLimits.healthBurst.value }
  },
  webhooks: {},
  unauthorized: {
    ip: {
      limit: rateLimits.unauthorizedLimit.value,
      windowMillis: rateLimits.unauthorizedWindowMillis.value,
      burst: rateLimits.unauthorizedBurst.value
    }
  },
  all: {}
}

/** What a group says of each scope: the preset, changed by the file. */
const limitsOf = (section: Section, name: RouteGroup): ReadonlyArray<readonly [scope: Scope, limit: Limit]> => {
  const written: false | { readonly [_ in Scope]?: false | Limit } = section.routes?.[name] ?? {}
  if (written === false) return []
  return scopes.flatMap((scope) => {
    const [preset, own] = [presets[name][scope], written[scope]]
    return own === false || (own === undefined && preset === undefined) ? [] : [[scope, { ...preset, ...own }] as const]
  })
}

/** The limits of a section; those that lack a figure are left out and told by `problemsOf`. */
export const settingsOf = (section: Section): RateLimitSettings => {
  const resolved = (name: RouteGroup) =>
    limitsOf(section, name).flatMap(([scope, { algorithm = "token_bucket", burst = 0, limit, windowMillis, ...rest }]): Array<RateLimit> =>
      limit === undefined || windowMillis === undefined
        ? []
        : [{ name: `${name}.${scope}`, scope, algorithm, limit, windowMillis, burst, ...rest }]
    )
  return {
    store: section.store ?? "memory",
    onStoreFailure: section.onStoreFailure ?? "open",
    maxKeys: section.maxKeys ?? rateLimits.maxKeys.value,
    limits: {
      initiate: resolved("initiate"),
      status: resolved("status"),
      refund: resolved("refund"),
      health: resolved("health"),
      webhooks: resolved("webhooks"),
      unauthorized: resolved("unauthorized"),
      all: resolved("all")
    }
  }
}

/** Limits without the figures that no preset gives. */
export const problemsOf = (section: Section | undefined): ReadonlyArray<Problem> =>
  section === undefined
    ? []
    : routeGroups.flatMap((name) =>
        limitsOf(section, name).flatMap(([scope, limit]) =>
          (["limit", "windowMillis"] as const)
            .filter((field) => limit[field] === undefined)
            .map((field) => ({ path: `rateLimits.routes.${name}.${scope}.${field}`, message: "is required: there is no preset for it" }))
        )
      )
