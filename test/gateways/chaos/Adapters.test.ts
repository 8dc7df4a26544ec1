/**
 * Whatever an adapter is made of, faults leave the rest of it as it was.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ChaosGateway from "../../../src/gateways/chaos/ChaosGateway.ts"
import * as FailingGateway from "../../../src/gateways/FailingGateway.ts"
import * as ChaosControl from "../../../src/orchestration/chaos/ChaosControl.ts"
import type { Gateway, GatewayRequest, LookupRequest } from "../../../src/services/Gateway.ts"
import { planOf } from "../../support/chaos.ts"
import { testGateway } from "../../support/TestEngine.ts"

/** An adapter of a class: its methods are inherited, need their `this`, and act as soon as they are called. */
class Adapter implements Gateway {
  readonly #inner = testGateway("psp")
  calls: Array<string> = []
  get name() {
    return this.#inner.name
  }
  get account() {
    return this.#inner.account
  }
  get adapterVersion() {
    return this.#inner.adapterVersion
  }
  get apiVersion() {
    return this.#inner.apiVersion
  }
  get capabilities() {
    return this.#inner.capabilities
  }
  send(request: GatewayRequest) {
    this.calls.push("send")
    return this.#inner.send(request)
  }
  lookup(request: LookupRequest) {
    this.calls.push("lookup")
    return this.#inner.lookup(request)
  }
  list() {
    this.calls.push("list")
    return Stream.empty
  }
}

describe("an adapter that is an object of a class", () => {
  it.effect("keeps what it inherits, with its `this`", () =>
    Effect.gen(function* () {
      const adapter = new Adapter()
      const faulty: Gateway = ChaosGateway.make<Gateway>(adapter, yield* ChaosControl.make())
      assert.strictEqual(faulty.name, adapter.name)
      assert.strictEqual(faulty.account, adapter.account)
      assert.strictEqual(faulty.capabilities, adapter.capabilities)
      assert.isDefined(faulty.list)
      if (faulty.list !== undefined) yield* Stream.runDrain(faulty.list({ from: 0, to: 1 }))
      assert.deepStrictEqual(adapter.calls, ["list"])
    })
  )

  it.effect("is not called at all where nothing is sent", () =>
    Effect.gen(function* () {
      const adapter = new Adapter()
      const plan = planOf([{ when: { type: "random", rate: 1 }, inject: { type: "network" } }])
      const faulty = ChaosGateway.make<Gateway>(adapter, yield* ChaosControl.make({ plan }))
      const outcome = yield* faulty.send({ intent: { kind: "sale" } } as GatewayRequest)
      assert.strictEqual(outcome._tag, "NotSent")
      yield* faulty.lookup({} as LookupRequest)
      assert.deepStrictEqual(adapter.calls, [])
    })
  )

  it.effect("keeps what it inherits with failures for tests too, and is not called where nothing is sent", () =>
    Effect.gen(function* () {
      const adapter = new Adapter()
      const faulty: Gateway = FailingGateway.make<Gateway>(adapter, { network: 1, timeout: 0, partial: 0, crash: 0 })
      assert.strictEqual(faulty.name, adapter.name)
      assert.strictEqual(faulty.account, adapter.account)
      assert.strictEqual(faulty.capabilities, adapter.capabilities)
      assert.strictEqual((yield* faulty.send({ intent: { kind: "sale" } } as GatewayRequest))._tag, "NotSent")
      assert.deepStrictEqual(adapter.calls, [])
      if (faulty.list !== undefined) yield* Stream.runDrain(faulty.list({ from: 0, to: 1 }))
      assert.deepStrictEqual(adapter.calls, ["list"])
    })
  )
})
