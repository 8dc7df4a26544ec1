/**
 * `engine`: payments per second and commits per payment through the whole engine, on memory and on Postgres.
 *
 * On Postgres the same statements run in a bare loop in the same rounds; the ratio is what the engine, the adapter and the simulator
 * leave of the database's throughput. Beside it stand the simulator alone, the engine with gateways that cost nothing, and with gateways that
 * take a time to answer.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import { Ids } from "../../../src/services/Ids.ts"
import * as BareLoop from "./BareLoop.ts"
import * as Database from "./Database.ts"
import * as Engine from "./Engine.ts"
import { alternate, type Options, ratioOf, type Report, resultsOf } from "../Harness.ts"
import { simulatorCall } from "./SimulatorCall.ts"
import * as Subject from "./Subject.ts"

const usualConcurrency = [1, 64, 256]

/** The gateways, by how they are named in a case. */
const gatewaysOf = (millis: ReadonlyArray<number>) => [
  { suffix: "", gateways: Engine.sandboxGateways },
  { suffix: ", instant gateway", gateways: Engine.instantGateways },
  ...millis.filter((each) => each > 0).map((each) => ({ suffix: `, ${each} ms gateway`, gateways: Engine.slowGateways(each) }))
]

const inMemory = (millis: ReadonlyArray<number>): ReadonlyArray<Subject.Subject> => [
  ...gatewaysOf(millis).map(({ gateways, suffix }) => Subject.engineMemory(`engine, memory${suffix}`, gateways)),
  { name: "adapter and simulator alone", make: Effect.map(simulatorCall, (one) => ({ one })) }
]

const onPostgres = (
  server: Database.Server,
  databases: { readonly engine: string; readonly bare: string },
  millis: ReadonlyArray<number>
): ReadonlyArray<Subject.DurableSubject> => [
  ...gatewaysOf(millis).map(({ gateways, suffix }) =>
    Subject.enginePostgres(server, { name: `engine, Postgres${suffix}`, database: databases.engine, gateways })
  ),
  {
    name: "bare SQL loop",
    database: databases.bare,
    make: Effect.gen(function* () {
      const context = yield* Layer.build(Layer.merge(server.connect(databases.bare), MemoryIds.layer))
      return { one: yield* BareLoop.make(Context.get(context, PgClient.PgClient), Context.get(context, Ids)) }
    })
  }
]

/** What is compared, each with its number of payments per second and its CPU. */
const pairs = [
  ["engine, Postgres", "bare SQL loop"],
  ["engine, Postgres, instant gateway", "bare SQL loop"],
  ["engine, memory", "engine, memory, instant gateway"]
] as const

/** Runs the workload. */
export const run = (options: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const { gatewayMillis, rounds, seconds } = options
    const concurrency = options.concurrency.length === 0 ? usualConcurrency : options.concurrency
    const server = yield* Database.server(options)
    const durable = onPostgres(server, { engine: yield* server.create, bare: yield* server.create }, gatewayMillis)
    const cases = concurrency.flatMap((fibers) => [
      ...durable.map((subject) => Subject.postgresCase(server, subject, { concurrency: fibers, seconds })),
      ...inMemory(gatewayMillis).map((subject) => Subject.memoryCase(subject, { concurrency: fibers, seconds }))
    ])
    const wanted = cases.filter(({ name }) => name.includes(options.only))
    if (wanted.length === 0)
      return yield* Effect.die(new Error(`no case has "${options.only}" in its name: ${cases.map(({ name }) => name).join("; ")}`))
    const samples = yield* alternate("engine", wanted, rounds)
    const measured = (name: string) => samples.has(name)
    return {
      workload: "engine",
      facts: {
        Postgres: `${server.version}, ${server.settings}`,
        "each measurement": `${seconds} s after ${seconds * Subject.warmUpShare} s of warm-up`
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
        "commits (store): commits that the event store accepted, per payment. transactions: committed ones of pg_stat_database; of them writing: transaction ids used.",
        "The server's counters include the warm-up and the opening of the pool; fsyncs and WAL are those of the whole server."
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
