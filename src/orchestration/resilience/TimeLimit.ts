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
  readonly running: Set<Running>
  timer: Fiber.Fiber<unknown, unknown> | undefined
}

/** A program within its time. */
interface Running {
  readonly endsAtNanos: bigint
  readonly fiber: Fiber.Fiber<unknown, unknown>
  isOver: boolean
}

/**
 * What is answered for a program, by how it ended. `ended`: by itself, in whatever way. `over`: its time was over; told how long it was.
 * They are methods of what the caller keeps anyway: many programs wait at a time, and each would keep closures of its own.
 */
export interface Answers<A, E, B, E2> {
  readonly clock: Clock.Clock
  readonly ended: (exit: Exit.Exit<A, E>) => Exit.Exit<B, E2>
  readonly over: (limitMillis: number) => B
}

/** How its end is waited for. */
interface Waiting<A, E, B, E2> {
  readonly endsAtNanos: bigint
  readonly answers: Answers<A, E, B, E2>
  readonly restore: <C, E3, R>(effect: Effect.Effect<C, E3, R>) => Effect.Effect<C, E3, R>
}

/** A limit that nobody runs within. */
export const make = (millis: number): TimeLimit => ({ millis, running: new Set(), timer: undefined })

/** Runs a program in a fiber of its own, which is interrupted when its time is over. Interrupted itself, it waits for the program's end. */
export const within = <A, E, R, B, E2>(
  limit: TimeLimit,
  program: Effect.Effect<A, E, R>,
  answers: Answers<A, E, B, E2>
): Effect.Effect<B, E2, R> =>
  Effect.uninterruptibleMask((restore) => {
    const endsAtNanos = answers.clock.monotonicTimeNanosUnsafe() + BigInt(Math.ceil(limit.millis)) * nanosPerMilli
    return Effect.flatMap(Effect.forkDetach(program, { startImmediately: true }), (fiber) => {
      const exit = fiber.pollUnsafe()
      return exit === undefined ? waitFor(limit, fiber, { endsAtNanos, answers, restore }) : answers.ended(exit)
    })
  })

const nanosPerMilli = 1_000_000n

/** Made apart from `within`, so that whoever waits holds no more than this. */
const waitFor = <A, E, B, E2>(limit: TimeLimit, fiber: Fiber.Fiber<A, E>, waiting: Waiting<A, E, B, E2>): Effect.Effect<B, E2> => {
  const { answers, endsAtNanos, restore } = waiting
  const running: Running = { endsAtNanos, fiber, isOver: false }
  let wake: ((answer: Effect.Effect<B, E2>) => void) | undefined
  limit.running.add(running)
  fiber.addObserver((exit) => {
    end(limit, running)
    wake?.(answerOf(limit, running, answers, exit))
  })
  const answer = Effect.callback<B, E2>((resume) => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return resume(answerOf(limit, running, answers, exit))
    wake = resume
    return undefined
  })
  // Whoever was interrupted before it waits stops waiting at once: the program is ended here, not by the wait.
  const answered = Effect.onExitPrimitive(restore(answer), (exit) =>
    Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? Fiber.interrupt(fiber) : undefined
  )
  return limit.timer === undefined ? Effect.andThen(begin(limit), answered) : answered
}

const answerOf = <A, E, B, E2>(limit: TimeLimit, { isOver }: Running, answers: Answers<A, E, B, E2>, exit: Exit.Exit<A, E>) =>
  isOver ? Effect.succeed(answers.over(limit.millis)) : answers.ended(exit)

const begin = (limit: TimeLimit): Effect.Effect<void> => Effect.asVoid(Effect.forkDetach(watch(limit), { startImmediately: true }))

const end = (limit: TimeLimit, running: Running): void => {
  limit.running.delete(running)
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
