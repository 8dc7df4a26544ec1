/**
 * The facade over memory: answers, errors, waiting and closing. Gateways are scripted; nothing sleeps.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Gateway } from "../../../src/services/Gateway.ts"
import * as Embed from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"
import { heldGateway } from "./heldGateway.ts"

const environment = {}

const made = (gateway: Gateway = ScriptedGateway.make("psp"), options: Embed.AegisPayOptions = {}) =>
  Embed.AegisPay.make(
    { database: "memory" },
    { merchant: "m1", gateways: [gateway], background: false, environment, log: () => {}, ...options }
  )

const order = (key: string, overrides: Partial<Embed.ChargeInput> = {}): Embed.ChargeInput => ({
  key,
  amount: 4990,
  currency: "EUR",
  paymentMethod: { type: "card", token: "tok_1" },
  ...overrides
})

/** What a promise rejects with. */
const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => assert.fail(`it answered ${JSON.stringify(value)}`),
    (error: unknown) => error
  )

describe("answers", () => {
  it("a charge, its repetition, a refund, and reading it back", async () => {
    const gateway = ScriptedGateway.make("psp")
    await using aegis = await made(gateway)
    const first = await aegis.charge(order("1"))
    assert.deepStrictEqual([first.outcome, first.replayed, first.payment.amountCaptured], ["charged", false, 4990])
    const again = await aegis.charge(order("1"))
    assert.deepStrictEqual([again.outcome, again.replayed, again.payment.id], ["charged", true, first.payment.id])
    const { id } = first.payment
    const refund = await aegis.refund({ id, key: "1-refund", amount: 990 })
    assert.deepStrictEqual([refund.outcome, refund.operation?.amount, refund.payment.status], ["done", 990, "partially_refunded"])
    assert.strictEqual((await aegis.get({ id })).amountRefunded, 990)
    assert.lengthOf(await aegis.events({ id }), 6)
    const { data } = await aegis.list({ status: "partially_refunded", from: new Date(0), limit: 1 })
    assert.deepStrictEqual(
      data.map((payment) => payment.id),
      [id]
    )
    assert.lengthOf(gateway.sent, 2)
  })

  it("authorize, capture and cancel", async () => {
    await using aegis = await made()
    const { outcome, payment } = await aegis.charge(order("1", { captureMethod: "manual" }))
    assert.strictEqual(outcome, "authorized")
    const captured = await aegis.capture({ id: payment.id, key: "capture", amount: 1000, final: true })
    assert.deepStrictEqual([captured.outcome, captured.payment.amountCaptured], ["done", 1000])
    const other = await aegis.charge(order("2", { captureMethod: "manual" }))
    const cancelled = await aegis.cancel({ id: other.payment.id, key: "cancel" })
    assert.deepStrictEqual([cancelled.outcome, cancelled.payment.status], ["done", "cancelled"])
  })

  it("a decline is a value, with its category", async () => {
    await using aegis = await made(ScriptedGateway.make("psp", { answer: () => ScriptedGateway.declined("hard", "stolen_card") }))
    const answer = await aegis.charge(order("1"))
    if (answer.outcome !== "declined") assert.fail(answer.outcome)
    assert.deepStrictEqual([answer.failure.category, answer.failure.code], ["hard", "stolen_card"])
  })

  it("a lost answer is in doubt, the same key asks nothing twice, and recovery finds out", async () => {
    let found = false
    const gateway = ScriptedGateway.make("psp", {
      answer: () => ScriptedGateway.lost,
      lookup: (intent) => (found ? ScriptedGateway.succeeded(intent) : ScriptedGateway.lost)
    })
    await using aegis = await Embed.AegisPay.make(
      { database: "memory", retries: { maxRetries: 0 } },
      { merchant: "m1", gateways: [gateway], background: false, environment, log: () => {} }
    )
    const first = await aegis.charge(order("1"))
    const again = await aegis.charge(order("1"))
    assert.deepStrictEqual([first.outcome, again.outcome, again.replayed], ["in_doubt", "in_doubt", true])
    assert.lengthOf(gateway.sent, 1)
    const dry = await aegis.recover({ olderThanMillis: 0, dryRun: true })
    assert.strictEqual(dry.scanned, 1)
    found = true
    await aegis.recover({ olderThanMillis: 0 })
    assert.strictEqual((await aegis.charge(order("1"))).outcome, "charged")
    assert.lengthOf(gateway.sent, 1)
  })

  it("events come in order to onEvent", async () => {
    const seen: Array<Embed.PaymentEvent> = []
    const last = Promise.withResolvers<void>()
    await using aegis = await made(undefined, {
      background: { recovery: false, webhooks: false },
      onEvent: (event) => {
        seen.push(event)
        if (event.version === 4) last.resolve()
      }
    })
    await aegis.charge(order("1"))
    await last.promise
    assert.deepStrictEqual(
      seen.map(({ merchant, version }) => [merchant, version]),
      [1, 2, 3, 4].map((version) => ["m1", version])
    )
    assert.notInclude(JSON.stringify(seen), "tok_1")
  })
})

describe("a signal", () => {
  it("aborted before the start starts nothing", async () => {
    const gateway = ScriptedGateway.make("psp")
    await using aegis = await made(gateway)
    const error = await rejection(aegis.charge(order("1"), { signal: AbortSignal.abort() }))
    assert.instanceOf(error, Embed.Aborted)
    assert.deepStrictEqual([error.started, error.name, gateway.sent.length], [false, "AbortError", 0])
    assert.lengthOf((await aegis.list()).data, 0)
  })

  it("ends the wait; the payment goes on and is found under its key", async () => {
    const { answer, called, gateway, scripted } = heldGateway()
    await using aegis = await made(gateway)
    const controller = new AbortController()
    const waiting = rejection(aegis.charge(order("1"), { signal: controller.signal }))
    await called
    controller.abort(new Error("the customer left"))
    const error = await waiting
    assert.instanceOf(error, Embed.Aborted)
    assert.isTrue(error.started)
    answer()
    assert.strictEqual((await aegis.charge(order("1"))).outcome, "charged")
    assert.lengthOf(scripted.sent, 1)
  })
})

describe("close", () => {
  it("waits for what is in hand, takes nothing new, and may be called twice", async () => {
    const { answer, called, gateway } = heldGateway()
    const aegis = await made(gateway)
    const charging = aegis.charge(order("1"))
    await called
    const closing = aegis.close()
    assert.strictEqual(aegis.close(), closing)
    assert.instanceOf(await rejection(aegis.charge(order("2"))), Embed.Closed)
    answer()
    assert.strictEqual((await charging).outcome, "charged")
    await closing
    assert.instanceOf(await rejection(aegis.list()), Embed.Closed)
    await aegis.close()
    await aegis[Symbol.asyncDispose]()
  })

  it("does not say of a charge that takes longer than it waits that nothing was started", async () => {
    const slow = (name: string, answer: { readonly answer?: () => ReturnType<typeof ScriptedGateway.declined> } = {}) => {
      const scripted = ScriptedGateway.make(name, { ...answer, capabilities: { settleTimeMillis: 20_000 } })
      const send: Gateway["send"] = (request) => Effect.delay(scripted.send(request), "2350 millis")
      return { scripted, gateway: { ...scripted, send } }
    }
    const declined = { answer: () => ScriptedGateway.declined("soft") }
    const gateways = [slow("a", declined), slow("b", declined), slow("c")]
    const aegis = await Embed.AegisPay.make(
      {
        database: "memory",
        retries: { attemptTimeoutMillis: 2400, sendWindowMillis: 4100 },
        outcomes: { storeWaitMillis: 0 },
        payments: { maxCharges: 4 }
      },
      { merchant: "m1", gateways: gateways.map(({ gateway }) => gateway), background: false, environment, log: () => {} }
    )
    vi.useFakeTimers()
    try {
      const charging = rejection(aegis.charge(order("1")))
      await vi.advanceTimersByTimeAsync(50)
      const closing = aegis.close()
      await vi.advanceTimersByTimeAsync(10_000)
      const error = await charging
      assert.instanceOf(error, Embed.Aborted)
      assert.isTrue(error.started)
      assert.match(error.message, /what it started goes on: repeat it with the same key/)
      await closing
      assert.deepStrictEqual(
        gateways.map(({ scripted }) => scripted.sent.length),
        [1, 1, 1],
        "it goes on, and charges"
      )
    } finally {
      vi.useRealTimers()
    }
  })
})

describe("errors", () => {
  it("bad input names every field, what was expected, and repeats no value", async () => {
    await using aegis = await made()
    const charge = (input: unknown) => rejection(aegis.charge(input as Embed.ChargeInput))
    const rows: ReadonlyArray<readonly [unknown, RegExp]> = [
      [undefined, /charge: expected object/],
      ["4990 EUR", /expected object/],
      [{}, /key: is required; amount: is required; currency: is required; paymentMethod: is required/],
      [order("1", { amount: 49.9 }), /amount: expected an integer in minor units.*got a fraction/],
      [order("1", { amount: Number.NaN }), /amount: expected an integer/],
      [order("1", { amount: 0 }), /amount: .*from 1.*got zero/],
      [order("1", { amount: 2 ** 53 }), /amount: /],
      [{ ...order("1"), amount: 4990n }, /amount: expected an integer/],
      [{ ...order("1"), amount: "4990" }, /amount: .*got a string/],
      [order("1", { currency: "eur" }), /currency: eur must be written EUR/],
      [order("1", { currency: "QQQ" }), /currency: QQQ is not a known currency/],
      [order("with blank "), /key: expected 1 to 255 visible ASCII characters without blanks/],
      [{ ...order("1"), amout: 1 }, /amout: is not a known field/],
      [order("1", { merchant: "not a name" }), /merchant: expected 1 to 64 characters/],
      [order("1", { returnUrl: "javascript:alert(1)" }), /returnUrl: expected an absolute URL/],
      [order("1", { metadata: { note: "4242 4242 4242 4242" } }), /metadata.note: looks like a card number/],
      [order("1", { customer: { email: "4242424242424242@example.com" } }), /customer.email: looks like a card number/]
    ]
    for (const [input, expected] of rows) {
      const error = await charge(input)
      assert.instanceOf(error, Embed.InvalidRequest)
      assert.match(error.message, expected)
      assert.notMatch(error.message, /4242/)
    }
    const circular: Record<string, unknown> = { ...order("1") }
    circular["metadata"] = circular
    assert.instanceOf(await charge(circular), Embed.InvalidRequest)
    assert.instanceOf(await rejection(aegis.get({ id: "pay_1" })), Embed.InvalidRequest)
    assert.instanceOf(await rejection(aegis.list({ limit: 1000 })), Embed.InvalidRequest)
    assert.lengthOf((await aegis.list()).data, 0)
  })

  it("a field that is undefined is left out", async () => {
    await using aegis = await made()
    const input = { ...order("1"), returnUrl: undefined, customer: { id: "c1", name: undefined } } as unknown as Embed.ChargeInput
    assert.strictEqual((await aegis.charge(input)).outcome, "charged")
  })

  it("each kind has its class", async () => {
    await using aegis = await made()
    const { payment } = await aegis.charge(order("1"))
    const unknown = `pay_${"0".repeat(36)}`
    const rows: ReadonlyArray<readonly [Promise<unknown>, new (...args: Array<never>) => unknown, string]> = [
      [aegis.charge(order("1", { amount: 1 })), Embed.IdempotencyKeyReused, "IdempotencyKeyReused"],
      [aegis.get({ id: unknown }), Embed.PaymentNotFound, "PaymentNotFound"],
      [aegis.get({ id: payment.id, merchant: "other" }), Embed.PaymentNotFound, "PaymentNotFound"],
      [aegis.capture({ id: payment.id, key: "c" }), Embed.CommandRefused, "CommandRefused"],
      [aegis.refund({ id: payment.id, key: "r", amount: 4991 }), Embed.CommandRefused, "CommandRefused"],
      [aegis.charge(order("2", { paymentMethod: { type: "card", references: { other: "t" } } })), Embed.NoUsableGateway, "NoUsableGateway"],
      [aegis.transaction(async () => 1), Embed.TransactionsUnsupported, "TransactionsUnsupported"]
    ]
    for (const [promise, kind, tag] of rows) {
      const error = await rejection(promise)
      assert.instanceOf(error, kind)
      assert.instanceOf(error, Error)
      assert.strictEqual((error as unknown as { readonly _tag: string })._tag, tag)
    }
  })

  it("without a merchant a request has to name one", async () => {
    await using aegis = await Embed.AegisPay.make(
      { database: "memory" },
      { gateways: [ScriptedGateway.make("psp")], environment, background: false }
    )
    const error = await rejection(aegis.charge(order("1")))
    assert.match(String(error), /merchant: whose payment\?/)
    assert.strictEqual((await aegis.charge(order("1", { merchant: "m2" }))).outcome, "charged")
  })
})

describe("gateways of the host", () => {
  const own = () => [ScriptedGateway.make("first"), ScriptedGateway.make("own")] as const
  const takenBy = async (config: Partial<Embed.AegisPayConfig>, options: Embed.AegisPayOptions = {}) => {
    const gateways = own()
    await using aegis = await Embed.AegisPay.make(
      { database: "memory", ...config },
      { merchant: "m1", gateways, background: false, environment, log: () => {}, ...options }
    )
    for (let nth = 0; nth < 8; nth++) await aegis.charge(order(`${nth}`))
    return gateways.map(({ sent }) => sent.length)
  }
  const noExploration = { exploration: { share: 0 } }

  it("may be named by the configuration", async () => {
    const named = { breakers: { gateways: { own: { failureThreshold: 2 } } }, bulkheads: { gateways: { own: { concurrency: 5 } } } }
    assert.deepStrictEqual(await takenBy({ ...named, routing: { policy: "fixed", order: ["own", "first"] } }), [0, 8])
    assert.deepStrictEqual(await takenBy({ ...named, routing: { policy: "fixed", order: ["first", "own"] } }), [8, 0])
  })

  it("have fees, and are chosen by rules that are functions", async () => {
    const routing = { ...noExploration, weights: { success: 0, latency: 0, cost: 1 } }
    const fees = { first: [{ basisPoints: 300 }], own: [{ currency: "EUR", fixedMinor: 10, basisPoints: 100 }] }
    assert.deepStrictEqual(await takenBy({ routing }, { fees }), [0, 8])
    const decide = vi.fn<Embed.CustomRule["decide"]>(({ details }) =>
      details.amount.minor > 1_000n ? { prefer: [own()[0].name] } : undefined
    )
    assert.deepStrictEqual(await takenBy({ routing }, { fees, rules: [{ name: "large", decide }] }), [8, 0])
    assert.strictEqual(decide.mock.calls.length, 8)
  })
})

describe("a configuration that cannot be used", () => {
  const rows: ReadonlyArray<readonly [unknown, Embed.AegisPayOptions, RegExp]> = [
    [undefined, {}, /AegisPay.make: expected object/],
    [{}, {}, /database: is required/],
    [{ database: "disk" }, {}, /database: expected/],
    [{ database: "memory" }, {}, /gateways: no payment could be made/],
    [{ database: "memory", gatways: [] }, {}, /gatways: is not a known field/],
    [{ database: { url: "env:NOWHERE" } }, {}, /database.url: environment variable NOWHERE is not set/],
    [{ database: "memory" }, { merchant: "a b", gateways: [ScriptedGateway.make("psp")] }, /options.merchant: expected/],
    [
      { database: "memory" },
      { gateways: [ScriptedGateway.make("psp"), ScriptedGateway.make("psp")] },
      /options.gateways\[1\].name: another gateway has this name/
    ],
    [
      { database: "memory", routing: { order: ["typo"] }, bulkheads: { gateways: { other: {} } } },
      { gateways: [ScriptedGateway.make("psp")] },
      /routing.order\[0\]: is not the name of a gateway in this file or in options.gateways[^]*bulkheads.gateways.other: is not the name/
    ],
    [
      { database: "memory" },
      { gateways: [ScriptedGateway.make("psp")], fees: { other: [], psp: [{ fixedMinor: 5 }] } },
      /options.fees.other: is not the name of a gateway in options.gateways[^]*options.fees.psp\[0\]: a fixed fee needs the currency/
    ],
    [
      { database: "memory", routing: { rules: [{ name: "one", then: { strategy: "most_reliable" } }] } },
      {
        gateways: [ScriptedGateway.make("psp")],
        rules: [
          { name: "one", decide: () => undefined },
          { name: "", decide: () => undefined }
        ]
      },
      /options.rules\[0\].name: another rule has this name[^]*options.rules\[1\].name: expected/
    ],
    ["/nowhere/aegispay.json", {}, /aegispay.json: cannot be read \(ENOENT\)/]
  ]
  for (const [config, options, expected] of rows) {
    it(`${JSON.stringify(config)} ${expected.source.slice(0, 40)}`, async () => {
      const error = await rejection(Embed.AegisPay.make(config as Embed.AegisPayConfig, { environment, ...options }))
      assert.instanceOf(error, Embed.ConfigInvalid)
      assert.match(error.message, expected)
    })
  }
})
