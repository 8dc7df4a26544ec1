/**
 * The world of one simulation: it comes to be, the hosts live in it while faults strike, it calms down, and then it is looked at.
 *
 * Its life is a generator of conditions: whoever drives it makes steps until the condition holds.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Handler } from "../sandbox/Sandbox.ts"
import { defaults, type EngineSettings } from "../services/Settings.ts"
import * as Invariants from "./checks/Invariants.ts"
import * as Chronicle from "./Chronicle.ts"
import * as Fleet from "./Fleet.ts"
import * as Host from "./Host.ts"
import * as Instance from "./Instance.ts"
import type { Options, Outcome } from "./Options.ts"
import type { PaymentPlan } from "./Plan.ts"
import * as Person from "./Person.ts"
import * as Setup from "./Setup.ts"
import * as Upkeep from "./Upkeep.ts"
import * as Aftermath from "./world/Aftermath.ts"
import type { DatabaseOptions } from "./world/Database.ts"
import * as Faults from "./world/Faults.ts"
import * as Kernel from "./world/Kernel.ts"
import type { NetworkOptions } from "./world/Network.ts"
import * as Postman from "./world/Postman.ts"
import * as Psp from "./world/Psp.ts"
import * as Storage from "./world/Storage.ts"

/** More steps than any simulation makes: one that does has a loop without an end. */
const maxSteps = 3_000_000
/** The longest that the hosts live, and that recovery then takes: the time for completing a payment, and repetitions. */
const livelyMillis = 20 * 60_000
const calmMillis = 60 * 60_000
/** How often it is looked whether something is left to be done. */
const watchMillis = 5_000
/** Recovery that recorded something within this time before the end of the calm goes on recording. */
const restlessMillis = 600_000
/** How much longer than it has to wait a payment may wait for its customer: what the slowest expiry takes. */
const expirySlackMillis = 300_000
const calmRecoveryIntervalMillis = 30_000

/** A condition at a time. It is told that the condition holds, or that it cannot come true any more. */
type Life<A> = Generator<() => boolean, A, boolean>
/** Opens the database of a simulation. */
export type MakeStorage = (options: DatabaseOptions) => Effect.Effect<Storage.Storage, never, Scope.Scope>

export interface World {
  readonly kernel: Kernel.Kernel
  readonly life: Life<Outcome>
}

/** What the world is made of. */
interface Parts {
  readonly options: Options
  readonly setup: Setup.Setup
  readonly plans: ReadonlyArray<PaymentPlan>
  readonly kernel: Kernel.Kernel
  readonly chronicle: Chronicle.Chronicle
  readonly faults: Faults.Faults
  readonly hosts: Kernel.Process
  readonly people: Kernel.Process
  readonly psp: Kernel.Process
  readonly server: Kernel.Process
  calm: boolean
  requests: number
  grouped: number
}

/** The same once its servers run. */
interface Served extends Parts {
  readonly storage: Storage.Storage
  readonly handler: Handler
  readonly fleet: Fleet.Fleet
  readonly postman: Postman.Postman
  readonly person: ReturnType<typeof Person.make> | undefined
}

/** A world that has not come to be yet. */
export const make = (options: Options, storage: MakeStorage): World => {
  const { seed } = options
  const setup = Setup.of(seed, options)
  let fleet: Fleet.Fleet | undefined
  const kernel = Kernel.make({
    seed,
    preempt: options.preempt ?? setup.preempt,
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

const networkOf = (parts: Parts, handler: Handler): NetworkOptions => {
  const { chronicle, faults, kernel, psp } = parts
  return {
    kernel,
    faults,
    psp,
    handler,
    onWritten: (sender, request) => {
      parts.requests++
      chronicle.note("send", () => `${sender.name} ${request.method} ${request.path} ${request.headers["idempotency-key"] ?? ""}`)
      chronicle.found(Invariants.ofRequest(request, Kernel.epochMillis + kernel.now(), chronicle.durable))
    },
    onArrived: (request, status) =>
      chronicle.note("psp", () => `${request.method} ${request.path} ${request.headers["idempotency-key"] ?? ""} -> ${status}`)
  }
}

const settingsOf = ({
  recoveryOlderThanMillis,
  upkeep: { customerWaitMillis, lateSuccess, recoveryLeaseMillis }
}: Setup.Setup): Partial<EngineSettings> => ({
  idempotencyWaitMillis: 600,
  recoveryOlderThanMillis,
  policy: { ...defaults.policy, lateSuccess },
  ...(customerWaitMillis === undefined ? {} : { customerWaitMillis }),
  ...(recoveryLeaseMillis === undefined ? {} : { recoveryLeaseMillis })
})

const instanceOptions = (parts: Parts): Omit<Instance.InstanceOptions, "process" | "storage" | "network"> => {
  const { chronicle, kernel, options, setup } = parts
  return {
    kernel,
    gateways: setup.accounts,
    replayWindowMillis: setup.replayWindowMillis,
    settings: settingsOf(setup),
    recoveryIntervalMillis: () => (parts.calm ? calmRecoveryIntervalMillis : setup.recoveryIntervalMillis),
    webhookPollMillis: setup.webhookPollMillis,
    upkeep: setup.upkeep,
    onReceived: ({ payment, version }) => {
      chronicle.received.push({ payment, version })
      chronicle.note("deliver", () => `${payment} v${version}`)
    },
    onWanted: chronicle.onWanted,
    onAnswered: (commit, result) => {
      const own = result._tag !== "Committed" && commit.events.every(({ eventId }) => chronicle.isDurable(eventId))
      if (own) chronicle.wrong("I3", `a commit of ${commit.payment.id} is durable, and its writer was told ${result._tag}`)
    },
    bug: options.bug,
    onDefect: (what) => chronicle.wrong("I10", what)
  }
}

const hostOptions = ({ chronicle, fleet, handler, hosts, kernel, options, psp, setup }: Served): Host.HostOptions => ({
  kernel,
  host: hosts,
  psp,
  handler,
  seed: options.seed,
  comesBackAfter: (plan) => Upkeep.comesBackAfter(options.seed, plan, setup.upkeep),
  instance: fleet.any,
  ownerOf: chronicle.ownerOf,
  onHeard: (heard) => {
    chronicle.heard.push(heard)
    chronicle.note("heard", () => `${heard.command} ${heard.key}: ${heard.error ?? heard.payment?.status} ${heard.payment?.version ?? ""}`)
  },
  onWrong: (what) => chronicle.wrong("I10", what)
})

/** Lets accounts of the PSP fail as the seed wants. */
const disturb = (world: Served): void => {
  const { kernel, options, setup } = world
  for (const { at, kind, millis, which } of setup.outages.slice(0, options.outages)) {
    const account = setup.accounts[which % setup.accounts.length]?.name ?? "a"
    kernel.after(at, undefined, () => control(world, account, kind))
    kernel.after(at + millis, undefined, () => control(world, account, "none"))
  }
}

const control = ({ calm, chronicle, handler, kernel, psp }: Served, account: string, wanted: string): void => {
  const outage = calm ? "none" : wanted
  chronicle.note("outage", () => `${account}: ${outage}`)
  kernel.fork(psp, handler.handle(Psp.request("PUT", `/${account}/control`, JSON.stringify({ outage }))))
}

/** No more faults; everything is up. */
const calmDown = (world: Served): void => {
  const { chronicle, faults, fleet, hosts, kernel, people, setup, storage } = world
  world.calm = true
  faults.end()
  chronicle.note("calm", () => "no more faults")
  storage.calm()
  for (const { name } of setup.accounts) control(world, name, "none")
  fleet.calm()
  kernel.crash(hosts)
  kernel.crash(people)
}

/**
 * Ends when it is quiet: nothing but what waits for the customer or a person is left to be done, and two runs of recovery on every
 * instance change nothing. Not quiet within `calmMillis`: whatever is still open is a violation.
 */
const quiet = Effect.fnUntraced(function* (world: Served) {
  const { chronicle, kernel, postman, setup, storage } = world
  const until = kernel.now() + calmMillis
  // Recovery leaves young operations alone, and what is under way takes its time: what runs before then says nothing.
  const restMillis = setup.recoveryOlderThanMillis + Psp.settleTimeMillis + Psp.longestLookupLagMillis
  let since: { readonly at: number; readonly commits: number } | undefined
  while (kernel.now() <= until) {
    yield* Effect.sleep(watchMillis)
    const left = yield* Storage.leftOver(storage.watched)
    const commits = chronicle.commits()
    if (!isAtRest(world, left) || postman.undelivered() > 0) since = undefined
    else if (since?.commits !== commits) since = { at: kernel.now(), commits }
    else if (kernel.now() > since.at + restMillis) {
      const through = (yield* recoverEverywhere(world)) && (yield* recoverEverywhere(world))
      if (through) yield* world.person?.atLast(world.server) ?? Effect.void
      if (through && chronicle.commits() === commits) return
    }
  }
  if (since === undefined || kernel.now() - since.at < restlessMillis) chronicle.wrong("I9", "recovery goes on recording, run after run")
})

/**
 * A run of recovery on every instance, one after the other, with everything asked that can be asked. False where it did not get to
 * something: what a dead instance has leased is kept from the others for a while.
 */
const recoverEverywhere = ({ fleet, kernel, server }: Served): Effect.Effect<boolean> =>
  Effect.map(
    Effect.forEach(fleet.all(), (instance) =>
      Effect.callback<boolean>((resume) => {
        const end = (through: boolean) => kernel.post(server, () => resume(Effect.succeed(through)))
        instance.call(
          ({ payments }) => payments.recover({}),
          (exit) => end(Exit.isSuccess(exit) && exit.value.results.busy === undefined && exit.value.errors.length === 0),
          () => end(false)
        )
      })
    ),
    (through) => through.every(Boolean)
  )

/** Where payments expire, what waits for its customer does not rest, but for one that a person has to look at. */
const isAtRest = ({ chronicle, setup }: Served, { open, undelivered, webhooks }: Storage.LeftOver): boolean => {
  const expires = Upkeep.expiresAfter(setup.upkeep) !== undefined
  const rests = ({ payment, status }: Storage.LeftOver["open"][number]) =>
    status === "needs_review" || (status === "requires_action" && (!expires || (chronicle.durable(payment)?.reviews.length ?? 0) > 0))
  return undelivered === 0 && webhooks === 0 && open.every(rests)
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
