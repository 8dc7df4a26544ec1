/** The contract of webhooks: they prove their sender, and tell the same truth as the response, also before it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import assert from "node:assert/strict"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { GatewayWebhooks, LookupAnswer, WebhookRequest } from "../../services/Gateway.ts"
import { type Add, type Bench, eventually, isTagged, prepare, succeeded } from "./Bench.ts"

const webhooksOf = (on: Bench): { readonly webhooks: GatewayWebhooks; readonly sent: Effect.Effect<ReadonlyArray<WebhookRequest>> } => {
  const { webhooks } = on.gateway
  const sent = on.webhooks
  return webhooks === undefined || sent === undefined ? assert.fail("the gateway under test has no webhooks") : { webhooks, sent }
}

/** What the webhooks so far tell of an operation: their answers, and for a hint the look-up's. */
const toldOf = Effect.fnUntraced(function* (on: Bench, one: Intent) {
  const { sent, webhooks } = webhooksOf(on)
  const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const answers: Array<LookupAnswer> = []
  for (const request of yield* sent) {
    assert.deepEqual(webhooks.verify(request, now), { _tag: "Valid" })
    const { eventId, news } = webhooks.parse(request.body)
    assert.equal(webhooks.parse(request.body).eventId, eventId)
    if (news._tag === "Answer" && news.reference === one.requestKey) answers.push(news.answerFor(one))
    if (news._tag === "Hint" && news.reference === one.requestKey) answers.push(yield* on.lookup(one))
  }
  return answers
})

const isSuccess = (answers: ReadonlyArray<LookupAnswer>) => answers.some(({ _tag }) => _tag === "Succeeded")

export const webhooks = (add: Add): void => {
  for (const kind of ["sale", "authorize"] as const) {
    add(`${kind}: tells the same as the response`, { on: "charge", what: "success" }, (on) =>
      Effect.gen(function* () {
        const one = on.charge(kind)
        const reference = succeeded(yield* on.send(one))
        const told = yield* eventually(toldOf(on, one), isSuccess)
        for (const answer of told) if (answer._tag === "Succeeded") assert.equal(succeeded(answer), reference)
      })
    )
  }

  add("tells of a charge whose response never comes", { on: "charge", what: "timeout_after" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      isTagged(yield* on.sendInVain(one), "Unknown")
      yield* eventually(toldOf(on, one), isSuccess)
      yield* on.moved(one, "charge")
    })
  )

  add(
    "tells of a charge while its request is under way, and what it tells agrees with the response",
    { on: "charge", what: "slow" },
    (on) =>
      Effect.gen(function* () {
        const one = on.charge()
        const first = yield* Effect.forkChild(on.gateway.send({ payment: on.payment, intent: one }))
        const told = yield* eventually(toldOf(on, one), isSuccess)
        const reference = succeeded(yield* Fiber.join(first))
        for (const answer of told) if (answer._tag === "Succeeded") assert.equal(succeeded(answer), reference)
        yield* on.moved(one, "charge")
      })
  )

  add(
    "a webhook that comes twice, or after later ones, reads the same and never takes a success back",
    { on: "charge", what: "pending_success" },
    (on) =>
      Effect.gen(function* () {
        const { sent, webhooks: taken } = webhooksOf(on)
        const one = on.charge()
        isTagged(yield* on.send(one), "Pending")
        yield* eventually(toldOf(on, one), isSuccess)
        const requests = yield* sent
        const ids = requests.map(({ body }) => taken.parse(body).eventId)
        assert.deepEqual(
          requests.toReversed().map(({ body }) => taken.parse(body).eventId),
          ids.toReversed()
        )
        assert.equal(new Set(ids).size, ids.length, "every event has an id of its own")
        const told = yield* toldOf(on, one)
        assert.ok(told.every(({ _tag }) => _tag === "Succeeded" || _tag === "Pending" || _tag === "Unknown"))
        assert.ok(isSuccess(yield* toldOf(on, one)))
      })
  )

  add("tells of a refund", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const { operation } = yield* prepare(on, "refund", 1990n)
      const reference = succeeded(yield* on.send(operation), 1990n)
      const told = yield* eventually(toldOf(on, operation), isSuccess)
      for (const answer of told) if (answer._tag === "Succeeded") assert.equal(succeeded(answer, 1990n), reference)
    })
  )

  add("a body that was changed is not verified, nor one that is sent again later", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      succeeded(yield* on.send(on.charge()))
      const { sent, webhooks: taken } = webhooksOf(on)
      const requests = yield* eventually(sent, ({ length }) => length > 0)
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      for (const { body, headers } of requests) {
        assert.deepEqual(taken.verify({ body: new Uint8Array([...body, 32]), headers }, now), { _tag: "Invalid", reason: "wrong" })
        assert.deepEqual(taken.verify({ body, headers }, now + 3_600), { _tag: "Invalid", reason: "expired" })
        assert.deepEqual(taken.verify({ body, headers: {} }, now), { _tag: "Invalid", reason: "missing" })
      }
    })
  )
}
