/**
 * The settings of the sandbox and of its accounts, with their defaults.
 *
 * Amounts are integer minor units, times are milliseconds. Secrets are `Redacted`. The default accounts differ in price, latency
 * and reliability, so that routing has something to choose from; `quietAccounts` are the same without latency and errors.
 */
import * as Redacted from "effect/Redacted"
import type { ChaosPlan } from "../domain/chaos/ChaosPlan.ts"

/** One account of the sandbox: a PSP of its own, with its own keys, charges and ledger. */
export interface AccountOptions {
  /** Path segment: 1 to 32 of `a-z`, `0-9`, `-`, `_`; not `control`, not `health`. */
  readonly name: string
  /** Bearer token of the API. Default: `sk_sandbox_<name>`. */
  readonly apiKey?: Redacted.Redacted
  /** Secret of the webhook signature. Default: `whsec_sandbox_<name>`. */
  readonly webhookSecret?: Redacted.Redacted
  /**
   * Where webhooks are posted. Default: none, and then none are sent. A function is asked at each send: for a receiver whose address is
   * known only later. While it answers `undefined` the receiver counts as not reachable.
   */
  readonly webhookUrl?: string | (() => string | undefined)
  /** Price of a charge: a fixed fee in minor units plus basis points (1/10000) of the captured amount. Default: 0 and 0. */
  readonly price?: { readonly fixedMinor: number; readonly basisPoints: number }
  /** Mean latency of a request; each takes between half and one and a half of it. Range 0 to 60,000. Default: 0. */
  readonly latencyMillis?: number
  /** Share of POST requests that answer 503 without being executed. Range 0 to 1. Default: 0. */
  readonly errorRate?: number
  /** Whether a declined charge stays open for the customer's page (`requires_payment_method`). Default: false. */
  readonly leavesOpenAfterDecline?: boolean
  /** Whether declines and 5xx are stored under the idempotency key. Default: true. */
  readonly cachesFailures?: boolean
  /** How often an authorization can be captured. Default: single. */
  readonly captures?: "single" | "multiple"
  /**
   * After how long an authorization that was neither captured nor voided is released by the PSP itself. Range 1 to 2,000,000,000 (23 days).
   * Default: never.
   */
  readonly authorizationValidityMillis?: number
  /** Currencies with their exponents at this PSP. Default: `defaultCurrencies`. */
  readonly currencies?: Readonly<Record<string, number>>
  /** How long after its execution an operation becomes visible to the look-up by reference. Default: 0. */
  readonly lookupLagMillis?: number
}

/** Settings of one sandbox process. */
export interface SandboxOptions {
  /** Default: `defaultAccounts`. 1 to 100 accounts with different names. */
  readonly accounts?: ReadonlyArray<AccountOptions>
  /** Directory that keeps the state over a restart. Default: none, all state is in memory. */
  readonly directory?: string
  /** Seed of latency, errors and ids. Default: none (not reproducible). */
  readonly seed?: number | string
  /** Enables `PUT /{account}/control` and `POST /control/reset`. Default: false. */
  readonly control?: boolean
  /** How long a stored result is replayed under its key. Default: 24 h. */
  readonly idempotencyWindowMillis?: number
  /** After how long a pending charge or refund settles. Default: 2,000. */
  readonly settleDelayMillis?: number
  /** What `tok_slow` and the outage `slow` add. Default: 3,000. */
  readonly slowMillis?: number
  /** How long after the caller left `tok_late` executes. Default: 2,000. */
  readonly lateMillis?: number
  /** Longest time that a request is held without an answer; then the connection is reset. Default: 120,000. */
  readonly holdMillis?: number
  /** Ledger entries (and charges, and operations) of an account after which new charges answer 503. Default: 1,000,000. */
  readonly maxEntries?: number
  /** Unexpired idempotency keys of an account after which new keys answer 503. Default: 1,000,000. */
  readonly maxKeys?: number
  /** Pending settlements after which charges that would be pending answer 503. Default: 10,000. */
  readonly maxPending?: number
  readonly webhooks?: WebhookOptions
  /** Faults from the start on; the gateways of the plan are the accounts' names. Default: none. */
  readonly chaos?: ChaosPlan
}

/** How webhooks are delivered. */
export interface WebhookOptions {
  /** Sends of one event at the most. Default: 5. */
  readonly maxAttempts?: number
  /** Wait before the second send; doubles with each further one. Default: 200. */
  readonly retryMillis?: number
  /** Time that the receiver has for its answer. Default: 5,000. */
  readonly timeoutMillis?: number
  /** Share of events that are sent twice. Default: 0. */
  readonly duplicateRate?: number
  /** Each event waits a random time up to this before it is sent, which changes the order. Default: 0. */
  readonly reorderMillis?: number
  /** Events that wait for delivery at the most; further ones are dropped and counted in `GET /health`. Default: 10,000. */
  readonly maxQueued?: number
}

/** ISO 4217 exponents of the currencies that every account supports by default. */
export const defaultCurrencies: Readonly<Record<string, number>> = {
  AUD: 2,
  BHD: 3,
  BRL: 2,
  CAD: 2,
  CHF: 2,
  CNY: 2,
  CZK: 2,
  DKK: 2,
  EUR: 2,
  GBP: 2,
  HKD: 2,
  HUF: 2,
  INR: 2,
  JPY: 0,
  KRW: 0,
  KWD: 3,
  MXN: 2,
  NOK: 2,
  NZD: 2,
  PLN: 2,
  SEK: 2,
  SGD: 2,
  TND: 3,
  USD: 2,
  ZAR: 2
}

/** `a`: reliable and dear; `b`: cheaper, several captures; `c`: cheapest, slower, less reliable, leaves declined charges open. */
export const defaultAccounts: ReadonlyArray<AccountOptions> = [
  { name: "a", price: { fixedMinor: 25, basisPoints: 140 }, latencyMillis: 2 },
  { name: "b", price: { fixedMinor: 20, basisPoints: 110 }, latencyMillis: 3, errorRate: 0.002, captures: "multiple" },
  {
    name: "c",
    price: { fixedMinor: 10, basisPoints: 90 },
    latencyMillis: 5,
    errorRate: 0.01,
    captures: "multiple",
    leavesOpenAfterDecline: true
  }
]

/** The default accounts without latency and without random errors, for tests. */
export const quietAccounts: ReadonlyArray<AccountOptions> = defaultAccounts.map((account) => ({
  ...account,
  latencyMillis: 0,
  errorRate: 0
}))

export interface ResolvedAccount extends Required<Omit<AccountOptions, "webhookUrl" | "authorizationValidityMillis">> {
  readonly webhookUrl: AccountOptions["webhookUrl"] | undefined
  readonly authorizationValidityMillis: number | undefined
}

export interface ResolvedOptions extends Required<Omit<SandboxOptions, "accounts" | "chaos" | "directory" | "seed" | "webhooks">> {
  readonly chaos: ChaosPlan | undefined
  readonly accounts: ReadonlyArray<ResolvedAccount>
  readonly directory: string | undefined
  readonly seed: number | string | undefined
  readonly webhooks: Required<WebhookOptions>
}

const resolveAccount = (account: AccountOptions): ResolvedAccount => ({
  name: account.name,
  apiKey: account.apiKey ?? Redacted.make(`sk_sandbox_${account.name}`),
  webhookSecret: account.webhookSecret ?? Redacted.make(`whsec_sandbox_${account.name}`),
  webhookUrl: account.webhookUrl,
  price: account.price ?? { fixedMinor: 0, basisPoints: 0 },
  latencyMillis: account.latencyMillis ?? 0,
  errorRate: account.errorRate ?? 0,
  leavesOpenAfterDecline: account.leavesOpenAfterDecline ?? false,
  cachesFailures: account.cachesFailures ?? true,
  captures: account.captures ?? "single",
  authorizationValidityMillis: account.authorizationValidityMillis,
  currencies: account.currencies ?? defaultCurrencies,
  lookupLagMillis: account.lookupLagMillis ?? 0
})

const defaults = {
  control: false,
  idempotencyWindowMillis: 24 * 60 * 60 * 1000,
  settleDelayMillis: 2_000,
  slowMillis: 3_000,
  lateMillis: 2_000,
  holdMillis: 120_000,
  maxEntries: 1_000_000,
  maxKeys: 1_000_000,
  maxPending: 10_000
}

const webhookDefaults: Required<WebhookOptions> = {
  maxAttempts: 5,
  retryMillis: 200,
  timeoutMillis: 5_000,
  duplicateRate: 0,
  reorderMillis: 0,
  maxQueued: 10_000
}

/** Fills in the defaults. */
export const resolve = (options: SandboxOptions): ResolvedOptions => ({
  ...defaults,
  ...options,
  accounts: (options.accounts ?? defaultAccounts).map(resolveAccount),
  chaos: options.chaos,
  directory: options.directory,
  seed: options.seed,
  webhooks: { ...webhookDefaults, ...options.webhooks }
})

const nonNegative = [
  "idempotencyWindowMillis",
  "settleDelayMillis",
  "slowMillis",
  "lateMillis",
  "holdMillis",
  "maxEntries",
  "maxKeys",
  "maxPending"
] as const

/** Why a plan of faults is none for these accounts: it names others, or faults of what a PSP does not have. */
export const planProblem = (plan: ChaosPlan, accounts: ReadonlyArray<string>): string | undefined => {
  const named = [
    ...plan.rules.flatMap(({ gateways }) => gateways ?? []),
    ...(plan.cascades ?? []).flatMap(({ from, to }) => [from, ...to]),
    ...(plan.script ?? []).flatMap(({ gateway }) => gateway ?? [])
  ]
  const unknown = named.find((name) => !accounts.includes(name))
  if (unknown !== undefined) return `the plan names gateway "${unknown}"; accounts of this sandbox: ${accounts.join(", ")}`
  const foreign = [...plan.rules, ...(plan.script ?? [])].find(({ target }) => target !== "gateway")
  return foreign === undefined ? undefined : `the plan has faults of ${foreign.target}; a sandbox has those of gateway alone`
}

/** The first thing that is wrong with the settings, as a sentence, or `undefined`. */
export const problem = (options: ResolvedOptions): string | undefined => {
  if (options.accounts.length < 1 || options.accounts.length > 100) return "accounts: 1 to 100 are allowed"
  const names = new Set<string>()
  for (const account of options.accounts) {
    if (!/^[a-z0-9_-]{1,32}$/.test(account.name) || account.name === "control" || account.name === "health") {
      return `accounts: "${account.name}" is not a usable name`
    }
    if (names.has(account.name)) return `accounts: "${account.name}" occurs twice`
    names.add(account.name)
    if (!(account.latencyMillis >= 0 && account.latencyMillis <= 60_000)) return `${account.name}: latencyMillis is out of range`
    if (!(account.errorRate >= 0 && account.errorRate <= 1)) return `${account.name}: errorRate is out of range`
    const validity = account.authorizationValidityMillis
    if (validity !== undefined && !(validity >= 1 && validity <= 2_000_000_000))
      return `${account.name}: authorizationValidityMillis is out of range`
    if (!(account.lookupLagMillis >= 0)) return `${account.name}: lookupLagMillis is out of range`
    if (typeof account.webhookUrl === "string" && !/^https?:\/\//.test(account.webhookUrl)) {
      return `${account.name}: webhookUrl is not an http(s) URL`
    }
  }
  const wrong = nonNegative.find((name) => !(options[name] >= 0))
  return wrong === undefined ? chaosProblem(options) : `${wrong} is out of range`
}

const chaosProblem = ({ accounts, chaos }: ResolvedOptions): string | undefined => {
  const names = accounts.map(({ name }) => name)
  const found = chaos === undefined ? undefined : planProblem(chaos, names)
  return found === undefined ? undefined : `chaos: ${found}`
}
