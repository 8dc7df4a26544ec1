/**
 * The world of an experiment: machine, PSP, database, the switch of faults, server and callers, put together and not yet under load.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CompleteExperiment } from "../../domain/chaos/experiment/Experiment.ts"
import * as Recorder from "../../domain/chaos/experiment/Recorder.ts"
import * as Summary from "../../domain/chaos/experiment/Summary.ts"
import type { Injected } from "../../domain/chaos/Injector.ts"
import type { IdempotencyKey } from "../../domain/payment/Ids.ts"
import * as ChaosControl from "../../orchestration/chaos/ChaosControl.ts"
import * as Sandbox from "../../sandbox/Sandbox.ts"
import { Chaos } from "../../services/chaos/Chaos.ts"
import type { Bug } from "../bugs/Bug.ts"
import * as Chance from "../world/Chance.ts"
import type * as Faults from "../world/Faults.ts"
import * as Kernel from "../world/Kernel.ts"
import * as Network from "../world/Network.ts"
import type { Received } from "../world/Receiver.ts"
import type { Shown } from "./Check.ts"
import * as Server from "./Server.ts"
import * as Tables from "./Tables.ts"

/** Everything that there is. */
export interface World {
  readonly experiment: CompleteExperiment
  readonly kernel: Kernel.Kernel
  readonly recorder: Recorder.Recorder
  /** Of what stands around the server: the switch of faults, and whoever watches. */
  readonly around: Kernel.Process
  readonly callers: Kernel.Process
  readonly handler: Sandbox.Handler
  readonly tables: Tables.Tables
  readonly chaos: Chaos["Service"]
  readonly server: Server.Server
  /** Every charge with its key. */
  readonly charges: Array<readonly [Recorder.Charge, IdempotencyKey]>
  readonly shown: Array<Shown>
  readonly received: Array<Received>
  readonly wrong: Array<string>
  /** Callers that are under way. */
  readonly living: { count: number }
}

/** How far a world is. Times in virtual milliseconds. */
export interface Progress {
  readonly atMillis: number
  /** When the load ends. */
  readonly loadMillis: number
  readonly charges: number
  readonly injections: number
}

/** What goes on bit by bit. */
export type Life<A> = Generator<Progress, A>

/** Steps of the machine between two looks from outside: some ten milliseconds. */
const stepsAtOnce = 5_000

/** Lets the world go on until a condition holds; false where nothing is left to happen before it does. */
export function* until({ kernel, recorder }: Pick<World, "kernel" | "recorder">, holds: () => boolean): Life<boolean> {
  while (!holds()) {
    const stopAt = kernel.steps() + stepsAtOnce
    const reached = withoutStacks(() => kernel.runUntil(() => kernel.steps() >= stopAt || holds()))
    if (!reached) return holds()
    yield { atMillis: kernel.now(), loadMillis: recorder.loadMillis, charges: recorder.charges.length, injections: recorder.injected }
  }
  return true
}

/** A stack costs more than what throws it, and nobody reads it here. */
const withoutStacks = <A>(run: () => A): A => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = limit
  }
}

/** Runs an effect of the world to its end, in a scope that never closes. */
export function* ended<A>(
  world: Pick<World, "kernel" | "recorder">,
  process: Kernel.Process,
  effect: Effect.Effect<A, unknown, Scope.Scope>
): Life<A> {
  let result: { readonly value: A } | undefined
  let failure: unknown
  const kept = Effect.flatMap(effect, (value) => {
    result = { value }
    return Effect.never
  })
  world.kernel.fork(process, Effect.scoped(kept), (exit) => {
    failure = exit
  })
  yield* until(world, () => result !== undefined || failure !== undefined)
  if (result === undefined) throw new Error(`the world of an experiment cannot go on: ${String(failure)}`)
  return result.value
}

/** A network that loses nothing: what goes wrong is for the chaos plan to say. */
const noFaults = (seed: number): Faults.Faults => ({
  strikes: () => false,
  draw: Chance.stream(seed, "network"),
  struck: () => 0,
  end: () => undefined
})

/** Puts a world together. `bug`: breaks the engine. */
export function* make(experiment: CompleteExperiment, bug: Bug | undefined): Life<World> {
  const { phases, seed } = experiment
  const kernel = Kernel.make({ seed, preempt: 0, maxSteps: Number.MAX_SAFE_INTEGER })
  const recorder = Recorder.make({ loadMillis: phases.loadMillis, gateways: experiment.gateways.map(({ name }) => name) })
  const [around, psp, database] = [kernel.process("around"), kernel.process("psp"), kernel.process("database")]
  const begun = { kernel, recorder }
  const servers: Array<Server.Server> = []
  const handler = yield* ended(begun, psp, sandboxOf(experiment))
  const tables = yield* ended(begun, database, Tables.make)
  const crash = Effect.callback<never>(() => {
    kernel.after(0, undefined, () => servers[0]?.crash())
  })
  const chaos = noted(experiment, begun, yield* ended(begun, around, ChaosControl.make({ crash })))
  const [received, wrong]: [Array<Received>, Array<string>] = [[], []]
  const network = { kernel, faults: noFaults(seed), psp, handler, onWritten: () => undefined, onArrived: () => undefined }
  const server = Server.start({
    kernel,
    experiment,
    tables,
    chaos,
    bug,
    clientOf: (process) => Network.clientOf(network, process),
    watch: { now: kernel.now, onCall: (call) => Recorder.called(recorder, call) },
    onDelivered: ({ payment, version }) => void received.push({ payment, version }),
    onBreaker: (change) => Recorder.breakerChanged(recorder, change),
    onDefect: (what) => void wrong.push(what)
  })
  servers.push(server)
  const callers = kernel.process("callers")
  return {
    ...begun,
    experiment,
    around,
    callers,
    handler,
    tables,
    chaos,
    server,
    charges: [],
    shown: [],
    received,
    wrong,
    living: { count: 0 }
  }
}

const sandboxOf = ({ gateways, seed }: CompleteExperiment) =>
  Sandbox.make({
    accounts: gateways.map(({ errorRate, latencyMillis, name }) => ({ name, errorRate, latencyMillis, captures: "multiple" as const })),
    seed
  })

/** The switch, with everything noted that it injects. */
const noted = (
  { chaos: { rules } }: CompleteExperiment,
  { kernel, recorder }: Pick<World, "kernel" | "recorder">,
  chaos: Chaos["Service"]
): Chaos["Service"] => {
  const labelOf = ({ by: { number, part } }: Injected): string => {
    const rule = part === "rule" ? rules[number - 1] : undefined
    return rule === undefined ? (part === "script" ? "script" : `${part} ${number}`) : (rule.name ?? Summary.ofRule(rule)).slice(0, 200)
  }
  return Chaos.of({
    ...chaos,
    decide: (call) =>
      Effect.tap(chaos.decide(call), (injected) =>
        Effect.sync(() => {
          if (injected === undefined) return
          const { gateway, injection } = injected
          Recorder.injected(recorder, { at: kernel.now(), kind: injection.type, gateway, label: labelOf(injected) })
        })
      )
  })
}
