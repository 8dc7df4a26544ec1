/**
 * `aegispay routing replay` as a process, over payments that the engine recorded on a database server. What the gateways do is known.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as PostgresMetrics from "../../../src/layers/postgres/routing/GatewayMetrics.ts"
import { chargeMany, gatewaysOf, recording, world } from "../../support/recordedRouting.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { engineOver } from "../../support/TestEngine.ts"
import { aegispay, assertOneLine, configuration, directory } from "./aegispay.ts"

const count = 600
const unexplored = 40
const scope = Scope.makeUnsafe()
let config: Awaited<ReturnType<typeof configuration>>
let files: string
/** Between the payments that were explored and those that were not. */
let middle = ""

const engineOn = (url: Redacted.Redacted, share: number) =>
  engineOver(
    gatewaysOf(() => Effect.void),
    { retries: 0 }
  ).pipe(
    Layer.provideMerge(recording({ exploration: { share } })),
    Layer.provideMerge(Layer.mergeAll(Postgres.layer, PostgresLock.layer, PostgresMetrics.layer, MemoryIds.layer)),
    Layer.provideMerge(Migrations.layer),
    Layer.provide(PgClient.layer({ url }))
  )

/** Runs a replay of a policy. */
const replay = async (policy: unknown, ...args: ReadonlyArray<string>) => {
  const file = join(files, "policy.json")
  await writeFile(file, typeof policy === "string" ? policy : JSON.stringify(policy))
  const from = args.includes("--from") ? [] : ["--from", "2020-01-01"]
  return aegispay(["routing", "replay", "--policy", file, ...from, "--config", config.file, ...args], { env: config.env })
}

beforeAll(async () => {
  const url = await Effect.runPromise(Scope.provide(TestDatabase.fresh, scope))
  await Effect.runPromise(Effect.provide(chargeMany({ prefix: "explored", count, seed: 11 }), engineOn(url, 0.5)))
  middle = new Date().toISOString()
  await Effect.runPromise(Effect.provide(chargeMany({ prefix: "certain", count: unexplored, seed: 12 }), engineOn(url, 0)))
  config = await configuration({
    databaseUrl: Redacted.value(url),
    sandboxUrl: "http://127.0.0.1:1",
    extra: { gateways: Object.keys(world).map((name) => ({ name, kind: "sandbox", baseUrl: `http://127.0.0.1:1/${name}` })) }
  })
  files = await directory()
}, 60_000)

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

describe("aegispay routing replay", () => {
  it("0 with an answer: estimates whose intervals hold the truth, and what would have changed", async () => {
    const ended = await replay({ policy: "fixed", order: ["b"] }, "--to", middle, "--json")
    assert.strictEqual(ended.code, 0, ended.stderr)
    const report = JSON.parse(ended.stdout)
    assert.deepInclude(report, { decisions: count, policy: "fixed", leftOut: [], refusals: [], certain: 0 })
    const { difference, high, low } = report.estimates.success
    assert.isBelow(low, world["b"]?.approval ?? 0)
    assert.isAbove(high, world["b"]?.approval ?? 1)
    assert.isAbove(difference.low, 0, "b approves more than what was recorded")
    assert.closeTo(report.estimates.fees[0].value, 40, 1e-6)
    assert.deepInclude(report.changed.flows[0], { from: "a", to: "b" })
    assert.deepInclude(report.recorded[0], { policy: "weighted", decisions: count })
  })

  it("as text: a table that a person can read", async () => {
    const { code, stderr, stdout } = await replay({ policy: "fixed", order: ["b"] }, "--to", middle)
    assert.strictEqual(code, 0)
    assert.strictEqual(stderr, "")
    assert.match(stdout, /^600 decisions from 2020-01-01T00:00:00.000Z to /)
    assert.match(stdout, / {2}a +b +[0-9]+ +[0-9.]+ %\n/)
    assert.match(
      stdout,
      /recorded +estimated +95 % interval +difference\n {2}success \(difference in points\) +7\d\.\d\d % +\d\d\.\d\d % +\d\d\.\d\d % to \d\d\.\d\d % +\+\d/
    )
    assert.match(stdout, /fee of a success, minor units of EUR +[0-9.]+ +40\.0 /)
    assert.match(stdout, /plain weighting, weights cut at 100/)
    assert.match(stdout, /worth \d+ decisions of its own; mean weight [01]\.\d+; 0\.0 % of its choices were never tried/)
  })

  it("1 without one: what is missing, and what can be told all the same", async () => {
    const none = await replay({}, "--to", "2020-01-02")
    assert.strictEqual(none.code, 1)
    assertOneLine(none, /no estimate: there is no decision in the range/)
    const certain = await replay({ policy: "fixed", order: ["b"] }, "--from", middle)
    assert.strictEqual(certain.code, 1, certain.stderr)
    assertOneLine(certain, /no estimate: 100\.0 % of its choices were never or hardly tried \(b 100\.0 %\), more than 5\.0 %; explore more/)
    assert.match(certain.stdout, /^40 decisions/)
    assert.match(certain.stdout, / {2}a +b +40 +100\.0 %\n/)
    assert.match(certain.stdout, /no estimate of what it would have achieved/)
    const drawn = await replay({ policy: "fixed", order: ["b"] }, "--drawn-only", "--json")
    assert.strictEqual(drawn.code, 0, drawn.stderr)
    assert.deepInclude(JSON.parse(drawn.stdout), { drawnOnly: true, decisions: count, certain: unexplored })
  })

  it("2 when it cannot run: each problem of the file is named", async () => {
    const policy = { policy: "guess", weights: { success: 5, latency: -1, cost: 2 }, database: {}, order: ["a"] }
    const bad = await replay(policy)
    assert.strictEqual(bad.code, 2)
    assertOneLine(bad, /policy: expected weighted, fixed or thompson, got "guess"/)
    assertOneLine(bad, /weights.latency: expected a number from 0 to 1000, got -1/)
    assertOneLine(bad, /database: is not a known field/)
    assertOneLine(await replay({ policy: "fixed", order: ["nobody"] }), /order\[0\]: is not the name of a gateway in .*aegispay\.json/)
    assertOneLine(await replay("{"), /is not valid JSON/)
    const missing = ["routing", "replay", "--policy", join(files, "none.json"), "--from", "2020-01-01", "--config", config.file]
    assertOneLine(await aegispay(missing, { env: config.env }), /none\.json: cannot be read \(ENOENT\)/)
    assertOneLine(await replay({}, "--to", "2019-01-01"), /the range is empty/)
  })
})
