/**
 * A database of the Postgres layers over an in-process Postgres: the real SQL, behind connections that are slow, break and are cut off.
 *
 * Every process has a pool of connections of its own. A process that crashes drops them: what it had sent is carried out, a transaction it
 * had begun is rolled back.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import * as PgHostTransaction from "../../layers/postgres/HostTransaction.ts"
import * as PgLock from "../../layers/postgres/Lock.ts"
import * as Migrations from "../../layers/postgres/Migrations.ts"
import * as PgWebhookInbox from "../../layers/postgres/notify/WebhookInbox.ts"
import * as PgOutbox from "../../layers/postgres/Outbox.ts"
import * as PgEventStore from "../../layers/postgres/payment/EventStore.ts"
import * as PgPaymentRepository from "../../layers/postgres/payment/PaymentRepository.ts"
import * as PgProjection from "../../layers/postgres/recovery/Projection.ts"
import { EventStoreError } from "../../services/EventStore.ts"
import type { DatabaseOptions } from "../world/Database.ts"
import type { Faults } from "../world/Faults.ts"
import * as Kernel from "../world/Kernel.ts"
import type { Connection, Storage, Stores } from "../world/Storage.ts"
import * as Session from "./Session.ts"
import * as Socket from "./Socket.ts"

const layers = Layer.mergeAll(
  PgEventStore.layer,
  PgPaymentRepository.layer,
  PgProjection.layer,
  PgOutbox.layer,
  PgWebhookInbox.layer,
  PgHostTransaction.layer,
  PgLock.layer
)

/** Few, so that programs wait for one another's connections. */
const maxConnections = 3

/** Connections of processes to one Postgres. */
const connections = (postgres: Session.Postgres, { kernel, onDurable }: Pick<DatabaseOptions, "kernel"> & Partial<DatabaseOptions>) => {
  const session = Session.make({ postgres, now: () => Kernel.epochMillis + kernel.now(), onDurable })
  const sockets = new Map<Kernel.Process, Array<Socket.Opened>>()
  return {
    client: (process: Kernel.Process, faults: Faults | undefined) =>
      PgClient.make({
        stream: () => {
          const opened = Socket.open({ kernel, process, session, faults })
          const others = sockets.get(process)
          if (others === undefined) sockets.set(process, [opened])
          else others.push(opened)
          return opened.stream
        },
        ssl: false,
        username: "postgres",
        database: "postgres",
        maxConnections
      }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make), Effect.orDie),
    crashed: (process: Kernel.Process) => {
      for (const { hangUp } of sockets.get(process) ?? []) hangUp()
      sockets.delete(process)
    }
  }
}

/** The database of one simulation. Whatever the Postgres held is gone. */
export const make =
  (postgres: Session.Postgres) =>
  (options: DatabaseOptions): Effect.Effect<Storage, never, Scope.Scope> =>
    Effect.gen(function* () {
      Session.reset(postgres)
      const { client, crashed } = connections(postgres, options)
      const connect = Effect.fnUntraced(function* (process: Kernel.Process, faults: Faults | undefined) {
        const sql = yield* client(process, faults)
        const stores: Stores = yield* Layer.build(Layer.provide(layers, PgClient.layerFrom(Effect.succeed(sql))))
        return { stores, inTransaction: inTransaction(sql) } satisfies Connection
      })
      const watched = yield* connect(options.server, undefined)
      return {
        connect: (process) => connect(process, options.faults),
        crashed,
        calm: () => undefined,
        watched: watched.stores,
        memory: undefined
      }
    })

/** Puts the simulation's clock in place and makes the tables: once for a new Postgres. */
export const prepare = (postgres: Session.Postgres): void => {
  Session.withClock(postgres)
  const kernel = Kernel.make({ seed: 0, preempt: 0, maxSteps: maxMigrationSteps })
  const server = kernel.process("database")
  let exit: Exit.Exit<unknown, unknown> | undefined
  const { client } = connections(postgres, { kernel })
  const migrate = Effect.flatMap(client(server, undefined), (sql) => Effect.provideService(Migrations.run, SqlClient, sql))
  kernel.fork(server, Effect.scoped(migrate), (ended) => (exit = ended))
  kernel.runUntil(() => exit !== undefined)
  if (exit === undefined || Exit.isFailure(exit)) throw new Error(`the tables cannot be made: ${String(exit)}`)
}

/** Bounds a migration that never ends. */
const maxMigrationSteps = 1_000_000

/**
 * A host's transaction. What its program answered or failed with stands, whatever then becomes of a rollback: the client makes defects of
 * both where the connection has broken. A commit that was not acknowledged may have been carried out.
 */
const inTransaction =
  (sql: SqlClient): Connection["inTransaction"] =>
  <A, E>(effect: Effect.Effect<A, E>, rollBack: boolean): Effect.Effect<A, E | EventStoreError> =>
    Effect.suspend(() => {
      let ended: Exit.Exit<A, E> | undefined
      const program = Effect.onExit(effect, (exit) => Effect.sync(() => (ended = exit)))
      const whole: Effect.Effect<A, E | "rolled back"> = rollBack ? Effect.andThen(program, Effect.fail("rolled back" as const)) : program
      return Effect.catchCause(sql.withTransaction(whole), (cause): Effect.Effect<A, E | EventStoreError> => {
        if (ended !== undefined && (rollBack || Exit.isFailure(ended))) return ended
        return Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.fail(lost(cause))
      })
    })

const lost = (cause: unknown): EventStoreError =>
  new EventStoreError({ operation: "host transaction", reason: { _tag: "OutcomeUnknown", detail: "simulated" }, cause })
