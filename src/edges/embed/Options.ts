/**
 * What `AegisPay.make` takes: the configuration, the same as a file's (docs/cli.md), and what only code can give.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import { TenantId } from "../../domain/payment/Ids.ts"
import type { PublicEvent } from "../../domain/payment/PublicEvent.ts"
import { Name } from "../../domain/routing/policy/Bounds.ts"
import { Fees } from "../../domain/routing/policy/Cost.ts"
import type { Gateway } from "../../services/Gateway.ts"
import type { CustomRule } from "../../services/routing/RoutingPolicy.ts"
import * as Development from "../cli/runtime/Development.ts"
import * as Config from "../config/Config.ts"
import type { ConfigFile } from "../config/ConfigSchema.ts"
import * as Issues from "../config/Issues.ts"
import type { HostHook } from "./HostHooks.ts"
import type { LogLine } from "./Log.ts"

type File = ReturnType<typeof ConfigFile>["Encoded"]

/** The configuration. `database: "memory"` is for tests: nothing survives the process. */
export type AegisPayConfig = Omit<File, "database"> & { readonly database: File["database"] | "memory" }

/** What goes on beside the calls of the host. Any number of processes may run it on one database. */
export interface BackgroundOptions {
  /** Finds out what became of operations without an answer: at the start, then on an interval. Default true. */
  readonly recovery?: boolean
  /** Processes the webhooks that were received. Default true. */
  readonly webhooks?: boolean
  /** Delivers events to `onEvent` or the configured endpoints; those without a receiver here are taken off when they are old. Default true. */
  readonly relay?: boolean
}

/** An event of a payment, without tokens. */
export type PaymentEvent = PublicEvent & { readonly merchant: string }

export interface AegisPayOptions {
  /** Whose payments, where a request does not say. Default: the one merchant that the configuration's API keys belong to. */
  readonly merchant?: string
  /** Gateways made by the host, besides those of the configuration. */
  readonly gateways?: ReadonlyArray<Gateway>
  /** Price lists of `gateways`, by their names; of those in the configuration they stand there. Default: what they cost is not known. */
  readonly fees?: { readonly [gateway: string]: ReadonlyArray<GatewayFee> }
  /** Routing rules that are functions. They go with those of the configuration by priority; a name belongs to one rule. */
  readonly rules?: ReadonlyArray<CustomRule>
  /** Code of the host's own in every payment, beside the built-in hooks of the configuration: docs/hooks.md. */
  readonly hooks?: ReadonlyArray<HostHook>
  /** Where secrets (`"env:NAME"`) and overrides are looked up. Default: the process' environment. */
  readonly environment?: Config.Environment
  /** `false` for a process that only makes calls, such as a job. Default: all of it. */
  readonly background?: boolean | BackgroundOptions
  /**
   * Told of every event of every payment, in order within a payment, at least once: keep `eventId` or the last `version`. A rejection means
   * "again later", and so do 15 s without an end: then `signal` is aborted, and what does not stop runs beside the repetition. Not together
   * with `notifications.endpoints`.
   */
  readonly onEvent?: (event: PaymentEvent, options: { readonly signal: AbortSignal }) => void | Promise<void>
  /** Takes the log. Default: lines on the console. */
  readonly log?: (line: LogLine) => void
  /** Starts though an account with open operations is not configured. Default false. */
  readonly allowMissingGateways?: boolean
}

/** One entry of a price list: `{ currency: "EUR", fixedMinor: 25, basisPoints: 140 }`. The first that fits a payment counts. */
export type GatewayFee = (typeof Fees.Encoded)[number]

/** All of it, checked. */
export interface Settings {
  readonly config: Config.Config
  /** What messages call the configuration. */
  readonly source: string
  readonly isMemory: boolean
  readonly merchant: TenantId | undefined
  readonly gateways: ReadonlyArray<Gateway>
  readonly background: Required<BackgroundOptions>
  readonly hooks: ReadonlyArray<HostHook>
  readonly onEvent: AegisPayOptions["onEvent"]
  readonly log: AegisPayOptions["log"]
  readonly allowMissingGateways: boolean
}

/** Decodes both. Fails with `ConfigInvalid`, which lists every problem. */
export const load = Effect.fnUntraced(function* (
  given: AegisPayConfig | string,
  options: AegisPayOptions
): Effect.fn.Return<Settings, Config.ConfigInvalid> {
  const source = typeof given === "string" ? given : "AegisPay.make"
  const environment = options.environment ?? Development.environment()
  const isMemory = typeof given === "object" && given !== null && given.database === "memory"
  const hostGateways = (options.gateways ?? []).map(({ name }) => {
    const fees = Schema.decodeUnknownOption(Fees)(options.fees?.[name])
    return Option.isNone(fees) ? { name } : { name, fees: fees.value }
  })
  const config =
    typeof given === "string"
      ? yield* Config.load({ file: given, environment, hostGateways })
      : yield* Effect.fromResult(
          Config.decode({ ...(isMemory ? inMemory(given, environment) : { input: given, environment }), source, hostGateways })
        )
  const problems = problemsOf(config, options)
  if (problems.length > 0) return yield* new Config.ConfigInvalid({ source, problems })
  const { background = true } = options
  const all = { recovery: true, webhooks: true, relay: true }
  const routed = { ...config, routing: { ...config.routing, customRules: options.rules ?? [] } }
  return {
    config: isMemory ? { ...routed, fingerprintKey: config.fingerprintKey ?? Redacted.make(randomBytes(32).toString("hex")) } : routed,
    source,
    isMemory,
    merchant: merchantOf(config, options),
    gateways: options.gateways ?? [],
    background:
      typeof background === "object" ? { ...all, ...background } : background ? all : { recovery: false, webhooks: false, relay: false },
    hooks: options.hooks ?? [],
    onEvent: options.onEvent,
    log: options.log,
    allowMissingGateways: options.allowMissingGateways ?? false
  }
})

/** Memory has nothing to configure: a database named by the environment is not meant. */
const inMemory = (given: AegisPayConfig, environment: Config.Environment) => ({
  input: { ...given, database: { dataDir: "memory" } },
  environment: Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("AEGISPAY_DATABASE_")))
})

const isTenant = Schema.is(TenantId)

const merchantOf = (config: Config.Config, { merchant }: AegisPayOptions): TenantId | undefined => {
  if (merchant !== undefined) return isTenant(merchant) ? merchant : undefined
  const known = new Set(config.http.apiKeys.map((key) => key.merchant))
  const [only] = known
  return known.size === 1 ? only : undefined
}

const problemsOf = (config: Config.Config, options: AegisPayOptions): ReadonlyArray<Issues.Problem> => {
  const problems: Array<Issues.Problem> = []
  const refuse = (path: string, message: string) => problems.push({ path, message })
  if (options.hooks !== undefined && !Array.isArray(options.hooks)) {
    refuse(
      "options.hooks",
      `expected a list of hooks such as { kind: "fraud_check", name: "mine", run }; built-in hooks are switched on in the configuration's section hooks`
    )
  }
  const own = (options.gateways ?? []).map(({ name }) => name)
  const names = [...config.gateways.map(({ name }) => name), ...own]
  if (options.merchant !== undefined && !isTenant(options.merchant)) {
    refuse("options.merchant", "expected 1 to 64 characters A-Z, a-z, 0-9, _ and -")
  }
  if (names.length === 0) refuse("gateways", "no payment could be made; configure at least one, or give one as options.gateways")
  own.forEach((name, index) => {
    if (names.indexOf(name) < config.gateways.length + index) refuse(`options.gateways[${index}].name`, "another gateway has this name")
  })
  problems.push(...problemsOfFees(options), ...problemsOfRules(config, options))
  if (options.onEvent !== undefined && config.notifications.endpoints.length > 0) {
    refuse("options.onEvent", "events have one receiver; remove notifications.endpoints, or this")
  }
  return problems
}

const problemsOfFees = ({ fees = {}, gateways = [] }: AegisPayOptions): ReadonlyArray<Issues.Problem> =>
  Object.entries(fees).flatMap(([name, list]) => {
    const path = `options.fees.${name}`
    if (!gateways.some((gateway) => gateway.name === name)) return [{ path, message: "is not the name of a gateway in options.gateways" }]
    const decoded = Schema.decodeUnknownResult(Fees)(list, { errors: "all", onExcessProperty: "error" })
    if (Result.isSuccess(decoded)) return []
    return Issues.problemsOf(decoded.failure.issue, list).map((problem) => ({
      path: problem.path.startsWith("[") || problem.path === "" ? `${path}${problem.path}` : `${path}.${problem.path}`,
      message: problem.message
    }))
  })

const isRuleName = Schema.is(Name)

/** Decisions name the rule. */
const problemsOfRules = ({ routing }: Config.Config, { rules = [] }: AegisPayOptions): ReadonlyArray<Issues.Problem> => {
  const names = [...routing.policy.rules.map(({ name }) => name), ...rules.map(({ name }) => name)]
  return rules.flatMap(({ name }, index) => {
    const path = `options.rules[${index}].name`
    if (!isRuleName(name)) return [{ path, message: "expected a name of 1 to 64 letters, digits, blanks and _ . -" }]
    return names.indexOf(name) < names.length - rules.length + index ? [{ path, message: "another rule has this name" }] : []
  })
}
