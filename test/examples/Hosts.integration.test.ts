/**
 * The other host examples of the documentation, as real processes: Fastify, an Effect service, and recovery as a job.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as EffectMain from "../../docs/examples/effect-service-main.ts"
import type * as FastifyMain from "../../docs/examples/fastify-service-main.ts"
import type * as FirstPromise from "../../docs/examples/first-promise.ts"
import type * as Job from "../../docs/examples/recover-job.ts"
import { waitFor } from "../edges/cli/aegispay.ts"
import { run, start } from "./hosts.ts"
import * as World from "./world.ts"

/** Programs are run, not imported; their types are checked with the tests. */
export type Programs = [typeof EffectMain, typeof FastifyMain, typeof FirstPromise, typeof Job]

/** Several processes, one after the other, on a busy machine. */
const limit = { timeout: 120_000 }

const post = async (url: string, body: unknown, headers: Readonly<Record<string, string>> = {}) => {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body)
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

describe("the Fastify service", () => {
  it.live(
    "charges once a month, serves the whole interface below its prefix, and tells of events",
    () =>
      Effect.gen(function* () {
        const { env, ledger } = yield* World.make
        const key = "sk_test_0123456789abcdef"
        const host = yield* Effect.promise(() => start("docs/examples/fastify-service-main.ts", { ...env, API_KEY: key }))
        yield* Effect.promise(async () => {
          const charge = () => post(`${host.url}/subscriptions/7/charges`, { month: "2026-11", token: "tok_success" })
          const [first, again] = await Promise.all([charge(), charge()])
          assert.deepStrictEqual([first.status, first.body["outcome"]], [200, "charged"])
          assert.deepStrictEqual(again, first)
          const bad = await post(`${host.url}/subscriptions/7/charges`, { month: "2026 11", token: "tok_success" })
          assert.deepStrictEqual([bad.status, JSON.stringify(bad.body).includes("without blanks")], [400, true])
          assert.strictEqual((await fetch(`${host.url}/subscriptions/7/charges`, { method: "POST" })).status, 400)

          const authorization = `Bearer ${key}`
          const seen = await fetch(`${host.url}/pay/v1/payments`, { headers: { authorization } })
          const { data } = (await seen.json()) as { readonly data: ReadonlyArray<{ readonly id: string }> }
          assert.deepStrictEqual([seen.status, data.map(({ id }) => id)], [200, [first.body["payment"]]])
          const body = { amount: 100, currency: "EUR", paymentMethod: { type: "card", token: "tok_success" } }
          const made = await post(`${host.url}/pay/v1/payments`, body, { authorization, "idempotency-key": "k" })
          assert.deepStrictEqual([made.status, made.body["status"]], [201, "succeeded"])
          assert.strictEqual((await fetch(`${host.url}/pay/v1/payments`)).status, 401)
          await waitFor(() => (host.output().match(/OperationSucceeded/g)?.length === 2 ? true : undefined), "events")
        })
        assert.lengthOf(yield* ledger, 2)
        yield* Effect.promise(async () => {
          const charge = (id: number, token: string) => post(`${host.url}/subscriptions/${id}/charges`, { month: "2026-11", token })
          const answers = [await charge(8, "tok_declined_hard"), await charge(9, "tok_pending_success")]
          assert.deepStrictEqual(
            answers.map(({ body, status }) => [status, body["outcome"]]),
            [
              [402, "declined"],
              [202, "pending"]
            ]
          )
        })
        host.kill("SIGTERM")
        assert.deepStrictEqual(yield* Effect.promise(() => host.ended), { code: 0, signal: null }, host.output())
      }).pipe(Effect.scoped),
    limit
  )
})

describe("the Effect service", () => {
  it.live(
    "commits the order with its payment and charges once",
    () =>
      Effect.gen(function* () {
        const { count, env, ledger } = yield* World.make
        const host = yield* Effect.promise(() => start("docs/examples/effect-service-main.ts", env))
        yield* Effect.promise(async () => {
          const put = async () => (await fetch(`${host.url}/orders/1`, { method: "PUT" })).json()
          assert.deepStrictEqual(await Promise.all([put(), put()]), [
            { order: "1", payment: "succeeded" },
            { order: "1", payment: "succeeded" }
          ])
        })
        assert.deepStrictEqual([yield* count("orders"), yield* count("aegispay.payments"), (yield* ledger).length], [1, 1, 1])
        host.kill("SIGTERM")
        yield* Effect.promise(() => host.ended)
      }).pipe(Effect.scoped),
    limit
  )
})

describe("the recovery job", () => {
  it.live(
    "finishes what a killed shop left open, and says so",
    () =>
      Effect.gen(function* () {
        const { count, env, ledger } = yield* World.make
        const shop = yield* Effect.promise(() => start("test/examples/killedShop.ts", { ...env, KILL_AT: "after-charge" }))
        const order = { method: "PUT", headers: { "content-type": "application/json" }, body: '{"item":"mug","token":"tok_success"}' }
        yield* Effect.promise(() => fetch(`${shop.url}/orders/1`, order).catch(() => shop.ended))
        const directory = yield* Effect.acquireRelease(
          Effect.promise(() => mkdtemp(join(tmpdir(), "aegispay-job-"))),
          (path) => Effect.promise(() => rm(path, { recursive: true }))
        )
        const file = join(directory, "aegispay.json")
        const config = {
          database: { url: "env:DATABASE_URL" },
          fingerprintKey: "env:FINGERPRINT_KEY",
          gateways: [{ name: "sandbox-a", kind: "sandbox", baseUrl: env["SANDBOX_URL"] }],
          http: { apiKeys: [{ merchant: "my-shop", key: "env:API_KEY" }] }
        }
        yield* Effect.promise(() => writeFile(file, JSON.stringify(config)))
        const job = () => run("docs/examples/recover-job.ts", { ...env, AEGISPAY_CONFIG: file, API_KEY: "sk_test_0123456789abcdef" })
        // What is younger than recovery's age limit waits for the next run.
        const { code, output } = yield* Effect.repeat(Effect.promise(job), { until: ({ output }) => !output.includes('"recovered":{}') })
        assert.strictEqual(code, 0, output)
        assert.include(output, '"recovered":{"succeeded":1}')
        assert.deepStrictEqual([yield* count("orders"), (yield* ledger).length], [1, 1])
      }).pipe(Effect.scoped),
    limit
  )
})
