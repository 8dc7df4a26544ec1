import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Config from "../../../src/edges/config/Config.ts"
import { variables } from "../../../src/edges/config/Overrides.ts"
import { defaults } from "../../../src/services/Settings.ts"

const dataDir = { database: { dataDir: "./.aegispay" } }
const gateway = { name: "sandbox-a", kind: "sandbox", baseUrl: "http://127.0.0.1:9090/a" }

/** As Standard Webhooks writes a secret. */
const endpointSecret = (fill: number): string => `whsec_${Buffer.alloc(24, fill).toString("base64")}`
const endpoint = { merchant: "m1", url: "https://shop.example/events", secret: "env:S" }
const notifying = (...endpoints: ReadonlyArray<object>) => ({ ...dataDir, notifications: { endpoints } })

const problemsOf = (input: unknown, environment: Config.Environment = {}): ReadonlyArray<string> => {
  const result = Config.decode({ input, environment })
  if (Result.isSuccess(result)) return []
  return result.failure.message.split("\n").map((line) => line.replace("configuration: ", ""))
}

const decoded = (input: unknown, environment: Config.Environment = {}): Config.Config =>
  Result.getOrThrow(Config.decode({ input, environment }))

describe("a configuration", () => {
  it("takes the presets for what is left out", () => {
    const config = decoded(dataDir)
    assert.deepStrictEqual(config.database, { _tag: "Embedded", dataDir: "./.aegispay" })
    assert.deepStrictEqual(config.engine, defaults)
    assert.strictEqual(config.http.host, "127.0.0.1")
    assert.strictEqual(config.http.port, 8080)
    assert.strictEqual(config.http.maxBodyBytes, 65_536)
    assert.isTrue(config.recovery.onStart)
    assert.isUndefined(config.sandbox)
    assert.deepStrictEqual(config.notifications, { endpoints: [], allowLoopback: false, discardAfterMillis: 604_800_000 })
  })

  it("says how long a customer is waited for, by kind of payment method", () => {
    const { engine } = decoded({
      ...dataDir,
      payments: { customerWaitMillis: 3_600_000, customerWaitByMethod: { bank_transfer: 86_400_000 } }
    })
    assert.strictEqual(engine.customerWaitMillis, 3_600_000)
    assert.deepStrictEqual(engine.customerWaitByMethod, { bank_transfer: 86_400_000 })
    assert.deepStrictEqual(engine.policy, defaults.policy)
    assert.isNotEmpty(problemsOf({ ...dataDir, payments: { customerWaitByMethod: { cash: 86_400_000 } } }))
    assert.isNotEmpty(problemsOf({ ...dataDir, payments: { customerWaitMillis: 1 } }))
  })

  it("reads every section", () => {
    const config = decoded(
      {
        database: { url: "env:DB" },
        fingerprintKey: "env:FINGERPRINT",
        gateways: [
          { ...gateway, secretKey: "env:SK", captures: "multiple" },
          { ...gateway, name: "b", baseUrl: "https://psp.example/v1/b" }
        ],
        sandbox: { port: 0, accounts: [{ name: "a", latencyMillis: 5 }] },
        retries: { maxRetries: 1 },
        payments: { lateSuccess: "keep", maxCharges: 2 },
        idempotency: { waitMillis: 0 },
        outcomes: { maxUnstored: 5 },
        recovery: { onStart: false, intervalMillis: 1_000, olderThanMillis: 2_000, concurrency: 2 },
        http: {
          port: 0,
          apiKeys: [
            { merchant: "m1", key: "env:KEY" },
            { merchant: "m1", key: "env:READ", scopes: ["payments:read"] }
          ]
        },
        notifications: {
          endpoints: [
            { merchant: "m1", url: "https://shop.example/events?v=1", secret: "env:NEW", previousSecret: "env:OLD" },
            { merchant: "m2", url: "http://127.0.0.1:3000/", secret: "env:NEW" }
          ],
          allowLoopback: true
        }
      },
      {
        DB: "postgres://aegis:pw@db.example/aegis",
        FINGERPRINT: "f".repeat(64),
        SK: "sk_live_1",
        KEY: "aegis_dev_key_0001",
        READ: "aegis_dev_key_0002",
        NEW: endpointSecret(1),
        OLD: endpointSecret(2)
      }
    )
    assert.strictEqual(config.database._tag, "Server")
    assert.deepStrictEqual(
      config.gateways.map((found) => Redacted.value(found.secretKey)),
      ["sk_live_1", "sk_sandbox_b"]
    )
    assert.deepStrictEqual(
      config.http.apiKeys.map(({ scopes }) => scopes),
      [["payments:read", "payments:write"], ["payments:read"]]
    )
    assert.strictEqual(config.engine.policy.lateSuccess, "keep")
    assert.strictEqual(config.engine.retries, 1)
    assert.strictEqual(config.engine.recoveryOlderThanMillis, 2_000)
    assert.deepStrictEqual(config.sandbox, { host: "127.0.0.1", port: 0, accounts: [{ name: "a", latencyMillis: 5 }] })
    assert.deepStrictEqual(
      config.notifications.endpoints.map(({ merchant, secrets }) => [merchant, ...secrets.map(Redacted.value)]),
      [
        ["m1", endpointSecret(1), endpointSecret(2)],
        ["m2", endpointSecret(1)]
      ]
    )
    assert.isTrue(config.notifications.allowLoopback)
    assert.notInclude(JSON.stringify(config), "sk_live_1")
  })

  it("shares through Redis where it is configured, unless told otherwise; without it breakers through the database, limits not at all", () => {
    const redis = { redis: { url: "env:R", prefix: "shop:" }, rateLimits: {} }
    const environment = { R: "rediss://:hidden@redis.example:6380/1" }
    const shared = decoded({ ...dataDir, ...redis }, environment)
    assert.strictEqual(shared.redis === undefined ? "" : Redacted.value(shared.redis.url), environment.R)
    assert.deepStrictEqual([shared.redis?.prefix, shared.shareBreakers, shared.http.rateLimits?.store], ["shop:", "redis", "redis"])
    const apart = decoded({ ...dataDir, ...redis, breakers: { share: "none" }, rateLimits: { store: "postgres" } }, environment)
    assert.deepStrictEqual([apart.shareBreakers, apart.http.rateLimits?.store], ["none", "postgres"])
    const without = decoded({ ...dataDir, rateLimits: {} })
    assert.deepStrictEqual([without.redis, without.shareBreakers, without.http.rateLimits?.store], [undefined, "database", "memory"])
  })

  it("reads how gateways are retried and how many calls go to one", () => {
    const { connectLimitMillis, engine } = decoded({
      ...dataDir,
      gateways: [gateway],
      retries: { strategy: "linear", jitter: 0, connectLimitMillis: 500, budget: { earnPerCall: 0.1 } },
      bulkheads: { concurrency: 50, gateways: { "sandbox-a": { queue: 0 } } }
    })
    assert.strictEqual(connectLimitMillis, 500)
    assert.strictEqual(engine.retryKind, "linear")
    assert.strictEqual(engine.retryJitter, 0)
    assert.deepStrictEqual(engine.retryBudget, { ...defaults.retryBudget, earnPerCall: 0.1 })
    assert.deepStrictEqual(engine.bulkhead, { ...defaults.bulkhead, concurrency: 50 })
    assert.deepStrictEqual(engine.bulkheadByGateway, { "sandbox-a": { queue: 0 } })
    assert.deepStrictEqual(problemsOf({ ...dataDir, bulkheads: { gateways: { typo: { queue: 0 } } } }), [
      "bulkheads.gateways.typo: is not the name of a gateway in this file"
    ])
    assert.deepStrictEqual(problemsOf({ ...dataDir, retries: { sendWindowMillis: 4_000, attemptTimeoutMillis: 4_000 } }), [
      "retries.sendWindowMillis: must be more than connectLimitMillis (4000): an attempt starts only while it can still connect in time"
    ])
    assert.deepStrictEqual(problemsOf({ ...dataDir, retries: { jitter: 2, strategy: "random" } }), [
      'retries.strategy: expected "exponential", "linear", "fixed" or "immediate", got "random"',
      "retries.jitter: expected a number from 0 to 1, got 2"
    ])
  })

  it("reads what breakers differ by, from all over the gateway to the operation", () => {
    const { breakers } = decoded({
      ...dataDir,
      gateways: [gateway],
      breakers: {
        failureThreshold: 7,
        gateways: { "sandbox-a": { openTimeoutMillis: 5_000 } },
        operations: { "sandbox-a.refund": { failureThreshold: 2 } }
      }
    }).engine
    const all = { ...defaults.breakers.settings, failureThreshold: 7 }
    assert.deepStrictEqual(breakers, {
      settings: all,
      byGateway: { "sandbox-a": { ...all, openTimeoutMillis: 5_000 } },
      byName: { "sandbox-a.refund": { ...all, openTimeoutMillis: 5_000, failureThreshold: 2 } }
    })
    const wrong = { failureThreshold: 0, gateways: { typo: {} }, operations: { "typo.sale": {}, "sandbox-a.charge": {} } }
    assert.match(
      problemsOf({ ...dataDir, gateways: [gateway], breakers: { failureThreshold: 0 } }).join("\n"),
      /breakers\.failureThreshold: expected/
    )
    assert.deepStrictEqual(problemsOf({ ...dataDir, gateways: [gateway], breakers: { ...wrong, failureThreshold: 1 } }), [
      "breakers.gateways.typo: is not the name of a gateway in this file",
      "breakers.operations.typo.sale: is not the name of a gateway in this file",
      'breakers.operations.sandbox-a.charge: expected a gateway and a kind of operation, such as "stripe-eu.refund"'
    ])
  })

  it("refuses settings of a breaker that contradict each other, wherever they come from", () => {
    assert.deepStrictEqual(
      problemsOf({
        ...dataDir,
        gateways: [gateway],
        breakers: {
          adaptiveFloor: 0.9,
          openTimeoutMillis: 1_000,
          openTimeoutCapMillis: 999,
          gateways: { "sandbox-a": { adaptiveCeiling: 0.95, openTimeoutCapMillis: 1_000 } },
          operations: { "sandbox-a.refund": { openTimeoutMillis: 2_000 } }
        }
      }),
      [
        "breakers.openTimeoutCapMillis: must be at least openTimeoutMillis (1000)",
        "breakers.adaptiveFloor: must be at most adaptiveCeiling (0.8)",
        "breakers.operations.sandbox-a.refund.openTimeoutCapMillis: must be at least openTimeoutMillis (2000)"
      ]
    )
  })

  it("lists all problems at once, each with its path", () => {
    const problems = problemsOf({
      database: {},
      gatewys: [],
      gateways: [gateway, { ...gateway, baseUrl: 3, secretKey: "env:NOT_SET" }, { name: "Bad Name", kind: "adyen" }],
      http: { port: "80", apiKeys: [{ merchant: "m1", key: "literal-secret-in-the-file" }] },
      recovery: { intervalMillis: 1.5 }
    })
    assert.deepStrictEqual([...problems].sort(), [
      "database: expected exactly one of url and dataDir, got an object",
      "gateways[1].baseUrl: expected a URL, got 3",
      "gateways[1].name: is the same as gateways[0].name",
      "gateways[1].secretKey: environment variable NOT_SET is not set",
      "gateways[2].baseUrl: is required",
      'gateways[2].kind: expected "sandbox" or "stripe", got "adyen"',
      'gateways[2].name: expected a name of 1 to 64 characters a-z, 0-9 and -, got "Bad Name"',
      "gatewys: is not a known field",
      'http.apiKeys[0].key: expected a reference to an environment variable, such as "env:STRIPE_SECRET_KEY", got a string',
      'http.port: expected an integer from 0 to 65535, got "80"',
      "recovery.intervalMillis: expected an integer from 1000 to 3600000, got 1.5"
    ])
  })

  const refused: ReadonlyArray<readonly [name: string, input: unknown, expected: string, environment?: Config.Environment]> = [
    ["is no object", [], "expected object, got a list"],
    ["has no database", {}, "database: is required"],
    [
      "has plain http to another machine",
      { ...dataDir, gateways: [{ ...gateway, baseUrl: "http://psp.example/a" }] },
      'gateways[0].baseUrl: expected an https URL; plain http is for this machine only, got "http://psp.example/a"'
    ],
    [
      "has credentials in a URL",
      { ...dataDir, gateways: [{ ...gateway, baseUrl: "https://psp.example@evil.example/" }] },
      "gateways[0].baseUrl: expected a URL without a user name and password, got a string"
    ],
    [
      "has a password in the database URL",
      { database: { url: "postgres://a:secret@db/x" }, fingerprintKey: "env:F" },
      'database.url: holds a password; keep it in an environment variable and write "env:NAME" here',
      { F: "f".repeat(32) }
    ],
    [
      "has a database that is no Postgres",
      { database: { url: "env:DB" }, fingerprintKey: "env:F" },
      "database.url: environment variable DB: expected a postgres:// URL",
      { DB: "mysql://db/x", F: "f".repeat(32) }
    ],
    [
      "has a server and no fingerprint key",
      { database: { url: "postgres://db/x" } },
      "fingerprintKey: is required with database.url: every process on a database must use the same key"
    ],
    [
      "has a short API key",
      { ...dataDir, http: { apiKeys: [{ merchant: "m1", key: "env:K" }] } },
      "http.apiKeys[0].key: environment variable K: expected 16 to 255 visible ASCII characters",
      { K: "short" }
    ],
    [
      "has one API key twice",
      {
        ...dataDir,
        http: {
          apiKeys: [
            { merchant: "m1", key: "env:K" },
            { merchant: "m2", key: "env:L" }
          ]
        }
      },
      "http.apiKeys[1].key: is the same as http.apiKeys[0].key",
      { K: "0123456789abcdef", L: "0123456789abcdef" }
    ],
    [
      "has an unknown scope",
      { ...dataDir, http: { apiKeys: [{ merchant: "m1", key: "env:K", scopes: ["all"] }] } },
      'http.apiKeys[0].scopes[0]: expected "payments:read" | "payments:write" | "metrics" | "chaos" | "resilience", got a string',
      { K: "0123456789abcdef" }
    ],
    [
      "has a Redis that is none",
      { ...dataDir, redis: { url: "env:R" } },
      "redis.url: environment variable R: expected a redis:// or rediss:// URL",
      { R: "http://:hidden@localhost" }
    ],
    [
      "has a Redis with a password in the file",
      { ...dataDir, redis: { url: "redis://:hidden@localhost" } },
      'redis.url: holds a password; keep it in an environment variable and write "env:NAME" here'
    ],
    [
      "shares breakers through a Redis that it lacks",
      { ...dataDir, breakers: { share: "redis" } },
      "breakers.share: needs the section redis with the url of a server"
    ],
    [
      "limits through a Redis that it lacks",
      { ...dataDir, rateLimits: { store: "redis" } },
      "rateLimits.store: needs the section redis with the url of a server"
    ],
    [
      "has limits that contradict",
      { ...dataDir, retries: { baseMillis: 100, capMillis: 10 } },
      "retries.capMillis: must be at least baseMillis (100)"
    ],
    [
      "has timeouts that contradict",
      { ...dataDir, http: { headersTimeoutMillis: 5_000, requestTimeoutMillis: 1_000 } },
      "http.headersTimeoutMillis: must be at most requestTimeoutMillis (1000)"
    ],
    [
      "notifies over plain http",
      notifying({ ...endpoint, url: "http://127.0.0.1:3000/" }),
      "notifications.endpoints[0].url: expected an https URL; for http to this machine set notifications.allowLoopback",
      { S: endpointSecret(1) }
    ],
    [
      "notifies another machine over plain http, loopback being allowed",
      { ...dataDir, notifications: { endpoints: [{ ...endpoint, url: "http://shop.example/?token=1" }], allowLoopback: true } },
      "notifications.endpoints[0].url: expected an https URL; plain http is for this machine only, got a string",
      { S: endpointSecret(1) }
    ],
    [
      "has an endpoint's address with a fragment",
      notifying({ ...endpoint, url: "https://shop.example/#a" }),
      "notifications.endpoints[0].url: expected a URL without a fragment, got a string",
      { S: endpointSecret(1) }
    ],
    [
      "has an endpoint with a short secret",
      notifying(endpoint),
      "notifications.endpoints[0].secret: environment variable S: expected whsec_ and the base64 of 24 to 64 bytes",
      { S: "whsec_c2hvcnQ=" }
    ],
    [
      "has two endpoints of one merchant",
      notifying(endpoint, { ...endpoint, url: "https://shop.example/2" }),
      "notifications.endpoints[1].merchant: is the same as notifications.endpoints[0].merchant",
      { S: endpointSecret(1) }
    ],
    ["has a NUL in a path", { database: { dataDir: "a\u0000b" } }, "database.dataDir: expected the path of a directory, got a string"],
    [
      "has a key named __proto__",
      JSON.parse('{"database":{"dataDir":"x"},"__proto__":{"http":{"port":1}}}'),
      "__proto__: is not a known field"
    ]
  ]
  for (const [name, input, expected, environment] of refused) {
    it(`is refused when it ${name}`, () => {
      const problems = problemsOf(input, environment)
      assert.deepStrictEqual(problems, [expected])
    })
  }

  it("never repeats a secret", () => {
    const environment = { DB: "mysql://user:hunter2hunter2@db/x", K: "hunter2" }
    const problems = problemsOf(
      { database: { url: "env:DB" }, fingerprintKey: "hunter2", http: { apiKeys: [{ merchant: "m1", key: "env:K" }] } },
      environment
    )
    assert.lengthOf(problems, 3)
    assert.notInclude(problems.join(), "hunter2")
  })

  const secretive = [
    "https://user:hunter2@psp.example/a",
    "http://user:hunter2@psp.example/a",
    "ftp://user:hunter2@psp.example/a",
    "https://user:hunter2@psp.example:port/a",
    "user:hunter2@psp.example",
    "https://psp.example/a?key=hunter2",
    "https://psp.example/a#hunter2"
  ]
  for (const baseUrl of secretive) {
    it(`never repeats what a gateway's address holds: ${baseUrl}`, () => {
      const problems = problemsOf({ ...dataDir, gateways: [{ ...gateway, baseUrl }] })
      assert.lengthOf(problems, 1)
      assert.notInclude(problems.join(), "hunter2")
    })
  }
})

describe("AEGISPAY_ variables", () => {
  it("override the file", () => {
    const config = decoded(
      { ...dataDir, http: { port: 1, host: "::1" }, recovery: { onStart: true } },
      { AEGISPAY_HTTP_PORT: "9999", AEGISPAY_RECOVERY_ON_START: "false", AEGISPAY_RECOVERY_OLDER_THAN_MILLIS: "5000" }
    )
    assert.strictEqual(config.http.port, 9999)
    assert.strictEqual(config.http.host, "::1")
    assert.isFalse(config.recovery.onStart)
    assert.strictEqual(config.engine.recoveryOlderThanMillis, 5_000)
  })

  it("replace the database, and are enough without a file", () => {
    const environment = { AEGISPAY_DATABASE_URL: "postgres://u:p@db/x", AEGISPAY_FINGERPRINT_KEY: "f".repeat(32) }
    for (const input of [{}, dataDir]) assert.strictEqual(decoded(input, environment).database._tag, "Server")
  })

  it("are named in problems, and refused when they name no setting", () => {
    assert.deepStrictEqual(problemsOf(dataDir, { AEGISPAY_HTTP_PORT: "eighty", AEGISPAY_HTTP_PROT: "80" }), [
      "AEGISPAY_HTTP_PROT: is set but overrides no setting and is not referred to",
      'AEGISPAY_HTTP_PORT: expected an integer from 0 to 65535, got "eighty"'
    ])
  })

  it("may carry secrets that the file refers to", () => {
    const input = { ...dataDir, http: { apiKeys: [{ merchant: "m1", key: "env:AEGISPAY_HTTP_KEY_SHOP" }] } }
    assert.lengthOf(decoded(input, { AEGISPAY_HTTP_KEY_SHOP: "0123456789abcdef" }).http.apiKeys, 1)
  })

  it("exist for every setting they are documented for", () => {
    for (const [variable, { kind, path }] of variables) {
      const value = kind === "boolean" ? "maybe" : kind === "integer" ? "x" : kind === "secret" ? "\u0001" : "\u0000"
      const problems = problemsOf(path.startsWith("database") ? {} : dataDir, { [variable]: value })
      assert.isTrue(
        problems.some((problem) => problem.startsWith(variable)),
        `${variable}: ${problems.join()}`
      )
    }
  })
})

describe("a configuration file", () => {
  const directory = mkdtempSync(join(tmpdir(), "aegispay-config-"))
  const file = (name: string, text: string) => {
    const path = join(directory, name)
    writeFileSync(path, text)
    return path
  }

  it.effect("is read, with every way it can be unreadable told apart", () =>
    Effect.gen(function* () {
      const load = (path: string) => Config.load({ file: path, environment: {} })
      assert.strictEqual((yield* load(file("good.json", `\uFEFF${JSON.stringify(dataDir)}`))).http.port, 8080)
      const failure = (path: string) => Effect.map(Effect.flip(load(path)), (error) => error.message)
      assert.match(yield* failure(join(directory, "none.json")), /none\.json: cannot be read \(ENOENT\)$/)
      assert.match(yield* failure(directory), /: is not a file$/)
      const broken = yield* failure(file("broken.json", '{"database": sk_live_secret }'))
      assert.match(broken, /broken\.json: is not valid JSON/)
      assert.notInclude(broken, "sk_live")
      assert.match(yield* failure(file("large.json", " ".repeat(1_048_577))), /larger than 1048576 bytes/)
    }).pipe(Effect.ensuring(Effect.sync(() => rmSync(directory, { recursive: true }))))
  )
})
