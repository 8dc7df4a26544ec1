/**
 * The sections of the configuration that protect the gateways and us from each other: `retries`, `breakers` and `bulkheads`.
 *
 * ```json
 * { "retries": { "maxRetries": 2, "budget": { "earnPerCall": 0.1 } },
 *   "breakers": { "openTimeoutMillis": 30000, "gateways": { "slow-psp": { "slowCallMillis": 5000 } } },
 *   "bulkheads": { "concurrency": 200, "gateways": { "slow-psp": { "concurrency": 20 } } } }
 * ```
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { GatewayName } from "../../domain/payment/Ids.ts"
import { BreakerName, partsOf } from "../../domain/resilience/BreakerName.ts"
import { BreakerSettings } from "../../domain/resilience/BreakerSettings.ts"
import { defaults, type EngineSettings } from "../../services/Settings.ts"
import { between, integer } from "./Fields.ts"
import type { Problem } from "./Issues.ts"

/** Times in milliseconds. `factor`: of an exponential strategy. `jitter`: share of the delay, both ways. */
export const Retries = Schema.Struct({
  strategy: Schema.optionalKey(
    Schema.Literals(["exponential", "linear", "fixed", "immediate"]).annotate({
      message: 'expected "exponential", "linear", "fixed" or "immediate"'
    })
  ),
  maxRetries: Schema.optionalKey(integer(0, 10)),
  baseMillis: Schema.optionalKey(integer(1, 60_000)),
  capMillis: Schema.optionalKey(integer(1, 300_000)),
  factor: Schema.optionalKey(between(1, 10)),
  jitter: Schema.optionalKey(between(0, 1)),
  attemptTimeoutMillis: Schema.optionalKey(integer(100, 120_000)),
  sendWindowMillis: Schema.optionalKey(integer(1_000, 600_000)),
  connectLimitMillis: Schema.optionalKey(integer(100, 10_000)),
  budget: Schema.optionalKey(
    Schema.Struct({ earnPerCall: Schema.optionalKey(between(0, 1)), maxTokens: Schema.optionalKey(integer(0, 100_000)) })
  )
})

const someOfBreaker = BreakerSettings.mapFields(Struct.map(Schema.optionalKey))

/**
 * Of every kind of operation at every gateway; by gateway, and by `<gateway>.<kind>`, where one differs. Ranges: `BreakerSettings`.
 *
 * `share`: where instances tell each other which breakers are open; default: Redis where it is configured, else the database. It costs each
 * instance one small query a second.
 */
export const Breakers = Schema.Struct({
  ...someOfBreaker.fields,
  share: Schema.optionalKey(Schema.Literals(["none", "database", "redis"]).annotate({ message: 'expected "none", "database" or "redis"' })),
  gateways: Schema.optionalKey(Schema.Record(GatewayName, someOfBreaker)),
  operations: Schema.optionalKey(Schema.Record(BreakerName, someOfBreaker))
})

const limits = {
  concurrency: Schema.optionalKey(integer(1, 100_000)),
  queue: Schema.optionalKey(integer(0, 100_000)),
  maxWaitMillis: Schema.optionalKey(integer(0, 60_000))
}

/** Of every gateway, and by name where one differs. */
export const Bulkheads = Schema.Struct({
  ...limits,
  gateways: Schema.optionalKey(Schema.Record(GatewayName, Schema.Struct(limits)))
})

/** These sections of a decoded file. */
export interface Sections {
  readonly retries?: typeof Retries.Type
  readonly breakers?: typeof Breakers.Type
  readonly bulkheads?: typeof Bulkheads.Type
}

/** What the sections set, with the presets for what they leave out. */
export const settingsOf = ({ breakers, bulkheads, retries }: Sections) => {
  const { gateways: bulkheadByGateway = defaults.bulkheadByGateway, ...bulkhead } = bulkheads ?? {}
  return {
    attemptTimeoutMillis: retries?.attemptTimeoutMillis ?? defaults.attemptTimeoutMillis,
    sendWindowMillis: retries?.sendWindowMillis ?? defaults.sendWindowMillis,
    retries: retries?.maxRetries ?? defaults.retries,
    retryBaseMillis: retries?.baseMillis ?? defaults.retryBaseMillis,
    retryCapMillis: retries?.capMillis ?? defaults.retryCapMillis,
    retryKind: retries?.strategy ?? defaults.retryKind,
    retryFactor: retries?.factor ?? defaults.retryFactor,
    retryJitter: retries?.jitter ?? defaults.retryJitter,
    breakers: breakersOf(breakers),
    retryBudget: { ...defaults.retryBudget, ...retries?.budget },
    bulkhead: { ...defaults.bulkhead, ...bulkhead },
    bulkheadByGateway
  } satisfies Partial<EngineSettings>
}

/** What a gateway or an operation leaves out is what holds for all; of an operation first what holds for its gateway. */
const breakersOf = (section: Sections["breakers"]) => {
  const { gateways = {}, operations = {}, share: _share, ...all } = section ?? {}
  const settings = { ...defaults.breakers.settings, ...all }
  const ofGateway = (gateway: string) => ({ ...settings, ...gateways[gateway as GatewayName] })
  return {
    settings,
    byGateway: Object.fromEntries(Object.keys(gateways).map((gateway) => [gateway, ofGateway(gateway)])),
    byName: Object.fromEntries(
      Object.entries(operations).map(([name, own]) => [name, { ...ofGateway(partsOf(name as BreakerName)?.gateway ?? ""), ...own }])
    )
  } satisfies EngineSettings["breakers"]
}

/** Settings that do not fit each other, or gateways that are not configured. */
export const problemsOf = (
  sections: Sections,
  options: { readonly connectLimitMillis: number; readonly gateways: ReadonlyArray<GatewayName>; readonly where?: string }
): ReadonlyArray<Problem> => {
  const settings = settingsOf(sections)
  const { attemptTimeoutMillis, retryBaseMillis, retryCapMillis, sendWindowMillis } = settings
  const problems: Array<Problem> = []
  if (retryCapMillis < retryBaseMillis)
    problems.push({ path: "retries.capMillis", message: `must be at least baseMillis (${retryBaseMillis})` })
  if (sendWindowMillis < attemptTimeoutMillis) {
    problems.push({ path: "retries.sendWindowMillis", message: `must be at least attemptTimeoutMillis (${attemptTimeoutMillis})` })
  }
  if (sendWindowMillis <= options.connectLimitMillis) {
    problems.push({
      path: "retries.sendWindowMillis",
      message: `must be more than connectLimitMillis (${options.connectLimitMillis}): an attempt starts only while it can still connect in time`
    })
  }
  const names = new Set<string>(options.gateways)
  const unknown = (path: string) => problems.push({ path, message: `is not the name of a gateway in ${options.where ?? "this file"}` })
  for (const name of Object.keys(settings.bulkheadByGateway)) if (!names.has(name)) unknown(`bulkheads.gateways.${name}`)
  for (const name of Object.keys(settings.breakers.byGateway)) if (!names.has(name)) unknown(`breakers.gateways.${name}`)
  for (const name of Object.keys(settings.breakers.byName)) {
    const path = `breakers.operations.${name}`
    const parts = partsOf(name as BreakerName)
    if (parts === undefined) problems.push({ path, message: 'expected a gateway and a kind of operation, such as "stripe-eu.refund"' })
    else if (!names.has(parts.gateway)) unknown(path)
  }
  problems.push(...contradictions(settings.breakers))
  return problems
}

/** Settings of breakers that would have no effect. What is wrong for all is told once. */
const contradictions = ({ byGateway, byName, settings: all }: ReturnType<typeof breakersOf>): ReadonlyArray<Problem> => {
  const sections = [
    { prefix: "breakers", settings: all },
    ...Object.entries(byGateway).map(([name, settings]) => ({ prefix: `breakers.gateways.${name}`, settings })),
    ...Object.entries(byName).map(([name, settings]) => ({ prefix: `breakers.operations.${name}`, settings }))
  ]
  return sections.flatMap(({ prefix, settings }) => {
    const isTold = (...fields: ReadonlyArray<keyof BreakerSettings>) =>
      settings !== all && fields.every((field) => settings[field] === all[field])
    const { adaptiveCeiling, adaptiveFloor, openTimeoutCapMillis, openTimeoutMillis } = settings
    const problems: Array<Problem> = []
    if (openTimeoutCapMillis < openTimeoutMillis && !isTold("openTimeoutCapMillis", "openTimeoutMillis"))
      problems.push({ path: `${prefix}.openTimeoutCapMillis`, message: `must be at least openTimeoutMillis (${openTimeoutMillis})` })
    if (adaptiveFloor > adaptiveCeiling && !isTold("adaptiveFloor", "adaptiveCeiling"))
      problems.push({ path: `${prefix}.adaptiveFloor`, message: `must be at most adaptiveCeiling (${adaptiveCeiling})` })
    return problems
  })
}
