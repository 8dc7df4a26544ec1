/**
 * The world of one simulation: it comes to be, the hosts live in it while faults strike, it calms down, and then it is looked at.
 *
 * Its life is a generator of conditions: whoever drives it makes steps until the condition holds.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Invariants from "./checks/Invariants.ts"
import { calmDown, disturb, quiet } from "./Calm.ts"
import * as Chronicle from "./Chronicle.ts"
import * as Fleet from "./Fleet.ts"
import * as Instance from "./Instance.ts"
import type { Options, Outcome } from "./Options.ts"
import { hostOptions, instanceOptions, networkOf, type Parts, type Served } from "./Parts.ts"
import * as Host from "./people/Host.ts"
import * as Person from "./people/Person.ts"
import * as Setup from "./Setup.ts"
import * as Upkeep from "./Upkeep.ts"
import * as Aftermath from "./world/Aftermath.ts"
import type { DatabaseOptions } from "./world/Database.ts"
import * as Faults from "./world/Faults.ts"
import * as Kernel from "./world/Kernel.ts"
import * as Postman from "./world/Postman.ts"
import * as Psp from "./world/Psp.ts"
import * as Storage from "./world/Storage.ts"

/** More steps than any simulation makes: one that does has a loop without an end. */
const maxSteps = 3_000_000
/** The longest that the hosts live: the time for completing a payment, and repetitions. */
const livelyMillis = 20 * 60_000
/** How much longer than it has to wait a payment may wait for its customer: what the slowest expiry takes. */
const expirySlackMillis = 300_000

/** A condition at a time. It is told that the condition holds, or that it cannot come true any more. */
type Life<A> = Generator<() => boolean, A, boolean>
/** Opens the database of a simulation. */
export type MakeStorage = (options: DatabaseOptions) => Effect.Effect<Storage.Storage, never, Scope.Scope>

export interface World {
  readonly kernel: Kernel.Kernel
  readonly life: Life<Outcome>
}

/** A world that has not come to be yet. */
export const make = (options: Options, storage: MakeStorage): World => {
  const { seed } = options
  const setup = Setup.of(seed, options)
  let fleet: Fleet.Fleet | undefined
  const kernel = Kernel.make({
    seed,
    preempt: setup.preempt,
    late: setup.late,
    maxSteps,
    onOperation: (process) => fleet?.onOperation(process) === true,
    onStep: (process) => fleet?.afterStep(process)
  })
  const chronicle = Chronicle.make({ kernel, trace: options.trace === true })
  const parts: Parts = {
    options,
    setup,
    kernel,
    chronicle,
    plans: options.payments === undefined ? setup.plans : setup.plans.filter(({ index }) => options.payments?.includes(index)),
    faults: Faults.make({
      seed,
      rates: Faults.ratesOf(seed),
      limit: options.faults ?? Number.POSITIVE_INFINITY,
      onStrike: (kind) => chronicle.note("fault", () => kind)
    }),
    hosts: kernel.process("hosts"),
    people: kernel.process("people"),
    psp: kernel.process("psp"),
    server: kernel.process("database"),
    calm: false,
    requests: 0,
    grouped: 0
  }
  return { kernel, life: live(parts, storage, (started) => (fleet = started)) }
}

function* live(parts: Parts, storage: MakeStorage, onFleet: (fleet: Fleet.Fleet) => void): Life<Outcome> {
  const { chronicle, kernel, plans, psp, server } = parts
  const world = yield* serve(parts, storage)
  const aftermath = Aftermath.make({
    handler: world.handler,
    accounts: parts.setup.accounts,
    ownerOf: (plan) => chronicle.ownerOf(Host.keyOf(plan)),
    tell: world.postman.tell
  })
  onFleet(world.fleet)
  world.fleet.startAll()
  world.fleet.disturb()
  disturb(world)
  let living = 2 * plans.length
  const lives = (process: Kernel.Process, name: string, life: Effect.Effect<unknown>) =>
    kernel.fork(process, life, (exit) => {
      living--
      if (Exit.isFailure(exit)) chronicle.wrong("I10", `${name} died: ${String(exit.cause)}`)
    })
  const host = hostOptions(world)
  if (world.person !== undefined)
    kernel.fork(parts.people, world.person.live(parts.people), (exit) => chronicle.wrong("I10", `the person died: ${String(exit)}`))
  for (const plan of plans) {
    lives(parts.hosts, `the host of ${plan.key}`, Host.live(host, plan))
    lives(psp, `the bank of ${plan.key}`, aftermath.live(plan))
  }
  yield () => living === 0 || kernel.now() > livelyMillis
  calmDown(world)
  let over = false
  kernel.fork(server, quiet(world), () => (over = true))
  if (!(yield () => over)) chronicle.wrong("I10", "the simulation did not come to an end")
  yield* verify(world, aftermath.facts)
  return outcome(world)
}

/** Starts database and PSP, and puts together what runs against them. */
function* serve(parts: Parts, makeStorage: MakeStorage): Life<Served> {
  const { chronicle, faults, kernel, psp, server, setup } = parts
  const storage = yield* ended(
    parts,
    makeStorage({
      kernel,
      faults,
      server,
      groupMillis: setup.groupMillis,
      spoil: parts.options.bug?.writer,
      onDurable: chronicle.onDurable,
      onStatement: (commits) => (parts.grouped += commits > 1 ? commits : 0)
    }),
    server
  )
  const postman = Postman.make({
    kernel,
    faults,
    psp,
    seed: parts.options.seed,
    accounts: setup.accounts,
    recipient: (draw) => {
      const instance = fleet.any(draw)
      if (instance === undefined) return undefined
      return { receive: (request, onEnd, onLost) => instance.call((engine) => engine.receive(request), onEnd, onLost) }
    },
    onNote: (detail) => chronicle.note("webhook", detail),
    onWrong: (what) => chronicle.wrong("I10", what)
  })
  const { accounts, replayWindowMillis } = setup
  const handler = yield* ended(parts, Psp.make({ seed: parts.options.seed, accounts, replayWindowMillis, tell: postman.tell }), psp)
  const network = networkOf(parts, handler)
  const fleet = Fleet.make({
    kernel,
    setup,
    options: parts.options,
    chronicle,
    onCrash: storage.crashed,
    start: (process) => Instance.start({ ...instanceOptions(parts), process, storage, network })
  })
  const { person: how } = setup.upkeep
  const person =
    how === undefined ? undefined : Person.make({ kernel, seed: parts.options.seed, handler, chronicle, how, instance: fleet.any })
  return Object.assign(parts, { storage, handler, fleet, postman, person })
}

/** Runs an effect of the world to its end, in a scope that never closes. */
function* ended<A>(parts: Parts, effect: Effect.Effect<A, never, Scope.Scope>, process: Kernel.Process): Life<A> {
  let result: { readonly value: A } | undefined
  const kept = Effect.flatMap(effect, (value) => {
    result = { value }
    return Effect.never
  })
  const onEnd = (exit: Exit.Exit<unknown>) => parts.chronicle.wrong("I10", `the world died: ${String(exit)}`)
  parts.kernel.fork(process, Effect.scoped(kept), onEnd)
  yield () => result !== undefined
  if (result === undefined) throw new Error("the simulation cannot be set up")
  return result.value
}

function* verify(world: Served, facts: Aftermath.Facts): Life<void> {
  const { chronicle, handler, plans, postman, psp, server, setup, storage } = world
  // A claim whose writer crashed under way was never told of: what was planned is looked up as well.
  const keys = [...new Set([...chronicle.keys(), ...plans.map(Host.keyOf)])]
  const contents = yield* ended(world, Storage.contents(storage.watched, { tenant: Host.tenant, keys }), server)
  const truth = yield* ended(world, Psp.truth(handler), psp)
  if (truth.unreadable.size > 0) throw new Error(`the PSP does not show ${[...truth.unreadable].join(", ")}`)
  const { heard, received } = chronicle
  const { told } = postman
  const wait = Upkeep.expiresAfter(setup.upkeep)
  const expiredBefore = wait === undefined ? 0 : Kernel.epochMillis + world.kernel.now() - wait - expirySlackMillis
  chronicle.found(Invariants.ofQuiet({ contents, truth, facts, told, heard, received, plans, accounts: setup.accounts, expiredBefore }))
}

const outcome = ({ chronicle, faults, fleet, grouped, kernel, plans, requests }: Served): Outcome => ({
  violations: chronicle.violations,
  stats: {
    steps: kernel.steps(),
    virtualMillis: kernel.now(),
    payments: plans.length,
    requests,
    commits: chronicle.commits(),
    grouped,
    faults: faults.struck(),
    ...fleet.counts(),
    fingerprint: chronicle.fingerprint()
  },
  trace: chronicle.lines
})
