/**
 * The section `hooks`: which built-in hooks are in force, and what is refused.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Config from "../../../src/edges/config/Config.ts"
import { defaults } from "../../../src/services/hooks/HookSettings.ts"

const decode = (input: object) => Config.decode({ input: { database: { dataDir: "." }, ...input }, environment: {} })
const inForce = (hooks: object) => Result.getOrThrow(decode({ hooks })).hooks
const problems = (hooks: unknown) => {
  const decoded = decode({ hooks })
  return Result.isFailure(decoded) ? decoded.failure.problems.map(({ message, path }) => `${path}: ${message}`) : []
}

describe("hooks", () => {
  it("none is in force without the section, nor with an empty one", () => {
    assert.deepStrictEqual(Result.getOrThrow(decode({})).hooks, { settings: defaults, builtin: {} })
    assert.deepStrictEqual(inForce({}), { settings: defaults, builtin: {} })
  })

  it("the section of a hook switches it on; what holds for all hooks overrides the presets", () => {
    const limit = { per: "customer", most: 5, withinMillis: 600_000, action: "block" }
    const { builtin, settings } = inForce({
      onFraudFailure: "allow",
      onValidationFailure: "refuse",
      blockAtScore: 90,
      velocity: { limits: [limit], enabled: false, priority: 5 },
      retryAdvice: {}
    })
    assert.deepStrictEqual(builtin, { velocity: { limits: [limit], enabled: false, priority: 5 }, retryAdvice: {} } as typeof builtin)
    assert.deepInclude(settings, { onFraudFailure: "allow", onValidationFailure: "refuse", blockAtScore: 90, limits: defaults.limits })
  })

  it("names everything that is wrong", () => {
    assert.sameMembers(
      problems({
        onFraudFailure: "ignore",
        blockAtScore: 101,
        highValue: { flagFrom: { EUR: 12.5 } },
        geographic: { blockedCountries: ["UK", "DE"] },
        velocity: { limits: [{ per: "customer", most: 0, withinMillis: 1_000, action: "block" }] },
        paymentLogging: { eventTypes: ["PaymentCreated"] },
        retryAdvice: { advice: { soft: "retry" } },
        velocty: {}
      }).map((problem) => problem.replace(/: expected one of .*/, ": expected one of")),
      [
        'hooks.onFraudFailure: expected "allow" or "block", got a string',
        "hooks.blockAtScore: expected a number from 0 to 100, got a number",
        "hooks.highValue.flagFrom.EUR: expected an integer from 1 to 9007199254740991, got a fraction",
        "hooks.geographic.blockedCountries[0]: is written GB",
        "hooks.velocity.limits[0].most: expected an integer from 1 to 10000, got zero",
        "hooks.paymentLogging.eventTypes[0]: expected one of",
        "hooks.retryAdvice.advice.soft: expected one of",
        "hooks.velocty: is not a known field"
      ]
    )
    assert.deepStrictEqual(problems({ highValue: { flagFrom: { EUR: 200 }, blockFrom: { EUR: 100 } } }), [
      "hooks.highValue.flagFrom.EUR: must be below blockFrom (100): nothing would be flagged"
    ])
    assert.deepStrictEqual(problems({ highValue: { flagFrom: { eur: 200 } } }), [
      "hooks.highValue.flagFrom.eur: is not an active ISO 4217 code in upper case, such as EUR"
    ])
    assert.deepStrictEqual(problems({ geographic: {} }), [
      "hooks.geographic: names no country: set blockedCountries or flaggedCountries, or leave the check out"
    ])
  })
})

describe("what is no section of hooks", () => {
  it("is told what one looks like", () => {
    for (const hooks of ["nope", [], null, true]) {
      assert.match(
        problems(hooks).join("\n"),
        /hooks: expected hooks by their names, such as \{ "velocity": \{\}, "paymentLogging": \{\} \}/
      )
    }
  })
})
