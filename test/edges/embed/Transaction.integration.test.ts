/**
 * The facade on Postgres: transactions of the host that a payment joins, and a database that is not there.
 */
import { assert, describe, it } from "@effect/vitest"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { Migrations } from "../../../src/public/postgres.ts"
import * as Embed from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import * as TcpProxy from "../../support/TcpProxy.ts"

const fingerprintKey = "a key of at least 32 characters for tests"

const at = (url: string, gateway: ScriptedGateway.ScriptedGateway, options: Embed.AegisPayOptions = {}) =>
  Embed.AegisPay.make(
    { database: { url: "env:URL" }, fingerprintKey: "env:FINGERPRINT" },
    {
      merchant: "m1",
      gateways: [gateway],
      environment: { URL: url, FINGERPRINT: fingerprintKey },
      background: false,
      log: () => {},
      ...options
    }
  )

/** A gateway that a start accepts: what it does is certain within the time that an attempt may take. */
const scripted = () => ScriptedGateway.make("psp", { capabilities: { settleTimeMillis: 20_000 } })

const countsOf = (sql: SqlClient.SqlClient) => () =>
  Effect.runPromise(
    Effect.map(
      sql<{ readonly orders: number; readonly payments: number }>`
        select (select count(*)::int from orders) as orders, (select count(*)::int from aegispay.payments) as payments`,
      ([row]) => [row?.orders, row?.payments]
    )
  )

/** A database with the schema and a table of the host. */
const database = Effect.gen(function* () {
  const url = yield* TestDatabase.fresh
  const sql = Context.get(yield* Layer.build(Layer.orDie(PgClient.layer({ url }))), SqlClient.SqlClient)
  yield* Effect.provideService(Migrations.run, SqlClient.SqlClient, sql)
  yield* sql`create table orders (id text primary key, payment text not null)`
  return { url: Redacted.value(url), counts: countsOf(sql) }
})

/** For the time of a test: a facade on a fresh database. */
const facade = Effect.gen(function* () {
  const { counts, url } = yield* database
  const gateway = scripted()
  const aegis = yield* Effect.acquireRelease(
    Effect.promise(() => at(url, gateway)),
    (made) => Effect.promise(() => made.close())
  )
  return { aegis, counts, gateway }
})

/** The same, with a network between that a test cuts. */
const behindProxy = Effect.gen(function* () {
  const { counts, url } = yield* database
  const proxy = yield* TcpProxy.start(Redacted.make(url))
  const gateway = scripted()
  const aegis = yield* Effect.acquireRelease(
    Effect.promise(() => at(Redacted.value(proxy.url), gateway)),
    (made) => Effect.promise(() => made.close())
  )
  return { aegis, counts, gateway, proxy }
})

const charge = (key: string): Embed.ChargeInput => ({
  key,
  amount: 4990,
  currency: "EUR",
  paymentMethod: { type: "card", token: "tok_1" }
})

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => assert.fail("it was fulfilled"),
    (error: unknown) => error
  )

const insert = "insert into orders (id, payment) values ($1, $2)"

describe("a transaction", () => {
  it.live("commits the host's rows with the payment, and charges after it", () =>
    Effect.gen(function* () {
      const { aegis, counts, gateway } = yield* facade
      yield* Effect.promise(async () => {
        const prepared = await aegis.transaction(async (tx) => {
          const answer = await tx.prepare(charge("1"))
          await tx.query(insert, ["1", answer.payment.id])
          assert.deepStrictEqual([await counts(), gateway.sent.length], [[0, 0], 0], "nobody sees it yet, and nothing is sent")
          const rows = await tx.run(Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ readonly id: string }>`select id from orders`))
          assert.deepStrictEqual(rows, [{ id: "1" }])
          return answer
        })
        assert.deepStrictEqual([prepared.outcome, await counts()], ["pending", [1, 1]])
        const charged = await aegis.charge(charge("1"))
        assert.deepStrictEqual([charged.outcome, charged.payment.id, gateway.sent.length], ["charged", prepared.payment.id, 1])
      })
    }).pipe(Effect.scoped)
  )

  it.live("that commits without the payment, which its host took back by a statement of its own, charges nobody", () =>
    Effect.gen(function* () {
      const { aegis, counts, gateway } = yield* facade
      yield* Effect.promise(async () => {
        await aegis.transaction(async (tx) => {
          await tx.query(insert, ["1", "none"])
          await tx.query("savepoint before")
          await tx.prepare(charge("1"))
          await tx.query("rollback to savepoint before")
        })
        await aegis.transaction(async (tx) => {
          await tx.prepare(charge("2"))
          await tx.query("rollback")
        })
        const charged = await aegis.charge(charge("3"))
        assert.deepStrictEqual([charged.outcome, gateway.sent.length, await counts()], ["charged", 1, [1, 1]])
      })
    }).pipe(Effect.scoped)
  )

  it.live("rolls back with the host: no payment, no call, and the host's own error", () =>
    Effect.gen(function* () {
      const { aegis, counts, gateway } = yield* facade
      yield* Effect.promise(async () => {
        const mine = new Error("out of stock")
        const thrown = aegis.transaction(async (tx) => {
          const { payment } = await tx.prepare(charge("1"))
          await tx.query(insert, ["1", payment.id])
          throw mine
        })
        assert.strictEqual(await rejection(thrown), mine)
        const refused = await rejection(
          aegis.transaction(async (tx) => {
            const { payment } = await tx.prepare(charge("2"))
            await tx.query(insert, ["2", payment.id])
            // The host overlooks what the database refused.
            await tx.query(insert, ["2", payment.id]).catch(() => undefined)
          })
        )
        assert.instanceOf(refused, Embed.QueryFailed)
        assert.strictEqual(refused.code, "23505")
        const invalid = await rejection(aegis.transaction((tx) => tx.prepare({ ...charge("3"), amount: 1.5 })))
        assert.instanceOf(invalid, Embed.InvalidRequest)
        const controller = new AbortController()
        const aborted = await rejection(
          aegis.transaction(
            async (tx) => {
              await tx.prepare(charge("4"))
              controller.abort()
              await new Promise(() => {})
            },
            { signal: controller.signal }
          )
        )
        assert.instanceOf(aborted, Embed.Aborted)
        assert.deepStrictEqual([await counts(), gateway.sent.length], [[0, 0], 0])
        assert.strictEqual((await aegis.charge(charge("1"))).replayed, false, "the key is free")
      })
    }).pipe(Effect.scoped)
  )

  it.live("that fails or is aborted while something still runs in it leaves none of that behind", () =>
    Effect.gen(function* () {
      const { aegis, counts, gateway } = yield* facade
      yield* Effect.promise(async () => {
        for (let round = 0; round < 10; round++) {
          const mine = new Error("changed my mind")
          let prepared: Promise<unknown> | undefined
          const controller = new AbortController()
          const failed = aegis.transaction(
            async (tx) => {
              prepared = Promise.allSettled([tx.prepare(charge("1")), tx.query(insert, ["1", "p"]), tx.prepare(charge("2"))])
              // At another moment of what runs in each round.
              for (let turn = 0; turn < round * 3; turn++) await new Promise((resolve) => setImmediate(resolve))
              if (round % 2 === 0) throw mine
              controller.abort()
              await new Promise(() => {})
            },
            { signal: controller.signal }
          )
          const error = await rejection(failed)
          if (round % 2 === 0) assert.strictEqual(error, mine)
          else assert.deepInclude(error, { _tag: "Aborted", started: false })
          await prepared
        }
        const gate = Promise.withResolvers<void>()
        let slow: Promise<unknown> = Promise.resolve()
        const left = aegis.transaction(async (tx) => {
          const insertion = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into orders (id, payment) values ('late', 'p')`)
          slow = tx.run(
            Effect.andThen(
              Effect.promise(() => gate.promise),
              insertion
            )
          )
          throw new Error("gone")
        })
        await rejection(left)
        gate.resolve()
        assert.instanceOf(await rejection(slow), Embed.TransactionEnded)
        assert.deepStrictEqual([await counts(), gateway.sent.length], [[0, 0], 0])
      })
    }).pipe(Effect.scoped)
  )

  it.live("refuses calls to gateways inside it, awaits what was not, and ends with its function", () =>
    Effect.gen(function* () {
      const { aegis, counts } = yield* facade
      yield* Effect.promise(async () => {
        let kept: Embed.Transaction<Embed.ChargeInput> | undefined
        await aegis.transaction(async (tx) => {
          kept = tx
          for (const inside of [aegis.charge(charge("1")), aegis.transaction(async () => 1), aegis.recover(), aegis.close()]) {
            assert.instanceOf(await rejection(inside), Embed.CallInsideTransaction)
          }
          assert.lengthOf((await aegis.list()).data, 0, "reading is not refused")
          void tx.query(insert, ["1", "p"])
        })
        assert.deepStrictEqual(await counts(), [1, 0])
        assert.instanceOf(await rejection(kept?.query("select 1") ?? Promise.resolve()), Embed.TransactionEnded)
        assert.strictEqual((await aegis.charge(charge("1"))).outcome, "charged")
      })
    }).pipe(Effect.scoped)
  )
})

describe("two processes on one database", () => {
  it.live("of which one receives events: it gets all of them, whoever made the payments", () =>
    Effect.gen(function* () {
      const { url } = yield* database
      const seen = new Set<string>()
      const relay = { background: { recovery: false, webhooks: false } }
      const facade = (options: Embed.AegisPayOptions) =>
        Effect.acquireRelease(
          Effect.promise(() => at(url, scripted(), { ...relay, ...options })),
          (made) => Effect.promise(() => made.close())
        )
      const deaf = yield* facade({})
      const merchants = ["m1", "m2", "m3"]
      for (let nth = 0; nth < 12; nth++) {
        yield* Effect.promise(() => deaf.charge({ ...charge(`${nth}`), merchant: merchants[nth % 3]! }))
      }
      // As long as a relay of the first process would have had to take some of them.
      yield* Effect.sleep("1200 millis")
      const hearing = yield* facade({ onEvent: ({ paymentId, version }) => void seen.add(`${paymentId} ${version}`) })
      yield* Effect.promise(() => hearing.charge(charge("last")))
      yield* Effect.repeat(Effect.sleep("50 millis"), { until: () => seen.size === 13 * 4 }).pipe(Effect.timeoutOption("20 seconds"))
      assert.strictEqual(seen.size, 13 * 4)
    }).pipe(Effect.scoped)
  )
})

describe("a database that is not there", () => {
  it.live("stops the start, and says where it was looked for", () =>
    Effect.promise(async () => {
      const error = await rejection(at("postgres://aegispay:secret-password@127.0.0.1:1/shop", scripted()))
      assert.instanceOf(error, Embed.StartFailed)
      assert.match(error.message, /the database at 127.0.0.1:1\/shop cannot be used: .*correct database.url in AegisPay.make/)
      assert.notInclude(JSON.stringify(error), "secret-password")
    })
  )

  it.live("without the schema stops the start, and names the command", () =>
    Effect.gen(function* () {
      const url = Redacted.value(yield* TestDatabase.fresh)
      const error = yield* Effect.promise(() => rejection(at(url, scripted())))
      assert.instanceOf(error, Embed.StartFailed)
      assert.match(error.message, /aegispay migrate/)
    }).pipe(Effect.scoped)
  )

  it.live("later: nothing is started, and the same key works when it is back", () =>
    Effect.gen(function* () {
      const { aegis, gateway, proxy } = yield* behindProxy
      proxy.refuse = true
      proxy.breakAll()
      const error = yield* Effect.promise(() => rejection(aegis.charge(charge("1"))))
      assert.instanceOf(error, Embed.DatabaseUnavailable)
      assert.lengthOf(gateway.sent, 0)
      proxy.refuse = false
      assert.strictEqual((yield* Effect.promise(() => aegis.charge(charge("1")))).outcome, "charged")
    }).pipe(Effect.scoped)
  )

  it.live("at the commit of a transaction: it is not known, and the same key tells", () =>
    Effect.gen(function* () {
      const { aegis, counts, proxy } = yield* behindProxy
      yield* Effect.promise(async () => {
        const error = await rejection(
          aegis.transaction(async (tx) => {
            const { payment } = await tx.prepare(charge("1"))
            await tx.query(insert, ["1", payment.id])
            proxy.loseAnswers = 1
          })
        )
        assert.instanceOf(error, Embed.OutcomeUnknown)
        assert.deepStrictEqual(await counts(), [1, 1], "it was committed; only nobody here heard of it")
        const [known] = (await aegis.list()).data
        assert.strictEqual(known?.status, "processing", "recovery is the backup of the call that follows a commit")
      })
    }).pipe(Effect.scoped)
  )

  it.live("an account with open operations is missed at the start", () =>
    Effect.gen(function* () {
      const { url } = yield* database
      const lost = ScriptedGateway.make("gone", {
        answer: () => ScriptedGateway.lost,
        lookup: () => ScriptedGateway.lost,
        capabilities: { settleTimeMillis: 20_000 }
      })
      const first = yield* Effect.promise(() => at(url, lost))
      yield* Effect.promise(() => first.charge(charge("1")).finally(() => first.close()))
      const error = yield* Effect.promise(() => rejection(at(url, scripted())))
      assert.instanceOf(error, Embed.StartFailed)
      assert.match(error.message, /open operations: gone \(scripted:gone\): 1/)
      const allowed = yield* Effect.promise(() => at(url, scripted(), { allowMissingGateways: true }))
      yield* Effect.promise(() => allowed.close())
    }).pipe(Effect.scoped)
  )
})
