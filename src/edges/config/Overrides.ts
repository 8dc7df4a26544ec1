/**
 * `AEGISPAY_*` variables: each overrides one setting of the file. The name is the setting's path: `http.port` is
 * `AEGISPAY_HTTP_PORT`, `recovery.olderThanMillis` is `AEGISPAY_RECOVERY_OLDER_THAN_MILLIS`. A secret's variable holds the secret
 * itself. Lists (gateways, API keys, endpoints) have no variables.
 *
 * Gotcha: a variable that begins like a section but names no setting is a mistyped override and refused, unless the file refers
 * to it with `env:`.
 */
import { type Environment, variableOf } from "./ConfigSchema.ts"
import type { Problem } from "./Issues.ts"

type Kind = "text" | "integer" | "boolean" | "secret"

const settings: ReadonlyArray<readonly [path: string, kind: Kind]> = [
  ["database.url", "secret"],
  ["database.dataDir", "text"],
  ["fingerprintKey", "secret"],
  ["redis.url", "secret"],
  ["redis.prefix", "text"],
  ["breakers.share", "text"],
  ["sandbox.host", "text"],
  ["sandbox.port", "integer"],
  ["sandbox.directory", "text"],
  ["sandbox.control", "boolean"],
  ["retries.maxRetries", "integer"],
  ["retries.baseMillis", "integer"],
  ["retries.capMillis", "integer"],
  ["retries.attemptTimeoutMillis", "integer"],
  ["retries.sendWindowMillis", "integer"],
  ["retries.connectLimitMillis", "integer"],
  ["retries.strategy", "text"],
  ["bulkheads.concurrency", "integer"],
  ["bulkheads.queue", "integer"],
  ["bulkheads.maxWaitMillis", "integer"],
  ["routing.policy", "text"],
  ["payments.maxCharges", "integer"],
  ["payments.failoverOnSoftDecline", "boolean"],
  ["payments.lateSuccess", "text"],
  ["payments.completeWithinPresentMillis", "integer"],
  ["payments.completeWithinAbsentMillis", "integer"],
  ["idempotency.waitMillis", "integer"],
  ["outcomes.maxUnstored", "integer"],
  ["outcomes.storeWaitMillis", "integer"],
  ["recovery.onStart", "boolean"],
  ["recovery.intervalMillis", "integer"],
  ["recovery.olderThanMillis", "integer"],
  ["recovery.leaseMillis", "integer"],
  ["recovery.concurrency", "integer"],
  ["http.host", "text"],
  ["http.port", "integer"],
  ["http.maxBodyBytes", "integer"],
  ["http.headersTimeoutMillis", "integer"],
  ["http.requestTimeoutMillis", "integer"],
  ["http.shutdownMillis", "integer"],
  ["notifications.allowLoopback", "boolean"],
  ["notifications.discardAfterMillis", "integer"],
  ["rateLimits.store", "text"],
  ["rateLimits.onStoreFailure", "text"],
  ["rateLimits.maxKeys", "integer"]
]

/** The variable of a setting. */
export const variableOfSetting = (path: string): string =>
  `AEGISPAY_${path
    .replaceAll(/([A-Z])/g, "_$1")
    .replaceAll(".", "_")
    .toUpperCase()}`

/** The settings that a variable can override, with their variables. */
export const variables: ReadonlyMap<string, { readonly path: string; readonly kind: Kind }> = new Map(
  settings.map(([path, kind]) => [variableOfSetting(path), { path, kind }])
)

const sections = [
  ...new Set(settings.filter(([path]) => path.includes(".")).map(([path]) => `${variableOfSetting(path.split(".")[0] ?? "")}_`))
]

/** The configuration with its overrides, and where each overridden setting came from. */
export interface Overridden {
  readonly input: unknown
  /** The variable by the path it replaced. */
  readonly sources: ReadonlyMap<string, string>
  readonly problems: ReadonlyArray<Problem>
}

/** Puts the variables in the place of what the file says. What is not an object is left for the decoder to refuse. */
export const apply = (input: unknown, environment: Environment): Overridden => {
  const problems = mistyped(input, environment)
  if (typeof input !== "object" || input === null || Array.isArray(input)) return { input, sources: new Map(), problems }
  const result: Record<string, unknown> = { ...input }
  const sources = new Map<string, string>()
  for (const [variable, { kind, path }] of variables) {
    const value = environment[variable]
    if (value === undefined || value === "") continue
    const [section = "", name] = path.split(".")
    const written = kind === "secret" ? `env:${variable}` : valueOf(kind, value)
    if (name === undefined) result[section] = written
    else result[section] = { ...sectionOf(result, section, sources), [name]: written }
    sources.set(path, variable)
  }
  return { input: result, sources, problems }
}

/** A variable of the database replaces whatever the file says of the database; two variables contradict each other. */
const sectionOf = (result: Record<string, unknown>, section: string, sources: ReadonlyMap<string, string>): object => {
  if (section === "database" && !sources.has("database.url")) return {}
  const known = result[section]
  return typeof known === "object" && known !== null && !Array.isArray(known) ? known : {}
}

const valueOf = (kind: Kind, value: string): unknown => {
  if (kind === "integer") return /^-?\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) : value
  if (kind === "boolean") return value === "true" ? true : value === "false" ? false : value
  return value
}

const mistyped = (input: unknown, environment: Environment): Array<Problem> => {
  const referred = references(input)
  return Object.keys(environment)
    .filter((name) => sections.some((section) => name.startsWith(section)) && !variables.has(name) && !referred.has(name))
    .map((name) => ({ path: name, message: "is set but overrides no setting and is not referred to" }))
}

const references = (input: unknown): ReadonlySet<string> => {
  const found = new Set<string>()
  const visit = (value: unknown, depth: number): void => {
    const name = variableOf(value)
    if (name !== undefined) found.add(name)
    if (typeof value === "object" && value !== null && depth < 10) for (const child of Object.values(value)) visit(child, depth + 1)
  }
  visit(input, 0)
  return found
}
