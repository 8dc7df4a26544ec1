/**
 * Payments as shops ask for them: so many a second, whether or not the ones before have been answered.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import { IdempotencyKey, TenantId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type { PaymentView } from "../../../src/domain/payment/View.ts"
import { currency, type Engine } from "../Engine.ts"

export const tenant = TenantId.make("demo-shop")
/** 9.99 EUR. */
export const amountMinor = 999

/** One payment: when it was asked for (epoch milliseconds), how long the answer took, and what it was. */
export interface Asked {
  readonly askedAt: number
  readonly durationMillis: number
  /** `undefined`: refused. */
  readonly answer: PaymentView | undefined
  /** Why it was refused. */
  readonly refused: string | undefined
}

/** A machine that is too busy for the rate does not make a burst of what is late: it is left out, and counted. */
const maxInFlight = 256
const maxLateMillis = 250

const warmUpPayments = 200
const warmUpConcurrency = 8

/** A load that runs. `asked`: in the order of the answers. */
export interface Load {
  readonly asked: ReadonlyArray<Asked>
  readonly leftOut: () => number
  readonly isOver: () => boolean
  /** Asks for no more, and ends with the last answer. */
  readonly stop: Effect.Effect<void>
}

/** The first payments of a process meet code that is not compiled and connections that are not made; they are nobody's figures. */
export const warmUp = ({ payments }: Engine) =>
  Effect.forEach(
    Array.from({ length: warmUpPayments }, (_, number) => number),
    (number) => payments.charge(request(`warm-up-${number}`)),
    { concurrency: warmUpConcurrency, discard: true }
  )

/** Starts asking, until it is stopped or the scope ends. */
export const start = Effect.fnUntraced(function* (engine: Engine, perSecond: number) {
  const asked: Array<Asked> = []
  const fibers = yield* FiberSet.make<void>()
  const state = { leftOut: 0, isOver: false }
  const startedAt = yield* Clock.currentTimeMillis
  const one = Effect.fnUntraced(function* (number: number) {
    const askedAt = yield* Clock.currentTimeMillis
    const [duration, result] = yield* Effect.timed(Effect.result(engine.payments.charge(request(`payment-${number}`))))
    asked.push({
      askedAt,
      durationMillis: Duration.toMillis(duration),
      answer: result._tag === "Success" ? result.success.payment : undefined,
      refused: result._tag === "Failure" ? result.failure.message : undefined
    })
  })
  const asking = yield* Effect.forkScoped(
    Effect.gen(function* () {
      for (let number = 0; !state.isOver; number++) {
        const wait = startedAt + (number * 1_000) / perSecond - (yield* Clock.currentTimeMillis)
        if (wait > 0) yield* Effect.sleep(wait)
        if (wait > -maxLateMillis && (yield* FiberSet.size(fibers)) < maxInFlight) yield* FiberSet.run(fibers, one(number))
        else state.leftOut++
      }
    })
  )
  return {
    asked,
    leftOut: () => state.leftOut,
    isOver: () => state.isOver,
    stop: Effect.suspend(() => {
      state.isOver = true
      return Effect.andThen(Fiber.await(asking), FiberSet.awaitEmpty(fibers))
    })
  } satisfies Load
})

const request = (key: string) => ({
  tenant,
  key: IdempotencyKey.make(key),
  amount: { currency, minor: BigInt(amountMinor) },
  method: { type: "card", token: Token.make("tok_success"), brand: "visa", country: "DE" } as const
})
