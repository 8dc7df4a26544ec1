/**
 * What an experiment sees of a running server: its breakers in the metrics, faults by their counts, and what has to hold of its payments.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ChaosPlan, maxPlanMillis } from "../../../../src/domain/chaos/ChaosPlan.ts"
import * as Recorder from "../../../../src/domain/chaos/experiment/Recorder.ts"
import { Experiment } from "../../../../src/domain/chaos/experiment/Experiment.ts"
import { GatewayName } from "../../../../src/domain/payment/Ids.ts"
import * as Books from "../../../../src/edges/cli/commands/chaos/remote/Books.ts"
import type { Client, Payment } from "../../../../src/edges/cli/commands/chaos/remote/Client.ts"
import { bounded, run } from "../../../../src/edges/cli/commands/chaos/remote/Remote.ts"
import * as Watch from "../../../../src/edges/cli/commands/chaos/remote/Watch.ts"

const a = GatewayName.make("sandbox-a")

const metrics = (state: number) => `# HELP aegispay_breaker_state 0 closed
aegispay_breaker_state{unit="state",breaker="sandbox-a.sale"} ${state}
aegispay_breaker_state{breaker="exchange-rates"} 2
aegispay_breaker_state{breaker="sandbox-a.refund"} 9
aegispay_breaker_health{breaker="sandbox-a.sale"} 1
`

describe("the plan of a running server", () => {
  it("ends by itself with the time of the faults, whatever becomes of who started it", () => {
    const chaos = Schema.decodeUnknownSync(ChaosPlan)({
      seed: 1,
      rules: [{}, { fromMillis: 5_000 }, { untilMillis: 9_000 }, { untilMillis: 90_000 }, { fromMillis: 60_000 }].map((times) => ({
        ...times,
        target: "gateway",
        when: { type: "random", rate: 1 },
        inject: { type: "network" }
      }))
    })
    const { rules } = bounded({ chaos, durationMillis: 60_000 })
    assert.deepStrictEqual(
      rules.map(({ untilMillis }) => untilMillis),
      [60_000, 60_000, 9_000, 60_000, maxPlanMillis]
    )
    assert.strictEqual(rules[4]?.fromMillis, maxPlanMillis - 1)
    assert.isTrue(Schema.is(ChaosPlan)({ ...chaos, rules }))
  })
})

describe("an experiment against a running server", () => {
  const experiment = Schema.decodeUnknownSync(Experiment)({
    name: "elsewhere",
    durationMillis: 1_000,
    gateways: [{ name: "nobody" }],
    steadyState: { beforeMillis: 60_000, criteria: {} },
    chaos: {
      seed: 1,
      rules: [{ target: "gateway", gateways: ["nobody"], when: { type: "random", rate: 1 }, inject: { type: "network" } }]
    }
  })
  const never = Effect.die("nothing is to be sent")

  it.effect("names no gateway that the server does not have, before anything is sent, also where the key may not read metrics", () =>
    Effect.gen(function* () {
      const client: Client = {
        port: () => ({ charge: () => never, followUp: () => never }),
        payment: () => never,
        status: Effect.succeed({ running: false, counts: [], gateways: [a, GatewayName.make("sandbox-b")] }),
        start: () => never,
        extend: () => never,
        stop: () => never,
        metrics: Effect.undefined
      }
      const options = { client, ledger: undefined, settle: Duration.zero, onProgress: () => Effect.void }
      const refused = yield* Effect.flip(run(experiment, options))
      assert.include(refused.message, 'the plan names the gateway "nobody"; those of the server are sandbox-a, sandbox-b')
    })
  )
})

describe("a running server", () => {
  it("tells its gateways and the states of their breakers by its metrics", () => {
    const breakers = Watch.breakersOf(metrics(1))
    assert.deepStrictEqual(
      [...breakers],
      [
        ["sandbox-a.sale", "half-open"],
        ["exchange-rates", "open"]
      ]
    )
    assert.deepStrictEqual(Watch.gatewaysOf(breakers), [a])
  })

  it("is seen to change where two looks differ, and each fault counts once", () => {
    const recorder = Recorder.make({ loadMillis: 10_000, gateways: [a] })
    const watch = Watch.make(recorder)
    for (const [at, state] of [
      [0, 0],
      [1_000, 2],
      [2_000, 2],
      [3_000, 0]
    ] as const) {
      watch.sawBreakers(Watch.breakersOf(metrics(state)), at)
    }
    assert.deepStrictEqual(
      recorder.breakers.map(({ at, from, to }) => [at, from, to]),
      [
        [1_000, "closed", "open"],
        [3_000, "open", "closed"]
      ]
    )
    const status = (count: number) => ({ running: true, counts: [{ type: "network", target: "gateway", gateway: a, count }] })
    for (const [at, count] of [
      [0, 2],
      [1_000, 2],
      [2_000, 5]
    ] as const) {
      watch.sawInjections(status(count), at)
    }
    assert.strictEqual(recorder.injected, 5)
    assert.deepStrictEqual([...(recorder.calls.get(a)?.injections ?? [])], [["network", 5]])
  })

  it("does not count the faults of a plan that had ended before", () => {
    const recorder = Recorder.make({ loadMillis: 10_000, gateways: [a] })
    const watch = Watch.make(recorder, "2026-11-21T10:00:00.000Z")
    const status = (startedAt: string, count: number) => ({
      running: false,
      startedAt,
      counts: [{ type: "network", target: "gateway", gateway: a, count }]
    })
    watch.sawInjections(status("2026-11-21T10:00:00.000Z", 3), 0)
    assert.strictEqual(recorder.injected, 0)
    watch.sawInjections(status("2026-11-21T11:00:00.000Z", 2), 1_000)
    assert.strictEqual(recorder.injected, 2)
  })
})

const payment = (id: string, more: Partial<Payment> = {}): Payment => ({
  id,
  status: "succeeded",
  version: 3,
  amountAuthorized: 100,
  amountCaptured: 100,
  amountRefunded: 0,
  operations: [],
  ...more
})

const line = (payment: string, account: string) => ({
  account,
  at: 1,
  kind: "charge" as const,
  charge_id: `ch_${account}`,
  reference: payment,
  payment,
  amount: 100
})

const charge = (payment: string, account: string) => ({
  account,
  id: `ch_${account}`,
  status: "succeeded",
  reference: payment,
  payment,
  amount: 100,
  amount_authorized: 100,
  amount_captured: 100,
  amount_refunded: 0,
  created: 1
})

const seen = (more: Partial<Books.Seen> = {}): Books.Seen => ({
  shown: [{ key: "k1", payment: payment("p1") }],
  now: new Map([["p1", payment("p1")]]),
  unsettled: 0,
  books: { ledger: [line("p1", "a")], charges: [charge("p1", "a")] },
  ...more
})

const statusesOf = (all: Books.Seen) => Object.fromEntries(Books.check(all).map(({ name, status }) => [name, status]))

describe("what has to hold of a server's payments", () => {
  it("holds", () => {
    const statuses = statusesOf(seen())
    assert.deepInclude(statuses, {
      "at most one charge per key": "held",
      "records and gateways agree": "held",
      "nothing in flight": "held"
    })
  })

  it("is broken by a second charge, a second payment of a key, other amounts, a payment that is gone or older, one that is open", () => {
    const twice = { ledger: [line("p1", "a"), line("p1", "b")], charges: [charge("p1", "a"), charge("p1", "b")] }
    assert.deepInclude(statusesOf(seen({ books: twice })), {
      "at most one charge per key": "broken",
      "records and gateways agree": "broken"
    })
    const split = [
      { key: "k1", payment: payment("p1") },
      { key: "k1", payment: payment("p2") }
    ]
    assert.deepInclude(statusesOf(seen({ shown: split, books: undefined })), { "at most one charge per key": "broken" })
    const less = new Map([["p1", payment("p1", { amountCaptured: 50 })]])
    assert.deepInclude(statusesOf(seen({ now: less })), { "records and gateways agree": "broken" })
    assert.deepInclude(statusesOf(seen({ now: new Map([["p1", undefined]]) })), { "nothing acknowledged is lost": "broken" })
    const older = new Map([["p1", payment("p1", { version: 2 })]])
    assert.deepInclude(statusesOf(seen({ now: older })), { "nothing acknowledged is lost": "broken" })
    assert.deepInclude(statusesOf(seen({ unsettled: 1 })), { "nothing in flight": "broken" })
  })

  it("is in flight while an operation is open, also a refund, which the status does not show", () => {
    const refund = (status: "unknown" | "succeeded") => ({ kind: "refund" as const, gateway: a, status })
    const statusWith = (status: "unknown" | "succeeded") =>
      statusesOf(seen({ now: new Map([["p1", payment("p1", { operations: [refund(status)] })]]) }))["nothing in flight"]
    assert.deepStrictEqual([statusWith("succeeded"), statusWith("unknown")], ["held", "broken"])
  })

  it("a second charge that was given back takes nothing more than is recorded", () => {
    const reversed = { ...charge("p1", "b"), amount_refunded: 100 }
    const books = { ledger: [line("p1", "a")], charges: [charge("p1", "a"), reversed] }
    assert.deepInclude(statusesOf(seen({ books })), { "records and gateways agree": "held" })
  })

  it("is not said to hold where nobody looked", () => {
    const statuses = statusesOf(seen({ books: undefined }))
    assert.deepInclude(statuses, { "at most one charge per key": "not_checked", "records and gateways agree": "not_checked" })
  })
})
