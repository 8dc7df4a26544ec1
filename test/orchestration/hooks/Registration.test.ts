/**
 * What a registry takes in, what it makes of changes afterwards, and what becomes of runs when a hook goes or the registry closes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { initial } from "../../../src/domain/payment/State.ts"
import { fold } from "../../../src/layers/postgres/payment/CommitStatement.ts"
import * as Listening from "../../../src/orchestration/hooks/Listening.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { ActiveHooks } from "../../../src/orchestration/hooks/Registry.ts"
import { type EventListener, type Hook, Hooks } from "../../../src/services/hooks/Hooks.ts"
import { engineWith, registryOf } from "../../support/hooks.ts"
import { collecting } from "../../support/logs.ts"
import * as Commits from "../../support/payments.ts"
import { chargeRequest, engineOver, memory, testGateway } from "../../support/TestEngine.ts"

const charge = (under = "k1") => Payments.use((payments) => payments.charge(chargeRequest(under)))

const run = () => Effect.void

describe("a registration that is malformed is refused, and says what is wrong", () => {
  const malformed: ReadonlyArray<readonly [what: string, hook: unknown, says: string]> = [
    ["nothing", undefined, "no object"],
    ["null", null, "no object"],
    ["a text", "audit", "no object"],
    ["no name", { kind: "event_listener", run }, "a name has"],
    ["a name that is no text", { kind: "event_listener", name: Symbol("x"), run }, "a name has"],
    ["a kind that every object inherits", { kind: "constructor", name: "x", run }, "no kind"],
    ["a kind that is none", { kind: 5, name: "x", run }, "no kind"],
    ["no run", { kind: "event_listener", name: "x" }, "no run"],
    ["a run that is no function", { kind: "event_listener", name: "x", run: {} }, "no run"],
    ["a priority that is a text", { kind: "event_listener", name: "x", run, priority: "1" }, "priority"],
    ["a priority that is no number", { kind: "event_listener", name: "x", run, priority: Number.NaN }, "priority"],
    ["a time limit that is a text", { kind: "event_listener", name: "x", run, timeoutMillis: "5" }, "time limit"],
    ["enabled that is a text", { kind: "event_listener", name: "x", run, enabled: "no" }, "enabled"],
    ["types of events that are a number", { kind: "event_listener", name: "x", run, eventTypes: 5 }, "eventTypes"],
    ["types of events that are a set", { kind: "event_listener", name: "x", run, eventTypes: new Set(["PaymentFailed"]) }, "eventTypes"],
    ["a type of event that is none", { kind: "event_listener", name: "x", run, eventTypes: ["PaymentFailed", "Paid"] }, "eventTypes"],
    ["a misspelt onFailure of a check", { kind: "fraud_check", name: "x", run, onFailure: "blok" }, "onFailure"],
    ["the onFailure of a check at a validation", { kind: "pre_validation", name: "x", run, onFailure: "block" }, "onFailure"]
  ]
  for (const [what, hook, says] of malformed) {
    it.effect(what, () =>
      Effect.gen(function* () {
        const hooks = yield* Hooks
        const refused = yield* Effect.flip(hooks.register(hook as Hook))
        assert.strictEqual(refused.reason._tag, "Invalid")
        assert.include(refused.message, says)
        assert.deepStrictEqual(yield* hooks.list, [])
      }).pipe(Effect.provide(registryOf([])))
    )
  }
})

describe("a hook that is registered", () => {
  it.effect("is a copy: what its owner does with the object later reaches nobody", () => {
    const heard: Array<string> = []
    const hook = {
      kind: "event_listener" as const,
      name: "l",
      eventTypes: ["PaymentInitiated"] as Array<"PaymentInitiated">,
      run: ({ event }: { readonly event: { readonly _tag: string } }) => Effect.sync(() => void heard.push(event._tag))
    }
    return Effect.gen(function* () {
      Object.assign(hook, { kind: "nonsense", run: () => Effect.die("another"), name: "another", eventTypes: 5 })
      const hooks = yield* Hooks
      assert.isTrue(yield* hooks.setEnabled("l", true))
      yield* hooks.register({ kind: "fraud_check", name: "f", run: () => Effect.succeed({ action: "allow" }) })
      assert.strictEqual((yield* charge()).payment.status, "succeeded")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(heard, ["PaymentInitiated"])
    }).pipe(Effect.provide(engineWith([testGateway("a")], [hook])))
  })

  it.effect("is called on the object of its owner", () => {
    class Check {
      readonly kind = "fraud_check"
      readonly name = "of-a-class"
      asked = 0
      run() {
        this.asked++
        return Effect.succeed({ action: "allow" as const })
      }
    }
    const check = new Check()
    return Effect.gen(function* () {
      assert.strictEqual((yield* charge()).payment.status, "succeeded")
      assert.strictEqual(check.asked, 1)
    }).pipe(Effect.provide(engineWith([testGateway("a")], [check])))
  })

  it.effect("a listener that cannot be told is reported, and keeps nobody else from being told", () => {
    const heard: Array<string> = []
    const listener = (name: string): EventListener => ({
      kind: "event_listener",
      name,
      run: () => Effect.sync(() => void heard.push(name))
    })
    return Effect.gen(function* () {
      const registry = yield* ActiveHooks
      if (!Listening.hasListeners(registry)) return assert.fail("there are listeners")
      const [first, broken, last] = registry.lists.event_listener
      if (first === undefined || broken === undefined || last === undefined) return assert.fail("there are three")
      // What no registration gets past: the queue of one is out of order.
      Object.defineProperty(broken, "waiting", { value: undefined })
      const commit = Commits.firstCommit()
      const after = fold(commit, 1_000)
      for (let round = 0; round < 20; round++)
        yield* Listening.publish(registry, { before: initial(after.id), after, events: commit.events }, () => Effect.void)
      yield* TestClock.adjust(1)
      const told = 20 * commit.events.length
      assert.deepStrictEqual([heard.filter((name) => name === "a").length, heard.filter((name) => name === "c").length], [told, told])
      Object.defineProperty(broken, "waiting", { value: [] })
      assert.deepStrictEqual([first.working, broken.working, last.working], [0, 0, 0])
      assert.deepStrictEqual([first.failures.defect, broken.failures.defect, last.failures.defect], [0, 20, 0])
    }).pipe(Effect.provide(registryOf([listener("a"), listener("b"), listener("c")])), collecting().kept)
  })
})

describe("a run that is under way", () => {
  const slow = (kind: "pre_validation" | "fraud_check" | "enrichment"): Hook => {
    const answer = { pre_validation: { _tag: "Accepted" }, fraud_check: { action: "allow" }, enrichment: {} }[kind]
    return {
      kind,
      name: "slow",
      onFailure: kind === "fraud_check" ? "block" : "refuse",
      run: () => Effect.delay(Effect.succeed(answer), 300)
    } as Hook
  }

  for (const kind of ["pre_validation", "fraud_check", "enrichment"] as const) {
    it.effect(`${kind}: is not ended by unregistering: the payment keeps the hooks that it began with`, () =>
      Effect.gen(function* () {
        const hooks = yield* Hooks
        const { unregister } = yield* hooks.register(slow(kind))
        const charging = yield* Effect.forkChild(charge(), { startImmediately: true })
        yield* TestClock.adjust(100)
        yield* unregister
        assert.deepStrictEqual(yield* hooks.list, [])
        yield* TestClock.adjust(300)
        const { payment } = yield* Fiber.join(charging)
        assert.strictEqual(payment.status, "succeeded")
        assert.deepStrictEqual(yield* hooks.reports, [])
      }).pipe(Effect.provide(engineWith([testGateway("a")], [])))
    )
  }

  it.effect("of a listener is ended by unregistering, and that is what is reported", () => {
    let ended = false
    const hook: Hook = {
      kind: "event_listener",
      name: "l",
      run: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (ended = true)))
    }
    return Effect.gen(function* () {
      const { unregister } = yield* (yield* Hooks).register(hook)
      yield* charge()
      yield* TestClock.adjust(1)
      yield* unregister
      yield* TestClock.adjust(1)
      assert.isTrue(ended)
      assert.strictEqual((yield* (yield* Hooks).reports)[0]?.failure, "closed")
    }).pipe(Effect.provide(engineWith([testGateway("a")], [])), collecting().kept)
  })

  it.effect("of a check is not ended when the registry closes: the payment is not blocked by that", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const registry = yield* Layer.buildWithScope(registryOf([]), scope)
      yield* Effect.gen(function* () {
        yield* (yield* Hooks).register(slow("fraud_check"))
        const charging = yield* Effect.forkChild(charge(), { startImmediately: true })
        yield* TestClock.adjust(100)
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust(300)
        assert.strictEqual((yield* Fiber.join(charging)).payment.status, "succeeded")
      }).pipe(
        Effect.provide(engineOver([testGateway("a")]).pipe(Layer.provideMerge(Layer.succeedContext(registry)), Layer.provideMerge(memory)))
      )
    })
  )
})
