/** Every magic token over real HTTP: what the caller sees, and what the ledger holds. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { type Fault, type MagicToken, magicTokens } from "../../src/sandbox/MagicTokens.ts"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import { act, charge, chargeCall, fresh, get, kindsOf, sandbox, send, until } from "./client.ts"

const live = <A, E>(name: string, effect: Effect.Effect<A, E, Sandbox.Sandbox>, options: Sandbox.ListenOptions = {}) =>
  it.live(name, () => effect.pipe(Effect.provide(sandbox(options))))

const kindOf = (row: MagicToken) => (row.faultOn === undefined || row.faultOn === "charge" ? "charge" : row.faultOn)

/** Sends a request and leaves after half a second, or after a while that is enough for any answer; "left" when there was none by then. */
const leaving = <A, E, R>(effect: Effect.Effect<A, E, R>, options: { readonly answers?: boolean } = {}) =>
  effect.pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(options.answers === true ? 30_000 : 500),
      orElse: () => Effect.succeed("left" as const)
    }),
    Effect.catch(() => Effect.succeed("reset" as const))
  )

const expectedOf = (fault: Fault): "left" | "reset" | number => {
  switch (fault) {
    case "timeout_before":
    case "timeout_after":
    case "late":
      return "left"
    case "reset_before":
    case "reset_after":
      return "reset"
    case "5xx_before":
    case "5xx_after":
      return 500
    case "rate_limited":
      return 429
    case "configuration":
      return 403
    case "conflict":
      return 409
    case "garbage":
      return 200
    case "redirect":
      return 307
    case "huge_body":
    case "slow":
      return 201
  }
}

const statusOf = (answer: { readonly status: number } | "left" | "reset") => (typeof answer === "string" ? answer : answer.status)

describe("tokens that decide", () => {
  for (const row of magicTokens.filter(({ failure, outcome }) => failure !== undefined && outcome.startsWith("declined"))) {
    live(
      `${row.token} answers 402 and charges nothing`,
      Effect.gen(function* () {
        const reference = fresh("ref")
        const answer = yield* charge({ token: row.token, reference })
        assert.strictEqual(answer.status, 402)
        assert.strictEqual(answer.body.error.type, row.failure?.type)
        assert.strictEqual(answer.body.error.code, row.failure?.code)
        assert.strictEqual(answer.body.error.decline_code, row.failure?.declineCode)
        assert.strictEqual(answer.body.charge.status, row.outcome === "declined_open" ? "requires_payment_method" : "failed")
        assert.deepStrictEqual(yield* kindsOf(reference), [])
        const found = yield* get(`/a/v1/operations?reference=${reference}`)
        assert.strictEqual(found.body.operation.status, "declined")
        const again = yield* charge({ token: row.token, reference })
        assert.strictEqual(again.status, 402)
        assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
      })
    )
  }

  live(
    "tok_success, automatic and manual",
    Effect.gen(function* () {
      const answer = yield* charge({ reference: "s1" })
      assert.strictEqual(answer.status, 201)
      assert.strictEqual(answer.body.charge.status, "succeeded")
      assert.strictEqual(answer.body.operation.status, "succeeded")
      const manual = yield* charge({ reference: "s2", capture: "manual" })
      assert.strictEqual(manual.body.charge.status, "authorized")
      const captured = yield* act(manual.body.charge.id, "capture", { reference: "s3" })
      assert.strictEqual(captured.body.charge.amount_captured, 4990)
      assert.deepStrictEqual([yield* kindsOf("s1"), yield* kindsOf("s2"), yield* kindsOf("s3")], [["charge"], ["authorize"], ["capture"]])
    })
  )

  live(
    "tok_3ds: the customer's page or confirm makes the charge, once",
    Effect.gen(function* () {
      const page = yield* charge({ token: "tok_3ds", reference: "t1", extra: { return_url: "https://shop.example/back" } })
      assert.strictEqual(page.body.charge.status, "requires_action")
      const url = new URL(page.body.charge.next_action.url)
      assert.include((yield* get(url.pathname)).text, "Complete")
      const back = yield* send({ method: "POST", path: `${url.pathname}/complete`, headers: { accept: "text/html" } })
      assert.strictEqual(back.headers.get("location"), "https://shop.example/back")
      assert.strictEqual((yield* act(page.body.charge.id, "confirm")).status, 200)
      assert.strictEqual((yield* get(`${url.pathname}/complete`)).status, 409)
      assert.deepStrictEqual(yield* kindsOf("t1"), ["charge"])

      const confirmed = yield* charge({ token: "tok_3ds", capture: "manual" })
      const done = yield* act(confirmed.body.charge.id, "confirm", { reference: "t2" })
      assert.strictEqual(done.body.charge.status, "authorized")
      assert.deepStrictEqual(yield* kindsOf("t2"), ["authorize"])

      const offSession = yield* charge({ token: "tok_3ds", extra: { off_session: true } })
      assert.strictEqual(offSession.body.error.decline_code, "authentication_required")
    })
  )

  live(
    "tok_authentication_required with step_up: confirm or the customer's page makes the charge",
    Effect.gen(function* () {
      const stepUp = { token: "tok_authentication_required", extra: { step_up: true } }
      const first = yield* charge({ ...stepUp, account: "c" })
      assert.strictEqual(first.status, 201)
      assert.strictEqual(first.body.operation.status, "requires_action")
      assert.strictEqual(first.body.charge.next_action.type, "redirect")
      const confirmed = yield* act(first.body.charge.id, "confirm", { account: "c", reference: "u1" })
      assert.strictEqual(confirmed.body.charge.status, "succeeded")
      assert.deepStrictEqual(yield* kindsOf("u1", "c"), ["charge"])

      const second = yield* charge({ ...stepUp, reference: "u2" })
      yield* get(`${new URL(second.body.charge.next_action.url).pathname}/complete`)
      assert.deepStrictEqual(yield* kindsOf("u2"), ["charge"])

      assert.strictEqual((yield* charge({ token: "tok_authentication_required", reference: "u3" })).status, 402)
      const misspelt = yield* charge({ token: "tok_success", extra: { step_up: "yes" } })
      assert.strictEqual(misspelt.body.error.code, "invalid_field")
      assert.deepStrictEqual(yield* kindsOf("u3"), [])
    })
  )

  live(
    "tok_3ds_fails: confirm answers 402, the page ends as failed",
    Effect.gen(function* () {
      const first = yield* charge({ token: "tok_3ds_fails" })
      const confirmed = yield* act(first.body.charge.id, "confirm")
      assert.strictEqual(confirmed.status, 402)
      assert.strictEqual(confirmed.body.error.decline_code, "authentication_failed")
      const second = yield* charge({ token: "tok_3ds_fails" })
      const completed = yield* get(`${new URL(second.body.charge.next_action.url).pathname}/complete`)
      assert.strictEqual(completed.body.charge.status, "failed")
      const third = yield* charge({ token: "tok_3ds" })
      const failed = yield* get(`${new URL(third.body.charge.next_action.url).pathname}/fail`)
      assert.strictEqual(failed.body.operation.status, "declined")
    })
  )

  live(
    "tok_pending_success and tok_pending_failure settle by themselves",
    Effect.gen(function* () {
      for (const [token, status, kinds] of [
        ["tok_pending_success", "succeeded", ["charge"]],
        ["tok_pending_failure", "failed", []]
      ] as const) {
        const reference = fresh("ref")
        const answer = yield* charge({ token, reference })
        assert.strictEqual(answer.status, 201)
        assert.strictEqual(answer.body.charge.status, "pending")
        yield* until(get(`/a/v1/charges/${answer.body.charge.id}`), ({ body }) => body.status === status)
        assert.deepStrictEqual(yield* kindsOf(reference), [...kinds])
        // A replay is the snapshot of then; only the look-up tells what became of it.
        assert.strictEqual((yield* charge({ token, reference })).body.charge.status, "pending")
        assert.notStrictEqual((yield* get(`/a/v1/operations?reference=${reference}`)).body.operation.status, "pending")
      }
    })
  )

  live(
    "tok_card_declined_open, and every decline on c: the customer's page charges until it is voided",
    Effect.gen(function* () {
      for (const [account, token] of [
        ["a", "tok_card_declined_open"],
        ["c", "tok_declined_soft"]
      ] as const) {
        const open = yield* charge({ account, token, reference: "o1" })
        assert.strictEqual((yield* get(`/${account}/customer/${open.body.charge.id}/complete`)).status, 200)
        assert.deepStrictEqual(yield* kindsOf("o1", account), ["charge"])
        const closed = yield* charge({ account, token, reference: "o2" })
        assert.strictEqual((yield* act(closed.body.charge.id, "void", { account })).body.charge.status, "voided")
        assert.strictEqual((yield* get(`/${account}/customer/${closed.body.charge.id}/complete`)).status, 409)
        assert.deepStrictEqual(yield* kindsOf("o2", account), [])
      }
    })
  )

  live(
    "tok_wrong_amount and tok_wrong_currency lie in the answer only",
    Effect.gen(function* () {
      const amount = yield* charge({ token: "tok_wrong_amount" })
      assert.strictEqual(amount.body.charge.amount, 4991)
      assert.strictEqual((yield* get(`/a/v1/charges/${amount.body.charge.id}`)).body.amount, 4990)
      const currency = yield* charge({ token: "tok_wrong_currency" })
      assert.strictEqual(currency.body.operation.currency, "USD")
      assert.strictEqual((yield* get(`/a/v1/charges/${currency.body.charge.id}`)).body.currency, "EUR")
    })
  )

  live(
    "tok_capture_fails, tok_void_fails, tok_refund_fails_later, tok_refund_pending",
    Effect.gen(function* () {
      const capture = yield* charge({ token: "tok_capture_fails", capture: "manual" })
      assert.strictEqual((yield* act(capture.body.charge.id, "capture")).body.error.code, "capture_failed")
      const voided = yield* charge({ token: "tok_void_fails", capture: "manual" })
      assert.strictEqual((yield* act(voided.body.charge.id, "void")).body.error.code, "void_failed")
      for (const [token, first, last] of [
        ["tok_refund_fails_later", "succeeded", "failed"],
        ["tok_refund_pending", "pending", "succeeded"]
      ] as const) {
        const made = yield* charge({ token })
        const reference = fresh("ref")
        const refund = yield* act(made.body.charge.id, "refunds", { reference, body: { amount: 1000 } })
        assert.strictEqual(refund.status, 201)
        assert.strictEqual(refund.body.refund.status, first)
        assert.strictEqual(refund.body.charge.amount_refunded, 1000)
        yield* until(get(`/a/v1/refunds/${refund.body.refund.id}`), ({ body }) => body.status === last)
        assert.deepStrictEqual(yield* kindsOf(reference), last === "failed" ? ["refund", "refund_failed"] : ["refund"])
      }
    })
  )
})

describe("tokens that disturb", () => {
  for (const row of magicTokens.filter(({ fault, faultOn }) => fault !== undefined && faultOn === undefined)) {
    live(
      `${row.token}: ${row.answer}`,
      Effect.gen(function* () {
        const reference = fresh("ref")
        const answer = yield* leaving(charge({ token: row.token, reference, ...(row.fault === "slow" ? { key: "slow" } : {}) }), {
          answers: row.fault !== "slow" && expectedOf(row.fault ?? "slow") !== "left"
        })
        if (row.fault === "slow") assert.strictEqual(answer, "left")
        else assert.strictEqual(statusOf(answer), expectedOf(row.fault ?? "slow"))
        if (row.executed === "later" || row.fault === "slow") {
          yield* until(kindsOf(reference), (kinds) => kinds.length === 1)
        } else assert.deepStrictEqual(yield* kindsOf(reference), row.executed === "yes" ? ["charge"] : [])
      })
    )
  }

  for (const row of magicTokens.filter(({ faultOn }) => faultOn !== undefined)) {
    const kind = kindOf(row)
    live(
      `${row.token}: the charge goes through, the ${kind} meets the fault`,
      Effect.gen(function* () {
        const capture = kind === "capture" || kind === "void" ? "manual" : "automatic"
        const made = yield* charge({ token: row.token, capture })
        assert.strictEqual(made.status, 201)
        const reference = fresh("ref")
        const action = kind === "refund" ? "refunds" : kind === "charge" ? "confirm" : kind
        const answer = yield* leaving(
          act(made.body.charge.id, action, { reference, ...(kind === "refund" ? { body: { amount: 10 } } : {}) }),
          { answers: expectedOf(row.fault ?? "slow") !== "left" }
        )
        assert.strictEqual(statusOf(answer), expectedOf(row.fault ?? "slow"))
        const done = kind === "confirm" ? "charge" : kind
        assert.deepStrictEqual(yield* kindsOf(reference), row.executed === "yes" ? [done] : [])
      })
    )
  }

  live(
    "after a fault of the answer, a replay of the key answers normally and charges nothing more",
    Effect.gen(function* () {
      for (const token of ["tok_timeout_after", "tok_reset_after", "tok_garbage", "tok_huge_body", "tok_redirect"]) {
        const reference = fresh("ref")
        yield* leaving(charge({ token, reference }))
        const again = yield* charge({ token, reference })
        assert.strictEqual(again.status, 201, token)
        assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
        assert.deepStrictEqual(yield* kindsOf(reference), ["charge"])
      }
    })
  )

  live(
    "a stored 5xx is replayed for ever; the look-up knows better",
    Effect.gen(function* () {
      yield* charge({ token: "tok_5xx_after", reference: "x1" })
      assert.strictEqual((yield* charge({ token: "tok_5xx_after", reference: "x1" })).status, 500)
      assert.strictEqual((yield* get("/a/v1/operations?reference=x1")).body.operation.status, "succeeded")
      yield* charge({ token: "tok_5xx_before", reference: "x2" })
      const again = yield* charge({ token: "tok_5xx_before", reference: "x2" })
      assert.deepStrictEqual([again.status, again.headers.get("idempotent-replayed")], [500, "true"])
      assert.deepStrictEqual([yield* kindsOf("x1"), yield* kindsOf("x2")], [["charge"], []])
    })
  )

  live(
    "an account that does not cache failures executes a declined or failed key anew, and an executed one never",
    Effect.gen(function* () {
      const after = yield* charge({ token: "tok_5xx_after", reference: "n1" })
      const replayed = yield* charge({ token: "tok_5xx_after", reference: "n1" })
      assert.deepStrictEqual([after.status, replayed.status], [500, 201])
      assert.deepStrictEqual(yield* kindsOf("n1"), ["charge"])
      yield* charge({ token: "tok_declined_soft", reference: "n2" })
      const declined = yield* charge({ token: "tok_declined_soft", reference: "n2" })
      assert.isNull(declined.headers.get("idempotent-replayed"))
      assert.strictEqual((yield* get("/a/v1/operations?reference=n2")).body.matches, 2)
    }),
    { accounts: [{ name: "a", cachesFailures: false }] }
  )

  live(
    "_once: the first send of a key meets the fault, the replay is processed",
    Effect.gen(function* () {
      for (const token of ["tok_timeout_before_once", "tok_reset_before_once", "tok_5xx_before_once"]) {
        const reference = fresh("ref")
        yield* leaving(charge({ token, reference }))
        assert.deepStrictEqual(yield* kindsOf(reference), [])
        assert.strictEqual((yield* charge({ token, reference })).status, 201, token)
        assert.deepStrictEqual(yield* kindsOf(reference), ["charge"])
      }
    })
  )

  live(
    "tok_late: absent first, executed later; a replay overtakes it and it charges nothing more",
    Effect.gen(function* () {
      assert.strictEqual(yield* leaving(charge({ token: "tok_late", reference: "l1" })), "left")
      assert.strictEqual((yield* get("/a/v1/operations?reference=l1")).status, 404)
      yield* until(kindsOf("l1"), (kinds) => kinds.length === 1)

      assert.strictEqual(yield* leaving(charge({ token: "tok_late", reference: "l2" })), "left")
      assert.strictEqual((yield* charge({ token: "tok_late", reference: "l2" })).status, 201)
      yield* Effect.sleep(1_200)
      assert.deepStrictEqual(yield* kindsOf("l2"), ["charge"])
    }),
    { lateMillis: 1_000 }
  )

  live(
    "tok_redirect: following it charges twice",
    Effect.gen(function* () {
      const call = chargeCall({ token: "tok_redirect", reference: "d1" })
      const answer = yield* send(call)
      const location = answer.headers.get("location") ?? ""
      assert.strictEqual((yield* send({ ...call, path: location })).status, 201)
      assert.deepStrictEqual(yield* kindsOf("d1"), ["charge", "charge"])
    })
  )

  live(
    "tok_slow answers late, with its key in use meanwhile; tok_rate_limited says when to come back",
    Effect.gen(function* () {
      const slow = yield* Effect.forkChild(charge({ token: "tok_slow", reference: "w1" }), { startImmediately: true })
      const meanwhile = yield* until(charge({ token: "tok_slow", reference: "w1" }), ({ status }) => status === 409)
      assert.strictEqual(meanwhile.body.error.code, "key_in_use")
      assert.strictEqual((yield* Fiber.join(slow)).status, 201)
      assert.deepStrictEqual(yield* kindsOf("w1"), ["charge"])
      assert.strictEqual((yield* charge({ token: "tok_rate_limited" })).headers.get("retry-after"), "1")
    })
  )

  live(
    "a held connection ends at the bound",
    Effect.gen(function* () {
      const error = yield* Effect.flip(charge({ token: "tok_timeout_before" }))
      assert.strictEqual(error._tag, "NoAnswer")
    }),
    { holdMillis: 100 }
  )

  live(
    "tok_huge_body and tok_garbage",
    Effect.gen(function* () {
      assert.isAbove((yield* charge({ token: "tok_huge_body" })).text.length, 1024 * 1024)
      assert.include((yield* charge({ token: "tok_garbage" })).text, "<html>")
    })
  )
})

it.live("works in one process without sockets", () =>
  Effect.gen(function* () {
    const handle = yield* Sandbox.webHandler({ accounts: Sandbox.quietAccounts })
    const request = (token: string, signal?: AbortSignal) =>
      new Request("http://sandbox/a/v1/charges", {
        method: "POST",
        headers: { authorization: "Bearer sk_sandbox_a", "idempotency-key": token },
        body: JSON.stringify({ amount: 1, currency: "EUR", token, capture: "automatic", reference: token, payment: "p" }),
        ...(signal === undefined ? {} : { signal })
      })
    const call = (token: string) => Effect.tryPromise((signal) => handle(request(token, signal)))
    assert.strictEqual((yield* call("tok_success")).status, 201)
    assert.strictEqual(yield* leaving(call("tok_reset_after")), "reset")
    assert.strictEqual(yield* leaving(call("tok_timeout_after")), "left")
    const text = yield* Effect.promise(() =>
      handle(new Request("http://sandbox/a/ledger", { headers: { authorization: "Bearer sk_sandbox_a" } })).then((r) => r.json())
    )
    assert.strictEqual((text as { data: ReadonlyArray<unknown> }).data.length, 3)
  }).pipe(Effect.scoped)
)

it.live("a port that is in use is an error, not a crash", () =>
  Effect.gen(function* () {
    const { url } = yield* Sandbox.Sandbox
    const error = yield* Effect.flip(Effect.scoped(Layer.build(Sandbox.layerNode({ port: Number(new URL(url).port) }))))
    assert.strictEqual(error._tag, "ServeError")
  }).pipe(Effect.provide(sandbox()))
)
