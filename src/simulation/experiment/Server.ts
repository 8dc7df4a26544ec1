/**
 * The server of an experiment: a process with the engine, its recovery and its relay. It may crash; another one takes its place after a
 * while and finds the same tables.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import * as Stream from "effect/Stream"
import type { BreakerChange } from "../../domain/chaos/experiment/Recorder.ts"
import * as Presets from "../../domain/Presets.ts"
import { partsOf } from "../../domain/resilience/BreakerName.ts"
import * as ChaosClock from "../../orchestration/chaos/ChaosClock.ts"
import * as Relay from "../../orchestration/notify/Relay.ts"
import * as Payments from "../../orchestration/payment/Payments.ts"
import { CircuitBreakers } from "../../orchestration/resilience/CircuitBreakers.ts"
import type { Kernel, Process } from "../world/Kernel.ts"
import * as Machine from "./Machine.ts"

type Engine = (typeof Payments.Payments)["Service"]

/** How a call ended; `lost`: the process died before it answered, or nobody was there. */
type Reply<A, E> = Exit.Exit<A, E> | "lost"

export interface Server {
  /** Calls a program of the engine from another process. */
  readonly call: <A, E>(caller: Process, program: (engine: Engine) => Effect.Effect<A, E>) => Effect.Effect<Reply<A, E>>
  /** The process ends where it stands. */
  readonly crash: () => void
  readonly crashes: () => number
}

export interface ServerOptions extends Omit<Machine.MachineOptions, "client"> {
  readonly kernel: Kernel
  /** How a process reaches the PSP. */
  readonly clientOf: (process: Process) => HttpClient.HttpClient
  readonly onBreaker: (change: BreakerChange) => void
  /** A process of the engine ended by itself, which none ever does. */
  readonly onDefect: (what: string) => void
}

/** How long it takes until another process has taken over. */
const downMillis = 2_000
/** How long the relay rests when nothing is to be delivered. */
const relayPollMillis = 5_000

interface Running {
  readonly process: Process
  readonly engine: Engine
  readonly lost: Set<() => void>
}

/** Starts the first process. */
export const start = (options: ServerOptions): Server => {
  const { kernel } = options
  let process: Process | undefined
  let running: Running | undefined
  let generations = 0
  let crashes = 0

  const boot = () => {
    const booted = kernel.process(`server ${generations++}`)
    process = booted
    const onReady = (engine: Engine) => {
      running = { process: booted, engine, lost: new Set() }
    }
    kernel.fork(booted, onItsClock(options, booted, life({ ...options, client: options.clientOf(booted) }, onReady)), (exit) =>
      options.onDefect(`the server ended: ${String(exit)}`)
    )
  }

  boot()
  return {
    call: (caller, program) =>
      Effect.callback((resume) => {
        const server = running
        const back = (reply: Parameters<typeof resume>[0]) => kernel.post(caller, () => resume(reply))
        const lose = () => back(Effect.succeed("lost"))
        if (server === undefined) return lose()
        server.lost.add(lose)
        kernel.post(server.process, () => {
          kernel.fork(server.process, program(server.engine), (exit) => {
            server.lost.delete(lose)
            back(Effect.succeed(exit))
          })
        })
      }),
    crash: () => {
      if (process === undefined) return
      crashes++
      kernel.crash(process)
      for (const lose of running?.lost ?? []) lose()
      process = running = undefined
      kernel.after(downMillis, undefined, boot)
    },
    crashes: () => crashes
  }
}

/** With the clock that the chaos plan moves, if it does. Database, machine and callers have the true one. */
const onItsClock = <A, E>({ chaos, experiment }: ServerOptions, { context }: Process, life: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  experiment.chaos.rules.some(({ target }) => target === "clock")
    ? Effect.provideService(life, Clock.Clock, ChaosClock.make(Context.get(context, Clock.Clock), chaos))
    : life

/** What a process does until it dies. */
const life = (options: ServerOptions & Machine.MachineOptions, onReady: (engine: Engine) => void) =>
  Effect.gen(function* () {
    const running = yield* Machine.make(options)
    const engine = Context.get(running, Payments.Payments)
    yield* Effect.forkScoped(breakersOf(options, Context.get(running, CircuitBreakers)))
    yield* Effect.forkScoped(Effect.provideContext(Relay.run({ pollMillis: relayPollMillis }), running))
    onReady(engine)
    return yield* recovery(options, engine)
  }).pipe(Effect.scoped)

/** As a server does it: at once after a start, hurried until what was in hand then is old enough, and then at intervals. */
const recovery = Effect.fnUntraced(function* ({ experiment, kernel }: ServerOptions, engine: Engine) {
  const { intervalMillis = Presets.recovery.intervalMillis.value, olderThanMillis = Presets.recovery.olderThanMillis.value } =
    experiment.settings.recovery ?? {}
  const hurryMillis = Presets.recovery.startIntervalMillis.value
  const hurryUntil = kernel.now() + olderThanMillis + hurryMillis
  for (let lookUpYounger = true; ; lookUpYounger = false) {
    yield* Effect.ignore(engine.recover({ onlyDue: true, lookUpYounger }))
    yield* Effect.sleep(kernel.now() < hurryUntil ? Math.min(hurryMillis, intervalMillis) : intervalMillis)
  }
})

const breakersOf = ({ kernel, onBreaker }: ServerOptions, breakers: CircuitBreakers["Service"]) =>
  Stream.runForEach(breakers.transitions, ({ breaker, from, to }) =>
    Effect.sync(() => {
      const gateway = partsOf(breaker)?.gateway
      if (gateway !== undefined) onBreaker({ at: kernel.now(), breaker, gateway, from, to })
    })
  )
