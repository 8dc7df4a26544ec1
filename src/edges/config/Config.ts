/**
 * The configuration: a JSON file, overridden by `AEGISPAY_*` variables, decoded strictly, with every problem listed at once.
 *
 * ```json
 * { "database": { "dataDir": "./.aegispay" },
 *   "gateways": [{ "name": "sandbox-a", "kind": "sandbox", "baseUrl": "http://127.0.0.1:9090/a" }],
 *   "http": { "port": 8080, "apiKeys": [{ "merchant": "m1", "key": "env:SHOP_API_KEY" }] } }
 * ```
 *
 * The shape and its ranges are in ConfigSchema.ts; what is left out takes its preset. Relative paths are relative to the working
 * directory.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs/promises"
import * as Presets from "../../domain/Presets.ts"
import type { TenantId } from "../../domain/payment/Ids.ts"
import type { AccountOptions } from "../../sandbox/Options.ts"
import type { Routing as RoutingInForce } from "../../services/routing/RoutingPolicy.ts"
import { defaults, type EngineSettings } from "../../services/Settings.ts"
import { ConfigFile, defaultScopes, type Environment, type Scope } from "./ConfigSchema.ts"
import * as Gateways from "./Gateways.ts"
import * as Hooks from "./Hooks.ts"
import { describe, type Problem, problemsOf } from "./Issues.ts"
import * as Overrides from "./Overrides.ts"
import * as RateLimits from "./RateLimits.ts"
import * as Resilience from "./Resilience.ts"
import * as Routing from "./Routing.ts"

export type { Environment, Scope } from "./ConfigSchema.ts"
export type { GatewayConfig, StripeGatewayConfig } from "./Gateways.ts"

/** A key of the HTTP interface: whose it is and what it may do. */
export interface ApiKeyConfig {
  readonly merchant: TenantId
  readonly key: Redacted.Redacted
  readonly scopes: ReadonlyArray<Scope>
}

/** The HTTP server. Times in milliseconds. */
export interface HttpConfig {
  /** Default 127.0.0.1. */
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly maxBodyBytes: number
  /** The headers of a request must have arrived by then. */
  readonly headersTimeoutMillis: number
  /** The whole request must have arrived by then. */
  readonly requestTimeoutMillis: number
  /** How long a shutdown waits for the requests in hand. */
  readonly shutdownMillis: number
  readonly apiKeys: ReadonlyArray<ApiKeyConfig>
  /** `GET /metrics`. `enabled`: default true. `public`: without a key; default false, then a key needs the scope `metrics`. */
  readonly metrics?: { readonly enabled?: boolean; readonly public?: boolean }
  /**
   * Addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed: the client is then its right-most address that is none of
   * them. Default none: the client is who connects.
   */
  readonly trustedProxies?: ReadonlyArray<string>
  /** The section `rateLimits`. Default: nothing is limited. */
  readonly rateLimits?: RateLimits.RateLimitSettings
}

/** Where the events of a merchant's payments go, and the secrets that sign them. */
export interface EndpointConfig {
  readonly merchant: TenantId
  readonly url: string
  /** The present one, then the previous one while it is being changed. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
}

/** The sandbox that `serve` starts beside itself. */
export interface SandboxConfig {
  readonly host: string
  readonly port: number
  readonly directory?: string
  readonly control?: boolean
  readonly accounts?: ReadonlyArray<AccountOptions>
}

export interface Config {
  readonly database:
    | { readonly _tag: "Server"; readonly url: Redacted.Redacted }
    /** The embedded database and everything else that is kept go below `dataDir`. */
    | { readonly _tag: "Embedded"; readonly dataDir: string }
  readonly gateways: ReadonlyArray<Gateways.GatewayConfig>
  /** Where short-lived state may be shared besides the database. */
  readonly redis: { readonly url: Redacted.Redacted; readonly prefix?: string } | undefined
  /** Where instances tell each other which circuit breakers are open. */
  readonly shareBreakers: "none" | "database" | "redis"
  readonly sandbox: SandboxConfig | undefined
  readonly engine: EngineSettings
  readonly routing: RoutingInForce
  readonly hooks: Hooks.HooksInForce
  /** How long the connection to a gateway may take, in milliseconds. */
  readonly connectLimitMillis: number
  readonly recovery: {
    readonly onStart: boolean
    readonly intervalMillis: number
    readonly concurrency: number
  }
  readonly http: HttpConfig
  readonly notifications: {
    /** One for a merchant at most. */
    readonly endpoints: ReadonlyArray<EndpointConfig>
    /** Takes http to this machine too. Default false. */
    readonly allowLoopback: boolean
    /** How old an event gets that has no receiver here before it is taken off, in milliseconds. */
    readonly discardAfterMillis: number
  }
  /** The key of idempotency fingerprints. `undefined`: it is kept in `dataDir` (FingerprintKey.ts). */
  readonly fingerprintKey: Redacted.Redacted | undefined
}

/** The configuration cannot be used. The message names every problem, one per line, and no secret. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  source: Schema.String,
  problems: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  override get message(): string {
    return `${this.source}: ${this.problems.map(describe).join(`\n${this.source}: `)}`
  }
}

/** The largest configuration file, in bytes. */
const maxFileBytes = 1_048_576
const maxProblems = 100

/** What the sandbox binds unless told otherwise, in line with `Sandbox.defaultPort`. */
const sandboxDefaults = { host: "127.0.0.1", port: 9090 }

/** Defaults of the HTTP server that are not presets: a slow sender is cut well within 30 s. */
const httpDefaults = { host: "127.0.0.1", headersTimeoutMillis: 10_000, requestTimeoutMillis: 20_000, shutdownMillis: 10_000 }

/** A gateway that a host makes itself, as far as the configuration may speak of it. */
type HostGateway = Pick<Gateways.GatewayConfig, "name" | "fees">

/** Reads and decodes a file; without one, the variables alone. Fails with `ConfigInvalid`. */
export const load = Effect.fnUntraced(function* (options: {
  readonly file?: string | undefined
  readonly environment: Environment
  readonly hostGateways?: ReadonlyArray<HostGateway>
}): Effect.fn.Return<Config, ConfigInvalid> {
  const source = options.file ?? "configuration"
  const input = options.file === undefined ? {} : yield* read(options.file)
  return yield* Effect.fromResult(decode({ ...options, input, source }))
})

/** Decodes configuration data. `source` is what messages call it. `hostGateways`: those that it may name besides its own. */
export const decode = (options: {
  readonly input: unknown
  readonly environment: Environment
  readonly source?: string
  readonly hostGateways?: ReadonlyArray<HostGateway>
}): Result.Result<Config, ConfigInvalid> => {
  const { hostGateways = [] } = options
  const { input, problems: overrideProblems, sources } = Overrides.apply(options.input, options.environment)
  const decoded = Schema.decodeUnknownResult(ConfigFile(options.environment))(input, { errors: "all", onExcessProperty: "error" })
  const problems = [
    ...overrideProblems,
    ...(Result.isFailure(decoded) ? problemsOf(decoded.failure.issue, input, { maxProblems, showValue: mayShow }) : []),
    ...crossProblems(input),
    ...(Result.isSuccess(decoded) ? rangeProblems(decoded.success, hostGateways) : [])
  ]
    .filter((problem, index, all) => all.findIndex((other) => describe(other) === describe(problem)) === index)
    .map((problem) => ({ ...problem, path: sources.get(problem.path) ?? problem.path }))
  return Result.isFailure(decoded) || problems.length > 0
    ? Result.fail(new ConfigInvalid({ source: options.source ?? "configuration", problems }))
    : Result.succeed(withDefaults(decoded.success, hostGateways))
}

/** Secrets are not shown, nor is the URL of a database, nor what stands where nobody knows what it is. */
const mayShow = (path: string): boolean =>
  /(^|\.)(name|kind|baseUrl|accountId|lookup|merchant|host|port|\w+Millis|max\w+|concurrency|queue|onStart|errorRate|strategy|factor|jitter|earnPerCall)$/.test(
    path
  )

const invalid = (source: string, message: string) => new ConfigInvalid({ source, problems: [{ path: "", message }] })

/** The JSON in a file. Fails with `ConfigInvalid`, without a word of what is in it. */
export const read = Effect.fnUntraced(function* (file: string) {
  const text = yield* Effect.tryPromise({
    try: async () => {
      const { isFile, size } = await Fs.stat(file).then((stat) => ({ isFile: stat.isFile(), size: stat.size }))
      if (!isFile) return { problem: "is not a file" }
      return size > maxFileBytes ? { problem: `is larger than ${maxFileBytes} bytes` } : { text: await Fs.readFile(file, "utf8") }
    },
    catch: (error) => invalid(file, `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`)
  })
  if (text.text === undefined) return yield* invalid(file, text.problem)
  return yield* Effect.try({
    try: (): unknown => JSON.parse(text.text.replace(/^\uFEFF/, "")),
    catch: (error) => invalid(file, `is not valid JSON${positionOf(error)}`)
  })
})

/** The parser's message quotes the file, which may hold what does not belong there; only the position is kept. */
const positionOf = (error: unknown): string => {
  const found = error instanceof Error ? /line \d+ column \d+/.exec(error.message) : null
  return found === null ? "" : `: ${found[0]}`
}

const listAt = (input: unknown, ...path: ReadonlyArray<string>): ReadonlyArray<unknown> => {
  let value = input
  for (const key of path) value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined
  return Array.isArray(value) ? value : []
}

const duplicates = (options: {
  readonly list: ReadonlyArray<unknown>
  readonly path: string
  readonly field: string
}): ReadonlyArray<Problem> => {
  const first = new Map<unknown, number>()
  return options.list.flatMap((item, index) => {
    const value = typeof item === "object" && item !== null ? (item as Record<string, unknown>)[options.field] : undefined
    if (typeof value !== "string") return []
    const earlier = first.get(value)
    if (earlier === undefined) first.set(value, index)
    return earlier === undefined
      ? []
      : [{ path: `${options.path}[${index}].${options.field}`, message: `is the same as ${options.path}[${earlier}].${options.field}` }]
  })
}

/** What can be said of the data before it decodes, so that it is listed with everything else. */
const crossProblems = (input: unknown): ReadonlyArray<Problem> => [
  ...duplicates({ list: listAt(input, "gateways"), path: "gateways", field: "name" }),
  ...Gateways.problemsOf(listAt(input, "gateways")),
  ...duplicates({ list: listAt(input, "http", "apiKeys"), path: "http.apiKeys", field: "key" }),
  ...duplicates({ list: listAt(input, "notifications", "endpoints"), path: "notifications.endpoints", field: "merchant" }),
  ...duplicates({ list: listAt(input, "sandbox", "accounts"), path: "sandbox.accounts", field: "name" })
]

/** Settings that must fit each other. */
const rangeProblems = (file: ConfigFile, hostGateways: ReadonlyArray<HostGateway>): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  const { connectLimitMillis, http, notifications } = withDefaults(file, hostGateways)
  const gateways = namedBy(file, hostGateways)
  const where = hostGateways.length === 0 ? "this file" : "this file or in options.gateways"
  const refuse = (path: string, message: string) => problems.push({ path, message })
  if (http.headersTimeoutMillis > http.requestTimeoutMillis) {
    refuse("http.headersTimeoutMillis", `must be at most requestTimeoutMillis (${http.requestTimeoutMillis})`)
  }
  if (file.database.url !== undefined && file.fingerprintKey === undefined) {
    refuse("fingerprintKey", "is required with database.url: every process on a database must use the same key")
  }
  if (file.redis === undefined) {
    for (const [path, where] of [
      ["breakers.share", file.breakers?.share],
      ["rateLimits.store", file.rateLimits?.store]
    ] as const)
      if (where === "redis") refuse(path, "needs the section redis with the url of a server")
  }
  notifications.endpoints.forEach(({ url }, index) => {
    if (!notifications.allowLoopback && new URL(url).protocol === "http:")
      refuse(`notifications.endpoints[${index}].url`, "expected an https URL; for http to this machine set notifications.allowLoopback")
  })
  problems.push(...Routing.problemsOf({ ...file, gateways }, { where }))
  problems.push(...RateLimits.problemsOf(file.rateLimits))
  problems.push(...Resilience.problemsOf(file, { connectLimitMillis, gateways: gateways.map(({ name }) => name), where }))
  const keys = (file.http?.apiKeys ?? []).map(({ key }) => Redacted.value(key))
  keys.forEach((key, index) => {
    const earlier = keys.indexOf(key)
    if (earlier < index) refuse(`http.apiKeys[${index}].key`, `is the same as http.apiKeys[${earlier}].key`)
  })
  return problems
}

const withDefaults = (file: ConfigFile, hostGateways: ReadonlyArray<HostGateway>): Config => ({
  database:
    file.database.url === undefined
      ? { _tag: "Embedded", dataDir: file.database.dataDir ?? "." }
      : { _tag: "Server", url: file.database.url },
  gateways: (file.gateways ?? []).map(Gateways.withDefaults),
  redis: file.redis,
  shareBreakers: file.breakers?.share ?? (file.redis === undefined ? "database" : "redis"),
  sandbox: file.sandbox === undefined ? undefined : { ...sandboxDefaults, ...file.sandbox },
  engine: engineOf(file),
  routing: Routing.settingsOf({ ...file, gateways: namedBy(file, hostGateways) }),
  hooks: Hooks.settingsOf(file.hooks),
  connectLimitMillis: file.retries?.connectLimitMillis ?? Presets.gatewayCall.connectLimitMillis.value,
  recovery: recoveryOf(file),
  http: httpOf(file),
  notifications: {
    endpoints: (file.notifications?.endpoints ?? []).map(({ merchant, previousSecret, secret, url }) => ({
      merchant,
      url,
      secrets: previousSecret === undefined ? [secret] : [secret, previousSecret]
    })),
    allowLoopback: file.notifications?.allowLoopback ?? false,
    discardAfterMillis: file.notifications?.discardAfterMillis ?? Presets.relay.discardAfterMillis.value
  },
  fingerprintKey: file.fingerprintKey
})

/** The gateways that may be named. */
const namedBy = ({ gateways = [] }: ConfigFile, hostGateways: ReadonlyArray<HostGateway>) => [...gateways, ...hostGateways]

const recoveryOf = ({ recovery }: ConfigFile): Config["recovery"] => ({
  onStart: recovery?.onStart ?? true,
  intervalMillis: recovery?.intervalMillis ?? Presets.recovery.intervalMillis.value,
  concurrency: recovery?.concurrency ?? Presets.recovery.concurrency.value
})

const httpOf = ({ http, rateLimits, redis }: ConfigFile): HttpConfig => ({
  ...httpDefaults,
  port: Presets.http.port.value,
  maxBodyBytes: Presets.http.maxBodyBytes.value,
  ...http,
  apiKeys: (http?.apiKeys ?? []).map((key) => ({ ...key, scopes: key.scopes ?? defaultScopes })),
  ...(rateLimits === undefined
    ? {}
    : { rateLimits: RateLimits.settingsOf({ ...(redis === undefined ? {} : { store: "redis" }), ...rateLimits }) })
})

const engineOf = (file: ConfigFile): EngineSettings => {
  const { completeWithinAbsentMillis, completeWithinPresentMillis, customerWaitByMethod, customerWaitMillis, ...policy } = {
    ...defaults.policy,
    customerWaitMillis: defaults.customerWaitMillis,
    customerWaitByMethod: defaults.customerWaitByMethod,
    completeWithinPresentMillis: defaults.completeWithinPresentMillis,
    completeWithinAbsentMillis: defaults.completeWithinAbsentMillis,
    ...file.payments
  }
  return {
    ...Resilience.settingsOf(file),
    policy,
    completeWithinPresentMillis,
    completeWithinAbsentMillis,
    customerWaitMillis,
    customerWaitByMethod,
    idempotencyWaitMillis: file.idempotency?.waitMillis ?? defaults.idempotencyWaitMillis,
    maxUnstoredOutcomes: file.outcomes?.maxUnstored ?? defaults.maxUnstoredOutcomes,
    storeWaitMillis: file.outcomes?.storeWaitMillis ?? defaults.storeWaitMillis,
    recoveryOlderThanMillis: file.recovery?.olderThanMillis ?? defaults.recoveryOlderThanMillis,
    recoveryLeaseMillis: file.recovery?.leaseMillis ?? defaults.recoveryLeaseMillis,
    allowUnsafeGateways: false
  }
}
