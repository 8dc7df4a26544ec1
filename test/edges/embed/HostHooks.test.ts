/**
 * Hooks of a host that is not written in Effect: values and promises, rejections, their signal, and switching them off.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Embed from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"

const made = (hooks: ReadonlyArray<Embed.HostHook>, gateway = ScriptedGateway.make("psp")) =>
  Embed.AegisPay.make(
    { database: "memory" },
    { merchant: "m1", gateways: [gateway], background: false, environment: {}, log: () => {}, hooks }
  )

const order = (key: string, overrides: Partial<Embed.ChargeInput> = {}): Embed.ChargeInput => ({
  key,
  amount: 4990,
  currency: "EUR",
  paymentMethod: { type: "card", token: "tok_1" },
  ...overrides
})

describe("options.hooks", () => {
  it("a promise blocks a payment, a value enriches another, a listener hears of both", async () => {
    const gateway = ScriptedGateway.make("psp")
    const heard: Array<string> = []
    await using aegis = await made(
      [
        {
          kind: "fraud_check",
          name: "big",
          run: async ({ payment }) => ({ action: payment.amount.minor > 5_000n ? "block" : "allow", score: 50 })
        },
        { kind: "enrichment", name: "segment", run: () => ({ metadata: { segment: "gold" } }) },
        { kind: "event_listener", name: "audit", eventTypes: ["PaymentFailed"], run: ({ event }) => void heard.push(event._tag) }
      ],
      gateway
    )
    const charged = await aegis.charge(order("1"))
    assert.deepInclude(charged.payment, { status: "succeeded", metadata: { segment: "gold" }, fraud: { action: "allow", score: 50 } })
    const blocked = await aegis.charge(order("2", { amount: 6_000 }))
    assert.deepInclude(blocked.payment, { status: "failed" })
    assert.strictEqual(blocked.payment.failure?.code, "blocked_by_fraud_check")
    assert.lengthOf(gateway.sent, 1)
    await vi.waitFor(() => assert.deepStrictEqual(heard, ["PaymentFailed"]))
    const [status] = await aegis.hooks()
    assert.deepInclude({ ...status }, { name: "big", kind: "fraud_check", runs: 2 })
  })

  it("one that rejects, throws or never answers gives no answer: the payment is made without it, and its signal is aborted", async () => {
    let aborted = false
    await using aegis = await made([
      { kind: "pre_validation", name: "rejects", run: () => Promise.reject(new Error("away")) },
      {
        kind: "pre_validation",
        name: "throws",
        run: () => {
          throw new Error("a bug")
        }
      },
      {
        kind: "enrichment",
        name: "never",
        timeoutMillis: 20,
        run: (_, { signal }) => new Promise(() => signal.addEventListener("abort", () => void (aborted = true)))
      }
    ])
    assert.strictEqual((await aegis.charge(order("1"))).payment.status, "succeeded")
    await vi.waitFor(() => assert.isTrue(aborted))
    const failures = (await aegis.hooks()).map(({ failures, name }) => [name, failures.failed + failures.defect, failures.timeout])
    assert.deepStrictEqual(failures, [
      ["rejects", 1, 0],
      ["throws", 1, 0],
      ["never", 0, 1]
    ])
  })

  it("are switched off and on; a name that is taken, or no name, refuses the start", async () => {
    await using aegis = await made([{ kind: "fraud_check", name: "no", run: () => ({ action: "block" }) }])
    assert.strictEqual((await aegis.charge(order("1"))).payment.status, "failed")
    assert.isTrue(await aegis.setHookEnabled("no", false))
    assert.isFalse(await aegis.setHookEnabled("nobody", false))
    assert.strictEqual((await aegis.charge(order("2"))).payment.status, "succeeded")
    const hook: Embed.HostHook = { kind: "fraud_check", name: "twice", run: () => ({ action: "allow" }) }
    const withoutRun = { kind: "fraud_check", name: "no-run" } as unknown as Embed.HostHook
    for (const hooks of [[hook, hook], [{ ...hook, name: "Not A Name" }], [withoutRun]]) {
      const error = await made(hooks).then(
        () => assert.fail("it started"),
        (error: unknown) => error
      )
      assert.instanceOf(error, Embed.StartFailed)
      assert.include(error.message, "cannot be registered")
    }
  })

  it("says what a list of hooks is, and where the built-in ones are switched on", async () => {
    for (const hooks of ["nope", { velocity: {} }, null]) {
      const error = await made(hooks as never).then(
        () => assert.fail("it started"),
        (refused: Error) => refused.message
      )
      assert.include(error, 'options.hooks: expected a list of hooks such as { kind: "fraud_check", name: "mine", run }')
      assert.include(error, "built-in hooks are switched on in the configuration's section hooks")
    }
  })

  it("without hooks there is nothing to switch", async () => {
    await using aegis = await made([])
    assert.deepStrictEqual(await aegis.hooks(), [])
    assert.isFalse(await aegis.setHookEnabled("no", false))
  })

  it("promises that never end are not started without end: then the hook is busy", async () => {
    let started = 0
    await using aegis = await made([
      {
        kind: "enrichment",
        name: "never",
        timeoutMillis: 1,
        run: () => {
          started++
          return new Promise(() => {})
        }
      }
    ])
    for (let nth = 0; nth < 70; nth++) assert.strictEqual((await aegis.charge(order(`${nth}`))).payment.status, "succeeded")
    assert.strictEqual(started, 64)
    const [status] = await aegis.hooks()
    assert.deepInclude({ ...status }, { abandoned: 64, runs: 70 })
    assert.deepInclude({ ...status?.failures }, { timeout: 64, busy: 6 })
  })

  it("a promise that ends when its signal is aborted counts no longer", async () => {
    await using aegis = await made([
      {
        kind: "enrichment",
        name: "polite",
        timeoutMillis: 1,
        run: (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))))
      }
    ])
    for (let nth = 0; nth < 70; nth++) await aegis.charge(order(`${nth}`))
    await vi.waitFor(async () => assert.strictEqual((await aegis.hooks())[0]?.abandoned, 0))
    const [status] = await aegis.hooks()
    assert.strictEqual(status?.runs, 70)
    assert.deepInclude({ ...status?.failures }, { timeout: 70, busy: 0 })
  })

  it("may be objects of a class, with what they inherit and their `this`", async () => {
    class Check {
      readonly #blocks = "block"
      get kind() {
        return "fraud_check" as const
      }
      get name() {
        return "of-a-class"
      }
      run(): { readonly action: "block" } {
        return { action: this.#blocks }
      }
    }
    await using aegis = await made([new Check()])
    assert.strictEqual((await aegis.charge(order("1"))).payment.status, "failed")
    const [status] = await aegis.hooks()
    assert.deepInclude({ ...status }, { name: "of-a-class", runs: 1 })
    assert.strictEqual(status?.failures.defect, 0)
    assert.strictEqual(status?.failures.failed, 0)
  })
})
