/**
 * A time limit for many programs at once, with one timer for all of them.
 *
 * All have the same time, so they run out in the order in which they began, and the timer waits for the first of them alone. A program that
 * waits so costs a place in a list, where a limit of its own would cost a fiber and a timer. The timer runs while any program does: nothing
 * is left behind when the last one has ended, however it ended.
 *
 * **Gotchas**: a program whose time is over is interrupted, and the answer comes when it has ended: what cannot be interrupted takes longer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** Its state; made by `make`, changed by `within` alone. */
export interface TimeLimit {
  readonly millis: number
  /** In the order in which they run out. */
  readonly running: Set<Limited>
  timer: Fiber.Fiber<unknown, unknown> | undefined
}

/** A program within its time. */
interface Limited {
  readonly endsAtNanos: bigint
  readonly fiber: Fiber.Fiber<unknown, unknown>
  isOver: boolean
}

/** How its end is waited for. */
interface Waiting<A> {
  readonly endsAtNanos: bigint
  readonly orElse: (limitMillis: number) => A
  readonly restore: <B, E, R>(effect: Effect.Effect<B, E, R>) => Effect.Effect<B, E, R>
}

/** A limit that nobody runs within. */
export const make = (millis: number): TimeLimit => ({ millis, running: new Set(), timer: undefined })

/**
 * Runs a program in a fiber of its own; when its time is over it is interrupted and `orElse` is the answer, told how long it was. Interrupted
 * itself, it waits for the program's end.
 */
export const within = <A, E, R>(
  limit: TimeLimit,
  program: Effect.Effect<A, E, R>,
  orElse: (limitMillis: number) => A
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((caller) => {
      const endsAtNanos = caller.getRef(Clock.Clock).monotonicTimeNanosUnsafe() + BigInt(Math.ceil(limit.millis)) * nanosPerMilli
      return Effect.flatMap(Effect.forkDetach(program, { startImmediately: true }), (fiber) => {
        const exit = fiber.pollUnsafe()
        return exit === undefined ? waitFor(limit, fiber, { endsAtNanos, orElse, restore }) : exit
      })
    })
  )

const nanosPerMilli = 1_000_000n

/** Made apart from `within`, so that whoever waits holds no more than this. */
const waitFor = <A, E>(limit: TimeLimit, fiber: Fiber.Fiber<A, E>, waiting: Waiting<A>): Effect.Effect<A, E> => {
  const { endsAtNanos, orElse, restore } = waiting
  const limited: Limited = { endsAtNanos, fiber, isOver: false }
  let wake: ((answer: Effect.Effect<A, E>) => void) | undefined
  limit.running.add(limited)
  fiber.addObserver((ended) => {
    end(limit, limited)
    wake?.(limited.isOver ? Effect.succeed(orElse(limit.millis)) : ended)
  })
  const answer = Effect.callback<A, E>((resume) => {
    const ended = fiber.pollUnsafe()
    if (ended !== undefined) return resume(limited.isOver ? Effect.succeed(orElse(limit.millis)) : ended)
    wake = resume
    return undefined
  })
  // Whoever was interrupted before it waits stops waiting at once: the program is ended here, not by the wait.
  const answered = Effect.onExitPrimitive(restore(answer), (exit) =>
    Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? Fiber.interrupt(fiber) : undefined
  )
  return limit.timer === undefined ? Effect.andThen(begin(limit), answered) : answered
}

const begin = (limit: TimeLimit): Effect.Effect<void> => Effect.asVoid(Effect.forkDetach(watch(limit), { startImmediately: true }))

const end = (limit: TimeLimit, limited: Limited): void => {
  limit.running.delete(limited)
  if (limit.running.size > 0) return
  limit.timer?.interruptUnsafe()
  limit.timer = undefined
}

/**
 * Waits for the first, ends it, and so on.
 *
 * It says itself that it is the timer, and that it is none any more in the step in which it finds nobody: any fiber may give way between two
 * steps, and whoever begins meanwhile must not take one that has ended, or is about to, for the timer.
 */
const watch = Effect.fnUntraced(function* (limit: TimeLimit) {
  const self = yield* Effect.withFiber(Effect.succeed)
  const clock = self.getRef(Clock.Clock)
  if (limit.timer !== undefined) return
  limit.timer = self
  for (;;) {
    const [first] = limit.running
    if (first === undefined) {
      // Whose time is over may go on for a while: who begins meanwhile starts another timer.
      if (limit.timer === self) limit.timer = undefined
      return
    }
    const leftNanos = first.endsAtNanos - clock.monotonicTimeNanosUnsafe()
    if (leftNanos > 0n) {
      yield* Effect.sleep(Math.ceil(Number(leftNanos) / 1e6))
      continue
    }
    limit.running.delete(first)
    first.isOver = true
    first.fiber.interruptUnsafe()
  }
})
