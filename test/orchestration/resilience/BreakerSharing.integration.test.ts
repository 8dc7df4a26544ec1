/**
 * Two instances agree over a real Postgres and over a real Redis, also after the store was away.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { BreakerName } from "../../../src/domain/resilience/BreakerName.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as PostgresBreakerStore from "../../../src/layers/postgres/resilience/BreakerStore.ts"
import * as RedisBreakerStore from "../../../src/layers/redis/BreakerStore.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { BreakerStore } from "../../../src/services/resilience/BreakerStore.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import * as TestRedis from "../../support/TestRedis.ts"

const name = BreakerName.make("a.sale")

/** One more instance on the store of the test. */
const instance = Effect.gen(function* () {
  const store = Layer.succeed(BreakerStore, yield* BreakerStore)
  const layer = Layer.fresh(CircuitBreakers.layerShared({ names: [name], shareEveryMillis: 20 })).pipe(Layer.provide(store))
  return Context.get(yield* Layer.build(layer), CircuitBreakers.CircuitBreakers)
})

type Instance = Effect.Success<typeof instance>

const become = (instances: ReadonlyArray<Instance>, state: string) =>
  Effect.forEach(instances, ({ list }) => Effect.map(list, ([health]) => health?.state)).pipe(
    Effect.delay(5),
    Effect.repeat({ until: (states) => states.every((one) => one === state) }),
    Effect.timeout("20 seconds")
  )

const fail = ({ protect }: Instance) => Effect.replicateEffect(Effect.exit(protect(name, Effect.fail("down"))), 5, { discard: true })

const agree = Effect.gen(function* () {
  const [one, other] = [yield* instance, yield* instance]
  yield* fail(one)
  yield* become([one, other], "open")
  const refused = yield* Effect.flip(other.protect(name, Effect.void))
  assert.isTrue(refused._tag === "BreakerOpen" && refused.retryInMillis !== undefined && refused.retryInMillis <= 60_000)
  yield* other.forceClosed(name)
  yield* become([one, other], "forced-closed")
  const late = yield* instance
  yield* become([late], "forced-closed")
  yield* late.reset(name)
  yield* become([one, other, late], "closed")
})

const postgres = PostgresBreakerStore.layer.pipe(Layer.provideMerge(Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))))

describe("circuit breakers of two instances", () => {
  it.live("agree over Postgres", () => agree.pipe(Effect.scoped, Effect.provide(postgres)))

  it.live("go on while the table is away, and agree again when it is back", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [one, other] = [yield* instance, yield* instance]
      yield* sql`alter table aegispay.breakers rename to gone`
      yield* fail(one)
      yield* other.protect(name, Effect.sleep(100))
      yield* become([other], "closed")
      yield* sql`alter table aegispay.gone rename to breakers`
      yield* become([one, other], "open")
    }).pipe(Effect.scoped, Effect.provide(postgres))
  )
})

TestRedis.suites("circuit breakers of two instances on Redis", () => {
  it.live("agree over Redis", () =>
    agree.pipe(Effect.scoped, Effect.provide(RedisBreakerStore.layer.pipe(Layer.provideMerge(TestRedis.layer))))
  )
})
