/**
 * The machine under a simulation: processes, one order of execution, one virtual time.
 *
 * A process is what a crash ends and a pause stops: its fibers, timers and clocks. Every step runs one ready task of any process,
 * picked by chance, until the fiber gives way; where it gives way by itself is left to chance as well (`preempt`). When nothing is
 * ready, time moves to the next timer.
 *
 * A crash drops the fibers of a process where they stand: no finalizer runs. A pause holds its tasks and timers back; the world and
 * its clocks go on. Pauses begin only where nothing is ready, that is while all of the process waits for a timer or an answer:
 * between the check of a permission and the write of its request a process is never stopped (docs/GUARANTEES.md states that gap).
 *
 * **Gotchas**: fibers of different processes must never wake each other directly; whatever crosses goes through `post` or `after`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import * as Chance from "./Chance.ts"

/** Virtual time 0 in epoch milliseconds. */
export const epochMillis = 1_750_000_000_000

interface Task {
  readonly process: Process | undefined
  readonly run: () => void
}

interface Timer extends Task {
  readonly at: number
  readonly order: number
  cancelled: boolean
}

/** What fibers run in. */
export interface Process {
  readonly name: string
  /** It is one of those that the simulation is about, not of the world around them. */
  readonly mayCrash: boolean
  /** Clock, scheduler and randomness of this process. */
  readonly context: Context.Context<never>
  state: "running" | "paused" | "dead"
  /** How far its wall clock is from the true time, in milliseconds. */
  skewMillis: number
  held: Array<Task>
}

/** The machine. Times are virtual milliseconds from 0. */
export interface Kernel {
  readonly now: () => number
  readonly steps: () => number
  /** A new process; `skewMillis` where its clock may be wrong and it may crash, none for what belongs to the world. */
  readonly process: (name: string, skewMillis?: number) => Process
  /** Runs a callback in a process, in its turn. */
  readonly post: (process: Process, run: () => void) => void
  /** Runs a callback after a time: in a process, or in none. Answers how to cancel it. */
  readonly after: (millis: number, process: Process | undefined, run: () => void) => () => void
  /** Starts an effect in a process and tells its end, unless the process dies before. */
  readonly fork: <A, E>(process: Process, effect: Effect.Effect<A, E>, onEnd?: (exit: Exit.Exit<A, E>) => void) => Fiber.Fiber<A, E>
  readonly pause: (process: Process, millis: number) => void
  readonly resume: (process: Process) => void
  readonly crash: (process: Process) => void
  /** Makes steps until the condition holds; false when nothing was left to do or the limit of steps was reached. */
  readonly runUntil: (done: () => boolean) => boolean
}

/**
 * `preempt`: how likely a fiber gives way at an operation, in [0, 1]. `onOperation`: told of each operation of a process that may crash,
 * before it is carried out; true: the fiber gives way first. `onStep`: told after each step of a process.
 */
export interface KernelOptions {
  readonly seed: number
  readonly preempt: number
  readonly maxSteps: number
  readonly onOperation?: (process: Process) => boolean
  readonly onStep?: (process: Process) => void
}

/** Operations a fiber makes at least before it gives way: with fewer it would never get on. */
const leastOperations = 2
const mostOperations = 2048

/** How many operations until a fiber gives way: geometric, so that every operation is as likely as any other. */
const operationsUntilPreemption = (draw: Chance.Draw, preempt: number): number =>
  preempt <= 0 ? Number.POSITIVE_INFINITY : preempt >= 1 ? 0 : Math.floor(Math.log(1 - draw()) / Math.log(1 - preempt))

export const make = (options: KernelOptions): Kernel => {
  const draw = Chance.stream(options.seed, "schedule")
  const ready: Array<Task> = []
  const timers: Array<Timer> = []
  let now = 0
  let order = 0
  let steps = 0
  let untilPreemption = operationsUntilPreemption(draw, options.preempt)

  const schedule = (task: Task) => void ready.push(task)
  const after: Kernel["after"] = (millis, process, run) => {
    const timer: Timer = { at: now + Math.max(0, Math.ceil(millis)), order: order++, process, run, cancelled: false }
    push(timers, timer)
    return () => {
      timer.cancelled = true
    }
  }

  const shouldYield = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
    if (untilPreemption-- > 0) return fiber.currentOpCount >= mostOperations
    if (fiber.currentOpCount <= leastOperations) return false
    untilPreemption = operationsUntilPreemption(draw, options.preempt)
    return true
  }

  const process: Kernel["process"] = (name, skewMillis) =>
    makeProcess({
      name,
      mayCrash: skewMillis !== undefined,
      skewMillis: skewMillis ?? 0,
      seed: options.seed,
      now: () => now,
      after,
      schedule,
      shouldYield,
      onOperation: options.onOperation
    })

  const resume = (process: Process) => {
    if (process.state !== "paused") return
    process.state = "running"
    for (const task of process.held.splice(0)) schedule(task)
  }

  const step = () => {
    const index = Math.floor(draw() * ready.length)
    const task = ready[index]
    const last = ready.pop()
    if (task === undefined || last === undefined) return
    if (index < ready.length) ready[index] = last
    const { process } = task
    if (process?.state === "dead") return
    if (process?.state === "paused") return void process.held.push(task)
    steps++
    task.run()
    if (process !== undefined) options.onStep?.(process)
  }

  const advance = (): boolean => {
    const first = pop(timers)
    if (first === undefined) return false
    now = first.at
    for (let timer: Timer | undefined = first; timer !== undefined; timer = timers[0]?.at === now ? pop(timers) : undefined) {
      if (timer.cancelled || timer.process?.state === "dead") continue
      if (timer.process === undefined) timer.run()
      else schedule(timer)
    }
    return true
  }

  return {
    now: () => now,
    steps: () => steps,
    process,
    post: (process, run) => schedule({ process, run }),
    after,
    fork: (process, effect, onEnd) => {
      const fiber = Effect.runForkWith(process.context)(Effect.andThen(Effect.yieldNow, effect))
      if (onEnd !== undefined) fiber.addObserver(onEnd)
      return fiber
    },
    pause: (process, millis) => {
      if (process.state !== "running") return
      process.state = "paused"
      after(millis, undefined, () => resume(process))
    },
    resume,
    crash: (process) => {
      process.state = "dead"
      process.held = []
    },
    runUntil: (done) => {
      while (!done()) {
        if (steps >= options.maxSteps) return false
        if (ready.length > 0) step()
        else if (!advance()) return false
      }
      return true
    }
  }
}

/** A process with its clock, its scheduler and its randomness. */
const makeProcess = (parts: {
  readonly name: string
  readonly mayCrash: boolean
  readonly skewMillis: number
  readonly seed: number
  readonly now: () => number
  readonly after: Kernel["after"]
  readonly schedule: (task: Task) => void
  readonly shouldYield: Scheduler.Scheduler["shouldYield"]
  readonly onOperation: KernelOptions["onOperation"]
}): Process => {
  const { after, mayCrash, name, now, onOperation, schedule, seed, shouldYield, skewMillis } = parts
  const millis = () => epochMillis + now() + self.skewMillis
  const nanos = () => BigInt(millis()) * 1_000_000n
  const monotonic = () => BigInt(now()) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => {
      const wait = Duration.toMillis(duration)
      if (wait <= 0) return Effect.yieldNow
      if (!Number.isFinite(wait)) return Effect.never
      return Effect.callback<void>((resume) => {
        const cancel = after(wait, self, () => resume(Effect.void))
        return Effect.sync(cancel)
      })
    }
  }
  const givesWay: Scheduler.Scheduler["shouldYield"] =
    mayCrash && onOperation !== undefined ? (fiber) => onOperation(self) || shouldYield(fiber) : shouldYield
  const dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (run) => schedule({ process: self, run }),
    flush: () => undefined
  }
  const context = Context.empty().pipe(
    Context.add(Clock.Clock, clock),
    Context.add(Scheduler.Scheduler, { executionMode: "sync", shouldYield: givesWay, makeDispatcher: () => dispatcher }),
    Context.add(Random.Random, Chance.generator(Chance.stream(seed, `random of ${name}`))),
    Context.add(References.TracerEnabled, false),
    Context.add(References.MinimumLogLevel, "None")
  )
  const self: Process = { name, mayCrash, context, state: "running", skewMillis, held: [] }
  return self
}

/** Earlier first, then in the order they were set. */
const isBefore = (left: Timer, right: Timer): boolean => left.at < right.at || (left.at === right.at && left.order < right.order)

/** A binary heap in an array. */
const push = (heap: Array<Timer>, timer: Timer): void => {
  let index = heap.push(timer) - 1
  while (index > 0) {
    const parent = (index - 1) >> 1
    const above = heap[parent]
    if (above === undefined || !isBefore(timer, above)) break
    heap[index] = above
    index = parent
  }
  heap[index] = timer
}

const pop = (heap: Array<Timer>): Timer | undefined => {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  let index = 0
  for (;;) {
    const left = 2 * index + 1
    const [one, other] = [heap[left], heap[left + 1]]
    const child = other !== undefined && one !== undefined && isBefore(other, one) ? left + 1 : left
    const smaller = heap[child]
    if (smaller === undefined || !isBefore(smaller, last)) break
    heap[index] = smaller
    index = child
  }
  heap[index] = last
  return first
}
