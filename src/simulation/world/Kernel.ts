/**
 * The machine under a simulation: processes, one order of execution, one virtual time.
 *
 * A process is what a crash ends and a pause stops: its fibers, timers and clocks. Every step runs one ready task of any process,
 * picked by chance, until the fiber gives way. When nothing is ready, time moves to the next timer.
 *
 * A fiber gives way where it waits, where it asks for it (`Effect.yieldNow`), and where it is made to: at random operations (`preempt`), and
 * after as many operations as effect's `MaxOpsBeforeYield` of its process allows, counted from where it was resumed last, as the runtime does
 * it. Whichever comes first ends its turn, and the count of the other goes on. It gives way before an operation, never within one: a
 * callback runs whole, and so does what follows it up to the next effect that is not a value (`Effect.sync` and the `map`, `flatMap` or part of a
 * generator that it continues are one operation). So a check and the step after it are apart exactly where an effect stands between them, in the
 * simulation as in a running service.
 *
 * Who gave way is ready again at once: what runs between is what was ready at the same millisecond, of any process. So that answers and
 * timers come between as well, in some seeds a fiber of an instance goes on some milliseconds later (`late`), as it does where others keep
 * the processor busy.
 *
 * A crash drops the fibers of a process where they stand: no finalizer runs. A pause holds its tasks and timers back; the world and
 * its clocks go on. Pauses begin only where nothing is ready, that is while all of the process waits for a timer or an answer:
 * between the check of a permission and the write of its request a process is never stopped (docs/GUARANTEES.md states that gap), only late.
 *
 * **Gotchas**: fibers of different processes must never wake each other directly; whatever crosses goes through `post` or `after`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
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
  /** Its fibers that gave way and are late. */
  late: number
  /** How far its wall clock is from the true time, in milliseconds. */
  skewMillis: number
  held: Array<Task>
}

/** What is particular to a process that may crash. `opsBeforeYield`: the most operations of a turn; default effect's own. */
export interface Habits {
  readonly skewMillis: number
  readonly opsBeforeYield?: number | undefined
}

/** The machine. Times are virtual milliseconds from 0. */
export interface Kernel {
  readonly now: () => number
  readonly steps: () => number
  /** A new process, of the world or of what the simulation is about. */
  readonly process: (name: string, habits?: Habits) => Process
  /** Runs a callback in a process, in its turn. */
  readonly post: (process: Process, run: () => void) => void
  /** Runs a callback after a time: in a process, or in none. Answers how to cancel it. */
  readonly after: (millis: number, process: Process | undefined, run: () => void) => () => void
  /** Starts an effect in a process and tells its end, unless the process dies before. */
  readonly fork: <A, E>(process: Process, effect: Effect.Effect<A, E>, onEnd?: (exit: Exit.Exit<A, E>) => void) => Fiber.Fiber<A, E>
  /** Stops a process that runs. False where one of its fibers is late: then it cannot be stopped yet. */
  readonly pause: (process: Process, millis: number) => boolean
  readonly resume: (process: Process) => void
  readonly crash: (process: Process) => void
  /** Makes steps until the condition holds; false when nothing was left to do or the limit of steps was reached. */
  readonly runUntil: (done: () => boolean) => boolean
}

/**
 * `preempt`: how likely a fiber gives way at an operation, in [0, 1]. `late`: how likely what gave way in a process that may crash goes on
 * later, in [0, 1]; default 0. `onOperation`: told of each operation of a process that may crash, before it is carried out; true: the fiber gives
 * way first. `onStep`: told after each step of a process.
 */
export interface KernelOptions {
  readonly seed: number
  readonly preempt: number
  readonly late?: number
  readonly maxSteps: number
  readonly onOperation?: (process: Process) => boolean
  readonly onStep?: (process: Process) => void
}

/** Operations a fiber makes at least before it gives way: with fewer it would never get on. */
const leastOperations = 2
/** The latest that a fiber goes on which gave way: part of the settle time that the gateways declare. */
const latestMillis = 20

/** How many operations until a fiber gives way: geometric, so that every operation is as likely as any other. */
const operationsUntilPreemption = (draw: Chance.Draw, preempt: number): number =>
  preempt <= 0 ? Number.POSITIVE_INFINITY : preempt >= 1 ? 0 : Math.floor(Math.log(1 - draw()) / Math.log(1 - preempt))

/** When fibers give way, and when they go on. */
const turns = (
  parts: Pick<KernelOptions, "late" | "preempt"> &
    Pick<Kernel, "after"> & {
      readonly draw: Chance.Draw
      readonly schedule: (task: Task) => void
    }
) => {
  const { after, draw, late = 0, preempt, schedule } = parts
  let untilPreemption = operationsUntilPreemption(draw, preempt)

  const shouldYield = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
    const isRandom = untilPreemption-- <= 0
    if (fiber.currentOpCount <= leastOperations) return false
    if (!isRandom) return fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
    untilPreemption = operationsUntilPreemption(draw, preempt)
    return true
  }

  /** Of a process that may crash, what gave way or begins. */
  const scheduleLate = (task: Task & { readonly process: Process }) => {
    if (!Chance.happens(draw, late)) return schedule(task)
    task.process.late++
    const goOn = () => {
      task.process.late--
      task.run()
    }
    after(Chance.between(draw, 1, latestMillis), task.process, goOn)
  }

  return { shouldYield, scheduleLate }
}

export const make = (options: KernelOptions): Kernel => {
  const draw = Chance.stream(options.seed, "schedule")
  const ready: Array<Task> = []
  const timers: Array<Timer> = []
  let now = 0
  let order = 0
  let steps = 0

  const schedule = (task: Task) => void ready.push(task)
  const after: Kernel["after"] = (millis, process, run) => {
    const timer: Timer = { at: now + Math.max(0, Math.ceil(millis)), order: order++, process, run, cancelled: false }
    push(timers, timer)
    return () => {
      timer.cancelled = true
    }
  }

  const { scheduleLate, shouldYield } = turns({ ...options, draw, schedule, after })

  const process: Kernel["process"] = (name, habits) =>
    makeProcess({
      name,
      habits,
      seed: options.seed,
      now: () => now,
      after,
      schedule: habits === undefined ? schedule : scheduleLate,
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

  const pause: Kernel["pause"] = (process, millis) => {
    if (process.state !== "running") return true
    if (process.late > 0) return false
    process.state = "paused"
    after(millis, undefined, () => resume(process))
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
    pause,
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
  readonly habits: Habits | undefined
  readonly seed: number
  readonly now: () => number
  readonly after: Kernel["after"]
  readonly schedule: (task: Task & { readonly process: Process }) => void
  readonly shouldYield: Scheduler.Scheduler["shouldYield"]
  readonly onOperation: KernelOptions["onOperation"]
}): Process => {
  const { after, habits, name, now, onOperation, schedule, seed, shouldYield } = parts
  const mayCrash = habits !== undefined
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
    Context.add(References.MinimumLogLevel, "None"),
    habits?.opsBeforeYield === undefined ? identity : Context.add(Scheduler.MaxOpsBeforeYield, habits.opsBeforeYield)
  )
  const self: Process = { name, mayCrash, context, state: "running", late: 0, skewMillis: habits?.skewMillis ?? 0, held: [] }
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
