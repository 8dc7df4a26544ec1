/**
 * A hook that fails, dies, hangs, changes its input or floods harms nothing but itself, and is reported under its name.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { HookFailure } from "../../../src/domain/hooks/HookKind.ts"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { type Hook, Hooks } from "../../../src/services/hooks/Hooks.ts"
import { engineWith, eventsOf, only } from "../../support/hooks.ts"
import { collecting } from "../../support/logs.ts"
import { alone, countsOf } from "../../support/metrics.ts"
import { chargeRequest, declined, success, testGateway } from "../../support/TestEngine.ts"

const bad = {
  fails: () => Effect.fail("the service is away"),
  dies: () => Effect.die(new Error("a bug")),
  throws: () => {
    throw new Error("before there was an effect")
  },
  "answers-nothing": () => undefined as never,
  "throws-what-has-no-text": () =>
    Effect.fail({
      toString: () => {
        throw new Error("no")
      }
    }),
  "interrupts-itself": () => Effect.interrupt,
  hangs: () => Effect.never,
  "hangs-for-good": () => Effect.uninterruptible(Effect.never),
  "answers-nonsense": () => Effect.succeed({ action: "charge twice", gateway: 7, _tag: "Whatever", amount: "1" } as never)
} as const
type Bad = keyof typeof bad

const expected: { readonly [Name in Bad]: HookFailure } = {
  fails: "failed",
  dies: "defect",
  throws: "defect",
  "answers-nothing": "defect",
  "throws-what-has-no-text": "failed",
  "interrupts-itself": "failed",
  hangs: "timeout",
  "hangs-for-good": "timeout",
  "answers-nonsense": "invalid"
}

const waited = ["pre_validation", "fraud_check", "enrichment", "routing_strategy", "error_handler"] as const

const hookOf = (kind: Hook["kind"], name: Bad): Hook => ({ kind, name, run: bad[name], onFailure: undefined }) as unknown as Hook

/** A charge, at most as long as the clock is moved. */
const chargedWithin = (millis: number, key = "k1") =>
  Effect.gen(function* () {
    const payments = yield* Payments
    const charging = yield* Effect.forkChild(payments.charge(chargeRequest(key)), { startImmediately: true })
    yield* TestClock.adjust(millis)
    return yield* Fiber.join(charging)
  })

describe("a hook that the payment waits for", () => {
  for (const kind of waited) {
    for (const name of Object.keys(bad) as Array<Bad>) {
      it.effect(`${kind}: one that ${name.replaceAll("-", " ")} costs the payment at most its limit, and is reported`, () => {
        const send = (intent: Intent) => Effect.succeed(kind === "error_handler" ? declined("soft") : success(intent))
        const gateway = testGateway("a", { send })
        const other = testGateway("b")
        const log = collecting()
        return Effect.gen(function* () {
          const { payment } = yield* chargedWithin(1_000)
          assert.strictEqual(payment.status, kind === "fraud_check" ? "failed" : "succeeded")
          assert.lengthOf([...gateway.sent, ...other.sent], kind === "fraud_check" ? 0 : kind === "error_handler" ? 2 : 1)
          const hooks = yield* Hooks
          const [report] = yield* hooks.reports
          assert.deepInclude({ ...report }, { kind, hook: name, failure: expected[name] })
          const [status] = yield* hooks.list
          assert.deepInclude({ ...status }, { runs: 1, abandoned: name === "hangs-for-good" ? 1 : 0 })
          const line = log.lines.find(({ message }) => message.includes(`"${name}"`))
          assert.include(line?.message ?? "", expected[name])
          assert.deepStrictEqual(yield* countsOf("aegispay_hook_runs_total"), { [`${name} ${kind} ${expected[name]}`]: 1 })
        }).pipe(Effect.provide(engineWith([gateway, other], [hookOf(kind, name)])), log.kept, alone)
      })
    }
  }

  it.effect("hooks that use up the time of their kind: the next is not started, and the payment goes on in time", () => {
    const asked: Array<string> = []
    const slow = (name: string): Hook => ({
      kind: "fraud_check",
      name,
      onFailure: "allow",
      run: () =>
        Effect.andThen(
          Effect.sync(() => asked.push(name)),
          Effect.never
        )
    })
    return Effect.gen(function* () {
      const { payment } = yield* chargedWithin(2_000)
      assert.strictEqual(payment.status, "succeeded")
      assert.deepStrictEqual(asked, ["one", "two"])
      const [screened] = only(yield* eventsOf(payment.id), "PaymentScreened")
      assert.deepStrictEqual(
        screened?.verdicts?.map(({ action, failure, hook }) => `${hook}: ${action}, ${failure}`),
        ["one: allow, timeout", "two: allow, timeout", "three: allow, timeout"]
      )
    }).pipe(Effect.provide(engineWith([testGateway("a")], [slow("one"), slow("two"), slow("three")])))
  })

  it.effect("one that never ends is not started without end: then it is busy", () => {
    let started = 0
    const stuck: Hook = {
      kind: "pre_validation",
      name: "stuck",
      run: () =>
        Effect.andThen(
          Effect.sync(() => started++),
          Effect.uninterruptible(Effect.never)
        )
    }
    return Effect.gen(function* () {
      for (let count = 0; count < 70; count++) yield* chargedWithin(500, `k${count}`)
      assert.strictEqual(started, 64)
      const [status] = yield* (yield* Hooks).list
      assert.deepInclude({ ...status }, { abandoned: 64, runs: 70 })
      assert.deepInclude({ ...status?.failures }, { timeout: 64, busy: 6 })
    }).pipe(Effect.provide(engineWith([testGateway("a")], [stuck])), collecting().kept)
  })

  it.effect("one that writes to its input dies of it, and the payment is as it was asked for", () => {
    const greedy: Hook = {
      kind: "enrichment",
      name: "greedy",
      run: ({ payment }) =>
        Effect.sync(() => {
          Object.assign(payment.amount, { minor: 1n })
          return {}
        })
    }
    const sly: Hook = {
      kind: "pre_validation",
      name: "sly",
      run: ({ payment }) =>
        Effect.sync(() => {
          Object.assign(payment.metadata, { order: "another" })
          return { _tag: "Accepted" }
        })
    }
    const gateway = testGateway("a")
    const request = chargeRequest("k1", { metadata: { order: "1" } })
    return Effect.gen(function* () {
      const { payment } = yield* (yield* Payments).charge(request)
      assert.deepInclude(payment, { status: "succeeded", amountCaptured: 4990 })
      assert.deepStrictEqual(payment.metadata, { order: "1" })
      assert.strictEqual(gateway.sent[0]?.amount.minor, 4990n)
      assert.deepStrictEqual(request.metadata, { order: "1" })
      const reports = yield* (yield* Hooks).reports
      assert.deepStrictEqual(
        reports.map(({ failure, hook }) => [hook, failure]),
        [
          ["greedy", "defect"],
          ["sly", "defect"]
        ]
      )
    }).pipe(Effect.provide(engineWith([gateway], [greedy, sly])), collecting().kept)
  })

  it.effect("one that changes its answer after it was given changes nothing", () => {
    const answer = { metadata: { order: "1" } }
    const late: Hook = { kind: "enrichment", name: "late", run: () => Effect.succeed(answer) }
    return Effect.gen(function* () {
      const { payment } = yield* (yield* Payments).charge(chargeRequest("k1"))
      answer.metadata.order = "2"
      const [enriched] = only(yield* eventsOf(payment.id), "PaymentEnriched")
      assert.strictEqual(enriched?.fields[0]?.to, "1")
    }).pipe(Effect.provide(engineWith([testGateway("a")], [late])))
  })

  it.effect("a caller that leaves ends the hook with it, and nothing is charged", () => {
    let ended = false
    const slow: Hook = {
      kind: "fraud_check",
      name: "slow",
      run: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (ended = true)))
    }
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      const charging = yield* Effect.forkChild((yield* Payments).charge(chargeRequest("k1")), { startImmediately: true })
      yield* TestClock.adjust(100)
      yield* Fiber.interrupt(charging)
      yield* TestClock.adjust(1)
      assert.isTrue(ended, "long before its time is over")
      yield* TestClock.adjust(10_000)
      assert.lengthOf(gateway.sent, 0)
    }).pipe(Effect.provide(engineWith([gateway], [slow])))
  })

  it.effect("of one that fails with every payment a line a second is logged, with how often it was", () => {
    const log = collecting()
    const broken: Hook = { kind: "pre_validation", name: "broken", run: () => Effect.fail("away") }
    return Effect.gen(function* () {
      const payments = yield* Payments
      for (let count = 0; count < 10; count++) yield* payments.charge(chargeRequest(`k${count}`))
      yield* TestClock.adjust(1_000)
      yield* payments.charge(chargeRequest("k10"))
      const lines = log.lines.filter(({ message }) => message.includes("broken"))
      assert.lengthOf(lines, 2)
      assert.include(lines[1]?.message, "(9 more since the last line)")
      assert.lengthOf(yield* (yield* Hooks).reports, 11)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [broken])), log.kept)
  })
})
