/**
 * The instances of a simulation: how they start, crash between two steps and are replaced, pause and wake up.
 */
import type { Chronicle } from "./Chronicle.ts"
import type { Instance } from "./Instance.ts"
import type { Options } from "./Options.ts"
import type { Setup } from "./Setup.ts"
import * as Chance from "./world/Chance.ts"
import type { Kernel, Process } from "./world/Kernel.ts"

export interface FleetOptions {
  readonly kernel: Kernel
  readonly setup: Setup
  readonly options: Options
  readonly chronicle: Chronicle
  readonly start: (process: Process) => Instance
  /** Told of a process that is gone. */
  readonly onCrash: (process: Process) => void
}

/** The instances. */
export interface Fleet {
  readonly startAll: () => void
  /** A running instance by chance; none while all are down. */
  readonly any: (draw: Chance.Draw) => Instance | undefined
  /** Lets instances crash and pause as the seed wants. */
  readonly disturb: () => void
  /** Told of each operation of an instance: some are not carried out any more. */
  readonly onOperation: (process: Process) => boolean
  /** Told after each step of a process. */
  readonly afterStep: (process: Process) => void
  /** No more crashes and pauses; everything is up. */
  readonly calm: () => void
  /** The running instances. */
  readonly all: () => ReadonlyArray<Instance>
  readonly counts: () => { readonly crashes: number; readonly pauses: number; readonly operations: number }
}

const clockErrors = [0, 0, 0, -20_000, 15_000, 90_000] as const
/** How long the process is down that is crashed at a certain operation. */
const exhaustiveDownMillis = 5_000

export const make = ({ chronicle, kernel, onCrash, options, setup, start }: FleetOptions): Fleet => {
  const draw = Chance.stream(options.seed, "instances")
  const slots: Array<Instance | undefined> = Array.from({ length: setup.instances }, () => undefined)
  const crashIn = new Map<Process, { operations: number; readonly downMillis: number }>()
  let doomed: { readonly process: Process; readonly downMillis: number } | undefined
  const counts = { crashes: 0, pauses: 0, operations: 0 }
  let generations = 0
  let calm = false

  const running = () => slots.filter((instance) => instance !== undefined)

  const startIn = (slot: number): void => {
    const skew = Chance.pick(draw, clockErrors)
    const opsBeforeYield = setup.opsBeforeYield[slot]
    const process = kernel.process(`instance-${slot}.${generations++}`, { skewMillis: skew, opsBeforeYield })
    chronicle.note("start", () => `${process.name} with its clock off by ${skew} ms`)
    slots[slot] = start(process)
  }

  /** The process is gone between two operations; another one takes its place after a while. */
  const crash = (process: Process, downMillis: number): void => {
    const slot = slots.findIndex((instance) => instance?.process === process)
    const instance = slots[slot]
    if (instance === undefined) return
    counts.crashes++
    chronicle.note("crash", () => process.name)
    kernel.crash(process)
    slots[slot] = undefined
    onCrash(process)
    instance.crashed()
    kernel.after(downMillis, undefined, () => {
      if (slots[slot] === undefined) startIn(slot)
    })
  }

  const whenDue = (millis: number, which: number, strike: (instance: Instance) => void): void =>
    void kernel.after(millis, undefined, () => {
      const instance = slots[which % slots.length]
      if (instance !== undefined && !calm) strike(instance)
    })

  return {
    startAll: () => slots.forEach((_, slot) => startIn(slot)),
    any: (by) => {
      const [first, ...others] = running()
      return first === undefined ? undefined : Chance.pick(by, [first, ...others])
    },
    disturb: () => {
      const crashes = options.crashAt === undefined ? setup.crashes.slice(0, options.crashes) : []
      for (const { at, downMillis, operations, which } of crashes) {
        whenDue(at, which, (instance) => void crashIn.set(instance.process, { operations, downMillis }))
      }
      for (const { at, millis, which } of setup.pauses.slice(0, options.pauses)) {
        const pause = (instance: Instance) => {
          if (!kernel.pause(instance.process, millis)) return whenDue(1, which, pause)
          counts.pauses++
          chronicle.note("pause", () => `${instance.process.name} for ${millis} ms`)
        }
        whenDue(at, which, pause)
      }
    },
    onOperation: (process) => {
      if (calm || doomed !== undefined) return false
      if (++counts.operations === options.crashAt) doomed = { process, downMillis: exhaustiveDownMillis }
      const due = crashIn.size === 0 ? undefined : crashIn.get(process)
      if (due !== undefined && --due.operations < 0) doomed = { process, downMillis: due.downMillis }
      return doomed !== undefined
    },
    afterStep: () => {
      if (doomed === undefined) return
      const { downMillis, process } = doomed
      doomed = undefined
      crashIn.delete(process)
      crash(process, downMillis)
    },
    calm: () => {
      calm = true
      crashIn.clear()
      slots.forEach((instance, slot) => {
        if (instance === undefined) startIn(slot)
        else kernel.resume(instance.process)
      })
    },
    all: running,
    counts: () => counts
  }
}
