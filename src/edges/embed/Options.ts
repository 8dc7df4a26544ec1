/**
 * What `AegisPay.make` takes: the configuration, the same as a file's (docs/cli.md), and what only code can give.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import { TenantId } from "../../domain/payment/Ids.ts"
import type { PublicEvent } from "../../domain/payment/PublicEvent.ts"
import type { Gateway } from "../../services/Gateway.ts"
import * as Development from "../cli/runtime/Development.ts"
import * as Config from "../config/Config.ts"
import type { ConfigFile } from "../config/ConfigSchema.ts"
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
  /** Delivers events to `onEvent` or the configured endpoints; where there are neither, they are taken off the outbox. Default true. */
  readonly relay?: boolean
}

/** An event of a payment, without tokens. */
export type PaymentEvent = PublicEvent & { readonly merchant: string }

export interface AegisPayOptions {
  /** Whose payments, where a request does not say. Default: the one merchant that the configuration's API keys belong to. */
  readonly merchant?: string
  /** Gateways made by the host, besides those of the configuration. */
  readonly gateways?: ReadonlyArray<Gateway>
  /** Where secrets (`"env:NAME"`) and overrides are looked up. Default: the process' environment. */
  readonly environment?: Config.Environment
  /** `false` for a process that only makes calls, such as a job. Default: all of it. */
  readonly background?: boolean | BackgroundOptions
  /**
   * Told of every event of every payment, in order within a payment, at least once: keep `eventId` or the last `version`. A rejection means
   * "again later". Not together with `notifications.endpoints`.
   */
  readonly onEvent?: (event: PaymentEvent) => void | Promise<void>
  /** Takes the log. Default: lines on the console. */
  readonly log?: (line: LogLine) => void
  /** Starts though an account with open operations is not configured. Default false. */
  readonly allowMissingGateways?: boolean
}

/** All of it, checked. */
export interface Settings {
  readonly config: Config.Config
  /** What messages call the configuration. */
  readonly source: string
  readonly isMemory: boolean
  readonly merchant: TenantId | undefined
  readonly gateways: ReadonlyArray<Gateway>
  readonly background: Required<BackgroundOptions>
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
  const config =
    typeof given === "string"
      ? yield* Config.load({ file: given, environment })
      : yield* Effect.fromResult(
          Config.decode(isMemory ? { ...inMemory(given, environment), source } : { input: given, environment, source })
        )
  const problems = problemsOf(config, options)
  if (problems.length > 0) return yield* new Config.ConfigInvalid({ source, problems })
  const { background = true } = options
  const all = { recovery: true, webhooks: true, relay: true }
  return {
    config: isMemory ? { ...config, fingerprintKey: config.fingerprintKey ?? Redacted.make(randomBytes(32).toString("hex")) } : config,
    source,
    isMemory,
    merchant: merchantOf(config, options),
    gateways: options.gateways ?? [],
    background:
      typeof background === "object" ? { ...all, ...background } : background ? all : { recovery: false, webhooks: false, relay: false },
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

const problemsOf = (
  config: Config.Config,
  options: AegisPayOptions
): ReadonlyArray<{ readonly path: string; readonly message: string }> => {
  const problems: Array<{ readonly path: string; readonly message: string }> = []
  const refuse = (path: string, message: string) => problems.push({ path, message })
  const own = (options.gateways ?? []).map(({ name }) => name)
  const names = [...config.gateways.map(({ name }) => name), ...own]
  if (options.merchant !== undefined && !isTenant(options.merchant)) {
    refuse("options.merchant", "expected 1 to 64 characters A-Z, a-z, 0-9, _ and -")
  }
  if (names.length === 0) refuse("gateways", "no payment could be made; configure at least one, or give one as options.gateways")
  own.forEach((name, index) => {
    if (names.indexOf(name) < config.gateways.length + index) refuse(`options.gateways[${index}].name`, "another gateway has this name")
  })
  if (options.onEvent !== undefined && config.notifications.endpoints.length > 0) {
    refuse("options.onEvent", "events have one receiver; remove notifications.endpoints, or this")
  }
  return problems
}
