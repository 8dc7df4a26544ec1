/**
 * Lines of the log about a payment: each names the payment, the gateway where one has to do with it, and what they belong to.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { requestKeyOf } from "../../../src/domain/payment/Ids.ts"
import * as RecoveryLoop from "../../../src/edges/cli/runtime/RecoveryLoop.ts"
import * as Relay from "../../../src/orchestration/notify/Relay.ts"
import * as WebhookProcessing from "../../../src/orchestration/notify/WebhookProcessing.ts"
import * as EngineApi from "../../../src/orchestration/payment/Payments.ts"
import { type Delivery, Notifier } from "../../../src/services/notify/Notifier.ts"
import { defaults } from "../../../src/services/Settings.ts"
import { engine } from "../../edges/http/TestApi.ts"
import * as FlakyEventStore from "../../support/FlakyEventStore.ts"
import * as Logs from "../../support/logs.ts"
import * as Payments from "../../support/payments.ts"
import { chargeRequest, engineOver, memory, pending, testGateway, unknown } from "../../support/TestEngine.ts"
import { arrives, type Script, scripted, withWebhooks } from "../../support/webhooks.ts"

const charge = Effect.flatMap(EngineApi.Payments, (payments) => payments.charge(chargeRequest("k")))

describe("a line about a payment", () => {
  it.effect("in the background of a request belongs to the request, and names payment and gateway", () => {
    const { kept, lines } = Logs.collecting()
    const flaky = FlakyEventStore.script()
    flaky.onCommit = (_, nth) => Effect.succeed(nth === 2 ? "before" : undefined)
    const layer = engineOver([testGateway("a")]).pipe(Layer.provideMerge(FlakyEventStore.layer(flaky)), Layer.provideMerge(memory))
    return Effect.gen(function* () {
      const charging = yield* Effect.forkChild(Effect.annotateLogs(charge, { correlationId: "order-7" }))
      yield* TestClock.adjust("10 seconds")
      const { payment } = yield* Fiber.join(charging)
      assert.strictEqual(payment.status, "succeeded")
      assert.deepStrictEqual(lines, [
        {
          level: "WARN",
          message: "the outcome cannot be stored, trying again: EventStore.commit: Unavailable: scripted",
          annotations: { correlationId: "order-7", payment: payment.id, gateway: "a" }
        }
      ])
    }).pipe(Effect.provide(layer), kept)
  })

  it.effect("of recovery belongs to its round", () => {
    const { kept, lines } = Logs.collecting()
    const a = testGateway("a", { send: () => Effect.succeed(unknown), lookup: () => Effect.die(new Error("broken look-up")) })
    const recovery = { onStart: true, intervalMillis: 30_000, concurrency: 1 }
    return Effect.gen(function* () {
      const { payment } = yield* charge
      yield* TestClock.adjust("5 minutes")
      yield* RecoveryLoop.start({ engine: defaults, recovery })
      yield* TestClock.adjust("1 second")
      const [failed, summary] = lines
      assert.strictEqual(failed?.level, "ERROR")
      assert.match(failed?.message ?? "", /^recovery of operation 1 failed .*broken look-up/)
      assert.match(String(failed?.annotations["correlationId"]), /^recovery-[0-9a-f]{8}$/)
      assert.include(failed?.annotations, { payment: payment.id, gateway: "a" })
      assert.strictEqual(summary?.annotations["correlationId"], failed?.annotations["correlationId"])
    }).pipe(Effect.provide(engine([a])), kept)
  })

  it.effect("of a webhook belongs to the webhook, from its receipt to what follows from it", () => {
    const { kept, lines } = Logs.collecting()
    const script: Script = new Map()
    const a = withWebhooks(testGateway("a", { send: () => Effect.succeed(pending) }), scripted(script, "news"))
    return Effect.gen(function* () {
      const { payment } = yield* charge
      const reference = requestKeyOf({ payment: payment.id, operation: Payments.operationNumber(9) })
      script.set("evt-1", { occurredAt: undefined, news: { _tag: "Hint", reference } })
      yield* arrives("a", "evt-1")
      yield* WebhookProcessing.runOnce({ unknownMaxAgeMillis: 0 })
      assert.deepStrictEqual(lines, [
        {
          level: "ERROR",
          message: "the webhook is given up: its payment is not known",
          annotations: { correlationId: "webhook-evt-1", gateway: "a", webhook: "evt-1", payment: payment.id }
        }
      ])
    }).pipe(Effect.provide(engine([a])), kept)
  })

  it.effect("of the relay belongs to the lease it was delivered under", () => {
    const { kept, lines } = Logs.collecting()
    const refusing = Notifier.of({
      endpointOf: () => "endpoint",
      deliver: () => Effect.succeed<Delivery>({ _tag: "Rejected", reason: "gone" })
    })
    return Effect.gen(function* () {
      const { payment } = yield* charge
      const relay = yield* Relay.make()
      yield* relay.runOnce
      assert.strictEqual(lines[0]?.message, "notifications are given up after 1 attempts: gone")
      assert.match(String(lines[0]?.annotations["correlationId"]), /^relay-\d+$/)
      assert.include(lines[0]?.annotations, { payment: payment.id, merchant: "m1" })
    }).pipe(Effect.provide(engine([testGateway("a")])), Effect.provideService(Notifier, refusing), kept)
  })
})
