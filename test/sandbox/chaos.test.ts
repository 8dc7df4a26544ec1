/**
 * Faults of a plan as the sandbox has them: what is answered, whether it was carried out, and the control endpoint. Without sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import type { ChaosPlan } from "../../src/domain/chaos/ChaosPlan.ts"
import type { Injection } from "../../src/domain/chaos/Injection.ts"
import type * as Reply from "../../src/sandbox/http/Reply.ts"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import { chargeCall, type Call } from "./client.ts"
import { planOf } from "../support/chaos.ts"

const sandboxWith = (options: Sandbox.SandboxOptions) =>
  Effect.map(Sandbox.make({ accounts: Sandbox.quietAccounts, seed: 1, control: true, ...options }), (handler) => {
    const send = ({ body, key, method, path }: Call) => {
      const [pathname = "", query = ""] = path.split("?")
      return handler.handle({
        method,
        path: pathname,
        query: new URLSearchParams(query),
        headers: {
          authorization: `Bearer sk_sandbox_${pathname.split("/")[1] ?? ""}`,
          ...(key === undefined ? {} : { "idempotency-key": key })
        },
        body: body === undefined ? "" : JSON.stringify(body)
      })
    }
    return {
      send,
      charged: (account: string) =>
        Effect.map(send({ method: "GET", path: `/${account}/ledger` }), (reply) => bodyOf(reply).data.length as number)
    }
  })

// What an answer holds is the test's business.
// oxlint-disable-next-line typescript/no-explicit-any
const bodyOf = (reply: Reply.Reply): any => (reply._tag === "Response" ? JSON.parse(reply.body) : undefined)

/** What was answered: a status, `garbage`, or that the connection was reset. */
const told = (reply: Reply.Reply): number | "garbage" | "reset" =>
  reply._tag === "Reset" ? "reset" : reply.contentType === "text/html" ? "garbage" : reply.status

const firstSale = (inject: Injection, gateway = "a"): ChaosPlan =>
  planOf([{ gateways: [gateway as never], operations: ["sale"], when: { type: "calls", calls: [1] }, inject }])

const afterMillis = <A, E, R>(effect: Effect.Effect<A, E, R>, millis: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(millis - 1)
    assert.isUndefined(fiber.pollUnsafe(), "not before")
    yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })

describe("a fault of a plan", () => {
  for (const [inject, answer, charges] of [
    [{ type: "network" }, "reset", 0],
    [{ type: "reset", executed: false }, "reset", 0],
    [{ type: "reset", executed: true }, "reset", 1],
    [{ type: "response_lost" }, "reset", 1],
    [{ type: "corrupt_response" }, "garbage", 1],
    [{ type: "server_error", status: 500, executed: false }, 500, 0],
    [{ type: "server_error", status: 500, executed: true }, 500, 1],
    [{ type: "server_error", status: 503, executed: true }, 503, 1],
    [{ type: "rate_limited" }, 429, 0],
    [{ type: "crash", executed: true }, "reset", 1],
    [{ type: "crash", executed: false }, "reset", 0]
  ] as const satisfies ReadonlyArray<readonly [Injection, number | string, number]>) {
    it.effect(`${JSON.stringify(inject)}: ${answer}, ${charges === 1 ? "carried out" : "not carried out"}`, () =>
      Effect.gen(function* () {
        const { charged, send } = yield* sandboxWith({ chaos: firstSale(inject) })
        const call = chargeCall()
        assert.strictEqual(told(yield* send(call)), answer)
        assert.strictEqual(yield* charged("a"), charges)
        // The key stores what the PSP did, not the fault in front of it.
        const again = yield* send(call)
        assert.strictEqual(told(again), 201)
        assert.strictEqual(yield* charged("a"), 1)
      })
    )
  }

  it.effect("takes its time: latency on either way, a held connection, and Retry-After in seconds", () =>
    Effect.gen(function* () {
      const delay = { type: "latency", minMillis: 2_000, maxMillis: 2_000 } as const
      const late = yield* sandboxWith({ chaos: firstSale({ ...delay, on: "request" }) })
      const lateCall = yield* Effect.forkChild(late.send(chargeCall()))
      yield* TestClock.adjust(1_999)
      assert.strictEqual(yield* late.charged("a"), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(told(yield* Fiber.join(lateCall)), 201)

      const slow = yield* sandboxWith({ chaos: firstSale(delay) })
      assert.strictEqual(told(yield* afterMillis(slow.send(chargeCall()), 2_000)), 201)

      const held = yield* sandboxWith({ chaos: firstSale({ type: "timeout", executed: true, hangMillis: 9_000 }), holdMillis: 5_000 })
      assert.strictEqual(told(yield* afterMillis(held.send(chargeCall()), 5_000)), "reset")
      assert.strictEqual(yield* held.charged("a"), 1)

      const limited = yield* sandboxWith({ chaos: firstSale({ type: "rate_limited", retryAfterMillis: 1_500 }) })
      const reply = yield* limited.send(chargeCall())
      assert.strictEqual(reply._tag === "Response" ? reply.headers["retry-after"] : undefined, "2")
    })
  )

  it.effect("strikes the account and the operation that it names, and nothing else", () =>
    Effect.gen(function* () {
      const { send } = yield* sandboxWith({ chaos: firstSale({ type: "network" }, "b") })
      assert.strictEqual(told(yield* send(chargeCall({ account: "a" }))), 201)
      assert.strictEqual(told(yield* send(chargeCall({ account: "b", capture: "manual" }))), 201, "an authorization is no sale")
      assert.strictEqual(told(yield* send({ method: "GET", path: "/b/v1/charges" })), 200)
      assert.strictEqual(told(yield* send(chargeCall({ account: "b" }))), "reset")
    })
  )
})

describe("/control/chaos", () => {
  const put = (body: unknown): Call => ({ method: "PUT", path: "/control/chaos", body })

  it.effect("starts, shows, repeats and ends a plan", () =>
    Effect.gen(function* () {
      const { send } = yield* sandboxWith({})
      assert.deepStrictEqual(bodyOf(yield* send({ method: "GET", path: "/control/chaos" })), { object: "chaos", running: false })
      const plan = firstSale({ type: "network" })
      assert.strictEqual(told(yield* send(put(plan))), 200)
      assert.strictEqual(told(yield* send(chargeCall())), "reset")
      const shown = bodyOf(yield* send({ method: "GET", path: "/control/chaos" }))
      assert.deepInclude(shown, { running: true, injections: 1, plan })
      assert.strictEqual(told(yield* send(put(shown.repetition))), 200)
      assert.strictEqual(told(yield* send(chargeCall())), "reset")
      yield* send({ method: "DELETE", path: "/control/chaos" })
      assert.strictEqual(told(yield* send(chargeCall())), 201)
      yield* send(put(plan))
      yield* send({ method: "POST", path: "/control/reset" })
      assert.isFalse(bodyOf(yield* send({ method: "GET", path: "/control/chaos" })).running)
    })
  )

  it.effect("refuses what is no plan of its accounts, and is not there without control", () =>
    Effect.gen(function* () {
      const { send } = yield* sandboxWith({})
      for (const [body, says] of [
        [{}, "seed"],
        [firstSale({ type: "network" }, "nobody"), 'names gateway "nobody"'],
        [planOf([{ target: "lock", when: { type: "random", rate: 1 }, inject: { type: "lock_busy" } }]), "faults of lock"]
      ] as const) {
        const reply = yield* send(put(body))
        assert.strictEqual(told(reply), 400)
        assert.include(bodyOf(reply).error.message, says)
      }
      const without = yield* sandboxWith({ control: false })
      for (const method of ["GET", "PUT", "DELETE"]) {
        assert.strictEqual(told(yield* without.send({ method, path: "/control/chaos", body: {} })), 404)
      }
      const wrong = yield* Effect.flip(sandboxWith({ chaos: firstSale({ type: "network" }, "nobody") }))
      assert.include(wrong.message, 'chaos: the plan names gateway "nobody"')
    })
  )
})
