/**
 * The contract of the inbox of webhooks: what every layer that provides it has to pass.
 *
 * Each test begins with an inbox in which nothing waits and nothing is dead: what an earlier one left is finished first.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { type LeasedWebhook, WebhookInbox } from "../../src/services/notify/WebhookInbox.ts"
import * as Payments from "../support/payments.ts"

const minute = 60_000
let events = 0

const webhook = (overrides: { readonly eventId?: string; readonly body?: Uint8Array } = {}) => ({
  gateway: Payments.gateway,
  eventId: overrides.eventId ?? `ev_${++events}_${Payments.uuid()}`,
  body: overrides.body ?? new TextEncoder().encode(`{"event":${events}}`)
})

const store = (one: ReturnType<typeof webhook>) => Effect.flatMap(WebhookInbox, (inbox) => inbox.store(one))
const lease = (options: { readonly limit?: number; readonly ttlMillis?: number } = {}) =>
  Effect.flatMap(WebhookInbox, (inbox) => inbox.lease({ limit: options.limit ?? 100, ttlMillis: options.ttlMillis ?? minute }))
const done = (one: LeasedWebhook) => Effect.flatMap(WebhookInbox, (inbox) => inbox.done(one))
const bury = (one: LeasedWebhook, reason = "poison") => Effect.flatMap(WebhookInbox, (inbox) => inbox.bury(one, reason))
const summary = Effect.flatMap(WebhookInbox, (inbox) => inbox.summary)

const leaseOne = Effect.fnUntraced(function* (ttlMillis = minute) {
  const leased = yield* lease({ ttlMillis })
  assert.strictEqual(leased.length, 1)
  return leased[0]!
})

const idsOf = (leased: ReadonlyArray<LeasedWebhook>): Array<string> => leased.map(({ eventId }) => eventId).sort()

/** Proves a layer's inbox. `live`: with the real clock, for stores whose time is not the test clock. */
export const suite = (name: string, layer: Layer.Layer<WebhookInbox, unknown>, options: { readonly live?: boolean } = {}): void => {
  const elapse = (millis: number) => (options.live === true ? Effect.sleep(millis) : TestClock.adjust(millis))

  const empty = Effect.gen(function* () {
    const inbox = yield* WebhookInbox
    for (const dead of yield* inbox.deadLetters({ limit: 1000 })) yield* inbox.replay(dead)
    for (let rounds = 0; rounds < 200; rounds++) {
      for (const one of yield* lease()) yield* done(one)
      if ((yield* summary).waiting === 0) return
      yield* elapse(10)
    }
    return assert.fail("the inbox does not become empty")
  })

  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: WebhookInbox`, (it) => {
    it.effect("keeps what was received byte for byte, and hands it out with its time", () =>
      Effect.gen(function* () {
        yield* empty
        const body = Uint8Array.from({ length: 3000 }, (_, index) => index % 256)
        const one = webhook({ body })
        assert.strictEqual(yield* store(one), "stored")
        yield* elapse(5)
        const leased = yield* leaseOne()
        assert.deepStrictEqual([leased.gateway, leased.eventId, leased.attempts], [one.gateway, one.eventId, 1])
        assert.deepStrictEqual([...leased.body], [...body])
        assert.isAtLeast(leased.ageMillis, 5)
        assert.isTrue(yield* done(leased))
        assert.deepStrictEqual(yield* summary, { waiting: 0, oldestReceivedAt: undefined, dead: 0 })
      })
    )

    it.effect("a repeated event is a duplicate while it waits, while it is held and when it was processed", () =>
      Effect.gen(function* () {
        yield* empty
        const one = webhook()
        assert.strictEqual(yield* store(one), "stored")
        assert.strictEqual(yield* store({ ...one, body: new TextEncoder().encode("other") }), "duplicate")
        const leased = yield* leaseOne()
        assert.strictEqual(new TextDecoder().decode(leased.body), new TextDecoder().decode(one.body), "the first one stays")
        assert.strictEqual(yield* store(one), "duplicate")
        assert.deepStrictEqual(yield* lease(), [], "a repetition does not take it from its holder")
        assert.isTrue(yield* done(leased))
        assert.strictEqual(yield* store(one), "duplicate")
        assert.deepStrictEqual(yield* lease(), [])
      })
    )

    it.effect("one event stored many times at once is stored once", () =>
      Effect.gen(function* () {
        yield* empty
        const one = webhook()
        const answers = yield* Effect.all(
          Array.from({ length: 12 }, () => store(one)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(answers.filter((answer) => answer === "stored").length, 1)
        assert.strictEqual(answers.filter((answer) => answer === "duplicate").length, 11)
        assert.isTrue(yield* done(yield* leaseOne()))
      })
    )

    it.effect("the same event id of two gateways is two events", () =>
      Effect.gen(function* () {
        yield* empty
        const one = webhook()
        assert.strictEqual(yield* store(one), "stored")
        assert.strictEqual(yield* store({ ...one, gateway: Payments.newGateway() }), "stored")
        const both = yield* lease()
        assert.strictEqual(both.length, 2)
        for (const leased of both) assert.isTrue(yield* done(leased))
      })
    )

    it.effect("a holder that dies loses it: it is processed again, and the old holder's answers count for nothing", () =>
      Effect.gen(function* () {
        yield* empty
        yield* store(webhook())
        const old = yield* leaseOne(20)
        yield* elapse(60)
        const taken = yield* leaseOne()
        assert.strictEqual(taken.attempts, 2, "what kills its process is counted")
        assert.isTrue(taken.token > old.token)
        const inbox = yield* WebhookInbox
        assert.isFalse(yield* done(old))
        assert.isFalse(yield* bury(old))
        assert.isFalse(yield* inbox.retryLater(old, { delayMillis: 0, failed: true }))
        assert.isTrue(yield* done(taken))
        assert.isFalse(yield* done(taken), "an answered lease is over")
      })
    )

    it.effect("processes at once never hold one webhook together", () =>
      Effect.gen(function* () {
        yield* empty
        const all = Array.from({ length: 20 }, () => webhook())
        yield* Effect.forEach(all, store)
        const leased: Array<LeasedWebhook> = []
        for (let round = 0; round < 20 && leased.length < 20; round++) {
          const batches = yield* Effect.all(
            Array.from({ length: 4 }, () => lease({ limit: 3 })),
            { concurrency: "unbounded" }
          )
          assert.isTrue(batches.every((batch) => batch.length <= 3))
          leased.push(...batches.flat())
        }
        assert.deepStrictEqual(idsOf(leased), all.map(({ eventId }) => eventId).sort())
        for (const one of leased) assert.isTrue(yield* done(one))
      })
    )

    it.effect("one that failed waits its time and holds back nobody; one that had to wait for something has not failed", () =>
      Effect.gen(function* () {
        yield* empty
        const inbox = yield* WebhookInbox
        const first = webhook()
        yield* store(first)
        assert.isTrue(yield* inbox.retryLater(yield* leaseOne(), { delayMillis: 500, failed: true }))
        const second = webhook()
        yield* store(second)
        const meanwhile = yield* leaseOne()
        assert.strictEqual(meanwhile.eventId, second.eventId)
        assert.isTrue(yield* done(meanwhile))
        yield* elapse(600)
        const again = yield* leaseOne()
        assert.deepStrictEqual([again.eventId, again.attempts], [first.eventId, 2])
        assert.isTrue(yield* inbox.retryLater(again, { delayMillis: 0, failed: false }))
        const third = yield* leaseOne()
        assert.strictEqual(third.attempts, 2)
        assert.isTrue(yield* done(third))
      })
    )

    it.effect("a dead letter is leased to nobody until it is replayed or received again", () =>
      Effect.gen(function* () {
        yield* empty
        const inbox = yield* WebhookInbox
        const one = webhook()
        yield* store(one)
        assert.isTrue(yield* bury(yield* leaseOne(), "cannot be read"))
        assert.deepStrictEqual(yield* lease(), [])
        const dead = yield* inbox.deadLetters({ limit: 10 })
        assert.deepStrictEqual(
          dead.map(({ eventId, gateway, reason }) => ({ eventId, gateway, reason })),
          [{ eventId: one.eventId, gateway: one.gateway, reason: "cannot be read" }]
        )
        assert.isAtLeast(dead[0]!.diedAt, dead[0]!.receivedAt)
        assert.strictEqual((yield* summary).dead, 1)
        assert.isTrue(yield* inbox.replay(one))
        assert.isFalse(yield* inbox.replay(one), "it is not dead any more")
        const replayed = yield* leaseOne()
        assert.deepStrictEqual([replayed.eventId, replayed.attempts, replayed.receivedAt], [one.eventId, 1, dead[0]!.receivedAt])
        assert.isTrue(yield* bury(replayed))
        assert.strictEqual(yield* store(one), "duplicate")
        assert.isTrue(yield* done(yield* leaseOne()))
      })
    )

    it.effect("the purge forgets old finished ones, no more than asked for, and never one that waits", () =>
      Effect.gen(function* () {
        yield* empty
        const inbox = yield* WebhookInbox
        while ((yield* inbox.purge({ olderThanMillis: -1000, limit: 1000 })) > 0);
        const finished = [webhook(), webhook(), webhook()]
        yield* Effect.forEach(finished, store)
        for (const one of yield* lease()) yield* done(one)
        const waiting = webhook()
        yield* store(waiting)
        assert.strictEqual(yield* inbox.purge({ olderThanMillis: minute, limit: 10 }), 0, "not old enough")
        yield* elapse(30)
        assert.strictEqual(yield* inbox.purge({ olderThanMillis: 10, limit: 2 }), 2)
        assert.strictEqual(yield* inbox.purge({ olderThanMillis: 10, limit: 2 }), 1)
        assert.strictEqual(yield* inbox.purge({ olderThanMillis: 10, limit: 2 }), 0)
        assert.strictEqual(yield* store(finished[0]!), "stored", "what is forgotten is new")
        const left = yield* lease()
        assert.deepStrictEqual(idsOf(left), [finished[0]!.eventId, waiting.eventId].sort())
        for (const one of left) yield* done(one)
      })
    )
  })
}

/** Proves the bound of an inbox in which at most three webhooks may wait. */
export const boundSuite = (name: string, layer: Layer.Layer<WebhookInbox, unknown>, options: { readonly live?: boolean } = {}): void => {
  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: WebhookInbox of three`, (it) => {
    it.effect("refuses more than may wait, and takes one again when one is done", () =>
      Effect.gen(function* () {
        const known = webhook()
        assert.strictEqual(yield* store(known), "stored")
        assert.strictEqual(yield* store(webhook()), "stored")
        assert.strictEqual(yield* store(webhook()), "stored")
        const refused = webhook()
        assert.strictEqual(yield* store(refused), "full")
        assert.strictEqual(yield* store(known), "duplicate")
        assert.strictEqual((yield* summary).waiting, 3)
        assert.isTrue(yield* done((yield* lease({ limit: 1 }))[0]!))
        assert.strictEqual(yield* store(refused), "stored")
      })
    )
  })
}
