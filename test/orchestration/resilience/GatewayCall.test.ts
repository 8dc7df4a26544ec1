/**
 * The way of a call to its gateway, through the whole engine: bulkhead, retries and their budget, breaker, spans.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Option, Random, Tracer } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { IdempotencyKey, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import { BreakerName } from "../../../src/domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { CrashPoint } from "../../../src/services/CrashPoint.ts"
import { defaults, type EngineSettings } from "../../../src/services/Settings.ts"
import { alone, countsOf } from "../../support/metrics.ts"
import { chargeRequest, declined, engine, engineOver, memory, notSent, success, tenant, testGateway } from "../../support/TestEngine.ts"
import { eventsOf, start } from "../../support/TestProcess.ts"

const timeout: Outcome = { _tag: "Unknown", reason: "timeout", message: "no answer" }
const unavailable: Outcome = { _tag: "Unknown", reason: "server_error", message: "the gateway answered 503" }

const breakers = (overrides: Partial<BreakerSettings.BreakerSettings>): EngineSettings["breakers"] => ({
  ...defaults.breakers,
  settings: { ...BreakerSettings.gatewayDefault, ...overrides }
})
/** Opens at the first failure. */
const nervous = breakers({ failureThreshold: 1 })
const never = 1_000_000_000
const insensitive = breakers({ failureThreshold: never, minimumCalls: never, slowCallMinimumCalls: never })

/** Charges, while time passes as it has to. */
const charge = Effect.fnUntraced(function* (under: string, seconds = 60) {
  const payments = yield* Payments
  const charging = yield* Effect.forkChild(payments.charge(chargeRequest(under)))
  yield* TestClock.adjust(`${seconds} seconds`)
  return (yield* Fiber.join(charging)).payment
})

/** Whoever charges meanwhile has decided before any of them is sent: routing sees none of the others at its gateway. */
const atOnce = Effect.provideService(CrashPoint, (point) => (point === "charge/after-intent" ? Effect.yieldNow : Effect.void))

const reasonsNotSent = (id: PaymentId) =>
  Effect.map(eventsOf(id), (events) => events.flatMap((event) => (event._tag === "OperationNotSent" ? [event.reason] : [])))

const stateOf = (name: string) =>
  Effect.gen(function* () {
    const all = yield* (yield* CircuitBreakers.CircuitBreakers).list
    return all.find((breaker) => breaker.name === name)?.state
  })

/** What is asked for again, and when. */
const answering = (...outcomes: ReadonlyArray<Outcome>) => {
  const at: Array<number> = []
  const send = (intent: Intent, nth: number) =>
    Effect.map(Clock.currentTimeMillis, (now): Outcome => {
      at.push(now)
      return outcomes[nth - 1] ?? success(intent)
    })
  return { at, send }
}

const limited = (retryAfterMillis: number): Outcome => ({
  _tag: "Declined",
  category: "rate_limited",
  code: "rate_limited",
  message: "too many requests",
  retryAfterMillis
})

describe("a gateway that asked for a pause", () => {
  it.effect("is left alone until then: the next payment goes elsewhere at once", () => {
    const a = testGateway("a", { send: () => Effect.delay(Effect.succeed(limited(60_000)), "1 second") })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k1"))))
      const second = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k2"))))
      // The second one waits for its turn; when it comes the first one has been asked to wait.
      yield* TestClock.adjust("1 second")
      const { id, status } = (yield* Fiber.join(second)).payment
      assert.strictEqual(status, "succeeded")
      assert.deepStrictEqual(yield* reasonsNotSent(id), ["rate_limited"])
      assert.lengthOf(a.sent, 1, "nothing more was sent to it")
    }).pipe(Effect.provide(engine([a, b], { bulkheadByGateway: { a: { concurrency: 1 } } })))
  })

  it.effect("where there is no other, a payment waits if the pause is short, and ends at once if it is not", () => {
    const { at, send } = answering(limited(5_000), { ...unavailable, reason: "server_error", retryAfterMillis: 120_000 })
    const a = testGateway("a", { send })
    return Effect.gen(function* () {
      yield* charge("k1", 0)
      assert.strictEqual((yield* charge("k2")).status, "in_doubt")
      assert.deepStrictEqual(at, [0, 5_000])
      const { id, status } = yield* charge("k3", 0)
      assert.strictEqual(status, "failed")
      assert.deepStrictEqual(yield* reasonsNotSent(id), ["rate_limited"])
      assert.deepStrictEqual(at, [0, 5_000])
    }).pipe(Effect.provide(engine([a], { retryJitter: 0 })))
  })

  it.effect("stands behind the others meanwhile: a decision does not choose it", () => {
    const a = testGateway("a", { send: (intent, nth) => Effect.succeed(nth === 21 ? limited(60_000) : success(intent)) })
    const b = testGateway("b", { send: () => Effect.succeed(declined("soft")) })
    return Effect.gen(function* () {
      for (let nth = 0; a.sent.length < 21; nth++) yield* charge(`k${nth}`, 0)
      const before = b.sent.length
      const { id } = yield* charge("next", 0)
      const intended = (yield* eventsOf(id)).flatMap((event) =>
        event._tag === "OperationIntended" ? [event.intent.gateway as string] : []
      )
      assert.deepStrictEqual(intended, ["b", "a"])
      assert.deepStrictEqual(yield* reasonsNotSent(id), ["rate_limited"])
      assert.strictEqual(b.sent.length, before + 1)
      assert.lengthOf(a.sent, 21)
    }).pipe(Effect.provide(engine([a, b], { retries: 0 })))
  })

  it.effect("gets what must not be refused, and other kinds of operation", () => {
    const a = testGateway("a", { send: (intent, nth) => Effect.succeed(nth === 2 ? limited(60_000) : success(intent)) })
    return Effect.gen(function* () {
      const { id } = yield* charge("k1", 0)
      yield* charge("k2", 0)
      yield* (yield* Payments).refund({ tenant, key: IdempotencyKey.make("k3"), id })
      assert.deepStrictEqual(
        a.sent.map(({ kind }) => kind),
        ["sale", "sale", "refund"]
      )
    }).pipe(Effect.provide(engine([a])))
  })
})

describe("closing what a decline left open, at a gateway that asks for a pause", () => {
  for (const [what, pauseMillis, expected] of [
    ["waits for its end", 20_000, [0, 0, 20_000, 40_000]],
    ["waits for half of its permission where that ends before", 50_000, [0, 0, 15_000, 30_000]]
  ] as const) {
    it.effect(`${what}: three tries are not used up at once`, () => {
      const { at, send } = answering(declined("hard"), limited(pauseMillis), limited(pauseMillis))
      const a = testGateway("a", { charges: { leavesOpenAfterDecline: true }, send })
      return Effect.gen(function* () {
        const { reviews, status } = yield* charge("k1", 120)
        assert.deepStrictEqual([status, reviews], ["failed", []])
        assert.deepStrictEqual(at, [...expected])
      }).pipe(Effect.provide(engine([a], { sendWindowMillis: 30_000 })))
    })
  }
})

describe("an open breaker", () => {
  it.effect("sends nothing and lets the payment go on at the next gateway", () => {
    const a = testGateway("a", { send: () => Effect.delay(Effect.succeed(notSent), "1 second") })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const first = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k1"))))
      const second = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k2"))))
      // The second one waits for its turn; when it comes the first one's failure has opened the breaker.
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* reasonsNotSent((yield* Fiber.join(first)).payment.id), ["connection_refused"])
      const { id, status } = (yield* Fiber.join(second)).payment
      assert.strictEqual(status, "succeeded")
      assert.deepStrictEqual(yield* reasonsNotSent(id), ["breaker_open"])
      assert.lengthOf(a.sent, 1)
      assert.lengthOf(b.sent, 2)
    }).pipe(Effect.provide(engine([a, b], { breakers: nervous, bulkheadByGateway: { a: { concurrency: 1 } } })))
  })

  it.effect("ends the retrying at once", () => {
    const { at, send } = answering(notSent, notSent, notSent, notSent)
    const a = testGateway("a", { send })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const ended = Effect.map(Clock.currentTimeMillis, (now) => at.push(now))
      const charging = yield* Effect.forkChild(Effect.ensuring(payments.charge(chargeRequest("k1")), ended))
      yield* TestClock.adjust("60 seconds")
      const { payment } = yield* Fiber.join(charging)
      assert.deepStrictEqual(at, [0, 1_000, 1_000], "two attempts, and the end")
      assert.strictEqual(payment.status, "failed")
      assert.deepStrictEqual(yield* reasonsNotSent(payment.id), ["connection_refused"])
      assert.deepStrictEqual(yield* countsOf("aegispay_retry_attempts_total"), { a: 1 })
      assert.deepStrictEqual(yield* countsOf("aegispay_retry_exhausted_total"), { "breaker_open a": 1 })
    }).pipe(alone, Effect.provide(engine([a], { retryJitter: 0, breakers: breakers({ failureThreshold: 2 }) })))
  })

  it.effect("an attempt that it refuses is not counted as a call, whatever was sent before it", () => {
    const a = testGateway("a", { send: () => Effect.succeed(notSent) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("500 millis")
      yield* (yield* CircuitBreakers.CircuitBreakers).forceOpen(BreakerName.make("a.sale"))
      yield* TestClock.adjust("60 seconds")
      const { payment } = yield* Fiber.join(charging)
      assert.deepStrictEqual(yield* reasonsNotSent(payment.id), ["breaker_open"])
      assert.lengthOf(a.sent, 1)
      assert.deepStrictEqual(yield* countsOf("aegispay_gateway_calls_total"), { "a sale NotSent": 1 })
    }).pipe(alone, Effect.provide(engine([a], { retryJitter: 0, retryBaseMillis: 1_000 })))
  })

  it.effect("after a lost answer leaves the operation unknown: no other gateway (rule 1)", () => {
    const a = testGateway("a", { send: () => Effect.succeed(timeout) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge("k1")).status, "in_doubt")
      assert.lengthOf(a.sent, 1)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(engine([a, b], { breakers: nervous })))
  })

  it.effect("is opened by the gateway's failures alone: not by declines, nor by what was not sent by our own doing", () => {
    const limit: Outcome = { _tag: "NotSent", reason: "local_limit", message: "cannot be sent" }
    const outcomes = [declined("soft"), declined("hard"), declined("rate_limited"), declined("configuration"), limit]
    return Effect.gen(function* () {
      for (const outcome of outcomes) {
        const a = testGateway("a", { send: () => Effect.succeed(outcome) })
        yield* Effect.gen(function* () {
          for (let nth = 0; nth < 10; nth++) yield* charge(`k${nth}`)
          assert.lengthOf(a.sent, 10, "no decline is sent again, whatever it is")
          assert.strictEqual(yield* stateOf("a.sale"), "closed")
        }).pipe(Effect.provide(engine([a], { breakers: nervous })))
      }
      const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
      yield* Effect.gen(function* () {
        yield* charge("k1")
        assert.strictEqual(yield* stateOf("a.sale"), "open")
      }).pipe(Effect.provide(engine([a], { breakers: breakers({ failureThreshold: 1, openTimeoutMillis: 3_600_000 }) })))
    })
  })

  it.effect("a call that is interrupted counts as nothing", () => {
    const a = testGateway("a", { send: () => Effect.never })
    return Effect.gen(function* () {
      const process = yield* start([a], { attemptTimeoutMillis: 3_600_000, breakers: nervous })
      const charging = yield* Effect.forkChild(process.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      assert.lengthOf(a.sent, 1)
      yield* process.crash
      yield* Fiber.join(charging)
      const [breaker] = yield* (yield* CircuitBreakers.CircuitBreakers).list
      assert.deepStrictEqual([breaker?.state, breaker?.totalFailures, breaker?.totalSuccesses], ["closed", 0, 0])
    }).pipe(Effect.provide(Layer.merge(CircuitBreakers.layer({ settings: nervous.settings }), memory)))
  })

  it.effect("does not hold back a repetition that recovery was permitted: the permission would be used up", () => {
    const a = testGateway("a", {
      charges: { replay: "conflict" },
      send: (intent, nth) => Effect.succeed(nth === 1 ? timeout : success(intent))
    })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { id } = yield* charge("k1", 46)
      assert.strictEqual(yield* stateOf("a.sale"), "open")
      yield* payments.recover({})
      assert.lengthOf(a.sent, 2)
      assert.strictEqual((yield* payments.get({ id, tenant })).status, "succeeded")
    }).pipe(Effect.provide(engine([a], { breakers: nervous })))
  })

  it.effect("does not hold back the closing of what a decline left open: a person would have to look", () => {
    const a = testGateway("a", {
      charges: { leavesOpenAfterDecline: true },
      send: (intent) => Effect.succeed(intent.kind === "void" ? success(intent) : declined("hard"))
    })
    return Effect.gen(function* () {
      yield* charge("k1", 0)
      yield* (yield* CircuitBreakers.CircuitBreakers).forceOpen(BreakerName.make("a.void"))
      assert.strictEqual((yield* charge("k2", 0)).status, "failed")
      assert.deepStrictEqual(
        a.sent.map(({ kind }) => kind),
        ["sale", "void", "sale", "void"]
      )
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("breakers of the host are used where it provides them below the engine", () => {
    const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    return Effect.gen(function* () {
      yield* charge("k1", 0)
      assert.strictEqual((yield* (yield* CircuitBreakers.CircuitBreakers).list)[0]?.totalFailures, 1)
    }).pipe(Effect.provide(Layer.provideMerge(engineOver([a]), Layer.merge(CircuitBreakers.layer(), memory))))
  })
})

describe("a bulkhead", () => {
  it.effect("that is full sends nothing; the payment goes on at the next gateway", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "10 seconds") })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const first = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k1"))))
      const second = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k2"))))
      const last = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k3"))))
      yield* TestClock.adjust("1 second")
      const third = (yield* Fiber.join(last)).payment
      assert.strictEqual(third.gateway, "b")
      assert.deepStrictEqual(yield* reasonsNotSent(third.id), ["bulkhead_full"])
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(first)).payment.gateway, "a")
      assert.strictEqual((yield* Fiber.join(second)).payment.gateway, "a", "it waited for its turn")
      assert.lengthOf(a.sent, 2)
      assert.deepStrictEqual(yield* countsOf("aegispay_bulkhead_refusals_total"), { "a full": 1 })
    }).pipe(alone, Effect.provide(engine([a, b], { bulkheadByGateway: { a: { concurrency: 1, queue: 1, maxWaitMillis: 30_000 } } })))
  })

  it.effect("is waited for no longer than the permission to send allows, nor than its own limit", () => {
    return Effect.gen(function* () {
      for (const [maxWaitMillis, waited] of [
        [60_000, 4_000],
        [2_500, 2_500]
      ] as const) {
        const a = testGateway("a", { connectLimitMillis: 1_000, send: () => Effect.never })
        const { at, send } = answering()
        const b = testGateway("b", { send })
        yield* Effect.gen(function* () {
          const payments = yield* Payments
          const started = yield* Clock.currentTimeMillis
          const first = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k1"))))
          const second = yield* Effect.forkChild(atOnce(payments.charge(chargeRequest("k2"))))
          yield* TestClock.adjust("30 seconds")
          assert.deepStrictEqual(yield* reasonsNotSent((yield* Fiber.join(second)).payment.id), ["bulkhead_full"])
          assert.deepStrictEqual(
            at.map((time) => time - started),
            [waited]
          )
          assert.strictEqual((yield* Fiber.join(first)).payment.status, "in_doubt")
          assert.lengthOf(a.sent, 1)
        }).pipe(
          Effect.provide(
            engine([a, b], {
              sendWindowMillis: 5_000,
              retries: 0,
              bulkheadByGateway: { a: { concurrency: 1, queue: 5, maxWaitMillis } }
            })
          )
        )
      }
    })
  })

  it.effect("keeps its place free for the next one, whatever became of the last", () => {
    const outcomes = [timeout, declined("soft"), notSent, { _tag: "Fine" } as never]
    const a = testGateway("a", {
      charges: { replay: "conflict" },
      send: (intent, nth) => Effect.succeed(outcomes[nth - 1] ?? success(intent))
    })
    return Effect.gen(function* () {
      for (let nth = 1; nth <= 4; nth++) yield* charge(`k${nth}`, 1)
      assert.strictEqual((yield* charge("k5", 0)).status, "succeeded")
    }).pipe(Effect.provide(engine([a], { retries: 0, bulkhead: { concurrency: 1, queue: 0, maxWaitMillis: 0 } })))
  })
})

describe("trying again", () => {
  it.effect("a 503 that says when to come back is sent again then, under the same key, where the gateway stores results", () => {
    const { at, send } = answering({ ...unavailable, retryAfterMillis: 7_000 })
    const a = testGateway("a", { send })
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge("k1")).status, "succeeded")
      assert.deepStrictEqual(at, [0, 7_000])
      assert.strictEqual(a.sent[0]?.requestKey, a.sent[1]?.requestKey)
    }).pipe(Effect.provide(engine([a], { retryJitter: 0 })))
  })

  for (const [name, outcome, charges] of [
    ["a 503 that does not say when", unavailable, {}],
    ["a 503 of a gateway that does not store results", { ...unavailable, retryAfterMillis: 1_000 }, { replay: "conflict" }],
    ["a 503 whose time is after the permission", { ...unavailable, retryAfterMillis: 30_000 }, {}]
  ] as const) {
    it.effect(`${name} is in doubt, and nothing is sent again`, () => {
      const a = testGateway("a", { charges, send: () => Effect.succeed(outcome) })
      return Effect.gen(function* () {
        assert.strictEqual((yield* charge("k1", 0)).status, "in_doubt")
        assert.lengthOf(a.sent, 1)
      }).pipe(Effect.provide(engine([a])))
    })
  }

  it.effect("a settled decline is never sent again, whatever Retry-After came with it", () => {
    const a = testGateway("a", { send: () => Effect.succeed({ ...declined("rate_limited"), retryAfterMillis: 1_000 }) })
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge("k1")).failure?.category, "rate_limited")
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("two requests of one operation are never under way at once", () =>
    Effect.gen(function* () {
      for (const seed of ["1", "2", "3"]) {
        const underWay = new Map<string, number>()
        let most = 0
        let requests = 0
        const outcomes = [timeout, { ...timeout, reason: "connection_lost" }, notSent, { ...unavailable, retryAfterMillis: 10 }] as const
        const send = () =>
          Effect.gen(function* () {
            const outcome = outcomes[yield* Random.nextIntBetween(0, outcomes.length)] ?? timeout
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 2_000))
            return outcome
          })
        const a = {
          ...testGateway("a"),
          send: ({ intent }: { readonly intent: Intent }) =>
            Effect.acquireUseRelease(
              Effect.sync(() => {
                const count = (underWay.get(intent.requestKey) ?? 0) + 1
                underWay.set(intent.requestKey, count)
                most = Math.max(most, count)
                requests++
              }),
              send,
              () => Effect.sync(() => underWay.set(intent.requestKey, (underWay.get(intent.requestKey) ?? 0) - 1))
            )
        }
        yield* Effect.gen(function* () {
          const payments = yield* Payments
          const charging = yield* Effect.forkChild(
            Effect.forEach(Array.from({ length: 20 }), (_, nth) => payments.charge(chargeRequest(`k${nth}`)), { concurrency: "unbounded" })
          )
          // Attempts are given up after one second, many answers take longer.
          yield* TestClock.adjust("2 minutes")
          yield* Fiber.join(charging)
        }).pipe(Effect.provide(engine([a], { attemptTimeoutMillis: 1_000, retries: 5, breakers: insensitive })), Random.withSeed(seed))
        assert.strictEqual(most, 1)
        assert.isAbove(requests, 60, "there were retries")
      }
    })
  )

  it.effect("a dead gateway gets one retry for five calls once the stock of its budget is gone", () => {
    const a = testGateway("a", { send: () => Effect.succeed(notSent) })
    const b = testGateway("b", { send: () => Effect.succeed(notSent) })
    const dead = { retryBudget: { earnPerCall: 0.2, maxTokens: 5 }, breakers: insensitive }
    return Effect.gen(function* () {
      for (let nth = 0; nth <= 50; nth++) yield* charge(`k${nth}`)
      // The first gateway is left for the next one after one attempt; only the last one is tried again.
      assert.lengthOf(a.sent, 51)
      assert.lengthOf(b.sent, 51 + 5 + 10)
    }).pipe(Effect.provide(engine([a, b], dead)))
  })
})

describe("spans", () => {
  const spans: Array<{ readonly name: string; readonly attributes: ReadonlyMap<string, unknown> }> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const seen: Array<string | undefined> = []
  const a = testGateway("a", {
    send: (intent) =>
      Effect.map(Effect.option(Effect.currentSpan), (span) => {
        seen.push(Option.getOrUndefined(span)?.name)
        return success(intent)
      })
  })

  it.effect("there is one around a call where somebody collects them, with payment, gateway and kind, and nothing of the customer", () =>
    Effect.gen(function* () {
      const { id } = yield* Effect.withTracer(charge("k1", 0), tracer)
      const calls = spans.filter(({ name }) => name === "GatewayCall.call")
      assert.deepStrictEqual(
        calls.map(({ attributes }) => Object.fromEntries(attributes)),
        [{ payment: id, gateway: "a", kind: "sale" }]
      )
      assert.deepStrictEqual(seen.splice(0), ["GatewayCall.call"])
      const made = spans.length
      yield* charge("k2", 0)
      assert.notInclude(seen, "GatewayCall.call", "without a tracer there is none")
      assert.lengthOf(spans, made)
    }).pipe(Effect.provide(engine([a])))
  )
})
