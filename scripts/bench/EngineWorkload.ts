/**
 * `engine`: payments per second and commits per payment through the whole engine, on memory and on Postgres.
 *
 * On Postgres the same statements run in a bare loop in the same rounds; the ratio is what the engine, the adapter and the simulator
 * leave of the database's throughput. Beside it stand the simulator alone and the engine with gateways that cost nothing.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as MemoryIds from "../../src/layers/memory/Ids.ts"
import * as PostgresGatewayMetrics from "../../src/layers/postgres/routing/GatewayMetrics.ts"
import * as PostgresLock from "../../src/layers/postgres/Lock.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import { Ids } from "../../src/services/Ids.ts"
import * as BareLoop from "./BareLoop.ts"
import * as Database from "./Database.ts"
import * as Engine from "./Engine.ts"
import { alternate, type Case, type Options, ratioOf, repeatFor, type Report, resultsOf, type Sample } from "./Harness.ts"
import { simulatorCall } from "./SimulatorCall.ts"

/** Time that a case runs before it is measured, as a share of the measured time. */
const warmUpShare = 0.25

/** What is repeated, built anew for every measurement. `committed` answers the commits the store has accepted so far. */
interface Subject {
  readonly name: string
  readonly make: Effect.Effect<{ readonly one: Effect.Effect<void>; readonly committed?: () => number }, never, Scope.Scope>
}

/** Builds a subject, warms it up, measures it. `finish` runs while it is still there. */
const measure = <A>(
  subject: Subject,
  options: { readonly concurrency: number; readonly seconds: number; readonly finish: Effect.Effect<A> }
) =>
  Effect.gen(function* () {
    const { committed = () => Number.NaN, one } = yield* subject.make
    const { concurrency, seconds } = options
    const warmUp = yield* repeatFor({ one, concurrency, seconds: seconds * warmUpShare })
    const before = committed()
    const measured = yield* repeatFor({ one, concurrency, seconds })
    return {
      all: warmUp.count + measured.count,
      finished: yield* options.finish,
      sample: {
        "payments/s": measured.perSecond,
        "Node CPU ms": measured.cpuMillisEach,
        ...(Number.isNaN(before) ? {} : { "commits (store)": (committed() - before) / measured.count })
      } satisfies Sample
    }
  }).pipe(Effect.scoped)

const inMemory: ReadonlyArray<Subject> = [
  {
    name: "engine, memory",
    make: Effect.map(Engine.build(Engine.memoryStores, Engine.sandboxGateways), (engine) => ({
      one: Engine.chargeOne(engine),
      committed: () => engine.commits.committed
    }))
  },
  {
    name: "engine, memory, instant gateway",
    make: Effect.map(Engine.build(Engine.memoryStores, Engine.instantGateways), (engine) => ({
      one: Engine.chargeOne(engine),
      committed: () => engine.commits.committed
    }))
  },
  { name: "adapter and simulator alone", make: Effect.map(simulatorCall, (one) => ({ one })) }
]

const postgresStores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, PostgresGatewayMetrics.layer)

const onPostgres = (server: Database.Server, databases: { readonly engine: string; readonly bare: string }) =>
  [
    {
      name: "engine, Postgres",
      database: databases.engine,
      make: Effect.map(Engine.build(Layer.provide(postgresStores, server.connect(databases.engine)), Engine.sandboxGateways), (engine) => ({
        one: Engine.chargeOne(engine),
        committed: () => engine.commits.committed
      }))
    },
    {
      name: "engine, Postgres, instant gateway",
      database: databases.engine,
      make: Effect.map(Engine.build(Layer.provide(postgresStores, server.connect(databases.engine)), Engine.instantGateways), (engine) => ({
        one: Engine.chargeOne(engine),
        committed: () => engine.commits.committed
      }))
    },
    {
      name: "bare SQL loop",
      database: databases.bare,
      make: Effect.gen(function* () {
        const context = yield* Layer.build(Layer.merge(server.connect(databases.bare), MemoryIds.layer))
        return { one: yield* BareLoop.make(Context.get(context, PgClient.PgClient), Context.get(context, Ids)) }
      })
    }
  ] satisfies ReadonlyArray<Subject & { readonly database: string }>

const memoryCase = (subject: Subject, concurrency: number, seconds: number): Case => ({
  name: `${subject.name}, c=${concurrency}`,
  measure: Effect.map(measure(subject, { concurrency, seconds, finish: Effect.void }), ({ sample }) => sample)
})

/** As in memory, with what the server counted from before the pool was opened until after it was closed. */
const postgresCase = (
  server: Database.Server,
  subject: Subject & { readonly database: string },
  concurrency: number,
  seconds: number
): Case => ({
  name: `${subject.name}, c=${concurrency}`,
  measure: Effect.gen(function* () {
    const before = yield* server.counters(subject.database)
    const { all, finished, sample } = yield* measure(subject, { concurrency, seconds, finish: server.backendCpuMillis(subject.database) })
    const after = yield* server.counters(subject.database)
    return {
      ...sample,
      "Postgres CPU ms": finished / all,
      transactions: (after.transactions - before.transactions) / all,
      "of them writing": (after.writing - before.writing) / all,
      fsyncs: (after.fsyncs - before.fsyncs) / all,
      "WAL KB": (after.walBytes - before.walBytes) / 1024 / all
    } satisfies Sample
  })
})

/** Runs the workload. */
export const run = (options: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const { concurrency, rounds, seconds } = options
    const server = yield* Database.server
    const subjects = onPostgres(server, { engine: yield* server.create, bare: yield* server.create })
    const cases = concurrency.flatMap((fibers) => [
      ...subjects.map((subject) => postgresCase(server, subject, fibers, seconds)),
      ...inMemory.map((subject) => memoryCase(subject, fibers, seconds))
    ])
    const wanted = cases.filter(({ name }) => name.includes(options.only))
    if (wanted.length === 0)
      return yield* Effect.die(new Error(`no case has "${options.only}" in its name: ${cases.map(({ name }) => name).join("; ")}`))
    const samples = yield* alternate("engine", wanted, rounds)
    const measured = (name: string) => samples.has(name)
    const pairs = [
      ["engine, Postgres", "bare SQL loop"],
      ["engine, memory", "engine, memory, instant gateway"]
    ] as const
    return {
      workload: "engine",
      facts: {
        Postgres: `${server.version}, ${server.settings}`,
        "each measurement": `${seconds} s after ${seconds * warmUpShare} s of warm-up`
      },
      cases: resultsOf(samples),
      ratios: concurrency.flatMap((fibers) =>
        pairs
          .filter((pair) => pair.every((name) => measured(`${name}, c=${fibers}`)))
          .flatMap(([of, over]) =>
            (["payments/s", "Node CPU ms"] as const).map((number) =>
              ratioOf(samples, {
                name: `${number}: ${of} / ${over}, c=${fibers}`,
                of: `${of}, c=${fibers}`,
                over: `${over}, c=${fibers}`,
                number
              })
            )
          )
      ),
      notes: [
        "commits (store): commits that the event store accepted, per payment. transactions: committed ones of pg_stat_database, with the look-up of the idempotency key; of them writing: transaction ids used.",
        "The server's counters include the warm-up and the opening of the pool; fsyncs and WAL are those of the whole server."
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
