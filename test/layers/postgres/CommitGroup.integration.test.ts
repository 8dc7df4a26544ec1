/**
 * Groups of commits on a real server: what concurrent writers, bad rows, held rows and lost answers do to their neighbours.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import { replay } from "../../../src/domain/payment/Replay.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { type Commit, EventStore } from "../../../src/services/EventStore.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TcpProxy from "../../support/TcpProxy.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))

const some = (count: number) => Array.from({ length: count }, () => Payments.firstCommit())

const commit = (one: Commit) => Effect.flatMap(EventStore, (store) => store.commit(one))

const all = (commits: ReadonlyArray<Commit>) => Effect.forEach(commits, (one) => Effect.exit(commit(one)), { concurrency: "unbounded" })

const tagOf = <A extends { readonly _tag: string }, E extends { readonly reason: { readonly _tag: string } }>(exit: Exit.Exit<A, E>) =>
  Exit.isSuccess(exit)
    ? exit.value._tag
    : Exit.findErrorOption(exit).pipe((error) => (error._tag === "Some" ? error.value.reason._tag : "defect"))

const versionsOf = (payment: PaymentId) =>
  Effect.flatMap(EventStore, (store) => Effect.map(store.read(payment), (events) => events.map((event) => event.version)))

/** Holds the head row of a payment until told to let go. */
const holdHead = Effect.fnUntraced(function* (payment: PaymentId) {
  const sql = yield* SqlClient
  const held = yield* Deferred.make<void>()
  const letGo = yield* Deferred.make<void>()
  yield* Effect.forkScoped(
    sql.withTransaction(
      Effect.gen(function* () {
        const where = [bucketOfPayment(payment), uuidOfPayment(payment)]
        yield* sql.unsafe("select from aegispay.payments where bucket = $1::int and id = $2::uuid for update", where)
        yield* Deferred.succeed(held, undefined)
        yield* Deferred.await(letGo)
      })
    )
  )
  yield* Deferred.await(held)
  return Deferred.succeed(letGo, undefined)
})

/** A payment that a host's transaction has written, claim included, until it is told how to end. */
const holdPrepared = Effect.fnUntraced(function* (prepared: Commit) {
  const sql = yield* SqlClient
  const written = yield* Deferred.make<void>()
  const ending = yield* Deferred.make<"commits" | "rolls back">()
  const fiber = yield* Effect.forkScoped(
    sql.withTransaction(
      Effect.gen(function* () {
        yield* mustCommit(prepared)
        yield* Deferred.succeed(written, undefined)
        if ((yield* Deferred.await(ending)) === "rolls back") return yield* Effect.fail("rolled back")
      })
    )
  )
  yield* Deferred.await(written)
  return { end: (how: "commits" | "rolls back") => Effect.andThen(Deferred.succeed(ending, how), Effect.exit(Fiber.join(fiber))) }
})

/** Heads, events, claims, open operations and outbox of every payment agree with the fold of its events. */
const assertConsistent = Effect.gen(function* () {
  const store = yield* EventStore
  const sql = yield* SqlClient
  const heads = yield* sql<{ readonly bucket: number; readonly id: string; readonly version: number; readonly status: string }>`
    select bucket, id, version, status from aegispay.payments`
  const counts = yield* sql<{ readonly events: bigint; readonly queued: bigint; readonly positions: bigint; readonly versions: bigint }>`
    select (select count(*) from aegispay.events) as events, (select sum(last_version - first_version + 1)::bigint from aegispay.outbox) as queued,
      (select count(distinct position) from aegispay.events) as positions, (select sum(version)::bigint from aegispay.payments) as versions`
  const [count] = counts
  assert.isDefined(count)
  assert.deepStrictEqual([count.queued, count.positions, count.versions], [count.events, count.events, count.events])
  const orphans = yield* sql`select from aegispay.claims c where not exists
    (select from aegispay.payments p where p.bucket = c.payment_bucket and p.id = c.payment)`
  assert.lengthOf(orphans, 0, "a claim without its payment")
  for (const { events } of yield* sql<{ readonly events: string }>`
    select string_agg(version::text, ',' order by version) as events from aegispay.events group by bucket, payment`) {
    assert.strictEqual(
      events,
      events
        .split(",")
        .map((_, index) => index + 1)
        .join(",")
    )
  }
  return { store, heads }
})

describe("a group of commits", () => {
  it.live("gives each of many concurrent writers the answer it would get alone", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const store = yield* EventStore
      const existing = yield* Effect.forEach(some(60), (one) => mustCommit(one), { concurrency: "unbounded" })
      const before = yield* sql<{ readonly id: bigint }>`select pg_current_xact_id()::text::bigint as id`
      const fresh = some(60)
      const sameKey = fresh
        .slice(0, 20)
        .map((one): Commit => ({ ...Payments.firstCommit(), ...(one.claim === undefined ? {} : { claim: one.claim }) }))
      const advance = existing.map((payment) => Payments.commitOf(payment, [Payments.succeeded()]))
      const rivals = existing.slice(0, 20).map((payment) => Payments.commitOf(payment, [Payments.declined()]))
      const unleased = some(10).map((one): Commit => ({ ...one, lease: { key: "nobody", token: 1n } }))
      const groups = { fresh, sameKey, advance, rivals, unleased }
      const exits = yield* all(Object.values(groups).flat())
      const tags = exits.map(tagOf)
      const of = (name: keyof typeof groups) => {
        const names = Object.keys(groups)
        const start = names.slice(0, names.indexOf(name)).reduce((sum, other) => sum + groups[other as keyof typeof groups].length, 0)
        return tags.slice(start, start + groups[name].length)
      }
      for (let index = 0; index < 20; index++) {
        assert.sameMembers([of("fresh")[index], of("sameKey")[index]], ["Committed", "KeyTaken"])
        assert.sameMembers([of("advance")[index], of("rivals")[index]], ["Committed", "VersionConflict"])
      }
      assert.isTrue([...of("fresh").slice(20), ...of("advance").slice(20)].every((tag) => tag === "Committed"))
      assert.isTrue(of("unleased").every((tag) => tag === "LeaseLost"))
      const after = yield* sql<{ readonly id: bigint }>`select pg_current_xact_id()::text::bigint as id`
      assert.isBelow(Number((after[0]?.id ?? 0n) - (before[0]?.id ?? 0n)), 120, "far fewer transactions than commits")
      yield* assertConsistent
      for (const exit of exits) {
        if (Exit.isSuccess(exit) && exit.value._tag === "Committed") {
          const { id } = exit.value.payment
          assert.deepStrictEqual(Result.getOrThrow(replay(id, yield* store.read(id))), exit.value.payment)
        }
      }
    }).pipe(Effect.provide(stores))
  )

  it.live("a row that the database refuses harms no neighbour", () =>
    Effect.gen(function* () {
      const commits = some(40)
      const bad = commits[17]
      assert.isDefined(bad?.claim)
      commits[17] = { ...bad, claim: { ...bad.claim, fingerprint: "not\u0000text" } }
      const exits = yield* all(commits)
      assert.deepStrictEqual(
        exits.map(tagOf),
        commits.map((_, index) => (index === 17 ? "Unavailable" : "Committed"))
      )
      assert.deepStrictEqual(yield* versionsOf(bad.payment.id), [])
      yield* assertConsistent
    }).pipe(Effect.provide(stores))
  )

  it.live("a row that another transaction holds stops its own payment only", () =>
    Effect.gen(function* () {
      const [held, ...others] = yield* Effect.forEach(some(40), (one) => mustCommit(one), { concurrency: "unbounded" })
      assert.isDefined(held)
      const letGo = yield* holdHead(held.id)
      const stuck = yield* Effect.forkChild(Effect.exit(commit(Payments.commitOf(held, [Payments.succeeded()]))))
      const exits = yield* all(others.map((payment) => Payments.commitOf(payment, [Payments.succeeded()])))
      assert.isTrue(exits.every((exit) => tagOf(exit) === "Committed"))
      assert.isUndefined(stuck.pollUnsafe(), "the held payment still waits")
      yield* letGo
      assert.strictEqual(tagOf(yield* Fiber.join(stuck)), "Committed")
      yield* assertConsistent
    }).pipe(Effect.scoped, Effect.provide(stores))
  )

  for (const [ends, verdict] of [
    ["commits", "KeyTaken"],
    ["rolls back", "Committed"]
  ] as const) {
    it.live(`a key that a host's transaction has claimed stops its own commit only, which gets its verdict when the host ${ends}`, () =>
      Effect.gen(function* () {
        const begun = performance.now()
        const existing = yield* Effect.forEach(some(20), (one) => mustCommit(one), { concurrency: "unbounded" })
        const usual = performance.now() - begun
        const prepared = Payments.firstCommit()
        const host = yield* holdPrepared(prepared)
        assert.isDefined(prepared.claim)
        const rival: Commit = { ...Payments.firstCommit(), claim: prepared.claim }
        // Others come before and after it, so that it is one of a group whoever leads it.
        const others = [...some(20), ...existing.map((payment) => Payments.commitOf(payment, [Payments.succeeded()]))]
        const started = performance.now()
        const before = yield* Effect.forkChild(all(others.slice(0, 20)), { startImmediately: true })
        const stuck = yield* Effect.forkChild(Effect.exit(commit(rival)), { startImmediately: true })
        const after = yield* Effect.forkChild(all(others.slice(20)), { startImmediately: true })
        const exits = [...(yield* Fiber.join(before)), ...(yield* Fiber.join(after))]
        // Twice as many: where the machine is so busy that they take as long as a lock timeout by themselves, nothing can be told.
        assert.isBelow(performance.now() - started, Math.max(2_000, 6 * usual), "the others wait for less than one lock timeout")
        assert.deepStrictEqual([...new Set(exits.map(tagOf))], ["Committed"])
        assert.isUndefined(stuck.pollUnsafe(), "the one that wants the key waits")
        yield* host.end(ends)
        assert.strictEqual(tagOf(yield* Fiber.join(stuck)), verdict)
        assert.lengthOf(yield* versionsOf(prepared.payment.id), ends === "commits" ? 3 : 0)
        assert.lengthOf(yield* versionsOf(rival.payment.id), ends === "commits" ? 0 : 3)
        yield* assertConsistent
      }).pipe(Effect.scoped, Effect.provide(stores))
    )
  }

  it.live("whose answer is lost is found to be stored, each commit once", () =>
    Effect.gen(function* () {
      const url = yield* TestDatabase.fresh
      const proxy = yield* TcpProxy.start(url)
      const proxied = yield* Layer.build(
        Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(PgClient.layer({ url: proxy.url })))
      )
      yield* Effect.provideContext(
        Effect.gen(function* () {
          yield* mustCommit(Payments.firstCommit())
          const commits = some(30)
          const [leader, ...rest] = commits
          assert.isDefined(leader)
          const first = yield* Effect.forkChild(Effect.exit(commit(leader)), { startImmediately: true })
          const grouped = yield* Effect.forkChild(all(rest), { startImmediately: true })
          proxy.loseAnswers = 2
          const exits = [yield* Fiber.join(first), ...(yield* Fiber.join(grouped))]
          assert.strictEqual(proxy.loseAnswers, 0)
          assert.isTrue(exits.every((exit) => tagOf(exit) === "Committed"))
          yield* assertConsistent
        }),
        proxied
      )
    }).pipe(Effect.scoped)
  )

  it.live("of two processes over the same payments one wins each version, and nobody waits for ever", () =>
    Effect.gen(function* () {
      const url = yield* TestDatabase.fresh
      const client = PgClient.layer({ url })
      const one = yield* Layer.build(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(client)))
      const two = yield* Layer.build(Layer.fresh(Postgres.layer.pipe(Layer.provideMerge(client))))
      const payments = yield* Effect.provideContext(
        Effect.forEach(some(80), (first) => mustCommit(first), { concurrency: "unbounded" }),
        one
      )
      const ours = payments.map((payment) => Payments.commitOf(payment, [Payments.succeeded()]))
      const theirs = payments.toReversed().map((payment) => Payments.commitOf(payment, [Payments.declined()]))
      const [left, right] = yield* Effect.all([Effect.provideContext(all(ours), one), Effect.provideContext(all(theirs), two)], {
        concurrency: "unbounded"
      })
      const rival = right.toReversed()
      for (const [index, exit] of left.entries()) {
        const other = rival[index]
        assert.isDefined(other)
        assert.sameMembers([tagOf(exit), tagOf(other)], ["Committed", "VersionConflict"])
      }
      yield* Effect.provideContext(assertConsistent, one)
    }).pipe(Effect.scoped)
  )
})
