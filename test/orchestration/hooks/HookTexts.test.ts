/**
 * What hooks say and throw: no card number of it is recorded, answered or logged, and nothing that was thrown is logged.
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { type Hook, Hooks } from "../../../src/services/hooks/Hooks.ts"
import { engineWith, eventsOf, only } from "../../support/hooks.ts"
import { collecting } from "../../support/logs.ts"
import { chargeRequest, declined, success, testGateway } from "../../support/TestEngine.ts"

/** A published test number (docs.stripe.com/testing). */
const number = "4111111111111111"
const spaced = "4111 1111 1111 1111"
const says = `card ${number} alias ${spaced}`
const kept = "card [card number] alias [card number]"

/** As code without types fails. */
const untyped: unknown = new Error(`no score for jane@example.com, ${says}`)

class NoScore extends Data.TaggedError("NoScore")<{ readonly message: string }> {}

/** A charge with these hooks: all that is left of it. */
const charged = (hooks: ReadonlyArray<Hook>, gateways = [testGateway("a")]) => {
  const log = collecting()
  return Effect.gen(function* () {
    const { payment } = yield* (yield* Payments).charge(chargeRequest("k1"))
    // What is told of the payment comes after it.
    yield* TestClock.adjust(1_000)
    const events = yield* eventsOf(payment.id)
    const reports = yield* (yield* Hooks).reports
    const everything = JSON.stringify({ payment, events, reports, lines: log.lines }, (_, value: unknown) =>
      typeof value === "bigint" ? String(value) : value
    )
    assert.notInclude(everything, number)
    assert.notInclude(everything, spaced)
    return { payment, events, reports, log: JSON.stringify(log.lines) }
  }).pipe(Effect.provide(engineWith(gateways, hooks)), log.kept)
}

describe("a card number in what a hook says", () => {
  it.effect("is replaced in the refusal of a validation, which refuses all the same", () =>
    Effect.gen(function* () {
      const { events, payment } = yield* charged([
        { kind: "pre_validation", name: "v", run: () => Effect.succeed({ _tag: "Refused", code: `pan_${number}`, message: says }) }
      ])
      assert.strictEqual(payment.failure?.message, kept)
      assert.strictEqual(only(events, "PaymentBlocked")[0]?.code, "pan_card_number")
    })
  )

  it.effect("is replaced in a verdict, which blocks all the same", () =>
    Effect.gen(function* () {
      const { events, payment } = yield* charged([
        { kind: "fraud_check", name: "f", run: () => Effect.succeed({ action: "block", code: `pan_${number}`, message: says }) }
      ])
      assert.strictEqual(payment.status, "failed")
      const [blocked] = only(events, "PaymentBlocked")
      assert.deepStrictEqual(
        [blocked?.message, blocked?.verdicts?.[0]?.message, blocked?.verdicts?.[0]?.code],
        [kept, kept, "pan_card_number"]
      )
    })
  )

  it.effect("is replaced in what a post-validation finds, and in the reasons of strategies and advice", () =>
    Effect.gen(function* () {
      const { events } = yield* charged(
        [
          { kind: "post_validation", name: "p", run: () => Effect.succeed({ _tag: "Refused", code: "odd", message: says }) },
          { kind: "routing_strategy", name: "r", run: () => Effect.succeed({ gateway: "a" as never, confidence: 1, reason: says }) },
          { kind: "error_handler", name: "e", run: () => Effect.succeed({ _tag: "other_gateway", gateway: "b" as never, reason: says }) }
        ],
        [
          testGateway("a", { send: () => Effect.succeed(declined("soft")) }),
          testGateway("b", { send: (intent) => Effect.succeed(success(intent)) })
        ]
      )
      assert.strictEqual(only(events, "PostValidationFailed")[0]?.message, kept)
      const [first, second] = only(events, "OperationIntended").map(({ intent }) => intent.decision?.reason)
      assert.include(first, kept)
      assert.include(second, kept)
    })
  )

  it.effect("refuses an enrichment, whose fields are no texts", () =>
    Effect.gen(function* () {
      const { events, reports } = yield* charged([
        { kind: "enrichment", name: "e", run: () => Effect.succeed({ method: { brand: number } }) },
        { kind: "enrichment", name: "n", run: () => Effect.succeed({ metadata: { text: "a\u0000b" } }) }
      ])
      assert.lengthOf(only(events, "PaymentEnriched"), 0)
      assert.deepStrictEqual(
        reports.map(({ failure, hook }) => `${hook} ${failure}`),
        ["n invalid", "e invalid"]
      )
    })
  )
})

describe("what a hook throws", () => {
  const thrown: ReadonlyArray<readonly [name: string, run: () => Effect.Effect<never, unknown>]> = [
    ["Error", () => Effect.fail(untyped)],
    ["NoScore", () => Effect.fail(new NoScore({ message: `no score for jane@example.com, ${says}` }))],
    ["a string", () => Effect.fail(`no score for jane@example.com, ${says}`)],
    ["TypeError", () => Effect.die(new TypeError(`no score for jane@example.com, ${says}`))],
    ["an object without a name", () => Effect.fail({ name: "jane@example.com", toString: () => `no score for jane@example.com, ${says}` })]
  ]
  for (const [name, run] of thrown) {
    it.effect(`is logged as ${name}, and kept in the reports without card numbers`, () =>
      Effect.gen(function* () {
        const { log, reports } = yield* charged([{ kind: "fraud_check", name: "f", run }])
        assert.strictEqual(reports[0]?.detail, `${name}: no score for jane@example.com, ${kept}`)
        assert.notInclude(log, "jane@example.com")
        assert.include(log, name)
      })
    )
  }

  it.effect("nor is an answer logged that is none", () =>
    Effect.gen(function* () {
      const { log, reports } = yield* charged([
        { kind: "enrichment", name: "e", run: () => Effect.succeed({ "jane@example.com": 1 } as never) }
      ])
      assert.strictEqual(reports[0]?.failure, "invalid")
      assert.include(reports[0]?.detail, "jane@example.com")
      assert.notInclude(log, "jane@example.com")
      assert.include(log, "the answer is refused")
    })
  )

  it.effect("reports are copies: who changes one changes it for nobody else", () =>
    Effect.gen(function* () {
      const hooks = yield* Hooks
      yield* (yield* Payments).charge(chargeRequest("k1"))
      for (const report of yield* hooks.reports) Object.assign(report, { detail: "nothing", hook: "another" })
      assert.deepInclude({ ...(yield* hooks.reports)[0] }, { hook: "v", detail: "a string: away" })
    }).pipe(
      Effect.provide(engineWith([testGateway("a")], [{ kind: "pre_validation", name: "v", run: () => Effect.fail("away") }])),
      collecting().kept
    )
  )
})
