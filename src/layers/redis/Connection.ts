/**
 * The connection to a Redis server: effect's `Redis` service over node-redis, kept alive for as long as its layer is.
 *
 * - Every command waits for a living connection only as long as its caller lets it: while there is none, commands fail at once, and
 *   none of them is sent later, when nobody waits for it any more.
 * - A lost connection is opened again for ever, with a backoff. Errors of sockets are logged; none of them ends the process.
 * - A connection that is open but silent (a server that froze, a route that vanished) answers no PING and is replaced; TCP alone would
 *   notice after a quarter of an hour.
 *
 * A subscription outlives a lost connection, with a gap; when the connection is replaced its queue fails: subscribe again.
 *
 * A host with a Redis client of its own provides effect's `Redis` itself and leaves this out.
 *
 * **Gotchas**: one server, or one address behind which a failover happens (Sentinel's proxy, a managed service). It speaks no cluster
 * protocol. The server should not evict keys (`maxmemory-policy noeviction`): leases and counters are kept in them.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Presets from "../../domain/Presets.ts"

/**
 * Where the server is and how long it is waited for.
 *
 * - `url`: `redis[s]://[user[:password]@]host[:port][/database]`; `rediss` is TLS.
 * - `username`, `password`: instead of those in the URL.
 * - `certificateAuthority`: PEM of the authority that signed the server's certificate, where it is a private one.
 * - `connectTimeoutMillis`: how long the start waits for the first connection; default the preset `redis.connectTimeoutMillis`.
 * - `commandTimeoutMillis`: a command not yet written after it is not sent any more; default the preset `redis.commandTimeoutMillis`.
 * - `startWithout`: start although the server is not there, and go on trying; default false. A wrong password fails all the same.
 */
export interface RedisSettings {
  readonly url: Redacted.Redacted
  readonly username?: string
  readonly password?: Redacted.Redacted
  readonly certificateAuthority?: string
  readonly connectTimeoutMillis?: number
  readonly commandTimeoutMillis?: number
  readonly startWithout?: boolean
}

/** There is no connection to Redis: the address is wrong, the server refuses us or is not there. */
export class RedisUnreachable extends Schema.TaggedError<RedisUnreachable>()("RedisUnreachable", {
  server: Schema.String,
  problem: Schema.Literals(["url", "refused", "timeout"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    switch (this.problem) {
      case "url":
        return `the URL of Redis is none: redis://host:port or rediss://host:port is expected`
      case "refused":
        return `Redis at ${this.server} refuses the connection (${textOf(this.cause)}): check user, password and database`
      case "timeout":
        return `Redis at ${this.server} could not be reached in time (${textOf(this.cause)}): check the address, or that it runs`
    }
  }
}

const textOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return "no answer"
  return cause.message !== "" ? cause.message : "code" in cause ? String(cause.code) : cause.name
}

/** A connection that is being closed may take this long to say goodbye. */
const closeLimit = "1 second"

/** What a server answers to a sign-on that will not succeed by trying again. */
const isRefusal = (cause: unknown): boolean => cause instanceof Error && /^(WRONGPASS|NOAUTH|NOPERM|ERR) /.test(cause.message)

/**
 * Replaces the connection, whatever state it is in: what helps when it works badly and nobody knows why.
 *
 * - `now`: ends when the new connection is there, or after the time limit of connecting. Commands under way fail.
 */
export class Reconnect extends Context.Service<Reconnect, { readonly now: Effect.Effect<void> }>()(
  "aegispay/layers/redis/Connection/Reconnect"
) {}

type Client = (typeof Redis.Redis)["Service"]

/** The one connection there is at a time, and what is known of the attempts to have it. */
interface State {
  current: Client | undefined
  wasReady: boolean
  lastCause: unknown
  /** Open while there is a connection. */
  readonly connected: Latch.Latch
  /** Opened to have another one. */
  readonly wanted: Latch.Latch
}

const make = Effect.fnUntraced(function* (settings: RedisSettings) {
  const { connectTimeoutMillis = Presets.redis.connectTimeoutMillis.value, startWithout = false } = settings
  const server = serverOf(settings.url)
  if (server === undefined) return yield* new RedisUnreachable({ server: "", problem: "url" })

  const state: State = {
    current: undefined,
    wasReady: false,
    lastCause: undefined,
    connected: Latch.makeUnsafe(false),
    wanted: Latch.makeUnsafe(false)
  }
  const refused = yield* Deferred.make<never, RedisUnreachable>()
  const log = yield* changeLog(server)
  const one = yield* connection(settings, state, log)
  yield* one.pipe(
    Effect.catch((cause) => {
      const error = new RedisUnreachable({ server, problem: "refused", cause: state.lastCause ?? cause })
      const told = Effect.flatMap(Deferred.fail(refused, error), (isFirst) => (isFirst ? Effect.void : Effect.logWarning(error.message)))
      return Effect.andThen(told, Effect.sleep(Presets.redis.heartbeatMillis.value))
    }),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Effect.raceFirst(state.connected.await, Deferred.await(refused)).pipe(
    Effect.timeoutOrElse({
      duration: connectTimeoutMillis,
      orElse: () => {
        const cause = state.lastCause
        const error = new RedisUnreachable({ server, problem: "timeout", ...(cause === undefined ? {} : { cause }) })
        if (!startWithout) return Effect.fail(error)
        return Effect.andThen(Deferred.interrupt(refused), Effect.logWarning(`starting without Redis: ${error.message}`))
      }
    })
  )

  const withClient = <A, R>(use: (client: Client) => Effect.Effect<A, Redis.RedisError, R>): Effect.Effect<A, Redis.RedisError, R> =>
    Effect.suspend(() =>
      state.current === undefined ? Effect.fail(new Redis.RedisError({ cause: notConnected(server) })) : use(state.current)
    )
  const redis = Redis.Redis.of({
    send: (command, ...args) => withClient((client) => client.send(command, ...args)),
    eval:
      (script) =>
      (...params) =>
        withClient((client) => client.eval(script)(...params)),
    reserve: withClient((client) => client.reserve),
    subscribe: (channel) =>
      Effect.suspend(() => (state.current === undefined ? failedSubscription(server) : state.current.subscribe(channel)))
  })
  const now = Effect.suspend(() => {
    // One that is being opened needs no replacement.
    if (state.current !== undefined) {
      state.connected.closeUnsafe()
      state.wanted.openUnsafe()
    }
    return Effect.asVoid(Effect.timeoutOption(state.connected.await, connectTimeoutMillis))
  })
  return Context.make(Redis.Redis, redis).pipe(Context.add(Reconnect, { now }))
})

/** One connection, from its opening until it is found silent or another one is wanted. */
const connection = Effect.fnUntraced(function* (settings: RedisSettings, state: State, log: ChangeLog) {
  const { reconnectBaseMillis, reconnectCapMillis } = Presets.redis
  const spread = yield* Random.nextBetween(0.75, 1.25)
  const reconnectAfter = (abort: AbortSignal) => (retries: number, cause: Error) => {
    if (abort.aborted) return cause
    state.lastCause = cause
    if (state.wasReady) log.lost(cause)
    else if (isRefusal(cause)) return cause
    return Math.round(Math.min(reconnectBaseMillis.value * 2 ** Math.min(retries, 20), reconnectCapMillis.value) * spread)
  }
  return Effect.gen(function* () {
    const abort = new AbortController()
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => close(scope, abort))
    const options = clientOptions(settings, { signal: abort.signal, reconnectStrategy: reconnectAfter(abort.signal) })
    state.wanted.closeUnsafe()
    const context = yield* Layer.buildWithScope(NodeRedis.layer(options), scope).pipe(
      // It would log every failed attempt; what is worth a line is a change.
      Effect.provideService(References.MinimumLogLevel, "None")
    )
    const { client } = Context.get(context, NodeRedis.NodeRedis)
    // Closing would wait for answers of a silent server.
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => client.isOpen && client.destroy())
    )
    client.on("ready", log.back)
    log.back()
    state.current = Context.get(context, Redis.Redis)
    state.wasReady = true
    state.connected.openUnsafe()
    yield* Effect.raceFirst(
      Effect.andThen(
        untilSilent(state.current, () => client.isReady),
        Effect.sync(() => log.lost(new Error("it does not answer")))
      ),
      state.wanted.await
    )
  }).pipe(
    Effect.scoped,
    Effect.ensuring(
      Effect.sync(() => {
        state.current = undefined
        state.connected.closeUnsafe()
      })
    )
  )
})

interface ChangeLog {
  readonly lost: (cause: Error) => void
  readonly back: () => void
}

/** Logs when the connection is lost and when it is back, once each, from callbacks of the client. */
const changeLog = Effect.fnUntraced(function* (server: string) {
  const lines = yield* Queue.sliding<Effect.Effect<void>>(16)
  let isLost = false
  yield* Effect.forkScoped(Effect.forever(Effect.flatten(Queue.take(lines))))
  return {
    lost: (cause) => {
      if (!isLost)
        Queue.offerUnsafe(lines, Effect.logWarning(`the connection to Redis at ${server} is lost: ${textOf(cause)}; trying again`))
      isLost = true
    },
    back: () => {
      if (isLost) Queue.offerUnsafe(lines, Effect.logInfo(`the connection to Redis at ${server} is back`))
      isLost = false
    }
  } satisfies ChangeLog
})

/** How effect's `Redis` tells of a subscription that failed: by its queue. */
const failedSubscription = Effect.fnUntraced(function* (server: string) {
  const queue = yield* Queue.bounded<Redis.RedisMessage, Redis.RedisError>(1)
  yield* Queue.fail(queue, new Redis.RedisError({ cause: notConnected(server) }))
  return queue
})

const notConnected = (server: string) => new Error(`not connected to Redis at ${server}; reconnecting`)

/** Host and port of the URL, or undefined when it is no URL of a Redis server. Nothing else of it is ever shown. */
const serverOf = (url: Redacted.Redacted): string | undefined => {
  const parsed = URL.parse(Redacted.value(url))
  if (parsed === null || !/^rediss?:$/.test(parsed.protocol) || !/^(\/\d*)?$/.test(parsed.pathname)) return undefined
  return `${parsed.hostname}:${parsed.port === "" ? "6379" : parsed.port}`
}

const clientOptions = (
  settings: RedisSettings,
  shared: { readonly signal: AbortSignal; readonly reconnectStrategy: (retries: number, cause: Error) => number | Error }
) => {
  const { certificateAuthority, password, url, username } = settings
  const socket = {
    connectTimeout: settings.connectTimeoutMillis ?? Presets.redis.connectTimeoutMillis.value,
    ...shared
  }
  return {
    url: withUser(url, username, password),
    socket: certificateAuthority === undefined ? socket : { ...socket, tls: true as const, ca: certificateAuthority },
    disableOfflineQueue: true,
    commandsQueueMaxLength: Presets.redis.maxQueuedCommands.value,
    commandOptions: { timeout: settings.commandTimeoutMillis ?? Presets.redis.commandTimeoutMillis.value }
  }
}

/** Options of their own would be overruled by those of the URL, so they become a part of it. */
const withUser = (url: Redacted.Redacted, username: string | undefined, password: Redacted.Redacted | undefined): string => {
  const whole = new URL(Redacted.value(url))
  if (username !== undefined) whole.username = encodeURIComponent(username)
  if (password !== undefined) whole.password = encodeURIComponent(Redacted.value(password))
  return whole.toString()
}

/** Ends when a connection that calls itself ready has answered two PINGs in a row with nothing. */
const untilSilent = Effect.fnUntraced(function* (client: Client, isReady: () => boolean) {
  const { heartbeatMillis, commandTimeoutMillis, maxUnansweredHeartbeats } = Presets.redis
  let unanswered = 0
  while (unanswered < maxUnansweredHeartbeats.value) {
    yield* Effect.sleep(heartbeatMillis.value)
    if (!isReady()) {
      unanswered = 0
      continue
    }
    const answered = yield* client.send("PING").pipe(
      Effect.as(true),
      Effect.timeoutOrElse({ duration: commandTimeoutMillis.value, orElse: () => Effect.succeed(false) }),
      // A refusal (a busy script, a load from disk) is an answer; a broken connection is opened again by the client itself.
      Effect.catch(() => Effect.succeed(true))
    )
    unanswered = answered ? 0 : unanswered + 1
  }
})

/** Closes a connection, politely for a second; then its sockets are destroyed, in whatever state they are. */
const close = (scope: Scope.Closeable, abort: AbortController) =>
  Effect.gen(function* () {
    const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
    yield* Effect.interruptible(Fiber.await(closing)).pipe(Effect.timeoutOption(closeLimit))
    abort.abort()
  })

/** A connection to the server of the settings; fails when the server refuses it, or is not there in time. */
export const layer = (settings: RedisSettings): Layer.Layer<Redis.Redis | Reconnect, RedisUnreachable> =>
  Layer.effectContext(make(settings))
