/**
 * The gateways of the configuration: which fields a kind has, which of them it needs, and what is filled in.
 *
 * ```json
 * { "gateways": [
 *     { "name": "stripe-eu", "kind": "stripe", "accountId": "acct_1Example", "secretKey": "env:STRIPE_SECRET_KEY",
 *       "webhookSecret": "env:STRIPE_WEBHOOK_SECRET" },
 *     { "name": "sandbox-a", "kind": "sandbox", "baseUrl": "http://127.0.0.1:9090/a" } ] }
 * ```
 */
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { MethodType } from "../../domain/payment/PaymentMethod.ts"
import type { Fees } from "../../domain/routing/policy/Cost.ts"
import type { Problem } from "./Issues.ts"

/** What every gateway account may say. Times in milliseconds. */
interface Shared {
  readonly name: GatewayName
  readonly secretKey: Redacted.Redacted
  readonly settleTimeMillis?: number
  /** Default: every kind. */
  readonly methods?: ReadonlyArray<MethodType>
  readonly fees?: Fees
}

/** An account of the sandbox. */
export interface SandboxGatewayConfig extends Shared {
  readonly kind: "sandbox"
  readonly baseUrl: string
  readonly webhookSecret?: Redacted.Redacted
  readonly captures?: "single" | "multiple"
  readonly leavesOpenAfterDecline?: boolean
  readonly lookupLagMillis?: number
}

/** An account at Stripe. */
export interface StripeGatewayConfig extends Shared {
  readonly kind: "stripe"
  readonly accountId: string
  readonly baseUrl?: string
  readonly webhookSecrets: ReadonlyArray<Redacted.Redacted>
  readonly lookup?: "list" | "search"
  readonly searchLagMillis?: number
}

/** A gateway account, by kind. */
export type GatewayConfig = SandboxGatewayConfig | StripeGatewayConfig

const text = (message: string) => Schema.String.annotate({ message })

/** The kinds there are. */
export const Kind = Schema.Literals(["sandbox", "stripe"]).annotate({ message: 'expected "sandbox" or "stripe"' })

const accountMessage = 'expected the id of a Stripe account, such as "acct_1Example"'

/** Fields of Stripe alone, but for its secrets. */
export const stripeFields = {
  accountId: Schema.optionalKey(text(accountMessage).check(Schema.isPattern(/^acct_[A-Za-z0-9]{1,64}$/, { message: accountMessage }))),
  lookup: Schema.optionalKey(Schema.Literals(["list", "search"]).annotate({ message: 'expected "list" or "search"' }))
}

const needed: { readonly [Kind in GatewayConfig["kind"]]: ReadonlyArray<string> } = {
  sandbox: ["baseUrl"],
  stripe: ["accountId", "secretKey"]
}
const foreign: { readonly [Kind in GatewayConfig["kind"]]: ReadonlyArray<string> } = {
  sandbox: ["accountId", "lookup", "previousWebhookSecret"],
  stripe: ["captures", "leavesOpenAfterDecline"]
}

/** Fields that a gateway lacks or should not have. `list` is as it was written: it is judged before it decodes. */
export const problemsOf = (list: ReadonlyArray<unknown>): ReadonlyArray<Problem> =>
  list.flatMap((item, index) => {
    const gateway = typeof item === "object" && item !== null ? (item as { readonly [field: string]: unknown }) : {}
    const kind = gateway["kind"] === "stripe" ? "stripe" : "sandbox"
    const at = (field: string, message: string): Problem => ({ path: `gateways[${index}].${field}`, message })
    return [
      ...needed[kind].filter((field) => !Object.hasOwn(gateway, field)).map((field) => at(field, "is required")),
      ...foreign[kind].filter((field) => Object.hasOwn(gateway, field)).map((field) => at(field, `is not a field of kind "${kind}"`))
    ]
  })

/** A decoded gateway. */
interface Decoded extends Omit<Shared, "secretKey"> {
  readonly kind: GatewayConfig["kind"]
  readonly secretKey?: Redacted.Redacted
  readonly baseUrl?: string
  readonly webhookSecret?: Redacted.Redacted
  readonly previousWebhookSecret?: Redacted.Redacted
  readonly accountId?: string
  readonly lookup?: "list" | "search"
  readonly captures?: "single" | "multiple"
  readonly leavesOpenAfterDecline?: boolean
  readonly lookupLagMillis?: number
}

/** The gateway with what it left out. */
export const withDefaults = ({ kind, ...gateway }: Decoded): GatewayConfig => {
  if (kind === "sandbox") {
    const { baseUrl = "", ...rest } = gateway
    return { ...rest, kind, baseUrl, secretKey: gateway.secretKey ?? sandboxKey(baseUrl) }
  }
  const { accountId = "", lookupLagMillis, previousWebhookSecret, secretKey = Redacted.make(""), webhookSecret, ...rest } = gateway
  return {
    ...rest,
    kind,
    accountId,
    secretKey,
    webhookSecrets: [webhookSecret, previousWebhookSecret].filter((secret) => secret !== undefined),
    ...(lookupLagMillis === undefined ? {} : { searchLagMillis: lookupLagMillis })
  }
}

/** The sandbox' own default: its keys are public. */
const sandboxKey = (baseUrl: string) =>
  Redacted.make(
    `sk_sandbox_${
      URL.parse(baseUrl)
        ?.pathname.split("/")
        .findLast((part) => part !== "") ?? ""
    }`
  )
