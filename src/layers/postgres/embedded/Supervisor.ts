/**
 * Keeps the server of a data directory available to this process: finds it, starts it when nobody runs it, and stops it with the
 * scope when this process runs it.
 *
 * One search or start happens at a time and belongs to the scope, not to who asked first: a caller that gives up does not kill a
 * server that is just recovering. Nothing is watched in the background: a lost server is noticed by the next who asks, which
 * is every new connection of a client.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Account } from "./Account.ts"
import type { Binaries } from "./Binaries.ts"
import * as DataDirectory from "./DataDirectory.ts"
import { because, Closed, type EmbeddedPostgresError, PortInUse, StartTimeout } from "./EmbeddedPostgresError.ts"
import * as Postmaster from "./Postmaster.ts"
import * as Server from "./Server.ts"

/** Where the server is at this moment, and whether this process runs it. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly owner: boolean
}

/** Children run in real time: a virtual clock cannot move them. */
export const realClock = Clock.Clock.defaultValue()

interface Supervised {
  readonly layout: DataDirectory.Layout
  readonly binaries: Binaries
  readonly account: Account
  readonly port: number | undefined
  readonly startTimeout: Duration.Duration
}

/** The effect behind `Running.current`: one search or start at a time, in the scope, shared by all who ask. */
export const supervise = Effect.fnUntraced(function* (
  options: Supervised
): Effect.fn.Return<Effect.Effect<Endpoint, EmbeddedPostgresError>, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const { layout } = options
  const closed = because(new Closed({ dataDir: layout.root }))
  let isClosed = false
  let owned: Server.Server | undefined
  let pending: Deferred.Deferred<Endpoint, EmbeddedPostgresError> | undefined

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return owned === undefined ? Effect.void : owned.stop
    })
  )
  yield* Effect.sleep("1 minute").pipe(
    Effect.andThen(Effect.suspend(() => (owned === undefined ? Effect.void : Server.boundLog(layout)))),
    Effect.forever,
    Effect.forkIn(scope)
  )

  const search = establish(options, {
    get: () => owned,
    set: (server) => {
      owned = server
    }
  }).pipe(Effect.provideService(Clock.Clock, realClock))

  return Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      if (isClosed) return Effect.fail(closed)
      if (pending !== undefined) return restore(Deferred.await(pending))
      const result = Deferred.makeUnsafe<Endpoint, EmbeddedPostgresError>()
      pending = result
      return Effect.flatMap(Effect.forkIn(search, scope), (fiber) => {
        fiber.addObserver((exit) => {
          pending = undefined
          Deferred.doneUnsafe(result, Exit.hasInterrupts(exit) ? Exit.fail(closed) : exit)
        })
        return restore(Deferred.await(result))
      })
    })
  )
})

interface Owned {
  readonly get: () => Server.Server | undefined
  readonly set: (server: Server.Server) => void
}

/** Looks for the server until it is ready, starting it whenever nobody runs it. */
const establish = (options: Supervised, owned: Owned): Effect.Effect<Endpoint, EmbeddedPostgresError> => {
  const { layout } = options
  let waitedFor = "a server to start"
  const look = Effect.gen(function* () {
    while (true) {
      const state = yield* Postmaster.inspect(layout.data)
      const mine = owned.get()
      if (state._tag === "Ready") {
        return { host: Server.host, port: state.port, owner: state.pid === mine?.pid && !mine.hasExited() }
      }
      if (state._tag === "Absent" && (mine === undefined || mine.hasExited())) {
        const attempt = yield* launch(options, owned, state.mistakenPid)
        if (attempt._tag === "Started") {
          return { host: Server.host, port: attempt.server.port, owner: true }
        }
        waitedFor = attempt._tag === "StillInUse" ? "sessions of a killed server to end" : "another process to start the server"
      } else {
        waitedFor = state._tag === "Starting" ? `the server (process ${state.pid}) to get ready` : "the last server to stop"
      }
      yield* Effect.sleep(50)
    }
  })
  return Effect.timeoutOrElse(look, {
    duration: options.startTimeout,
    orElse: () =>
      Effect.fail(
        because(
          new StartTimeout({
            dataDir: layout.root,
            logFile: layout.log,
            timeoutMillis: Duration.toMillis(options.startTimeout),
            waitedFor
          })
        )
      )
  })
}

/** One attempt to start the server, on the port asked for, the one used last, or a free one. */
const launch = Effect.fnUntraced(function* (
  options: Supervised,
  owned: Owned,
  mistakenPid: number | undefined
): Effect.fn.Return<Server.Attempt, EmbeddedPostgresError> {
  const { account, binaries, layout } = options
  yield* DataDirectory.giveData(layout, account)
  const port = options.port ?? (yield* Server.choosePort(layout))
  // A server that has started is known to the scope before anything can interrupt.
  const attempt = yield* Effect.uninterruptibleMask((restore) =>
    Effect.tap(restore(Server.start({ layout, binaries, account, port, mistakenPid })), (attempt) =>
      Effect.sync(() => {
        if (attempt._tag === "Started") owned.set(attempt.server)
      })
    )
  )
  if (attempt._tag === "PortTaken" && options.port !== undefined) {
    return yield* because(new PortInUse({ port: options.port }))
  }
  if (attempt._tag === "Started") {
    yield* Effect.catch(Server.recordPort(layout, port), (error) =>
      Effect.logWarning(`The port of the embedded database is not remembered: ${error.message}`)
    )
  }
  return attempt
})
