/**
 * Commands and scripts on a real Redis, and what the connection does when the server goes away.
 */
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import { type AddressInfo, connect } from "node:net"
import { createServer } from "node:tls"
import * as Commands from "../../../src/layers/redis/Commands.ts"
import { Reconnect, type RedisSettings, RedisUnreachable } from "../../../src/layers/redis/Connection.ts"
import { selfSigned } from "../../support/selfSigned.ts"
import * as TestRedis from "../../support/TestRedis.ts"

const increment = Commands.script<number>("increment", "return redis.call('INCRBY', KEYS[1], ARGV[1])")

const connected = (settings: RedisSettings & { readonly prefix?: string }) => Commands.layerConnected(settings)

/** Asks until it is answered: after the server came back. */
const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.retry(effect, { schedule: Schedule.spaced("20 millis"), times: 500 })

/** What a command met, for a test that ends servers. */
const ping = Effect.flatMap(Commands.Commands, (commands) => commands.send<string>("PING"))

/** The URL of a server that speaks TLS, in front of one that does not. */
const behindTls = (port: number, options: { readonly cert: string; readonly key: string }) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(options, (socket) => {
        const upstream = connect({ host: "127.0.0.1", port })
        for (const each of [socket, upstream]) each.on("error", () => {}).on("close", () => (socket.destroy(), upstream.destroy()))
        socket.pipe(upstream).pipe(socket)
      }).on("tlsClientError", () => {})
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return server
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => Redacted.make(`rediss://127.0.0.1:${(server.address() as AddressInfo).port}`)))

const inRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

const stillSubscribed = (queue: Queue.Dequeue<Redis.RedisMessage, Redis.RedisError>) =>
  Effect.map(Effect.exit(Queue.size(queue)), (exit) => Exit.isSuccess(exit))

const connectionsOf = (commands: (typeof Commands.Commands)["Service"]) =>
  Effect.map(commands.send<string>("CLIENT", "LIST"), (list) => list.trim().split("\n").length)

TestRedis.suites("Commands: redis", () => {
  it.live("a script runs on its keys, with the prefix, whether or not the server knows it", () =>
    Effect.gen(function* () {
      const commands = yield* Commands.Commands
      const add = (by: number) => commands.run(increment, { keys: ["counter"], args: [by] })
      assert.strictEqual(yield* add(2), 2)
      assert.strictEqual(yield* add(3), 5)
      yield* commands.send("SCRIPT", "FLUSH")
      assert.strictEqual(yield* add(1), 6)
      assert.strictEqual(yield* commands.send("GET", commands.key("counter")), "6")
    }).pipe(Effect.provide(TestRedis.layer))
  )

  it.live("a script the server knows is one round trip", () =>
    Effect.gen(function* () {
      const commands = yield* Commands.Commands
      const add = commands.run(increment, { keys: ["counter"], args: [1] })
      yield* add
      const processed = Effect.map(commands.send<string>("INFO", "stats"), (info) =>
        Number(/total_commands_processed:(\d+)/.exec(info)?.[1])
      )
      const before = yield* processed
      yield* add
      yield* add
      // The script's own INCRBY and the INFO are counted as well.
      assert.strictEqual((yield* processed) - before, 2 * 2 + 1)
    }).pipe(Effect.provide(TestRedis.layer))
  )

  it.live("an error of a script names the script", () =>
    Effect.gen(function* () {
      const commands = yield* Commands.Commands
      yield* commands.send("SET", commands.key("counter"), "no number")
      const failed = yield* Effect.flip(commands.run(increment, { keys: ["counter"], args: [1] }))
      assert.instanceOf(failed, Commands.RedisFailed)
      assert.match(failed.message, /increment: .*not an integer/)
    }).pipe(Effect.provide(TestRedis.layer))
  )
})

TestRedis.suites(
  "Connection: redis",
  () => {
    it.live("while the server is gone commands fail at once; when it is back they work again, on the same layer", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          assert.strictEqual(yield* ping, "PONG")
          yield* redis.stop
          const [waited, failed] = yield* Effect.timed(Effect.flip(ping))
          assert.instanceOf(failed, Commands.RedisFailed)
          assert.isBelow(Duration.toMillis(waited), 1_000)
          yield* TestRedis.start({ port: redis.port })
          assert.strictEqual(yield* eventually(ping), "PONG")
        }).pipe(Effect.provide(connected({ url: redis.url })))
      }).pipe(Effect.scoped)
    )

    it.live("a command that gets no answer ends after its time, and is not sent again", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          redis.pause()
          const failed = yield* Effect.flip(commands.run(increment, { keys: ["counter"], args: [1] }))
          assert.match(failed.message, /no answer within 500 ms/)
          redis.resume()
          // Sent by its SHA to a server that did not know it: the answer says so, and nobody waits for it.
          assert.isNull(yield* eventually(commands.send("GET", commands.key("counter"))))
        }).pipe(Effect.provide(connected({ url: redis.url, commandTimeoutMillis: 500 })))
      }).pipe(Effect.scoped)
    )

    it.live("a silent connection does not keep the layer from closing", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          redis.pause()
          yield* Effect.forkChild(Effect.ignore(commands.send("PING")), { startImmediately: true })
        }).pipe(Effect.provide(connected({ url: redis.url, commandTimeoutMillis: 500 })), Effect.timeout("20 seconds"))
      }).pipe(Effect.scoped)
    )

    it.live("a password is needed where the server wants one, and a wrong one is said at once", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start({ args: ["--requirepass", "right/:@"] })
        const pinged = (settings: Omit<RedisSettings, "url">) =>
          Effect.scoped(Effect.flatMap(Layer.build(connected({ url: redis.url, ...settings })), (context) => Effect.provide(ping, context)))
        assert.strictEqual(yield* pinged({ password: Redacted.make("right/:@") }), "PONG")
        for (const startWithout of [false, true]) {
          const failed = yield* Effect.flip(pinged({ password: Redacted.make("wrong"), startWithout }))
          assert.instanceOf(failed, RedisUnreachable)
          assert.strictEqual(failed.problem, "refused")
          assert.match(failed.message, /check user, password/)
          assert.notInclude(failed.message, "wrong ")
        }
      }).pipe(Effect.scoped)
    )

    it.live("rediss is TLS, and trusts only the authority that is named", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        const { cert, key } = selfSigned()
        const url = yield* behindTls(redis.port, { cert, key })
        assert.strictEqual(yield* Effect.provide(ping, connected({ url, certificateAuthority: cert })), "PONG")
        for (const other of [{}, { certificateAuthority: selfSigned().cert }]) {
          const failed = yield* Effect.flip(Effect.scoped(Layer.build(connected({ url, connectTimeoutMillis: 2_500, ...other }))))
          assert.match(failed.message, /certificate/)
        }
      }).pipe(Effect.scoped)
    )

    it.live("a server that is not there fails the start in time, or is waited for in the background", () =>
      Effect.gen(function* () {
        const { port, stop, url } = yield* TestRedis.start()
        yield* stop
        const settings = { url, connectTimeoutMillis: 2_000 }
        const failed = yield* Effect.flip(Effect.scoped(Layer.build(connected(settings))))
        assert.strictEqual(failed.problem, "timeout")
        assert.include(failed.message, `127.0.0.1:${port}`)
        assert.include(failed.message, "ECONNREFUSED")
        yield* Effect.gen(function* () {
          assert.match((yield* Effect.flip(ping)).message, /not connected to Redis/)
          yield* TestRedis.start({ port })
          assert.strictEqual(yield* eventually(ping), "PONG")
        }).pipe(Effect.provide(connected({ ...settings, startWithout: true })))
      }).pipe(Effect.scoped)
    )

    it.effect("a connection that does not answer two heartbeats is replaced, and subscriptions on it fail", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          const id = commands.send<number>("CLIENT", "ID")
          const first = yield* id
          const queue = yield* (yield* Redis.Redis).subscribe("news")
          redis.pause()
          yield* TestClock.adjust("5 seconds")
          yield* TestClock.adjust("2 seconds")
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual(yield* stillSubscribed(queue), true)
          yield* TestClock.adjust("2 seconds")
          redis.resume()
          assert.isAbove(yield* inRealTime(eventually(id)), first)
          assert.instanceOf(yield* inRealTime(Effect.flip(Queue.take(queue))), Redis.RedisError)
        }).pipe(Effect.provide(connected({ url: redis.url })))
      }).pipe(Effect.scoped)
    )

    it.live("a connection can be replaced on demand", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          const reconnect = yield* Reconnect
          const id = commands.send<number>("CLIENT", "ID")
          const first = yield* id
          yield* reconnect.now
          const second = yield* id
          assert.isAbove(second, first)
          yield* Effect.all([reconnect.now, reconnect.now], { concurrency: "unbounded" })
          assert.isAbove(yield* id, second)
          assert.strictEqual(yield* connectionsOf(commands), 1)
        }).pipe(Effect.provide(connected({ url: redis.url })))
      }).pipe(Effect.scoped)
    )

    it.live("closing the layer closes its connections", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          yield* Effect.gen(function* () {
            yield* (yield* Redis.Redis).subscribe("news")
            assert.strictEqual(yield* connectionsOf(commands), 3)
          }).pipe(Effect.scoped, Effect.provide(Layer.fresh(connected({ url: redis.url }))))
          yield* Effect.repeat(connectionsOf(commands), { until: (count) => count === 1, times: 1_000 })
          assert.strictEqual(yield* connectionsOf(commands), 1)
        }).pipe(Effect.provide(connected({ url: redis.url })))
      }).pipe(Effect.scoped)
    )

    it.live("a subscription outlives a lost connection", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          const queue = yield* (yield* Redis.Redis).subscribe("news")
          yield* redis.stop
          yield* TestRedis.start({ port: redis.port })
          const message = yield* Effect.forkChild(Queue.take(queue), { startImmediately: true })
          yield* eventually(Effect.filterOrFail(commands.send<number>("PUBLISH", "news", "hello"), (heard) => heard > 0))
          assert.strictEqual((yield* Fiber.join(message)).message, "hello")
        }).pipe(Effect.provide(connected({ url: redis.url })))
      }).pipe(Effect.scoped)
    )
  },
  { own: true }
)

it.effect("a URL of something else is refused, and not shown", () =>
  Effect.gen(function* () {
    for (const url of ["http://user:secret@host", "secret", "redis://:secret@host/name"]) {
      const failed = yield* Effect.flip(Effect.scoped(Layer.build(connected({ url: Redacted.make(url) }))))
      assert.strictEqual(failed.problem, "url")
      assert.notInclude(failed.message + JSON.stringify(failed), "secret")
    }
  })
)
