/**
 * Listeners, post-validations and collectors: off the payment's path, bounded, and told of what is durable only.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import {
  type EventListener,
  type Hook,
  Hooks,
  type ListenedEvent,
  type MetricsCollector,
  type Observation,
  type PostValidation,
  type SettledInput
} from "../../../src/services/hooks/Hooks.ts"
import { engineWith, eventsOf, only, registryOf } from "../../support/hooks.ts"
import { collecting } from "../../support/logs.ts"
import { alone, countsOf } from "../../support/metrics.ts"
import { chargeRequest, declined, engineOver, memory, testGateway } from "../../support/TestEngine.ts"
import * as TestHostTransaction from "../../support/TestHostTransaction.ts"

const charge = (under = "k1") => Payments.use((payments) => payments.charge(chargeRequest(under)))

const listener = (run: EventListener["run"], options: Partial<EventListener> = {}): EventListener => ({
  kind: "event_listener",
  name: "listener",
  run,
  ...options
})

const remembering = (heard: Array<ListenedEvent>, options: Partial<EventListener> = {}) =>
  listener((event) => Effect.sync(() => void heard.push(event)), options)

const settled = TestClock.adjust(1)

describe("an event listener", () => {
  it.effect("is told of every durable event, without tokens, and of the types it asked for alone", () => {
    const all: Array<ListenedEvent> = []
    const some: Array<ListenedEvent> = []
    const hooks = [remembering(all), remembering(some, { name: "some", eventTypes: ["OperationSucceeded"] })]
    return Effect.gen(function* () {
      const { payment } = yield* charge()
      yield* settled
      assert.deepStrictEqual(
        all.map(({ event, status, version }) => `${version} ${event._tag}: ${status}`),
        [
          "1 PaymentInitiated: processing",
          "2 PaymentScreened: processing",
          "3 OperationIntended: processing",
          "4 OperationSucceeded: succeeded"
        ]
      )
      assert.deepStrictEqual(
        some.map(({ event, paymentId }) => `${paymentId} ${event._tag}`),
        [`${payment.id} OperationSucceeded`]
      )
      assert.notInclude(
        JSON.stringify(all, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
        "tok_success"
      )
      assert.isTrue(Object.isFrozen(all[0]?.event))
    }).pipe(Effect.provide(engineWith([testGateway("a")], hooks)))
  })

  it.effect("one that hangs holds back neither the payment nor other listeners; what it has no room for is dropped and counted", () => {
    const heard: Array<ListenedEvent> = []
    let started = 0
    const hanging = listener(
      () =>
        Effect.andThen(
          Effect.sync(() => started++),
          Effect.never
        ),
      { name: "hanging" }
    )
    return Effect.gen(function* () {
      for (let count = 0; count < 10; count++) {
        assert.strictEqual((yield* charge(`k${count}`)).payment.status, "succeeded")
        yield* settled
      }
      assert.lengthOf(heard, 40)
      assert.strictEqual(started, 4)
      const status = (yield* (yield* Hooks).list).find(({ name }) => name === "hanging")
      assert.deepInclude({ ...status }, { dropped: 40 - 4 - 20 })
      assert.deepStrictEqual(yield* countsOf("aegispay_hook_dropped_total"), { "hanging event_listener": 16 })
      yield* TestClock.adjust(5_000)
      assert.strictEqual(started, 8)
      yield* TestClock.adjust(60_000)
      assert.strictEqual(started, 24)
    }).pipe(
      Effect.provide(engineWith([testGateway("a")], [hanging, remembering(heard)], { hooks: { queue: 20 } })),
      collecting().kept,
      alone
    )
  })

  it.effect("one that fails or writes to an event harms nobody, and is reported", () => {
    const heard: Array<ListenedEvent> = []
    const greedy = listener((event) => Effect.sync(() => void Object.assign(event.event, { _tag: "PaymentFailed" })), {
      name: "greedy",
      priority: 1
    })
    return Effect.gen(function* () {
      const { payment } = yield* charge()
      yield* settled
      assert.strictEqual(heard[0]?.event._tag, "PaymentInitiated")
      assert.strictEqual((yield* eventsOf(payment.id))[0]?._tag, "PaymentInitiated")
      const reports = yield* (yield* Hooks).reports
      assert.isTrue(reports.length === 4 && reports.every(({ failure, hook }) => hook === "greedy" && failure === "defect"))
    }).pipe(Effect.provide(engineWith([testGateway("a")], [greedy, remembering(heard)])), collecting().kept)
  })

  it.effect("is told of nothing that a host rolled back, and after the host's commit of what it kept", () => {
    const heard: Array<ListenedEvent> = []
    const layer = engineOver([testGateway("a")]).pipe(
      Layer.provideMerge(registryOf([remembering(heard)])),
      Layer.provideMerge(Layer.mergeAll(memory, TestHostTransaction.layer))
    )
    return Effect.gen(function* () {
      const payments = yield* Payments
      yield* TestHostTransaction.rolledBack(payments.prepare(chargeRequest("k1")))
      yield* settled
      assert.lengthOf(heard, 0)
      yield* TestHostTransaction.inTransaction(
        Effect.andThen(
          payments.prepare(chargeRequest("k2")),
          Effect.andThen(
            settled,
            Effect.sync(() => assert.lengthOf(heard, 0))
          )
        )
      )
      yield* settled
      assert.lengthOf(heard, 4)
    }).pipe(Effect.provide(layer))
  })
})

describe("a post-validation", () => {
  const checking = (run: PostValidation["run"]): PostValidation => ({ kind: "post_validation", name: "ledger", run })

  it.effect("looks at a payment that came to rest; what it finds is recorded once, and changes nothing", () => {
    const seen: Array<SettledInput> = []
    const hook = checking((input) =>
      Effect.sync(() => {
        seen.push(input)
        return { _tag: "Refused", code: "not_in_ledger", message: "the order is not in the ledger" }
      })
    )
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* charge()
      yield* settled
      assert.deepStrictEqual(
        seen.map(({ view }) => view.status),
        ["succeeded"]
      )
      const found = only(yield* eventsOf(payment.id), "PostValidationFailed")
      assert.deepStrictEqual(
        found.map(({ by, code, message }) => `${by}: ${code}: ${message}`),
        ["ledger: not_in_ledger: the order is not in the ledger"]
      )
      const shown = yield* payments.get({ id: payment.id, tenant: payment.tenant })
      assert.deepInclude(shown, { status: "succeeded", amountCaptured: 4990, version: 5 })
      yield* payments.refund({ id: payment.id, tenant: payment.tenant, key: chargeRequest("k2").key })
      yield* settled
      assert.deepStrictEqual(
        seen.map(({ view }) => view.status),
        ["succeeded", "refunded"]
      )
      assert.lengthOf(only(yield* eventsOf(payment.id), "PostValidationFailed"), 1)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [hook])))
  })

  it.effect("is asked about failed and blocked payments too, and one that hangs costs them nothing", () => {
    const seen: Array<string> = []
    const hooks: ReadonlyArray<Hook> = [
      checking(({ view }) =>
        Effect.andThen(
          Effect.sync(() => seen.push(view.status)),
          Effect.never
        )
      ),
      {
        kind: "fraud_check",
        name: "big",
        run: ({ payment }) => Effect.succeed({ action: payment.amount.minor > 5_000n ? "block" : "allow" })
      }
    ]
    const gateway = testGateway("a", { send: () => Effect.succeed(declined("hard")) })
    return Effect.gen(function* () {
      yield* charge("k1")
      const { amount } = chargeRequest("k1")
      yield* (yield* Payments).charge(chargeRequest("k2", { amount: { ...amount, minor: 6_000n } }))
      yield* settled
      assert.deepStrictEqual(seen, ["failed", "failed"])
      yield* TestClock.adjust("5 seconds")
    }).pipe(Effect.provide(engineWith([gateway], hooks)))
  })

  it.effect("a finding that cannot be recorded is in the log", () => {
    const log = collecting()
    let away = false
    const flaky = Layer.effect(
      EventStore,
      EventStore.use((store) =>
        Effect.succeed(EventStore.of({ ...store, commit: (commit) => (away ? Effect.die("away") : store.commit(commit)) }))
      )
    ).pipe(Layer.provideMerge(memory))
    const hook = checking(() => Effect.sync(() => ((away = true), { _tag: "Refused", code: "odd", message: "odd" })))
    return Effect.gen(function* () {
      yield* charge()
      yield* settled
      const line = log.lines.find(({ message }) => message.includes("could not be recorded"))
      assert.deepInclude({ ...line?.annotations }, { hook: "ledger", code: "odd" })
    }).pipe(
      Effect.provide(engineOver([testGateway("a")]).pipe(Layer.provideMerge(registryOf([hook])), Layer.provideMerge(flaky))),
      log.kept
    )
  })
})

describe("a metrics collector", () => {
  it.effect("is given what was counted, once a second, and nothing of hooks", () => {
    const batches: Array<ReadonlyArray<Observation>> = []
    const hook: MetricsCollector = {
      kind: "metrics_collector",
      name: "collector",
      run: (observations) => Effect.sync(() => void batches.push(observations))
    }
    return Effect.gen(function* () {
      yield* charge()
      assert.lengthOf(batches, 0)
      yield* TestClock.adjust(1_000)
      assert.lengthOf(batches, 1)
      const names = batches[0]?.map(({ name }) => name) ?? []
      assert.includeMembers(names, ["aegispay_payments_total", "aegispay_gateway_call_duration_milliseconds", "aegispay_commits_total"])
      assert.isFalse(names.some((name) => name.startsWith("aegispay_hook_")))
      const paid = batches[0]?.find(({ name }) => name === "aegispay_payments_total")
      assert.deepInclude({ ...paid }, { value: 1, labels: { status: "succeeded" } })
      yield* TestClock.adjust(10_000)
      assert.lengthOf(batches, 1)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [hook])), alone)
  })
})

describe("the registry", () => {
  it.effect("registers and unregisters while payments are made, in the order of priority, and switches off and on", () => {
    const order: Array<string> = []
    const hook = (name: string, priority?: number): Hook => ({
      kind: "pre_validation",
      name,
      ...(priority === undefined ? {} : { priority }),
      run: () =>
        Effect.as(
          Effect.sync(() => order.push(name)),
          { _tag: "Accepted" as const }
        )
    })
    return Effect.gen(function* () {
      const hooks = yield* Hooks
      const runsOf = (under: string) => Effect.map(charge(under), () => order.splice(0).join(" "))
      assert.strictEqual(yield* runsOf("k1"), "first")
      const { unregister } = yield* hooks.register(hook("second", 200))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* hooks.registerScoped(hook("zeroth", -1))
          assert.strictEqual(yield* runsOf("k2"), "zeroth first second")
        })
      )
      assert.strictEqual(yield* runsOf("k3"), "first second")
      assert.isTrue(yield* hooks.setEnabled("first", false))
      assert.isFalse(yield* hooks.setEnabled("nobody", false))
      assert.strictEqual(yield* runsOf("k4"), "second")
      yield* hooks.setEnabled("first", true)
      yield* Effect.andThen(unregister, unregister)
      assert.strictEqual(yield* runsOf("k5"), "first")
      assert.deepStrictEqual(
        (yield* hooks.list).map(({ enabled, name, runs }) => `${name} ${enabled} ${runs}`),
        ["first true 4"]
      )
    }).pipe(Effect.provide(engineWith([testGateway("a")], [hook("first", 1)])))
  })

  it.effect("refuses a name twice, more than 32 of a kind however often it is asked, and what is no hook", () => {
    const hook = (name: string, options: object = {}) => ({ kind: "event_listener", name, run: () => Effect.void, ...options }) as Hook
    return Effect.gen(function* () {
      const hooks = yield* Hooks
      const refusal = (one: Hook) => Effect.map(Effect.flip(hooks.register(one)), ({ reason }) => reason._tag)
      for (let count = 0; count < 32; count++) yield* hooks.register(hook(`hook-${count}`))
      assert.strictEqual(yield* refusal(hook("hook-1")), "NameTaken")
      for (let count = 0; count < 1_000; count++) assert.strictEqual(yield* refusal(hook(`more-${count}`)), "Full")
      assert.lengthOf(yield* hooks.list, 32)
      const other = (options: object) => hook("other", { kind: "fraud_check", ...options })
      for (const wrong of [{ name: "Not A Name" }, { name: 7 }, { kind: "no_kind" }, { run: "no" }, { priority: Number.NaN }])
        assert.strictEqual(yield* refusal(other(wrong)), "Invalid", JSON.stringify(wrong))
      for (const timeoutMillis of [0, -1, Number.NaN, 2_001]) assert.strictEqual(yield* refusal(other({ timeoutMillis })), "Invalid")
      yield* hooks.register(other({ timeoutMillis: 2_000 }))
    }).pipe(Effect.provide(registryOf([])))
  })

  it.effect("closing it waits until its listeners have heard everything", () => {
    const heard: Array<string> = []
    const slow = (name: string, millis: number) =>
      listener(
        ({ event }) =>
          Effect.delay(
            Effect.sync(() => void heard.push(`${name} ${event._tag}`)),
            millis
          ),
        { name }
      )
    return Effect.gen(function* () {
      const hooks = [slow("fast", 1), slow("slow", 1_000)]
      const options = { hooks: { listenerConcurrency: 1 } }
      const closing = yield* Effect.forkChild(Effect.provide(charge(), engineWith([testGateway("a")], hooks, options)))
      yield* TestClock.adjust(3_999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      const events = ["PaymentInitiated", "PaymentScreened", "OperationIntended", "OperationSucceeded"]
      assert.deepStrictEqual(
        heard.toSorted(),
        [...events.map((event) => `fast ${event}`), ...events.map((event) => `slow ${event}`)].toSorted()
      )
    })
  })

  it.effect("closing it waits no longer than a listener may take, and says what was lost", () => {
    let ended = 0
    const hanging = listener(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void ended++)), { timeoutMillis: 2_000 })
    const stuck = listener(() => Effect.uninterruptible(Effect.never), { name: "stuck", timeoutMillis: 2_000 })
    const { kept, lines } = collecting()
    return Effect.gen(function* () {
      const options = { hooks: { listenerConcurrency: 1 } }
      const closing = yield* Effect.forkChild(Effect.provide(charge(), engineWith([testGateway("a")], [hanging, stuck], options)))
      yield* TestClock.adjust(1_999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(2_001)
      yield* Fiber.join(closing)
      assert.isAtLeast(ended, 1)
      const lost = lines.filter(({ message }) => message.includes("was not told of everything"))
      assert.deepStrictEqual(lost.map(({ annotations }) => String(annotations["hook"])).toSorted(), ["listener", "stuck"])
    }).pipe(kept)
  })

  it.effect("a line of a listener carries what the lines of whoever caused the event carry, also of an event that waited", () => {
    const { kept, lines } = collecting()
    const logging = listener(({ event }) => Effect.delay(Effect.logInfo(`heard ${event._tag}`), 100), {
      eventTypes: ["OperationSucceeded"]
    })
    const check: Hook = { kind: "fraud_check", name: "check", run: () => Effect.as(Effect.logInfo("checked"), { action: "allow" }) }
    return Effect.gen(function* () {
      const ids: Array<string> = []
      for (const under of ["k1", "k2", "k3"]) {
        const { payment } = yield* Effect.annotateLogs(charge(under), { correlationId: `of-${under}` })
        ids.push(payment.id)
      }
      yield* TestClock.adjust(1_000)
      const written = (message: string) =>
        lines.flatMap((line) => (line.message === message ? [[line.annotations["correlationId"], line.annotations["payment"]]] : []))
      const expected = ids.map((id, nth) => [`of-k${nth + 1}`, id])
      assert.deepStrictEqual(written("heard OperationSucceeded"), expected)
      assert.deepStrictEqual(written("checked"), expected)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [logging, check], { hooks: { listenerConcurrency: 1 } })), kept)
  })
})
