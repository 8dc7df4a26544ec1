/** A process over the adapter and real HTTP that ends at a crash point: from then on it neither stores, asks nor sends anything. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Background from "../../../src/orchestration/operation/Background.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as CrashPoint from "../../../src/services/CrashPoint.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { Gateway, Gateways } from "../../../src/services/Gateway.ts"
import { Lock } from "../../../src/services/Lock.ts"
import { WebhookInbox } from "../../../src/services/notify/WebhookInbox.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import type { RequestFingerprint } from "../../../src/services/RequestFingerprint.ts"
import { defaults, type EngineSettings, Settings } from "../../../src/services/Settings.ts"
import { fingerprints, gatewaysOf } from "../../support/TestEngine.ts"

type Services = Payments.Engine | EventStore | PaymentRepository | WebhookInbox | Gateways | Payments.Dependencies

const hang = Effect.callback<never>(() => {})

/** Starts a process over the ambient stores. `crashAt`: it ends at the nth point it meets. */
export const start = Effect.fnUntraced(function* (options: {
  readonly gateways: ReadonlyArray<Gateway>
  readonly settings: Partial<EngineSettings>
  readonly crashAt?: number
}) {
  const trace: Array<CrashPoint.Point> = []
  let dead = false
  const guard = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => (dead ? hang : Effect.flatMap(Effect.exit(effect), (exit) => (dead ? hang : exit))))
  const guarded = <S extends object>(service: S): S =>
    Object.fromEntries(
      Object.entries(service).map(([name, member]: [string, unknown]) => [
        name,
        typeof member === "function"
          ? (...args: ReadonlyArray<unknown>) => {
              const answer: unknown = member(...args)
              return Effect.isEffect(answer) ? guard(answer) : answer
            }
          : Effect.isEffect(member)
            ? guard(member)
            : member
      ])
    ) as S
  const point = (name: CrashPoint.Point) =>
    Effect.suspend(() => {
      if (dead) return hang
      trace.push(name)
      if (options.crashAt !== trace.length) return Effect.void
      dead = true
      return hang
    })
  const stores = Layer.effectContext(
    Effect.gen(function* () {
      return Context.empty().pipe(
        Context.add(EventStore, guarded(yield* EventStore)),
        Context.add(PaymentRepository, guarded(yield* PaymentRepository)),
        Context.add(WebhookInbox, guarded(yield* WebhookInbox)),
        Context.add(Lock, guarded(yield* Lock))
      )
    })
  )
  const layer = Payments.layerEngine.pipe(
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(Layer.mergeAll(gatewaysOf(...options.gateways.map(guarded)), fingerprints, stores)),
    Layer.provideMerge(
      Layer.mergeAll(Layer.succeed(Settings, { ...defaults, ...options.settings }), Layer.succeed(CrashPoint.CrashPoint, point))
    )
  )
  // Its scope is never closed: a crash closes nothing.
  const services = yield* Layer.buildWithMemoMap(layer, yield* Layer.makeMemoMap, yield* Scope.make())
  const ambient = yield* Effect.context<Exclude<Payments.Dependencies, Background.Background | Gateways | RequestFingerprint>>()
  const context = Context.merge(ambient, services) as Context.Context<Services>

  /** Runs a program to its end, or to the crash of the process. */
  const run = Effect.fnUntraced(function* <A, E>(program: Effect.Effect<A, E, Services>): Effect.fn.Return<"crashed" | Exit.Exit<A, E>> {
    const fiber: Fiber.Fiber<A, E> = yield* Effect.forkDetach(Effect.provideContext(program, context))
    for (let waited = 0; waited < 20_000; waited += 10) {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      if (dead) return "crashed"
      yield* Effect.sleep("10 millis")
    }
    return yield* Effect.die(new Error(`not ended after 20 s: ${trace.join(", ")}`))
  })
  return { trace, run }
})
