/**
 * The Express shop of the documentation, killed where it hurts: the order and its payment are one, and the customer is charged once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { waitFor } from "../edges/cli/aegispay.ts"
import { type Host, start } from "./hosts.ts"
import * as World from "./world.ts"
import * as TcpProxy from "../support/TcpProxy.ts"

const main = "docs/examples/express-shop-main.ts"
const killedShop = "test/examples/killedShop.ts"

const put = async (shop: Host, id: string, body: unknown = { item: "mug", amount: 1, token: "tok_success" }) => {
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

        // Of a third order, the payment is written in the transaction when its row waits for the lock.
        yield* sql`create function wait() returns trigger language plpgsql as
          'begin perform pg_advisory_xact_lock(1); return new; end'`
        yield* sql`create trigger wait before update on orders for each row when (new.id = '3') execute function wait()`
        const inside = yield* Effect.promise(() => start(killedShop, env))
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`select pg_advisory_xact_lock(1)`
            const unanswered = putUnanswered(inside, "3")
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
          select payments.status from aegispay.payments join orders on orders.payment = 'pay_' || lpad(to_hex(bucket), 4, '0') || replace(payments.id::text, '-', '')`
        yield* Effect.repeat(Effect.delay(paid, "100 millis"), {
          until: (rows) => rows.length === 2 && rows.every(({ status }) => status === "succeeded")
        })
        assert.deepStrictEqual(yield* counts, [2, 2, 2])

        const answers = yield* Effect.promise(() => Promise.all(["1", "2", "3", "3"].map((id) => put(shop, id))))
        assert.deepStrictEqual(
          answers.map(({ body, status }) => [status, body["order"]]),
          answers.map(() => [201, "paid"])
        )
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
          const declined = await put(shop, "10", { item: "mug", token: "tok_declined_hard" })
          assert.deepStrictEqual([declined.status, declined.body["order"]], [402, "not paid"])
          assert.strictEqual((await put(shop, "11", { item: "nothing", token: "tok_success" })).status, 400)
          assert.strictEqual((await put(shop, "11", { item: "mug" })).status, 400)
          assert.strictEqual((await put(shop, "11", { item: "mug", token: "with blank" })).status, 400)
          assert.strictEqual((await fetch(`${shop.url}/orders/11/return`)).status, 404)
          const webhook = await fetch(`${shop.url}/payments/v1/webhooks/sandbox-a`, { method: "POST", body: "{}" })
          assert.strictEqual(webhook.status, 401)
          assert.strictEqual((await fetch(`${shop.url}/payments/health`)).status, 200)
          await waitFor(async () => ((await fetch(`${shop.url}/payments/nothing`)).status === 404 ? true : undefined), "404")
        })
        assert.deepStrictEqual(yield* ledger, [])
        shop.kill("SIGTERM")
        assert.strictEqual((yield* Effect.promise(() => shop.ended)).code, 0)
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )

  it.live(
    "takes another card after a decline, none while the first one is being checked, and hears how it ended",
    () =>
      Effect.gen(function* () {
        const { env, ledger, sql } = yield* World.make
        const shop = yield* Effect.promise(() => start(main, env))
        const orderOf = (id: string) =>
          Effect.map(
            sql<{ readonly status: string; readonly attempt: number }>`select status, attempt from orders where id = ${id}`,
            ([row]) => row
          )
        const paid = (id: string) => Effect.repeat(Effect.delay(orderOf(id), "100 millis"), { until: (row) => row?.status === "paid" })
        yield* Effect.promise(async () => {
          assert.strictEqual((await put(shop, "1", { item: "mug", token: "tok_declined_hard" })).status, 402)
          const [second, twice] = await Promise.all([put(shop, "1"), put(shop, "1")])
          assert.deepStrictEqual([second.status, twice.status], [201, 201])
          assert.deepStrictEqual((await put(shop, "1", { item: "mug", token: "tok_pending_success" })).body, { order: "paid" })

          const pending = await put(shop, "2", { item: "poster", token: "tok_pending_success" })
          assert.deepStrictEqual([pending.status, pending.body["order"]], [202, "is being checked; please do not pay again"])
          const other = await put(shop, "2", { item: "poster", token: "tok_success" })
          assert.deepStrictEqual([other.status, other.body["order"]], [409, "is being checked; please do not pay again"])
        })
        assert.deepStrictEqual(yield* orderOf("1"), { status: "paid", attempt: 2 })
        // Nobody asks again: the event tells.
        yield* paid("2")

        yield* Effect.promise(async () => {
          const action = await put(shop, "3", { item: "poster", token: "tok_3ds" })
          assert.deepStrictEqual([action.status, action.body["order"]], [202, "waits for you"])
          const { url } = action.body["next"] as { readonly url: string }
          assert.strictEqual((await fetch(`${url}/complete`, { method: "POST", redirect: "manual" })).status < 400, true)
          await waitFor(async () => {
            const returned = await fetch(`${shop.url}/orders/3/return`)
            return returned.status === 200 ? await returned.json() : undefined
          }, "the order is paid after the customer's action")
        })
        yield* paid("3")
        const entries = yield* ledger
        assert.isTrue(entries.every(({ kind }) => kind === "charge"))
        assert.deepStrictEqual(
          entries.map(({ amount }) => amount).toSorted((left, right) => left - right),
          [1290, 1290, 4990]
        )
        shop.kill("SIGTERM")
        assert.deepStrictEqual(yield* Effect.promise(() => shop.ended), { code: 0, signal: null }, shop.output())
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )

  it.live(
    "does not ask for another payment while its database is away, and starts with Stripe",
    () =>
      Effect.gen(function* () {
        const { env, ledger } = yield* World.make
        const proxy = yield* TcpProxy.start(Redacted.make(env["DATABASE_URL"]!))
        const stripe = {
          STRIPE_ACCOUNT: "acct_1Example",
          STRIPE_SECRET_KEY: "sk_test_0123456789abcdef",
          STRIPE_WEBHOOK_SECRET: "whsec_0123456789abcdef"
        }
        const shop = yield* Effect.promise(() => start(main, { ...env, ...stripe, DATABASE_URL: Redacted.value(proxy.url) }))
        yield* Effect.promise(async () => {
          const webhook = await fetch(`${shop.url}/payments/v1/webhooks/stripe-eu`, { method: "POST", body: "{}" })
          assert.strictEqual(webhook.status, 401)
          proxy.refuse = true
          proxy.breakAll()
          const answer = await put(shop, "1")
          assert.deepStrictEqual([answer.status, answer.body["order"]], [503, "is being checked; please do not pay again"])
        })
        assert.deepStrictEqual(yield* ledger, [])
        proxy.refuse = false
        shop.kill("SIGTERM")
        assert.strictEqual((yield* Effect.promise(() => shop.ended)).code, 0)
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )
})
