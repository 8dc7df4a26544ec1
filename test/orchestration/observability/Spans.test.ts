/**
 * The spans of a payment: which there are with a tracer, what they hold, and that there are none without one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { chargeRequest, declined, engine, key, tenant, testGateway } from "../../support/TestEngine.ts"

/** A tracer that keeps every span. */
const collecting = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}

/** The spans as lines, children below their parents and further in. */
const treeOf = (spans: ReadonlyArray<Tracer.NativeSpan>): ReadonlyArray<string> => {
  const below = (parent: string | undefined, depth: number): ReadonlyArray<string> =>
    spans
      .filter((span) => Option.getOrUndefined(span.parent)?.spanId === parent)
      .flatMap((span) => [
        `${"  ".repeat(depth)}${span.name}${span.attributes.has("gateway") ? ` at ${String(span.attributes.get("gateway"))}` : ""}`,
        ...below(span.spanId, depth + 1)
      ])
  return below(undefined, 0)
}

const failing = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })

describe("spans", () => {
  it.effect("a charge that fails over: each operation with its call and its commit, below the command", () => {
    const { spans, tracer } = collecting()
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* Effect.withTracer(payments.charge(chargeRequest("k")), tracer)
      assert.strictEqual(payment.status, "succeeded")
      assert.deepStrictEqual(treeOf(spans), [
        "Charge.charge",
        "  EventStore.commit",
        "  Operation.sale at a",
        "    GatewayCall.call at a",
        "    EventStore.commit",
        "  Operation.sale at b",
        "    GatewayCall.call at b",
        "    EventStore.commit"
      ])
      assert.isTrue(spans.every(({ status }) => status._tag === "Ended" && Exit.isSuccess(status.exit)))
      const operation = spans.find(({ name }) => name === "Operation.sale")
      assert.deepStrictEqual(Object.fromEntries(operation?.attributes ?? []), {
        payment: payment.id,
        gateway: "a",
        kind: "sale",
        operation: 1,
        source: "response"
      })
      assert.strictEqual(spans.find(({ name }) => name === "GatewayCall.call")?.kind, "client")
    }).pipe(Effect.provide(engine([failing, testGateway("b")])))
  })

  it.effect("a command on a payment: its operation is below it", () => {
    const { spans, tracer } = collecting()
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
      yield* Effect.withTracer(payments.capture({ tenant, key: key("c"), id: payment.id }), tracer)
      assert.deepStrictEqual(treeOf(spans), [
        "Modify.capture",
        "  EventStore.commit",
        "  Operation.capture at b",
        "    GatewayCall.call at b",
        "    EventStore.commit"
      ])
    }).pipe(Effect.provide(engine([testGateway("b")])))
  })

  it.effect("attributes are ids, names and counts of the engine: nothing of the customer or the card, no amount", () => {
    const { spans, tracer } = collecting()
    const request = chargeRequest("hidden-key", {
      method: { type: "card", token: Token.make("tok_hidden") },
      customer: { id: "hidden-customer", email: "hidden@x.example" },
      metadata: { hidden: "hidden" }
    })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      yield* Effect.withTracer(payments.charge(request), tracer)
      const attributes = spans.flatMap((span) => [...span.attributes])
      assert.deepStrictEqual([...new Set(attributes.map(([name]) => name))].sort(), [
        "events",
        "gateway",
        "kind",
        "merchant",
        "operation",
        "payment",
        "source"
      ])
      // The digits of the amount may be in an id.
      assert.notMatch(JSON.stringify(attributes), /hidden|(?<![0-9a-f])4990(?![0-9a-f])/)
    }).pipe(Effect.provide(engine([testGateway("a")])))
  })

  it.effect("without a tracer none is made", () => {
    const { nativeTracer } = Tracer
    const made: Array<string> = []
    const original = Object.getOwnPropertyDescriptor(nativeTracer, "span")
    const span: Tracer.Tracer["span"] = (options) => {
      made.push(options.name)
      return new Tracer.NativeSpan(options)
    }
    const watched = Effect.acquireRelease(
      Effect.sync(() => Object.defineProperty(nativeTracer, "span", { ...original, value: span })),
      () => Effect.sync(() => Object.defineProperty(nativeTracer, "span", original ?? {}))
    )
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      yield* watched
      yield* Effect.withSpan(Effect.void, "seen")
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k", { captureMethod: "manual" })))
      yield* TestClock.adjust("1 minute")
      const { payment } = yield* Fiber.join(charging)
      yield* payments.capture({ tenant, key: key("c"), id: payment.id })
      yield* payments.get({ id: payment.id, tenant })
      assert.deepStrictEqual(made, ["seen"])
    }).pipe(Effect.provide(engine([failing, testGateway("b")])))
  })
})
