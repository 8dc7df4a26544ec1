/**
 * What the layers here ask of Redis: single commands and Lua scripts, each one round trip, bounded in time, on keys with one prefix.
 *
 * A script is sent by its SHA-1; only where the server does not know it yet (a new server, a restart) its text follows, in one more
 * round trip. A script runs alone on the server, so what it reads and writes is one step for everybody else.
 *
 * ```ts
 * const increment = Commands.script<number>("counter.increment", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
 * const commands = yield* Commands.Commands
 * const count = yield* commands.run(increment, { keys: ["counter"], args: [2] })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as Presets from "../../domain/Presets.ts"
import * as Connection from "./Connection.ts"

/** A command or a script was not carried out, or its answer did not come: then it may have been. */
export class RedisFailed extends Schema.TaggedError<RedisFailed>()("RedisFailed", {
  command: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Redis did not answer ${this.command}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** A Lua script and the type of its reply. The name is for errors. */
export interface Script<A> {
  readonly name: string
  readonly lua: string
  readonly sha: string
  readonly Reply?: A
}

/** The script of a text. What it reads and writes are `KEYS`, what it is told are `ARGV`, all strings. */
export const script = <A>(name: string, lua: string): Script<A> => ({ name, lua, sha: createHash("sha1").update(lua).digest("hex") })

/**
 * Commands.
 *
 * - `run`: runs a script; `keys` get the prefix. Replies of Lua: integer -> number, string -> string, table -> array, nil and false -> null.
 * - `send`: one command as it is; keys in it are made with `key`.
 * - `key`: a name with the prefix.
 *
 * Both fail with `RedisFailed` after the time limit, too.
 */
export class Commands extends Context.Service<
  Commands,
  {
    readonly run: <A>(
      script: Script<A>,
      options: { readonly keys: ReadonlyArray<string>; readonly args: ReadonlyArray<string | number> }
    ) => Effect.Effect<A, RedisFailed>
    readonly send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => Effect.Effect<A, RedisFailed>
    readonly key: (name: string) => string
  }
>()("aegispay/layers/redis/Commands") {}

/** `prefix`: of every key, default `aegispay:`. `timeoutMillis`: of one command, default the preset `redis.commandTimeoutMillis`. */
export interface CommandsOptions {
  readonly prefix?: string
  readonly timeoutMillis?: number
}

const make = Effect.fnUntraced(function* (options: CommandsOptions = {}) {
  const { prefix = Presets.redis.prefix.value, timeoutMillis = Presets.redis.commandTimeoutMillis.value } = options
  const redis = yield* Redis.Redis
  // The limit belongs to the connection, so it is measured by the clock the connection was made with.
  const clock = yield* Clock.Clock

  const bounded = <A>(command: string, self: Effect.Effect<A, Redis.RedisError>): Effect.Effect<A, RedisFailed> =>
    self.pipe(
      Effect.timeoutOrElse({
        duration: timeoutMillis,
        orElse: () => Effect.fail(new Redis.RedisError({ cause: new Error(`no answer within ${timeoutMillis} ms`) }))
      }),
      Effect.provideService(Clock.Clock, clock),
      Effect.mapError(({ cause }) => new RedisFailed({ command, cause }))
    )

  const run = <A>(
    { lua, name, sha }: Script<A>,
    { args, keys }: { readonly keys: ReadonlyArray<string>; readonly args: ReadonlyArray<string | number> }
  ): Effect.Effect<A, RedisFailed> => {
    const rest = [String(keys.length), ...keys.map((key) => prefix + key), ...args.map(String)]
    return bounded(
      name,
      redis.send<A>("EVALSHA", sha, ...rest).pipe(
        Effect.catchIf(
          ({ cause }) => cause instanceof Error && cause.message.startsWith("NOSCRIPT"),
          () => redis.send<A>("EVAL", lua, ...rest)
        )
      )
    )
  }

  return Commands.of({
    run,
    send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => bounded(command, redis.send<A>(command, ...args)),
    key: (name) => prefix + name
  })
})

/** Commands over the host's own effect `Redis`. */
export const layer = (options?: CommandsOptions): Layer.Layer<Commands, never, Redis.Redis> => Layer.effect(Commands, make(options))

/** Commands over a connection of their own, and the connection. */
export const layerConnected = (
  settings: Connection.RedisSettings & { readonly prefix?: string }
): Layer.Layer<Commands | Redis.Redis | Connection.Reconnect, Connection.RedisUnreachable> => {
  const { commandTimeoutMillis: timeoutMillis, prefix } = settings
  const options = { ...(prefix === undefined ? {} : { prefix }), ...(timeoutMillis === undefined ? {} : { timeoutMillis }) }
  return Layer.provideMerge(layer(options), Connection.layer(settings))
}
