/**
 * What a workload repeats and measures: payments through the engine, through a peer, or through a loop beside them.
 *
 * A subject is built anew for every measurement, warmed up, measured and closed, so that no other's pool, timers or heap are there meanwhile.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as PostgresGatewayMetrics from "../../../src/layers/postgres/routing/GatewayMetrics.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import type * as Database from "./Database.ts"
import * as Engine from "./Engine.ts"
import { type Case, repeatFor, type Sample } from "../Harness.ts"

/** Time that a case runs before it is measured, as a share of the measured time. */
export const warmUpShare = 0.25

/** What is repeated. `committed` answers the commits the store has accepted so far. */
export interface Subject {
  readonly name: string
  readonly make: Effect.Effect<{ readonly one: Effect.Effect<void>; readonly committed?: () => number }, never, Scope.Scope>
}

/** A subject whose payments are in a database. */
export interface DurableSubject extends Subject {
  readonly database: string
}

/** How a subject is measured. */
export interface Measurement {
  readonly concurrency: number
  readonly seconds: number
}

/** Builds a subject, warms it up, measures it. `serverCpu` is read right before and right after what is measured. */
const measure = (subject: Subject, { concurrency, seconds }: Measurement, serverCpu: Effect.Effect<number>) =>
  Effect.gen(function* () {
    const { committed = () => Number.NaN, one } = yield* subject.make
    const warmUp = yield* repeatFor({ one, concurrency, seconds: seconds * warmUpShare })
    const commits = committed()
    const cpu = yield* serverCpu
    const measured = yield* repeatFor({ one, concurrency, seconds })
    const used = (yield* serverCpu) - cpu
    return {
      all: warmUp.count + measured.count,
      serverCpuMillis: used / measured.count,
      sample: {
        "payments/s": measured.perSecond,
        "Node CPU ms": measured.cpuMillisEach,
        ...(Number.isNaN(commits) ? {} : { "commits (store)": (committed() - commits) / measured.count })
      } satisfies Sample
    }
  }).pipe(Effect.scoped)

/** A case without a database. */
export const memoryCase = (subject: Subject, options: Measurement): Case => ({
  name: `${subject.name}, c=${options.concurrency}`,
  measure: Effect.map(measure(subject, options, Effect.succeed(0)), ({ sample }) => sample)
})

/** A case with what the server counted from before the subject was built until after it was closed. */
export const postgresCase = (server: Database.Server, subject: DurableSubject, options: Measurement): Case => ({
  name: `${subject.name}, c=${options.concurrency}`,
  measure: Effect.gen(function* () {
    const before = yield* server.counters(subject.database)
    const { all, sample, serverCpuMillis } = yield* measure(subject, options, server.backendCpuMillis(subject.database))
    const after = yield* server.counters(subject.database)
    return {
      ...sample,
      "Postgres CPU ms": serverCpuMillis,
      transactions: (after.transactions - before.transactions) / all,
      "of them writing": (after.writing - before.writing) / all,
      fsyncs: (after.fsyncs - before.fsyncs) / all,
      "WAL KB": (after.walBytes - before.walBytes) / 1024 / all
    } satisfies Sample
  })
})

/** Everything the engine keeps, on Postgres. */
export const postgresStores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, PostgresGatewayMetrics.layer)

/** The engine on a database. */
export const enginePostgres = (
  server: Database.Server,
  options: {
    readonly name: string
    readonly database: string
    readonly gateways: Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope>
  }
): DurableSubject => ({
  name: options.name,
  database: options.database,
  make: Effect.map(Engine.build(Layer.provide(postgresStores, server.connect(options.database)), options.gateways), charging)
})

/** The engine in memory. */
export const engineMemory = (name: string, gateways: Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope>): Subject => ({
  name,
  make: Effect.map(Engine.build(Engine.memoryStores, gateways), charging)
})

const charging = (engine: Engine.Engine) => ({ one: Engine.chargeOne(engine), committed: () => engine.commits.committed })
