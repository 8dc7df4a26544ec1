/**
 * What the sandbox says about itself and its accounts, and the control endpoint of tests.
 */
import { type Account, type Control, type Engine, initialControl, type Outage } from "../Engine.ts"
import type { Answer } from "../psp/Answer.ts"
import { invalid } from "../psp/Answer.ts"
import * as Reply from "./Reply.ts"
import { parseObject } from "./Requests.ts"

/** `GET /{account}`: all that is public about an account. */
export const describe = (engine: Engine, { control, options, state }: Account): Answer => ({
  status: 200,
  body: {
    object: "account",
    name: options.name,
    price: { fixed_minor: options.price.fixedMinor, basis_points: options.price.basisPoints },
    latency_ms: control.latencyMillis,
    error_rate: control.errorRate,
    captures: options.captures,
    leaves_open_after_decline: options.leavesOpenAfterDecline,
    caches_failures: options.cachesFailures,
    lookup_lag_ms: control.lookupLagMillis,
    idempotency_window_ms: engine.options.idempotencyWindowMillis,
    currencies: options.currencies,
    webhooks: options.webhookUrl !== undefined,
    outage: control.outage,
    counts: { charges: state.charges.size, ledger_entries: state.ledger.length, keys: state.results.size }
  }
})

/** `GET /`: the accounts by name. */
export const overview = (engine: Engine): Answer => ({
  status: 200,
  body: { object: "sandbox", accounts: [...engine.accounts.keys()] }
})

/** `GET /health`. */
export const health = (engine: Engine): Answer => ({
  status: 200,
  body: { status: "ok", durable: engine.options.directory !== undefined, webhooks: engine.webhookCounts() }
})

const outages: ReadonlyArray<Outage> = ["none", "refuse", "5xx", "timeout", "slow"]

const fields: Readonly<Record<string, { readonly name: keyof Control; readonly check: (value: unknown) => boolean }>> = {
  outage: { name: "outage", check: (value) => outages.some((outage) => outage === value) },
  error_rate: { name: "errorRate", check: (value) => typeof value === "number" && value >= 0 && value <= 1 },
  latency_ms: { name: "latencyMillis", check: (value) => typeof value === "number" && value >= 0 && value <= 60_000 },
  lookup_lag_ms: { name: "lookupLagMillis", check: (value) => typeof value === "number" && value >= 0 && value <= 86_400_000 }
}

/** `PUT /{account}/control`: changes the fields that are given; 404 where the control endpoint is not enabled. */
export const control = (engine: Engine, account: Account, body: string): Reply.Reply => {
  if (!engine.options.control) return Reply.noRoute
  const input = parseObject(body)
  if (input === undefined) return Reply.error(400, "invalid_request_error", "invalid_json", "The body is not a JSON object.")
  const changed: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(input)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (field === undefined || !field.check(value)) {
      return Reply.json(invalid(field === undefined ? "body" : name, "invalid_field", `Allowed: ${Object.keys(fields).join(", ")}.`).answer)
    }
    changed[field.name] = value
  }
  account.control = { ...account.control, ...changed }
  return Reply.json(describe(engine, account))
}

/** `POST /control/reset`: every account behaves again as it was configured, without faults of a plan. Charges and ledgers stay. */
export const resetControl = (engine: Engine): Reply.Reply => {
  if (!engine.options.control) return Reply.noRoute
  for (const account of engine.accounts.values()) account.control = initialControl(account.options)
  engine.faults.run = undefined
  return Reply.json(overview(engine))
}
