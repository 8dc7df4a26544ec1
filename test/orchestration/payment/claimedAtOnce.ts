/**
 * Keys that are claimed without having been looked up: what a repeated request is answered, whatever stands in its way, and how many look-ups
 * and commits it takes. To be held over any stores.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as BreakerName from "../../../src/domain/resilience/BreakerName.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import type { Background } from "../../../src/orchestration/operation/Background.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { CircuitBreakers } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { Gateway, Gateways } from "../../../src/services/Gateway.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import type { RequestFingerprint } from "../../../src/services/RequestFingerprint.ts"
import { type CustomRule, RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { defaults, Settings } from "../../../src/services/Settings.ts"
import * as FlakyEventStore from "../../support/FlakyEventStore.ts"
import * as Metrics from "../../support/metrics.ts"
import { chargeRequest, fingerprints, gatewaysOf, success, testGateway } from "../../support/TestEngine.ts"

type Stores = Exclude<Payments.Dependencies, Gateways | RequestFingerprint | Background>

const a = GatewayName.make("a")

/** How many requests look first after a key was found taken. */
export const lookUpsAfterTaken = 16

/** What the engine asked its stores for, and what a test does to its commits and settings. */
const watched = () => {
  const asked = { lookUps: 0, isUnreadable: false }
  const flaky = FlakyEventStore.script()
  const passing = flaky.onCommit
  const settings = { ...defaults, allowUnsafeGateways: true }
  const routing = { policy: Policy.make(), customRules: [] as ReadonlyArray<CustomRule> }
  const counting = Layer.effect(
    PaymentRepository,
    Effect.map(PaymentRepository, (repository) =>
      PaymentRepository.of({
        ...repository,
        findClaim: (query) =>
          Effect.suspend(() => {
            asked.lookUps++
            return asked.isUnreadable ? Effect.fail(FlakyEventStore.storeError("Unavailable")) : repository.findClaim(query)
          })
      })
    )
  )
  const of = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const before = { lookUps: asked.lookUps, commits: flaky.commits }
      return Effect.map(effect, (value) => ({ value, lookUps: asked.lookUps - before.lookUps, commits: flaky.commits - before.commits }))
    })
  /** An engine of its own over the ambient stores. */
  const engine = (...gateways: ReadonlyArray<Gateway>) =>
    Payments.layer.pipe(
      Layer.provideMerge(Layer.mergeAll(gatewaysOf(...gateways), fingerprints, counting, FlakyEventStore.layer(flaky))),
      Layer.provide(Layer.mergeAll(Layer.succeed(Settings, settings), Layer.succeed(RoutingPolicy, routing)))
    )
  return { asked, counted: of, engine, flaky, passing, routing, settings }
}

export type Watched = ReturnType<typeof watched>

let keys = 0

/** A key that no other test uses. */
export const newKey = () => `once-${Date.now()}-${++keys}`

export const charge = (under: string, overrides: Parameters<typeof chargeRequest>[1] = {}) =>
  Payments.Payments.use((payments) => payments.charge(chargeRequest(under, overrides)))

/** Charges until nothing makes the engine look first: the first one after a start does. */
export const warm = Effect.suspend(() => charge(newKey()))

const chargeMany = (count: number) => Effect.replicateEffect(warm, count, { discard: true })

/** What was counted under a name, without what never happened. */
const countsOf = (name: string) =>
  Effect.map(Metrics.countsOf(name), (counts) => Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)))

/** A test in an engine that claims at once, with gateways that succeed. `gateway`: the first of them. */
export const inEngine = <A, E>(
  run: (
    watched: Watched & { readonly gateway: ReturnType<typeof testGateway> }
  ) => Effect.Effect<A, E, Payments.Engine | EventStore | PaymentRepository>,
  others: ReadonlyArray<Gateway> = []
) => {
  const own = watched()
  const gateway = testGateway("a")
  return Effect.andThen(warm, run({ ...own, gateway })).pipe(Effect.provide(own.engine(gateway, ...others)), Metrics.alone)
}

/** Until something holds that others bring about. */
const until = (holds: () => boolean) => Effect.repeat(Effect.yieldNow, { until: holds })

/** The suite over stores. `live`: in real time. */
export const suite = (name: string, stores: Layer.Layer<Stores, unknown>, { live = false } = {}): void =>
  shareLayer(stores, { timeout: "60 seconds", excludeTestServices: live })(`${name}: a key that is claimed at once`, (it) => {
    it.effect("costs a new payment no look-up, after the first of an engine", () => {
      const { counted, engine } = watched()
      return Effect.gen(function* () {
        const first = yield* counted(warm)
        assert.deepInclude(first, { lookUps: 1, commits: 2 })
        const second = yield* counted(charge(newKey()))
        assert.deepInclude(second, { lookUps: 0, commits: 2 })
        assert.isFalse(second.value.replayed)
        assert.deepStrictEqual(yield* countsOf("aegispay_idempotency_keys_total"), { new: 2 })
      }).pipe(Effect.provide(engine(testGateway("a"))), Metrics.alone)
    })

    it.effect("answers the same request with its payment, refuses another one, and leaves no trace of either", () =>
      inEngine(({ counted, gateway }) =>
        Effect.gen(function* () {
          const under = newKey()
          const { payment } = yield* charge(under)
          const decisions = yield* countsOf("aegispay_routing_decisions_total")
          const again = yield* counted(charge(under))
          assert.deepInclude(again, { lookUps: 0, commits: 1 })
          assert.isTrue(again.value.replayed)
          assert.deepStrictEqual(again.value.payment, payment)
          yield* chargeMany(lookUpsAfterTaken)
          const reused = yield* counted(Effect.flip(charge(under, { captureMethod: "manual" })))
          assert.deepInclude(reused, { lookUps: 0, commits: 1 })
          assert.strictEqual(reused.value._tag, "IdempotencyKeyReused")
          assert.lengthOf(gateway.sent, 2 + lookUpsAfterTaken)
          const routed = (counts: { readonly [labels: string]: number }) => Object.values(counts).reduce((sum, count) => sum + count, 0)
          assert.strictEqual(routed(yield* countsOf("aegispay_routing_decisions_total")), routed(decisions) + lookUpsAfterTaken)
          assert.deepStrictEqual(yield* countsOf("aegispay_idempotency_keys_total"), {
            new: 2 + lookUpsAfterTaken,
            hit: 1,
            conflict: 1
          })
        })
      )
    )

    it.effect("of a payment that another instance has in hand is waited for", () => {
      const { counted, engine } = watched()
      return Effect.gen(function* () {
        const answer = yield* Deferred.make<void>()
        const slow = testGateway("a", { send: (intent) => Effect.as(Deferred.await(answer), success(intent)) })
        const under = newKey()
        const other = watched()
        const first = yield* Effect.forkScoped(Effect.provide(charge(under), other.engine(slow)))
        yield* until(() => slow.sent.length === 1)
        const own = testGateway("a")
        const again = yield* Effect.gen(function* () {
          yield* warm
          const waiting = yield* Effect.forkChild(counted(charge(under)))
          yield* Deferred.succeed(answer, undefined)
          const { payment } = yield* Fiber.join(first)
          return { payment, ...(yield* Fiber.join(waiting)) }
        }).pipe(Effect.provide(engine(own)))
        assert.deepInclude(again, { lookUps: 0, commits: 1 })
        assert.isTrue(again.value.replayed)
        assert.strictEqual(again.value.payment.id, again.payment.id)
        assert.strictEqual(again.value.payment.status, "succeeded")
        assert.lengthOf(own.sent, 1, "that of the other key")
      }).pipe(Effect.scoped)
    })

    it.effect("is claimed by one of those that come at the same moment: the others wait for it, and find it", () =>
      inEngine(({ asked, counted, flaky, gateway, passing }) =>
        Effect.gen(function* () {
          const under = newKey()
          const claimed = yield* Deferred.make<void>()
          flaky.onCommit = () => Effect.as(Deferred.await(claimed), undefined)
          const begun = flaky.commits
          const all = yield* counted(
            Effect.gen(function* () {
              const first = yield* Effect.forkChild(charge(under))
              yield* until(() => flaky.commits > begun)
              const others = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.forkChild(charge(under)))
              const { lookUps } = asked
              yield* Effect.replicateEffect(Effect.yieldNow, 20)
              assert.strictEqual(asked.lookUps, lookUps, "nobody looks before there is something to find")
              flaky.onCommit = passing
              yield* Deferred.succeed(claimed, undefined)
              return [yield* Fiber.join(first), ...(yield* Effect.forEach(others, Fiber.join))]
            })
          )
          assert.deepInclude(all, { lookUps: 5, commits: 2 })
          assert.lengthOf(new Set(all.value.map(({ payment }) => payment.id)), 1)
          assert.deepStrictEqual(
            all.value.map(({ replayed }) => replayed),
            [false, true, true, true, true, true]
          )
          assert.lengthOf(gateway.sent, 2)
        })
      )
    )

    it.effect("is answered while nothing is accepted; a new one is refused", () =>
      inEngine(({ settings }) =>
        Effect.gen(function* () {
          const under = newKey()
          const { payment } = yield* charge(under)
          settings.maxUnstoredOutcomes = 0
          const again = yield* charge(under)
          assert.isTrue(again.replayed)
          assert.strictEqual(again.payment.id, payment.id)
          assert.strictEqual((yield* Effect.flip(charge(newKey())))._tag, "NotAccepting")
          assert.strictEqual((yield* Effect.flip(charge(under, { offSession: true })))._tag, "IdempotencyKeyReused")
        })
      )
    )

    it.effect("is answered while no gateway may take payments; a new one is refused, and only that is counted", () =>
      inEngine(({ gateway, routing }) =>
        Effect.gen(function* () {
          const under = newKey()
          const { payment } = yield* charge(under)
          routing.policy = Policy.make({ rules: [{ name: "nobody", then: { only: [GatewayName.make("b")] } }] })
          const again = yield* charge(under)
          assert.isTrue(again.replayed)
          assert.strictEqual(again.payment.id, payment.id)
          assert.deepStrictEqual(yield* countsOf("aegispay_routing_refusals_total"), {})
          assert.strictEqual((yield* Effect.flip(charge(newKey())))._tag, "NoUsableGateway")
          assert.deepStrictEqual(yield* countsOf("aegispay_routing_refusals_total"), { rule: 1 })
          assert.lengthOf(gateway.sent, 2)
        })
      )
    )

    it.effect("is answered while every breaker is open", () =>
      inEngine(({ gateway }) =>
        Effect.gen(function* () {
          const under = newKey()
          const { payment } = yield* charge(under)
          yield* CircuitBreakers.use((breakers) => breakers.forceOpen(BreakerName.of(a, "sale")))
          const again = yield* charge(under)
          assert.isTrue(again.replayed)
          assert.deepStrictEqual(again.payment, payment)
          assert.strictEqual((yield* charge(newKey())).payment.failure?.code, "not_sent_breaker_open")
          assert.lengthOf(gateway.sent, 2)
        })
      )
    )

    it.effect("is answered while commits fail, as it can be read; the next requests look first", () =>
      inEngine(({ counted, flaky, gateway, passing }) =>
        Effect.gen(function* () {
          const under = newKey()
          const { payment } = yield* charge(under)
          flaky.onCommit = () => Effect.succeed("before")
          const again = yield* counted(charge(under))
          assert.deepInclude(again, { lookUps: 1, commits: 1 })
          assert.isTrue(again.value.replayed)
          assert.strictEqual(again.value.payment.id, payment.id)
          flaky.onCommit = passing
          yield* chargeMany(lookUpsAfterTaken)
          flaky.onCommit = () => Effect.succeed("before")
          const failed = yield* counted(Effect.flip(charge(newKey())))
          assert.deepInclude(failed, { lookUps: 1, commits: 1 })
          assert.isTrue(failed.value._tag === "EventStoreError" && failed.value.isRetryable && !failed.value.isAmbiguous)
          assert.deepInclude(yield* counted(charge(under)), { lookUps: 1, commits: 0 })
          assert.lengthOf(gateway.sent, 2 + lookUpsAfterTaken)
        })
      )
    )

    it.effect("whose commit got no answer is told as such, although the key is known then: it is the request's own", () =>
      inEngine(({ flaky, gateway }) =>
        Effect.gen(function* () {
          flaky.onCommit = () => Effect.succeed("lost")
          const failed = yield* Effect.flip(charge(newKey()))
          assert.isTrue(failed._tag === "EventStoreError" && failed.isAmbiguous)
          assert.lengthOf(gateway.sent, 1)
        })
      )
    )

    it.effect("whose commit got no answer is told as such where it cannot be read either", () =>
      inEngine(({ asked, flaky }) =>
        Effect.gen(function* () {
          flaky.onCommit = () => Effect.succeed("unknown")
          asked.isUnreadable = true
          const failed = yield* Effect.flip(charge(newKey()))
          assert.isTrue(failed._tag === "EventStoreError" && failed.isAmbiguous)
        })
      )
    )

    it.effect("that cannot be read is not refused for another reason: it may be that of a payment", () =>
      inEngine(({ asked, settings }) =>
        Effect.gen(function* () {
          settings.maxUnstoredOutcomes = 0
          asked.isUnreadable = true
          assert.strictEqual((yield* Effect.flip(charge(newKey())))._tag, "EventStoreError")
        })
      )
    )

    it.effect("that was taken makes sixteen requests look first, and each that finds one as well sixteen more", () =>
      inEngine(({ counted }) =>
        Effect.gen(function* () {
          const under = newKey()
          yield* charge(under)
          assert.deepInclude(yield* counted(charge(under)), { lookUps: 0, commits: 1 })
          const others = (count: number) => counted(chargeMany(count))
          assert.deepInclude(yield* others(lookUpsAfterTaken - 1), { lookUps: lookUpsAfterTaken - 1 })
          assert.deepInclude(yield* counted(charge(under)), { lookUps: 1, commits: 0 })
          assert.deepInclude(yield* others(lookUpsAfterTaken + 10), { lookUps: lookUpsAfterTaken })
          const storm = yield* counted(Effect.replicateEffect(Effect.andThen(charge(under), warm), 50, { discard: true }))
          assert.deepInclude(storm, { lookUps: 99, commits: 101 }, "one claim was refused, each new payment has two commits")
        })
      )
    )
  })
