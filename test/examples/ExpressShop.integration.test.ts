/**
 * The Express shop of the documentation, killed where it hurts: the order and its payment are one, and the customer is charged once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { waitFor } from "../edges/cli/aegispay.ts"
import { type Host, start } from "./hosts.ts"
import * as World from "./world.ts"

const main = "docs/examples/express-shop-main.ts"
const killedShop = "test/examples/killedShop.ts"

const put = async (shop: Host, id: string, body: unknown = { amount: 4990, token: "tok_success" }) => {
  const response = await fetch(`${shop.url}/orders/${id}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** A request whose process is killed is never answered. */
const putUnanswered = (shop: Host, id: string) =>
  put(shop, id).then(
    () => assert.fail("it was answered"),
    () => undefined
  )

describe("the Express shop", () => {
  it.live(
    "killed between order and charge: no order without payment, no charge without order, one charge",
    () =>
      Effect.gen(function* () {
        const { count, env, ledger, sql } = yield* World.make
        const counts = Effect.all([count("orders"), count("aegispay.payments"), Effect.map(ledger, (entries) => entries.length)])

        const before = yield* Effect.promise(() => start(killedShop, { ...env, KILL_AT: "before-charge" }))
        yield* Effect.promise(() => putUnanswered(before, "1"))
        assert.strictEqual((yield* Effect.promise(() => before.ended)).signal, "SIGKILL")
        assert.deepStrictEqual(yield* counts, [1, 1, 0], "the order and its payment, and no charge yet")

        const after = yield* Effect.promise(() => start(killedShop, { ...env, KILL_AT: "after-charge" }))
        yield* Effect.promise(() => putUnanswered(after, "2"))
        assert.strictEqual((yield* Effect.promise(() => after.ended)).signal, "SIGKILL")
        assert.deepStrictEqual((yield* counts).slice(0, 2), [2, 2])

        const inside = yield* Effect.promise(() => start(killedShop, env))
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`lock table orders in exclusive mode`
            const unanswered = putUnanswered(inside, "3")
            // Its payment is written, in its transaction; its order waits for the lock.
            const waiting = sql`select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`
            yield* Effect.repeat(Effect.delay(waiting, "20 millis"), { until: (rows) => rows.length > 0 })
            inside.kill("SIGKILL")
            yield* Effect.promise(() => Promise.all([unanswered, inside.ended]))
          })
        )
        assert.deepStrictEqual((yield* counts).slice(0, 2), [2, 2], "neither the third order nor its payment")

        const shop = yield* Effect.promise(() => start(main, env))
        // Nobody asks again for order 1: recovery finds it, and charges it.
        const paid = sql<{ readonly status: string }>`
          select status from aegispay.payments join orders on orders.payment = 'pay_' || lpad(to_hex(bucket), 4, '0') || replace(payments.id::text, '-', '')`
        yield* Effect.repeat(Effect.delay(paid, "100 millis"), {
          until: (rows) => rows.length === 2 && rows.every(({ status }) => status === "succeeded")
        })
        assert.deepStrictEqual(yield* counts, [2, 2, 2])

        const answers = yield* Effect.promise(() => Promise.all(["1", "2", "3", "3"].map((id) => put(shop, id))))
        assert.deepStrictEqual(
          answers.map(({ body, status }) => [status, body["order"]]),
          answers.map(() => [201, "paid"])
        )
        assert.strictEqual(answers[2]?.body["payment"], answers[3]?.body["payment"])
        assert.deepStrictEqual(yield* counts, [3, 3, 3])
        const entries = yield* ledger
        assert.isTrue(entries.every(({ amount, kind }) => kind === "charge" && amount === 4990))
        assert.lengthOf(new Set(entries.map(({ payment }) => payment)), 3)

        shop.kill("SIGTERM")
        assert.deepStrictEqual(yield* Effect.promise(() => shop.ended), { code: 0, signal: null }, shop.output())
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )

  it.live(
    "answers a decline, bad input, an unknown address and a webhook",
    () =>
      Effect.gen(function* () {
        const { env, ledger } = yield* World.make
        const shop = yield* Effect.promise(() => start(main, env))
        yield* Effect.promise(async () => {
          const declined = await put(shop, "10", { amount: 4990, token: "tok_declined_hard" })
          assert.deepStrictEqual([declined.status, declined.body["order"]], [402, "not paid"])
          const bad = await put(shop, "11", { amount: 49.9, token: "tok_success" })
          assert.strictEqual(bad.status, 400)
          assert.include(JSON.stringify(bad.body), "a fraction")
          const webhook = await fetch(`${shop.url}/payments/v1/webhooks/sandbox-a`, { method: "POST", body: "{}" })
          assert.strictEqual(webhook.status, 401)
          assert.strictEqual((await fetch(`${shop.url}/payments/health`)).status, 200)
          await waitFor(async () => ((await fetch(`${shop.url}/payments/nothing`)).status === 404 ? true : undefined), "404")
        })
        assert.deepStrictEqual(yield* ledger, [])
        shop.kill("SIGTERM")
        assert.strictEqual((yield* Effect.promise(() => shop.ended)).code, 0)
      }).pipe(Effect.scoped),
    { timeout: 60_000 }
  )
})
