/**
 * The health probe of a real Redis.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Commands from "../../../src/layers/redis/Commands.ts"
import * as HealthProbe from "../../../src/layers/redis/HealthProbe.ts"
import * as TestRedis from "../../support/TestRedis.ts"

TestRedis.suites(
  "HealthProbe: redis",
  () => {
    it.live("answers while the server does, fails while it is away, recovers when it is back", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const probe = yield* HealthProbe.make()
          assert.strictEqual(probe.importance, "optional")
          assert.strictEqual(yield* probe.check, "ok")
          yield* redis.stop
          assert.instanceOf(yield* Effect.flip(probe.check), Commands.RedisFailed)
          yield* TestRedis.start({ port: redis.port })
          yield* probe.recover!
          assert.strictEqual(yield* probe.check, "ok")
        }).pipe(Effect.provide(Commands.layerConnected({ url: redis.url })))
      }).pipe(Effect.scoped)
    )

    it.live("a connection that froze is replaced by recovering", () =>
      Effect.gen(function* () {
        const redis = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          const commands = yield* Commands.Commands
          const probe = yield* HealthProbe.make({ importance: "required" })
          const before = yield* commands.send<number>("CLIENT", "ID")
          redis.pause()
          assert.match(String(yield* Effect.flip(probe.check)), /no answer within 500 ms/)
          redis.resume()
          yield* probe.recover!
          assert.isAbove(yield* commands.send<number>("CLIENT", "ID"), before)
        }).pipe(Effect.provide(Commands.layerConnected({ url: redis.url, commandTimeoutMillis: 500 })))
      }).pipe(Effect.scoped)
    )
  },
  { own: true }
)

it.live("a host's own client is checked, and left to the host otherwise", () =>
  Effect.gen(function* () {
    const probe = yield* HealthProbe.make()
    assert.strictEqual(yield* probe.check, "ok")
    assert.isUndefined(probe.recover)
  }).pipe(
    Effect.provide(
      Layer.provide(
        Commands.layer(),
        Layer.succeed(Redis.Redis, { send: () => Effect.succeed("PONG") } as unknown as (typeof Redis.Redis)["Service"])
      )
    )
  )
)
