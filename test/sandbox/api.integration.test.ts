/** The rules of the API over real HTTP: keys, authorization, refusals, reads, control. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import { act, charge, chargeCall, fresh, get, kindsOf, ledger, sandbox, send, until } from "./client.ts"

const live = <A, E>(name: string, effect: Effect.Effect<A, E, Sandbox.Sandbox>, options: Sandbox.ListenOptions = {}) =>
  it.live(name, () => effect.pipe(Effect.provide(sandbox(options))))

live(
  "a key is required, at most 255 characters, and per account",
  Effect.gen(function* () {
    const call = chargeCall({ key: "k" })
    const { key: _, ...keyless } = call
    assert.strictEqual((yield* send(keyless)).body.error.code, "key_required")
    assert.strictEqual((yield* send({ ...call, key: "x".repeat(256) })).body.error.code, "key_too_long")
    assert.strictEqual((yield* send({ ...call, key: "x".repeat(255) })).status, 201)
    assert.strictEqual((yield* send(call)).status, 201)
    assert.isNull((yield* send({ ...call, path: "/b/v1/charges", apiKey: "sk_sandbox_b" })).headers.get("idempotent-replayed"))
  })
)

live(
  "same key and body: the stored result; the order of fields does not matter; another body or path: 409",
  Effect.gen(function* () {
    const call = chargeCall({ key: "k", reference: "r" })
    const first = yield* send(call)
    const again = yield* send({ ...call, body: Object.fromEntries(Object.entries(call.body as object).reverse()) })
    assert.strictEqual(again.text, first.text)
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    const other = yield* send({ ...call, body: { ...(call.body as object), amount: 1 } })
    assert.deepStrictEqual([other.status, other.body.error.code], [409, "parameter_mismatch"])
    const path = yield* act(first.body.charge.id, "void", { key: "k" })
    assert.strictEqual(path.body.error.code, "parameter_mismatch")
    assert.deepStrictEqual(yield* kindsOf("r"), ["charge"])
  })
)

live(
  "concurrent use of a key: one executes, the other is told that it is in use",
  Effect.gen(function* () {
    const call = chargeCall({ key: "k", reference: "r" })
    const answers = yield* Effect.all([send(call), send(call), send(call)], { concurrency: 3 })
    assert.deepStrictEqual(
      answers.map(({ status }) => status).toSorted((left, right) => left - right),
      [201, 409, 409]
    )
    assert.deepStrictEqual(yield* kindsOf("r"), ["charge"])
  }),
  // All three have to arrive before the first is answered, which takes between half and one and a half of it.
  { accounts: [{ name: "a", latencyMillis: 2_000 }] }
)

live(
  "an expired key executes anew",
  Effect.gen(function* () {
    yield* charge({ key: "k", reference: "r" })
    yield* Effect.sleep(80)
    assert.isNull((yield* charge({ key: "k", reference: "r" })).headers.get("idempotent-replayed"))
    assert.deepStrictEqual(yield* kindsOf("r"), ["charge", "charge"])
  }),
  { idempotencyWindowMillis: 50 }
)

live(
  "refuses wrong keys, bodies, paths and states with a code",
  Effect.gen(function* () {
    const call = chargeCall()
    const expect = (answer: { status: number; body: { error: { code: string } } }, status: number, code: string) =>
      assert.deepStrictEqual([answer.status, answer.body.error.code], [status, code])
    expect(yield* send({ ...call, apiKey: "wrong" }), 401, "invalid_api_key")
    expect(yield* send({ ...call, path: "/b/v1/charges", apiKey: "sk_sandbox_a" }), 401, "invalid_api_key")
    expect(yield* send({ method: "GET", path: "/a/ledger", apiKey: "wrong" }), 401, "invalid_api_key")
    expect(yield* send({ ...call, body: "{" }), 400, "invalid_json")
    expect(yield* send({ ...call, body: `"${"x".repeat(65 * 1024)}"` }), 413, "body_too_large")
    expect(yield* charge({ amount: 0 }), 400, "invalid_field")
    expect(yield* charge({ amount: 1.5 }), 400, "invalid_field")
    expect(yield* charge({ currency: "XXX" }), 400, "unsupported_currency")
    expect(yield* charge({ token: "tok_unknown" }), 400, "unknown_token")
    const number = yield* charge({ token: "4242424242424242" })
    expect(number, 400, "card_number_not_accepted")
    assert.notInclude(number.text, "424242")
    expect(yield* get("/a/v1/charges/ch_none"), 404, "not_found")
    expect(yield* get("/a/v1/refunds/re_none"), 404, "not_found")
    expect(yield* get("/a/v1/operations?reference=none"), 404, "not_found")
    expect(yield* get("/a/v1/operations"), 400, "missing_parameter")
    expect(yield* get("/a/ledger?after=x"), 400, "invalid_parameter")
    expect(yield* get("/a/v1/charges?limit=101"), 400, "invalid_parameter")
    expect(yield* get("/zzz"), 404, "unknown_path")
    expect(yield* send({ method: "DELETE", path: "/a/v1/charges" }), 404, "unknown_path")
    expect(yield* act("ch_none", "capture"), 404, "not_found")
    const { body } = yield* charge()
    const id = body.charge.id as string
    const state = yield* act(id, "capture")
    expect(state, 409, "invalid_state")
    assert.strictEqual(state.body.charge.id, id)
    expect(yield* act(id, "void"), 409, "invalid_state")
    expect(yield* act(id, "refunds", { body: { amount: 4991 } }), 400, "amount_exceeds_captured")
    const manual = yield* charge({ capture: "manual" })
    expect(yield* act(manual.body.charge.id, "capture", { body: { amount: 4991 } }), 400, "amount_exceeds_authorized")
    expect(yield* act(manual.body.charge.id, "refunds", { body: { amount: 1 } }), 409, "invalid_state")
    assert.strictEqual((yield* ledger()).length, 2)
  })
)

live(
  "a refusal before the execution is not stored: the key can be used for the corrected request",
  Effect.gen(function* () {
    assert.strictEqual((yield* charge({ key: "k", amount: 0 })).status, 400)
    assert.strictEqual((yield* charge({ key: "k" })).status, 201)
  })
)

live(
  "several captures, refunds and a void of the rest on an account with multiple captures",
  Effect.gen(function* () {
    const account = "b"
    const { body } = yield* charge({ account, capture: "manual", amount: 1000 })
    const id = body.charge.id as string
    yield* act(id, "capture", { account, body: { amount: 300 } })
    const second = yield* act(id, "capture", { account, body: { amount: 200 } })
    assert.deepStrictEqual(
      [second.body.charge.status, second.body.charge.amount_captured, second.body.charge.amount_capturable],
      ["partially_captured", 500, 500]
    )
    assert.strictEqual(second.body.operation.amount, 200)
    yield* act(id, "refunds", { account, body: { amount: 100 } })
    yield* act(id, "void", { account })
    assert.deepStrictEqual(
      (yield* ledger(account)).map(({ amount, kind }) => [kind, amount]),
      [
        ["authorize", 1000],
        ["capture", 300],
        ["capture", 200],
        ["refund", 100],
        ["void", 500]
      ]
    )
  })
)

live(
  "cancels by the caller's reference without the look-up's lag, and names it; looks up with it",
  Effect.gen(function* () {
    const made = yield* charge({ capture: "manual", reference: "target" })
    assert.strictEqual((yield* get("/a/v1/operations?reference=target")).status, 404)
    const cancel = (target: string) => {
      const reference = fresh("void")
      return send({ method: "POST", path: "/a/v1/voids", key: reference, body: { target_reference: target, reference } })
    }
    assert.strictEqual((yield* cancel("nothing")).status, 404)
    const cancelled = yield* cancel("target")
    assert.deepStrictEqual([cancelled.status, cancelled.body.cancelled[0].id], [200, made.body.charge.id])
    const found = yield* until(get("/a/v1/operations?reference=target"), ({ status }) => status !== 404)
    assert.deepStrictEqual([found.status, found.body.charge.status], [200, "voided"])
    yield* charge({ reference: "done" })
    const late = yield* cancel("done")
    assert.deepStrictEqual([late.status, late.body.error.code, late.body.charge.status], [409, "invalid_state", "succeeded"])
  }),
  { accounts: [{ name: "a", lookupLagMillis: 1_500 }] }
)

live(
  "pages the ledger and the charges",
  Effect.gen(function* () {
    for (let index = 0; index < 5; index++) yield* charge()
    const first = yield* get("/a/ledger?limit=3")
    assert.deepStrictEqual([first.body.has_more, first.body.next_after], [true, 3])
    assert.strictEqual((yield* get("/a/ledger?limit=3&after=3")).body.data.length, 2)
    const charges = yield* get("/a/v1/charges?limit=4")
    assert.strictEqual(charges.body.data.length, 4)
    assert.strictEqual((yield* get(`/a/v1/charges?limit=4&cursor=${charges.body.next_cursor}`)).body.data.length, 1)
    const from = charges.body.data[0].created as number
    assert.strictEqual((yield* get(`/a/v1/charges?from=${from}&to=${from + 60_000}`)).body.data.length, 5)
    assert.strictEqual((yield* get(`/a/v1/charges?to=${from}`)).body.data.length, 0)
    assert.deepInclude((yield* get("/a/v1/refunds")).body, { data: [], has_more: false })
    assert.strictEqual((yield* get("/a/v1/refunds?limit=101")).status, 400)
  })
)

live(
  "describes itself without secrets",
  Effect.gen(function* () {
    assert.deepStrictEqual((yield* get("/")).body.accounts, ["a", "b", "c"])
    const account = yield* get("/c")
    assert.strictEqual(account.body.leaves_open_after_decline, true)
    assert.notInclude(account.text, "sk_sandbox")
    assert.notInclude(account.text, "whsec")
    assert.strictEqual((yield* get("/health")).body.status, "ok")
  })
)

const control = (body: object, account = "a") => send({ method: "PUT", path: `/${account}/control`, body })

live(
  "control: outages, errors, latency and lag, until reset",
  Effect.gen(function* () {
    assert.strictEqual((yield* control({ outage: "5xx" })).status, 200)
    assert.strictEqual((yield* charge()).status, 503)
    assert.strictEqual((yield* charge({ account: "b" })).status, 201)
    yield* control({ outage: "refuse" })
    assert.strictEqual((yield* Effect.flip(charge()))._tag, "NoAnswer")
    yield* control({ outage: "timeout" })
    assert.isTrue((yield* Effect.exit(Effect.timeout(charge(), 100)))._tag === "Failure")
    yield* control({ outage: "none", error_rate: 1 })
    assert.strictEqual((yield* charge()).status, 503)
    assert.strictEqual((yield* get("/a/v1/charges")).status, 200)
    yield* control({ error_rate: 0, lookup_lag_ms: 60_000 })
    yield* charge({ reference: "lag" })
    assert.strictEqual((yield* get("/a/v1/operations?reference=lag")).status, 404)
    assert.strictEqual((yield* control({ outage: "later" })).status, 400)
    assert.strictEqual((yield* control({ other: 1 })).status, 400)
    yield* send({ method: "POST", path: "/control/reset" })
    assert.strictEqual((yield* get("/a/v1/operations?reference=lag")).status, 200)
    assert.strictEqual((yield* ledger()).length, 1)
  })
)

live(
  "control is off unless it is asked for",
  Effect.gen(function* () {
    assert.strictEqual((yield* control({ outage: "5xx" })).status, 404)
    assert.strictEqual((yield* send({ method: "POST", path: "/control/reset" })).status, 404)
  }),
  { control: false }
)
