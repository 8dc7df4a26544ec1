/**
 * How an experiment goes: load and faults in their phases, an end that may come early, and the way to where nothing is under way.
 */
import * as Exit from "effect/Exit"
import * as Abort from "../../domain/chaos/experiment/Abort.ts"
import * as Arrivals from "../../domain/chaos/experiment/load/Arrivals.ts"
import type { Reason } from "../../domain/chaos/experiment/ExperimentResult.ts"
import * as Findings from "../../domain/chaos/experiment/Findings.ts"
import * as Recorder from "../../domain/chaos/experiment/Recorder.ts"
import { IdempotencyKey } from "../../domain/payment/Ids.ts"
import * as Chance from "../world/Chance.ts"
import * as Callers from "./Callers.ts"
import * as EnginePort from "./EnginePort.ts"
import { ended, type Life, until, type World } from "./World.ts"

/** The longest that settling takes; what is open then stays open. */
const settlingMillis = 2 * 3_600_000
/** How often it is looked whether something is left to be done. */
const watchMillis = 2_000

/** Runs the load and the faults. Tells why it was ended early, if it was. */
export function* underLoad(world: World): Life<Reason | undefined> {
  const { experiment, kernel } = world
  const { faultsAt, loadMillis, recoverAt } = experiment.phases
  const watch = Abort.make(experiment)
  let aborted: Reason | undefined
  const load = startLoad(world, {
    goesOn: () => aborted === undefined,
    onAnswered: (charge) => {
      if (watch !== undefined && load.isOn() && aborted === undefined) aborted = Abort.answered(watch, charge)
    }
  })
  yield* until(world, () => kernel.now() >= faultsAt || aborted !== undefined)
  if (faultsAt > 0 && Findings.steadyOf(world.recorder, experiment, 0, faultsAt)?.held === false) {
    aborted ??= { code: "aborted", message: "the steady state did not hold before the faults, so none were injected" }
  }
  if (aborted === undefined) yield* ended(world, world.around, world.chaos.start(experiment.chaos))
  yield* until(world, () => kernel.now() >= recoverAt || aborted !== undefined)
  yield* stopFaults(world)
  yield* until(world, () => kernel.now() >= loadMillis || aborted !== undefined)
  return aborted
}

/** No more faults. Those of clocks are counted at the end: nobody is told of them one by one. */
function* stopFaults({ chaos, ...world }: World): Life<void> {
  const { counts } = yield* ended(world, world.around, chaos.stop)
  for (const { count, type } of counts.filter(({ target }) => target === "clock")) {
    const fault = { at: world.kernel.now(), kind: type, gateway: undefined, label: "clock" }
    for (let made = 0; made < count; made++) Recorder.injected(world.recorder, fault)
  }
}

/** Lets the callers come, each in its time. */
const startLoad = (
  world: World,
  { goesOn, onAnswered }: { readonly goesOn: () => boolean; readonly onAnswered: (charge: Recorder.Charge) => void }
) => {
  const { callers, experiment, kernel, recorder, server, shown, wrong } = world
  const { load, phases, seed } = experiment
  const draws = { times: Chance.stream(seed, "arrivals"), contents: Chance.stream(seed, "payments") }
  const arrivals = Arrivals.of(load, phases.loadMillis, draws)
  const port = EnginePort.make({
    process: callers,
    server,
    onShown: (key, payment) => void shown.push({ key, payment }),
    onWrong: (what) => void wrong.push(what)
  })
  const options: Callers.CallersOptions = {
    port,
    recorder,
    now: kernel.now,
    followUpMillis: load.followUpMillis,
    onAsked: (charge, arrival) => void world.charges.push([charge, IdempotencyKey.make(Callers.keyOf(arrival))]),
    onAnswered
  }
  let on = true
  const next = () => {
    const arrival = arrivals.next()
    if (arrival.done === true) return void (on = false)
    kernel.after(arrival.value.atMillis - kernel.now(), undefined, () => {
      if (!goesOn()) return void (on = false)
      world.living.count++
      kernel.fork(callers, Callers.live(options, arrival.value), (exit) => {
        world.living.count--
        if (Exit.isFailure(exit)) wrong.push(`the caller of payment ${arrival.value.index} died: ${String(exit.cause)}`)
      })
      next()
    })
  }
  next()
  return { isOn: () => on }
}

/** Goes on until no caller waits, nothing is open but what a person has to look at, and every event is delivered. */
export function* settle(world: World): Life<void> {
  const { kernel, living, tables } = world
  const giveUpAt = kernel.now() + settlingMillis
  const { open, outbox, payments } = tables.memory
  const isQuiet = () =>
    living.count === 0 &&
    [...open.keys()].every((id) => payments.get(id)?.view.status === "needs_review") &&
    [...outbox.values()].every(({ dead, rows }) => rows.length === 0 || dead !== undefined)
  let quiet = false
  const watch = () => {
    quiet = isQuiet()
    if (!quiet) kernel.after(watchMillis, undefined, watch)
  }
  watch()
  yield* until(world, () => quiet || kernel.now() >= giveUpAt)
}
