/**
 * The shape of the configuration file.
 *
 * Strict: an unknown key is an error. Every number has a range. Secrets are references to environment variables (`"env:NAME"`) and
 * come out as `Redacted`; a literal secret is refused, so that none is ever committed with the file.
 *
 * The schema is made for one environment, because decoding a secret looks it up there: what is missing is reported with everything
 * else that is wrong.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { GatewayName, TenantId } from "../../domain/payment/Ids.ts"
import { between, boolean, integer, network } from "./Fields.ts"
import * as Gateways from "./Gateways.ts"
import * as Hooks from "./Hooks.ts"
import { RateLimits } from "./RateLimits.ts"
import * as Resilience from "./Resilience.ts"
import * as Routing from "./Routing.ts"

/** The variables secrets are looked up in. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What an API key may do. `payments:read`: every GET of payments; `payments:write`: every money command; `metrics`: figures of all merchants;
 * `chaos`: injecting faults, where the server allows that at all. */
export const Scope = Schema.Literals(["payments:read", "payments:write", "metrics", "chaos", "resilience"])
export type Scope = typeof Scope.Type

/** Of a key that does not say: all about its merchant's payments, nothing about others'. */
export const defaultScopes: ReadonlyArray<Scope> = ["payments:read", "payments:write"]

const reference = /^env:([A-Za-z_][A-Za-z0-9_]{0,127})$/
const referenceMessage = 'expected a reference to an environment variable, such as "env:STRIPE_SECRET_KEY"'

/** The variable a reference names, if it is one. */
export const variableOf = (text: unknown): string | undefined =>
  typeof text === "string" ? (reference.exec(text)?.[1] ?? undefined) : undefined

const RedactedText = Schema.Redacted(Schema.String)

const text = (message: string) => Schema.String.annotate({ message })

/** A reference, looked up. `check` says what is wrong with the secret, without repeating it. */
const secret = (environment: Environment, check: (value: string) => string | undefined = () => undefined) =>
  text(referenceMessage).pipe(
    Schema.decodeTo(
      RedactedText,
      SchemaTransformation.transformEffect({
        decode: (written: string) => {
          const name = variableOf(written)
          if (name === undefined) return refuse(referenceMessage)
          const value = environment[name]
          if (value === undefined || value === "") return refuse(`environment variable ${name} is not set`)
          const problem = check(value)
          return problem === undefined ? Effect.succeed(Redacted.make(value)) : refuse(`environment variable ${name}: ${problem}`)
        },
        encode: () => refuse("a secret is not written back")
      })
    )
  )

const refuse = (message: string) => Effect.fail(new SchemaIssue.InvalidValue({ message }))

const nonEmpty = (message: string) =>
  text(message).check(Schema.isMinLength(1, { message }), Schema.isMaxLength(1024, { message }), noNul(message))
const noNul = (message: string) => Schema.makeFilter<string>((value) => !value.includes("\u0000") || message)

const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)

/** What is wrong with an address: https, or http on this machine; without credentials and fragment. */
const urlProblem = (value: string): string | undefined => {
  if (!URL.canParse(value)) return "expected a URL"
  const url = new URL(value)
  if (url.protocol !== "https:" && url.protocol !== "http:") return "expected an https URL"
  if (url.protocol === "http:" && !isLoopback(url.hostname)) return "expected an https URL; plain http is for this machine only"
  if (url.username !== "" || url.password !== "") return "expected a URL without a user name and password"
  return url.hash === "" ? undefined : "expected a URL without a fragment"
}

/** Of a gateway: without a query too, since paths are added to it. */
const gatewayUrl = text("expected a URL").check(
  Schema.makeFilter((value) => urlProblem(value) ?? (new URL(value).search === "" || "expected a URL without a query"))
)

const endpointUrl = text("expected a URL").check(Schema.makeFilter((value) => urlProblem(value) ?? true))

/** The address of a server that may hold a password: `problem` says what is wrong with it, without repeating it. */
interface ServerAddress {
  readonly message: string
  readonly problem: (value: string) => string | undefined
}

const addressOf = (protocols: ReadonlyArray<string>, expected: string, example: string): ServerAddress => ({
  message: `${expected}, or a reference to one, such as "env:${example}"`,
  problem: (value) => (URL.canParse(value) && protocols.includes(new URL(value).protocol) ? undefined : expected)
})

const databaseAddress = addressOf(["postgres:", "postgresql:"], "expected a postgres:// URL", "AEGISPAY_DATABASE_URL")
const redisAddress = addressOf(["redis:", "rediss:"], "expected a redis:// or rediss:// URL", "AEGISPAY_REDIS_URL")

/** A reference, or a URL without a password. */
const serverUrl = (environment: Environment, { message, problem: problemOf }: ServerAddress) =>
  text(message).pipe(
    Schema.decodeTo(
      RedactedText,
      SchemaTransformation.transformEffect({
        decode: (written: string) => {
          const name = variableOf(written)
          const value = name === undefined ? written : environment[name]
          if (value === undefined || value === "") return refuse(`environment variable ${name} is not set`)
          const problem = problemOf(value)
          if (problem !== undefined) return refuse(name === undefined ? message : `environment variable ${name}: ${problem}`)
          if (name === undefined && new URL(value).password !== "") {
            return refuse('holds a password; keep it in an environment variable and write "env:NAME" here')
          }
          return Effect.succeed(Redacted.make(value))
        },
        encode: () => refuse("a secret is not written back")
      })
    )
  )

const keyProblem = (value: string): string | undefined =>
  /^[\x21-\x7e]{16,255}$/.test(value) ? undefined : "expected 16 to 255 visible ASCII characters"

const gateway = (environment: Environment) =>
  Schema.Struct({
    name: GatewayName.annotate({ message: "expected a name of 1 to 64 characters a-z, 0-9 and -" }),
    kind: Gateways.Kind,
    baseUrl: Schema.optionalKey(gatewayUrl),
    /** Default of the sandbox: the public key of the account that the URL names. */
    secretKey: Schema.optionalKey(secret(environment)),
    webhookSecret: Schema.optionalKey(secret(environment)),
    /** While the secret is being changed. */
    previousWebhookSecret: Schema.optionalKey(secret(environment)),
    ...Gateways.stripeFields,
    captures: Schema.optionalKey(Schema.Literals(["single", "multiple"])),
    leavesOpenAfterDecline: Schema.optionalKey(boolean),
    lookupLagMillis: Schema.optionalKey(integer(0, 3_600_000)),
    settleTimeMillis: Schema.optionalKey(integer(1_000, 3_600_000)),
    ...Routing.gatewayFields
  })

const sandboxAccount = Schema.Struct({
  name: text("expected a name").check(Schema.isPattern(/^[a-z0-9_-]{1,32}$/, { message: "expected 1 to 32 characters a-z, 0-9, - and _" })),
  latencyMillis: Schema.optionalKey(integer(0, 60_000)),
  errorRate: Schema.optionalKey(between(0, 1)),
  captures: Schema.optionalKey(Schema.Literals(["single", "multiple"])),
  leavesOpenAfterDecline: Schema.optionalKey(boolean),
  lookupLagMillis: Schema.optionalKey(integer(0, 3_600_000))
})

const apiKey = (environment: Environment) =>
  Schema.Struct({
    merchant: TenantId.annotate({ message: "expected 1 to 64 characters A-Z, a-z, 0-9, _ and -" }),
    key: secret(environment, keyProblem),
    scopes: Schema.optionalKey(Schema.Array(Scope).check(Schema.isMinLength(1, { message: "expected at least one scope" })))
  })

/** A secret as Standard Webhooks writes it. */
const endpointSecretProblem = (value: string): string | undefined => {
  const key = value.startsWith("whsec_") ? Result.getOrUndefined(Base64.decode(value.slice(6))) : undefined
  return key !== undefined && key.length >= 24 && key.length <= 64 ? undefined : "expected whsec_ and the base64 of 24 to 64 bytes"
}

const endpoint = (environment: Environment) =>
  Schema.Struct({
    merchant: TenantId.annotate({ message: "expected 1 to 64 characters A-Z, a-z, 0-9, _ and -" }),
    /** Plain http on this machine needs `allowLoopback`. */
    url: endpointUrl,
    secret: secret(environment, endpointSecretProblem),
    /** While the secret is being changed every notification is signed with both. */
    previousSecret: Schema.optionalKey(secret(environment, endpointSecretProblem))
  })

const listOf = <S extends Schema.Constraint>(item: S, maximum: number) => Schema.Array(item).check(Schema.isMaxLength(maximum))

/** From a minute to 90 days. */
const customerWait = integer(60_000, 90 * 86_400_000)

/** The file. Ranges are here; defaults are the presets and are filled in by `Config`. All times in milliseconds. */
export const ConfigFile = (environment: Environment) =>
  Schema.Struct({
    database: Schema.Struct({
      url: Schema.optionalKey(serverUrl(environment, databaseAddress)),
      dataDir: Schema.optionalKey(nonEmpty("expected the path of a directory"))
    }).check(
      Schema.makeFilter(({ dataDir, url }) =>
        (url === undefined) === (dataDir === undefined) ? "expected exactly one of url and dataDir" : undefined
      )
    ),
    redis: Schema.optionalKey(
      Schema.Struct({
        url: serverUrl(environment, redisAddress),
        prefix: Schema.optionalKey(
          text("expected a prefix").check(
            Schema.isPattern(/^[\x21-\x7e]{1,64}$/, { message: 'expected 1 to 64 visible ASCII characters, such as "aegispay:"' })
          )
        )
      })
    ),
    gateways: Schema.optionalKey(listOf(gateway(environment), 100)),
    sandbox: Schema.optionalKey(
      Schema.Struct({
        host: Schema.optionalKey(nonEmpty("expected an address to bind")),
        port: Schema.optionalKey(integer(0, 65_535)),
        directory: Schema.optionalKey(nonEmpty("expected the path of a directory")),
        control: Schema.optionalKey(boolean),
        accounts: Schema.optionalKey(listOf(sandboxAccount, 100))
      })
    ),
    retries: Schema.optionalKey(Resilience.Retries),
    breakers: Schema.optionalKey(Resilience.Breakers),
    routing: Schema.optionalKey(Routing.Section),
    bulkheads: Schema.optionalKey(Resilience.Bulkheads),
    payments: Schema.optionalKey(
      Schema.Struct({
        maxCharges: Schema.optionalKey(integer(1, 10)),
        failoverOnSoftDecline: Schema.optionalKey(boolean),
        lateSuccess: Schema.optionalKey(Schema.Literals(["reverse", "keep"])),
        completeWithinPresentMillis: Schema.optionalKey(integer(60_000, 86_400_000)),
        completeWithinAbsentMillis: Schema.optionalKey(integer(60_000, 30 * 86_400_000)),
        customerWaitMillis: Schema.optionalKey(customerWait),
        customerWaitByMethod: Schema.optionalKey(
          Schema.Struct({
            card: Schema.optionalKey(customerWait),
            wallet: Schema.optionalKey(customerWait),
            bank_debit: Schema.optionalKey(customerWait),
            bank_transfer: Schema.optionalKey(customerWait),
            mobile_money: Schema.optionalKey(customerWait),
            crypto: Schema.optionalKey(customerWait),
            other: Schema.optionalKey(customerWait)
          })
        )
      })
    ),
    idempotency: Schema.optionalKey(Schema.Struct({ waitMillis: Schema.optionalKey(integer(0, 30_000)) })),
    outcomes: Schema.optionalKey(
      Schema.Struct({ maxUnstored: Schema.optionalKey(integer(1, 100_000)), storeWaitMillis: Schema.optionalKey(integer(0, 60_000)) })
    ),
    recovery: Schema.optionalKey(
      Schema.Struct({
        onStart: Schema.optionalKey(boolean),
        intervalMillis: Schema.optionalKey(integer(1_000, 3_600_000)),
        olderThanMillis: Schema.optionalKey(integer(1_000, 86_400_000)),
        leaseMillis: Schema.optionalKey(integer(1_000, 3_600_000)),
        concurrency: Schema.optionalKey(integer(1, 64))
      })
    ),
    http: Schema.optionalKey(
      Schema.Struct({
        host: Schema.optionalKey(nonEmpty("expected an address to bind")),
        port: Schema.optionalKey(integer(0, 65_535)),
        maxBodyBytes: Schema.optionalKey(integer(1_024, 1_048_576)),
        headersTimeoutMillis: Schema.optionalKey(integer(100, 25_000)),
        requestTimeoutMillis: Schema.optionalKey(integer(100, 25_000)),
        shutdownMillis: Schema.optionalKey(integer(0, 600_000)),
        metrics: Schema.optionalKey(Schema.Struct({ enabled: Schema.optionalKey(boolean), public: Schema.optionalKey(boolean) })),
        trustedProxies: Schema.optionalKey(listOf(network, 100)),
        apiKeys: Schema.optionalKey(listOf(apiKey(environment), 1_000))
      })
    ),
    hooks: Schema.optionalKey(Hooks.Section),
    rateLimits: Schema.optionalKey(RateLimits),
    notifications: Schema.optionalKey(
      Schema.Struct({
        endpoints: Schema.optionalKey(listOf(endpoint(environment), 1_000)),
        allowLoopback: Schema.optionalKey(boolean),
        discardAfterMillis: Schema.optionalKey(integer(0, 7_776_000_000))
      })
    ),
    fingerprintKey: Schema.optionalKey(
      secret(environment, (value) =>
        value.length >= 32 ? undefined : "expected at least 32 characters, such as the output of openssl rand -hex 32"
      )
    )
  })

export type ConfigFile = ReturnType<typeof ConfigFile>["Type"]
