/** The sandbox adapter's list, over real HTTP: every charge and refund once, and no half list. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import { eur, intent, newPaymentId } from "../support/payments.ts"
import { httpAnswer, rawServer } from "./rawServer.ts"
import { accountOf, gatewayOf, started } from "./sandboxGateways.ts"

const live = <E>(title: string, body: () => Effect.Effect<unknown, E, Scope.Scope>) =>
  it.live(title, () => Effect.asVoid(Effect.scoped(Effect.suspend(body))))

const everything = { from: 0, to: 4_102_444_800_000 }
const listed = (gateway: Gateway, range = everything) => Effect.map(Stream.runCollect(gateway.list!(range)), (records) => [...records])

const charge = Effect.fnUntraced(function* (gateway: Gateway, token: string, kind: Intent["kind"] = "sale") {
  const payment = newPaymentId()
  const sent: Intent = { ...intent({ payment, kind, amount: eur(4990n) }), details: { customerPresent: true, token: Token.make(token) } }
  const outcome = yield* gateway.send({ payment, intent: sent })
  return { payment, sent, outcome }
})

describe("the list of a sandbox account", () => {
  live("has every charge and refund once, with our reference, the amounts and the state", () =>
    Effect.gen(function* () {
      const { url } = yield* started()
      const gateway = yield* gatewayOf(accountOf(url, "b"))
      const paid = yield* charge(gateway, "tok_success")
      yield* charge(gateway, "tok_declined_hard")
      yield* charge(gateway, "tok_3ds")
      yield* charge(gateway, "tok_success", "authorize")
      assert.strictEqual(paid.outcome._tag, "Succeeded")
      const targetReference = "gatewayReference" in paid.outcome ? paid.outcome.gatewayReference : assert.fail("no id")
      const refund = intent({ payment: paid.payment, number: 2, kind: "refund", purpose: "refund", amount: eur(1000n), target: 1 })
      yield* gateway.send({ payment: paid.payment, intent: { ...refund, details: { customerPresent: true, targetReference } } })
      const records = yield* listed(gateway)
      assert.deepStrictEqual(
        records.map(({ answer, kind }) => [kind, answer._tag]),
        [
          ["charge", "Succeeded"],
          ["charge", "Declined"],
          ["charge", "RequiresAction"],
          ["charge", "Succeeded"],
          ["refund", "Succeeded"]
        ]
      )
      assert.deepInclude<object>(records[0]!, {
        reference: paid.sent.requestKey,
        gatewayReference: targetReference,
        totals: { authorized: 4990n, captured: 4990n, refunded: 1000n }
      })
      assert.deepStrictEqual(records[3]!.totals, { authorized: 4990n, captured: 0n, refunded: 0n })
      assert.deepInclude<object>(records[4]!.answer, { amount: eur(1000n) })
      const { createdAt } = records[0]!
      assert.isEmpty(yield* listed(gateway, { from: 0, to: createdAt }))
      assert.isNotEmpty(yield* listed(gateway, { from: createdAt, to: createdAt + 1 }))
    })
  )

  live("goes over as many pages as there are", () =>
    Effect.gen(function* () {
      const { url } = yield* started()
      const gateway = yield* gatewayOf(accountOf(url, "a", {}))
      const sent = yield* Effect.forEach(
        Array.from({ length: 230 }, (_, index) => index),
        () => charge(gateway, "tok_success"),
        { concurrency: 20 }
      )
      const references = (yield* listed(gateway)).map(({ reference }) => reference)
      assert.deepStrictEqual(references.toSorted(), sent.map((one) => one.sent.requestKey as string).toSorted())
    })
  )

  for (const [what, status, body] of [
    ["an outage", 503, "{}"],
    ["a page that cannot be read", 200, "<html>"],
    ["a page that says there is more, but not where", 200, `{"data":[],"has_more":true}`]
  ] as const) {
    live(`${what}: the list fails, and does not end`, () =>
      Effect.gen(function* () {
        const server = yield* rawServer(({ socket }) => void socket.end(httpAnswer(status, body)))
        const gateway = yield* gatewayOf(accountOf(`http://127.0.0.1:${server.port}`, "a"))
        const error = yield* Effect.flip(listed(gateway))
        assert.strictEqual(error._tag, "GatewayListFailed")
      })
    )
  }
})
