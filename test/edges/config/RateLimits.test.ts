/**
 * The section `rateLimits`, and `http.trustedProxies`: presets, overrides, and what is refused.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Config from "../../../src/edges/config/Config.ts"

const decode = (input: object, environment: Config.Environment = {}) =>
  Config.decode({ input: { database: { dataDir: "." }, ...input }, environment })
const settings = (rateLimits: object, environment?: Config.Environment) =>
  Result.getOrThrow(decode({ rateLimits }, environment)).http.rateLimits
const problems = (input: object, environment?: Config.Environment) => {
  const decoded = decode(input, environment)
  return Result.isFailure(decoded) ? decoded.failure.problems.map(({ message, path }) => `${path}: ${message}`) : []
}

describe("rateLimits", () => {
  it("is off without the section", () => {
    assert.isUndefined(Result.getOrThrow(decode({})).http.rateLimits)
  })

  it("is the presets where it is empty", () => {
    const bucket = { algorithm: "token_bucket", windowMillis: 60_000 } as const
    assert.deepStrictEqual(settings({}), {
      store: "memory",
      onStoreFailure: "open",
      maxKeys: 100_000,
      limits: {
        initiate: [{ name: "initiate.user", scope: "user", ...bucket, limit: 10, burst: 3 }],
        status: [{ name: "status.user", scope: "user", ...bucket, limit: 100, burst: 20 }],
        refund: [{ name: "refund.user", scope: "user", ...bucket, limit: 5, windowMillis: 300_000, burst: 1 }],
        health: [{ name: "health.ip", scope: "ip", ...bucket, limit: 1_000, burst: 100 }],
        webhooks: [],
        unauthorized: [{ name: "unauthorized.ip", scope: "ip", ...bucket, limit: 30, burst: 30 }],
        all: []
      }
    })
  })

  it("changes a preset field by field, adds limits by scope, and takes presets and groups away", () => {
    const block = { refusals: 5, withinMillis: 60_000, durationMillis: 600_000 }
    const limits = settings({
      store: "postgres",
      onStoreFailure: "closed",
      routes: {
        initiate: { user: { limit: 20, block }, ip: { algorithm: "sliding_window", limit: 300, windowMillis: 60_000 } },
        status: false,
        refund: { user: false },
        webhooks: { global: { algorithm: "fixed_window", limit: 1_000, windowMillis: 1_000, burst: 5 } }
      }
    })
    assert.strictEqual(limits?.store, "postgres")
    assert.strictEqual(limits?.onStoreFailure, "closed")
    assert.deepStrictEqual(limits?.limits.initiate, [
      { name: "initiate.user", scope: "user", algorithm: "token_bucket", limit: 20, windowMillis: 60_000, burst: 3, block },
      { name: "initiate.ip", scope: "ip", algorithm: "sliding_window", limit: 300, windowMillis: 60_000, burst: 0 }
    ])
    assert.deepStrictEqual([limits?.limits.status, limits?.limits.refund], [[], []])
    assert.strictEqual(limits?.limits.health.length, 1)
    assert.deepStrictEqual(limits?.limits.webhooks, [
      { name: "webhooks.global", scope: "global", algorithm: "fixed_window", limit: 1_000, windowMillis: 1_000, burst: 5 }
    ])
  })

  it("is overridden by variables", () => {
    const limits = settings({}, { AEGISPAY_RATE_LIMITS_STORE: "postgres", AEGISPAY_RATE_LIMITS_MAX_KEYS: "5000" })
    assert.strictEqual(limits?.store, "postgres")
    assert.strictEqual(limits?.maxKeys, 5_000)
    assert.deepStrictEqual(problems({}, { AEGISPAY_RATE_LIMITS_STOER: "postgres" }), [
      "AEGISPAY_RATE_LIMITS_STOER: is set but overrides no setting and is not referred to"
    ])
  })

  const refused: ReadonlyArray<readonly [name: string, section: unknown, path: string]> = [
    ["an unknown group", { routes: { pay: {} } }, "rateLimits.routes.pay"],
    ["an unknown scope", { routes: { initiate: { tenant: { limit: 1, windowMillis: 1_000 } } } }, "rateLimits.routes.initiate.tenant"],
    [
      "a scope nobody has there",
      { routes: { health: { api_key: { limit: 1, windowMillis: 1_000 } } } },
      "rateLimits.routes.health.api_key"
    ],
    ["an unknown field", { routes: { all: { ip: { limit: 1, window: 1_000 } } } }, "rateLimits.routes.all.ip.window"],
    ["a limit of nothing", { routes: { all: { ip: { limit: 0, windowMillis: 1_000 } } } }, "rateLimits.routes.all.ip.limit"],
    ["a fraction", { routes: { all: { ip: { limit: 1.5, windowMillis: 1_000 } } } }, "rateLimits.routes.all.ip.limit"],
    ["a window too short", { routes: { all: { ip: { limit: 1, windowMillis: 999 } } } }, "rateLimits.routes.all.ip.windowMillis"],
    ["a negative burst", { routes: { all: { ip: { limit: 1, windowMillis: 1_000, burst: -1 } } } }, "rateLimits.routes.all.ip.burst"],
    ["an unknown algorithm", { routes: { initiate: { user: { algorithm: "leaky" } } } }, "rateLimits.routes.initiate.user.algorithm"],
    ["half a block", { routes: { initiate: { user: { block: { refusals: 1 } } } } }, "rateLimits.routes.initiate.user.block.withinMillis"],
    ["an unknown store", { store: "file" }, "rateLimits.store"],
    ["too few keys", { maxKeys: 10 }, "rateLimits.maxKeys"],
    ["true", { routes: { initiate: true } }, "rateLimits.routes.initiate"]
  ]
  for (const [name, rateLimits, path] of refused) {
    it(`refuses ${name}, naming it`, () => {
      const found = problems({ rateLimits: rateLimits as object })
      assert.isTrue(
        found.some((problem) => problem.startsWith(`${path}: `)),
        found.join("\n")
      )
    })
  }

  it("requires the figures that no preset gives", () => {
    assert.deepStrictEqual(problems({ rateLimits: { routes: { initiate: { ip: { burst: 1 } }, all: { global: { limit: 1 } } } } }), [
      "rateLimits.routes.initiate.ip.limit: is required: there is no preset for it",
      "rateLimits.routes.initiate.ip.windowMillis: is required: there is no preset for it",
      "rateLimits.routes.all.global.windowMillis: is required: there is no preset for it"
    ])
  })
})

describe("http.trustedProxies", () => {
  it("takes addresses and networks", () => {
    const trustedProxies = ["10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8"]
    assert.deepStrictEqual(Result.getOrThrow(decode({ http: { trustedProxies } })).http.trustedProxies, trustedProxies)
  })

  for (const wrong of ["localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "*", ""]) {
    it(`refuses "${wrong}"`, () => {
      assert.deepStrictEqual(problems({ http: { trustedProxies: ["10.0.0.7", wrong] } }), [
        "http.trustedProxies[1]: expected an address or a network, such as 10.0.0.7 or 10.0.0.0/8, got a string"
      ])
    })
  }
})
