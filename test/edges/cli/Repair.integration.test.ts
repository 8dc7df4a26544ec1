/**
 * `aegispay recover`, `rebuild`, `reconcile` and `payment resolve` as processes, on a database server and a sandbox in a process of its own.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { aegispay, assertOneLine, configuration, type Running, start } from "./aegispay.ts"

const scope = Scope.makeUnsafe()
let databaseUrl = ""
let sandbox: Running
let config: Awaited<ReturnType<typeof configuration>>

const run = (...args: ReadonlyArray<string>) => aegispay([...args, "--config", config.file, "--json"], { env: config.env })
const sql = (text: string) =>
  Effect.runPromise(
    Effect.scoped(Effect.flatMap(PgClient.makeClient({ url: Redacted.make(databaseUrl) }), (client) => client.unsafe(text))).pipe(
      Effect.provide(Reactivity.layer)
    )
  )
const pay = async (token: string): Promise<{ readonly id: string; readonly status: string }> => {
  const paid = await run("pay", "--amount", "4990", "--currency", "EUR", "--token", token)
  return JSON.parse(paid.stdout)
}
const jsonOf = (ended: { readonly stdout: string }) => JSON.parse(ended.stdout)

beforeAll(async () => {
  databaseUrl = Redacted.value(await Effect.runPromise(Scope.provide(TestDatabase.fresh, scope)))
  sandbox = await start(["sandbox", "--port", "0", "--json"])
  config = await configuration({ databaseUrl, sandboxUrl: sandbox.announced.url })
  const migrated = await run("migrate")
  assert.strictEqual(migrated.code, 0, migrated.stderr)
})

afterAll(async () => {
  await sandbox.stop("SIGTERM")
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

describe("repairs on the command line", () => {
  it("reconcile: 0 when both say the same, 1 with what does not, 2 when it cannot run", async () => {
    await pay("tok_success")
    const reconcile = (...args: ReadonlyArray<string>) => run("reconcile", "--gateway", "sandbox-a", "--from", "2020-01-01", ...args)
    const clean = await reconcile()
    assert.strictEqual(clean.code, 0, clean.stderr + clean.stdout)
    assert.deepInclude(jsonOf(clean), { listed: 1, matched: 1, findings: [] })
    await fetch(`${sandbox.announced.url}/a/v1/charges`, {
      method: "POST",
      headers: { authorization: "Bearer sk_sandbox_a", "idempotency-key": "by-hand" },
      body: JSON.stringify({ amount: 1, currency: "EUR", token: "tok_success", capture: "automatic", reference: "by hand", payment: "p" })
    })
    const found = await reconcile("--dry-run")
    assert.strictEqual(found.code, 1)
    const [alert, said, ...more] = found.stderr.trimEnd().split("\n")
    assert.match(alert!, /level=ERROR .*that is no payment's of ours: not_our_reference/)
    assert.match(said!, /^aegispay: 1 findings, 0 of them resolved/)
    assert.lengthOf(more, 0)
    assert.deepInclude(jsonOf(found).counts, { Orphan: 1, Double: 0, Difference: 0, Missing: 0 })
    assert.deepInclude(jsonOf(found).findings[0], { why: "not_our_reference", live: true })
    const before = await reconcile("--to", "2020-01-02T00:00:00Z")
    assert.deepInclude(jsonOf(before), { listed: 0, to: Date.UTC(2020, 0, 2) })
    assert.strictEqual((await reconcile("--to", "2019-01-01")).code, 2)
    assert.strictEqual((await run("reconcile", "--gateway", "nobody", "--from", "2020-01-01")).code, 2)
    assertOneLine(await run("reconcile", "--gateway", "sandbox-a", "--from", "yesterday"), /ISO 8601/)
  })

  it("rebuild: writes what differs, once; a damaged history is 1", async () => {
    const { id } = await pay("tok_success")
    const shown = (await run("payment", "get", id)).stdout
    await sql("update aegispay.payments set status = 'failed', view = '{}'")
    const dry = await run("rebuild", "--dry-run")
    assert.strictEqual(dry.code, 1)
    const rebuilt = await run("rebuild")
    assert.strictEqual(rebuilt.code, 0, rebuilt.stderr)
    const { rewritten, scanned } = jsonOf(rebuilt)
    assert.isAtLeast(scanned, 2)
    assert.strictEqual(rewritten, scanned)
    assert.strictEqual(jsonOf(dry).rewritten, rewritten)
    assert.strictEqual((await run("payment", "get", id)).stdout, shown)
    assert.deepInclude(jsonOf(await run("rebuild")), { scanned, rewritten: 0, unchanged: scanned, damaged: 0 })
    await sql(`create table kept as select * from aegispay.commits where version = 1`)
    await sql(`delete from aegispay.commits where version = 1`)
    const damaged = await run("rebuild")
    assert.strictEqual(damaged.code, 1)
    assertOneLine(damaged, /damaged history/)
    assert.strictEqual(jsonOf(damaged).damaged, scanned)
    await sql(`insert into aegispay.commits select * from kept`)
    assert.strictEqual((await run("rebuild")).code, 0)
  })

  it("recover: --dry-run says what the gateways say and changes nothing, without it the payment is finished, once", async () => {
    const { id, status } = await pay("tok_5xx_after")
    assert.strictEqual(status, "in_doubt")
    const shown = (await run("payment", "get", id)).stdout
    const recover = (...args: ReadonlyArray<string>) => run("recover", "--older-than", "0", ...args)
    const dry = await recover("--dry-run")
    assert.deepInclude(jsonOf(dry), { scanned: 1, results: { succeeded: 1 } })
    assert.deepStrictEqual([dry.code, dry.stderr], [0, ""])
    assert.strictEqual((await run("payment", "get", id)).stdout, shown)
    assert.deepInclude(jsonOf(await recover()), { scanned: 1, results: { succeeded: 1 } })
    assert.deepInclude(jsonOf(await recover()), { scanned: 0, results: {} })
    assert.deepInclude(jsonOf(await run("payment", "get", id)), { status: "succeeded" })
  })

  it("recover: what has waited for its customer longer than it may expires in the same run, not with --dry-run or --limit", async () => {
    const { id, status } = await pay("tok_3ds")
    assert.strictEqual(status, "requires_action")
    assert.deepInclude(jsonOf(await run("recover")).expiry, { due: 0, results: {} })
    for (const [table, column] of [
      ["commits", "recorded_at"],
      ["open_operations", "opened_at"]
    ])
      await sql(`update aegispay.${table} set ${column} = ${column} - 90_000_000`)
    for (const bounded of ["--dry-run", "--limit=5"]) assert.notProperty(jsonOf(await run("recover", bounded)), "expiry")
    const expired = await run("recover")
    assert.strictEqual(expired.code, 0, expired.stderr)
    assert.deepInclude(jsonOf(expired).expiry, { due: 1, results: { expired: 1 } })
    assert.deepInclude(jsonOf(await run("payment", "get", id)), { status: "expired" })
  })

  it("payment resolve: what needs review is listed with its evidence, and a person says what became of it", async () => {
    const { id, status } = await pay("tok_wrong_amount")
    assert.strictEqual(status, "needs_review")
    const listed = jsonOf(await run("payment", "list", "--status", "needs_review"))
    assert.strictEqual(listed.data[0].id, id)
    assert.deepInclude(listed.data[0].reviews[0], { operation: 1, reason: "amount_mismatch" })
    assert.match(listed.data[0].reviews[0].evidence, /4991 EUR/)
    const recovered = await run("recover")
    assert.strictEqual(recovered.code, 1, "a payment waits for a person, whatever this run did")
    assertOneLine(recovered, /1 payments need a person: aegispay payment list --status needs_review/)
    const { needsReview, needsReviewCount } = jsonOf(recovered)
    assert.deepStrictEqual([needsReview, needsReviewCount], [[{ payment: id, operation: 1, reason: "amount_mismatch" }], 1])
    const resolve = (...args: ReadonlyArray<string>) => run("payment", "resolve", id, ...args)
    const refused = await resolve("--as", "failed", "--reason", "no")
    assert.strictEqual(refused.code, 1)
    assertOneLine(refused, /the gateway named it as succeeded/)
    const resolved = await resolve("--as", "succeeded", "--reason", "the statement says 49.90")
    assert.strictEqual(resolved.code, 0, resolved.stderr)
    assert.deepInclude(jsonOf(resolved), { id, status: "succeeded", amountCaptured: 4990 })
    const again = await resolve("--as", "succeeded", "--reason", "the statement says 49.90")
    assert.strictEqual(again.code, 1)
    assertOneLine(again, /nothing of it needs review/)
    const events = jsonOf(await run("payment", "events", id)).data as ReadonlyArray<{ readonly type: string }>
    assert.include(
      events.map(({ type }) => type),
      "ReviewClosed"
    )
    assert.strictEqual((await resolve("--as", "perhaps", "--reason", "no")).code, 2)
    assert.strictEqual((await resolve("--as", "failed")).code, 2)
  })
})
