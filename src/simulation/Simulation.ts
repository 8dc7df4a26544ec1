/**
 * One simulation: the whole engine, several instances of it, hosts, customers, a PSP, a network and a database in one process and in
 * virtual time, everything by chance from one seed. The same seed gives the same run, step by step.
 *
 *     const { violations, stats, trace } = Simulation.run({ seed: 17 })
 *
 * First the hosts live and faults strike; then the faults end, and what has to hold is checked when nothing changes any more.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { PaymentId } from "../domain/payment/Ids.ts"
import { evolve, initial, type Payment, type PaymentState } from "../domain/payment/State.ts"
import * as MemoryEventStore from "../layers/memory/EventStore.ts"
import * as MemoryLeases from "../layers/memory/Leases.ts"
import * as MemoryLock from "../layers/memory/Lock.ts"
import { claimId, decodeRows, layer as memoryTables, MemoryStore } from "../layers/memory/MemoryStore.ts"
import * as MemoryOutbox from "../layers/memory/Outbox.ts"
import * as MemoryPaymentRepository from "../layers/memory/PaymentRepository.ts"
import type { Handler } from "../sandbox/Sandbox.ts"
import * as Chance from "./world/Chance.ts"
import * as Database from "./world/Database.ts"
import * as Faults from "./world/Faults.ts"
import * as Host from "./Host.ts"
import * as Instance from "./Instance.ts"
import * as Invariants from "./Invariants.ts"
import * as Kernel from "./world/Kernel.ts"
import type { Options, Outcome, Stats } from "./Options.ts"
import type * as Plan from "./Plan.ts"
import * as Setup from "./Setup.ts"
import * as Psp from "./world/Psp.ts"
import type * as Receiver from "./world/Receiver.ts"

export type { Options, Outcome } from "./Options.ts"

/** More steps than any simulation makes: one that does has a loop without an end. */
const maxSteps = 3_000_000
/** The longest that the hosts live, and that recovery then takes: the time for completing a payment, and repetitions. */
const livelyMillis = 20 * 60_000
const calmMillis = 60 * 60_000

const shared = Layer.mergeAll(MemoryEventStore.layer, MemoryPaymentRepository.layer, MemoryLock.layer, MemoryOutbox.layer).pipe(
  Layer.provideMerge(Layer.merge(memoryTables, MemoryLeases.layer))
)

/** Runs one simulation. */
export const run = (options: Options): Outcome => new World(options).run()

class World {
  private readonly options: Options
  private readonly kernel: Kernel.Kernel
  private readonly faults: Faults.Faults
  private readonly draw: Chance.Draw
  private readonly host: Kernel.Process
  private readonly psp: Kernel.Process
  private readonly server: Kernel.Process
  private readonly setup: Setup.Setup
  private readonly plans: ReadonlyArray<Plan.PaymentPlan>
  private readonly violations: Array<Invariants.Violation> = []
  private readonly lines: Array<string> = []
  private readonly heard: Array<Host.Heard> = []
  private readonly received: Array<Receiver.Received> = []
  private readonly durable = new Map<PaymentId, Payment>()
  private readonly slots: Array<Instance.Instance | undefined>
  private tables!: Database.Tables & Context.Context<MemoryStore>
  private handler!: Handler
  private readonly counts = { requests: 0, commits: 0, crashes: 0, pauses: 0, generations: 0, instanceSteps: 0 }
  private readonly crashIn = new Map<Kernel.Process, { readonly steps: number; readonly downMillis: number }>()
  private calm = false
  private hash = 0

  constructor(options: Options) {
    const { seed } = options
    this.options = options
    this.draw = Chance.stream(seed, "instances")
    this.setup = Setup.of(seed)
    this.plans =
      options.payments === undefined ? this.setup.plans : this.setup.plans.filter(({ index }) => options.payments?.includes(index))
    this.kernel = Kernel.make({
      seed,
      preempt: options.preempt ?? this.setup.preempt,
      maxSteps,
      onStep: (process) => this.afterStep(process)
    })
    this.faults = Faults.make({
      seed,
      rates: Faults.ratesOf(seed),
      limit: options.faults ?? Number.POSITIVE_INFINITY,
      onStrike: (kind) => this.note("fault", kind)
    })
    this.slots = Array.from({ length: this.setup.instances }, () => undefined)
    this.host = this.kernel.process("hosts", 0)
    this.psp = this.kernel.process("psp", 0)
    this.server = this.kernel.process("database", 0)
  }

  run(): Outcome {
    this.prepare()
    this.disturb()
    let living = this.plans.length
    for (const plan of this.plans) {
      this.kernel.fork(this.host, Host.live(this.hostOptions(), plan), (exit) => {
        living--
        if (Exit.isFailure(exit)) this.wrong("I10", `the host of ${plan.key} died: ${String(exit.cause)}`)
      })
    }
    const { kernel } = this
    kernel.runUntil(() => living === 0 || kernel.now() > livelyMillis)
    this.calmDown()
    if (!kernel.runUntil(() => this.isQuiet())) this.wrong("I10", "the simulation did not come to an end")
    this.verify()
    return this.outcome()
  }

  /** Tables, PSP and instances. */
  private prepare(): void {
    this.tables = this.now(Layer.build(shared))
    this.handler = this.now(Psp.make(this.options.seed, this.setup.accounts, this.setup.replayWindowMillis), this.psp)
    this.slots.forEach((_, slot) => this.startInstance(slot))
  }

  /** Runs an effect of the set-up to its end, in the scope of the whole simulation. */
  private now<A>(effect: Effect.Effect<A, never, Scope.Scope>, process: Kernel.Process = this.server): A {
    let result: A | undefined
    this.kernel.fork(
      process,
      Effect.scoped(
        Effect.flatMap(effect, (value) =>
          Effect.andThen(
            Effect.sync(() => (result = value)),
            Effect.never
          )
        )
      )
    )
    this.kernel.runUntil(() => result !== undefined)
    return result as A
  }

  private startInstance(slot: number): void {
    const { draw, kernel } = this
    const skew = Chance.pick(draw, [0, 0, 0, -20_000, 15_000, 90_000])
    const process = kernel.process(`instance-${slot}.${this.counts.generations++}`, skew)
    this.note("start", `${process.name} with its clock off by ${skew} ms`)
    this.slots[slot] = Instance.start({
      kernel,
      process,
      database: this.databaseOptions(),
      network: {
        kernel,
        faults: this.faults,
        psp: this.psp,
        handler: this.handler,
        onWritten: (sender, request) => {
          this.counts.requests++
          this.note("send", `${sender.name} ${request.method} ${request.path} ${request.headers["idempotency-key"] ?? ""}`)
          this.violations.push(...Invariants.ofRequest(request, Kernel.epochMillis + kernel.now(), (id) => this.durable.get(id)))
        },
        onArrived: (request, status) =>
          this.note("psp", `${request.method} ${request.path} ${request.headers["idempotency-key"] ?? ""} -> ${status}`)
      },
      gateways: this.setup.accounts,
      replayWindowMillis: this.setup.replayWindowMillis,
      settings: { idempotencyWaitMillis: 600, recoveryOlderThanMillis: this.setup.recoveryOlderThanMillis },
      recoveryIntervalMillis: () => (this.calm ? 30_000 : this.setup.recoveryIntervalMillis),
      onReceived: ({ payment, version }) => {
        this.received.push({ payment, version })
        this.note("deliver", `${payment} v${version}`)
      },
      bug: this.options.bug,
      memory: Context.get(this.tables, MemoryStore),
      onDefect: (what) => this.wrong("I10", what)
    })
  }

  private databaseOptions(): Database.DatabaseOptions {
    return {
      kernel: this.kernel,
      faults: this.faults,
      server: this.server,
      tables: this.tables,
      onCommitted: (commit, payment) => {
        if ((this.durable.get(payment.id)?.version ?? 0) >= payment.version) return
        this.counts.commits++
        this.durable.set(payment.id, this.stored(payment.id) ?? payment)
        this.note("commit", `${payment.id} v${payment.version} ${commit.events.map(({ event }) => describe(event)).join(", ")}`)
      }
    }
  }

  /** Folded from the tables: what the committing process believes of the past is its own matter. */
  private stored(id: PaymentId): Payment | undefined {
    const row = Context.get(this.tables, MemoryStore).payments.get(id)
    let state: PaymentState = this.durable.get(id) ?? initial(id)
    const events = decodeRows("simulation", row?.events.slice(state.version) ?? [])
    if (Result.isSuccess(events)) for (const event of events.success) state = evolve(state, event)
    return state._tag === "Payment" ? state : undefined
  }

  private hostOptions(): Host.HostOptions {
    const tables = Context.get(this.tables, MemoryStore)
    const database = this.databaseOptions()
    return {
      kernel: this.kernel,
      host: this.host,
      psp: this.psp,
      handler: this.handler,
      seed: this.options.seed,
      instance: (draw) => {
        const up = this.slots.filter((instance) => instance !== undefined)
        const [first, ...others] = up
        return first === undefined ? undefined : Chance.pick(draw, [first, ...others])
      },
      ownerOf: (key) => tables.claims.get(claimId({ tenant: Host.tenant, key: key as never }))?.payment,
      inTransaction: (effect, rollBack) => Database.inTransaction(database, effect, rollBack),
      onHeard: (heard) => {
        this.heard.push(heard)
        this.note("heard", `${heard.command} ${heard.key}: ${heard.error ?? heard.payment?.status} ${heard.payment?.version ?? ""}`)
      },
      onWrong: (what) => this.wrong("I10", what)
    }
  }

  /** Lets processes crash and pause, and accounts of the PSP fail, as the seed wants. */
  private disturb(): void {
    const { kernel, options, setup } = this
    const crashes = options.crashAtStep === undefined ? setup.crashes.slice(0, options.crashes) : []
    for (const { at, downMillis, steps, which } of crashes) {
      kernel.after(at, undefined, () => {
        const instance = this.slots[which % this.slots.length]
        if (instance !== undefined && !this.calm) this.crashIn.set(instance.process, { steps, downMillis })
      })
    }
    for (const { at, millis, which } of setup.pauses.slice(0, options.pauses)) {
      kernel.after(at, undefined, () => {
        const instance = this.slots[which % this.slots.length]
        if (instance === undefined || this.calm) return
        this.counts.pauses++
        this.note("pause", `${instance.process.name} for ${millis} ms`)
        kernel.pause(instance.process, millis)
      })
    }
    for (const { at, kind, millis, which } of setup.outages.slice(0, options.outages)) {
      const account = setup.accounts[which % setup.accounts.length]?.name ?? "a"
      kernel.after(at, undefined, () => this.control(account, kind))
      kernel.after(at + millis, undefined, () => this.control(account, "none"))
    }
  }

  private control(account: string, outage: string): void {
    const now = this.calm ? "none" : outage
    this.note("outage", `${account}: ${now}`)
    this.kernel.fork(this.psp, this.handler.handle(Psp.request("PUT", `/${account}/control`, JSON.stringify({ outage: now }))))
  }

  private afterStep(process: Kernel.Process): void {
    if (process === this.host || process === this.psp || process === this.server) return
    if (this.calm) return
    const steps = ++this.counts.instanceSteps
    if (steps === this.options.crashAtStep) return this.crash(process, 5_000)
    const left = this.crashIn.get(process)
    if (left === undefined) return
    if (left.steps > 0) return void this.crashIn.set(process, { ...left, steps: left.steps - 1 })
    this.crashIn.delete(process)
    this.crash(process, left.downMillis)
  }

  /** The process is gone between two steps; another one takes its place after a while. */
  private crash(process: Kernel.Process, downMillis: number): void {
    const slot = this.slots.findIndex((instance) => instance?.process === process)
    const instance = this.slots[slot]
    if (instance === undefined) return
    this.counts.crashes++
    this.note("crash", process.name)
    this.kernel.crash(process)
    this.slots[slot] = undefined
    instance.crashed()
    this.kernel.after(downMillis, undefined, () => {
      if (this.slots[slot] === undefined) this.startInstance(slot)
    })
  }

  /** No more faults; everything is up. */
  private calmDown(): void {
    this.calm = true
    this.calmSince = this.kernel.now()
    this.faults.end()
    this.crashIn.clear()
    this.note("calm", "no more faults")
    for (const { name } of this.setup.accounts) this.control(name, "none")
    this.slots.forEach((instance, slot) => {
      if (instance === undefined) this.startInstance(slot)
      else this.kernel.resume(instance.process)
    })
    this.kernel.crash(this.host)
  }

  private calmSince = 0
  private quietSince: { readonly at: number; readonly commits: number; runs: number | undefined } | undefined

  /**
   * Quiet: nothing but what waits for the customer or a person is open, and two runs of recovery on every instance have changed nothing
   * since. Not quiet within `calmMillis`: whatever is still open is a violation.
   */
  private isQuiet(): boolean {
    const { kernel } = this
    if (kernel.now() - this.calmSince > calmMillis) {
      const { commits } = this.counts
      if (this.quietSince?.commits !== commits || kernel.now() - this.quietSince.at < 600_000)
        this.wrong("I9", "recovery goes on recording, run after run")
      return true
    }
    const { open, outbox } = Context.get(this.tables, MemoryStore)
    const waiting = [...open.values()].flat().every(({ status }) => status === "requires_action" || status === "needs_review")
    if (!waiting || outbox.size > 0) {
      this.quietSince = undefined
      return false
    }
    const { commits } = this.counts
    if (this.quietSince === undefined || this.quietSince.commits !== commits) {
      this.quietSince = { at: kernel.now(), commits, runs: undefined }
      return false
    }
    // Recovery leaves young operations alone, and what is under way takes its time: what runs before then says nothing.
    const late = Psp.settleTimeMillis + Psp.longestLookupLagMillis
    if (kernel.now() <= this.quietSince.at + this.setup.recoveryOlderThanMillis + late) return false
    const runs = Math.min(...this.slots.map((instance) => instance?.recoveryRuns() ?? 0))
    this.quietSince.runs ??= runs
    return runs >= this.quietSince.runs + 2
  }

  private verify(): void {
    const tables = Context.get(this.tables, MemoryStore)
    const truth = this.now(Psp.truth(this.handler), this.psp)
    const stored = [...tables.payments].map(([id, row]): Invariants.Stored => {
      const events = decodeRows("simulation", row.events)
      return {
        id,
        version: row.version,
        view: row.view,
        open: (tables.open.get(id) ?? []).map(({ operation }) => operation),
        events: events._tag === "Success" ? events.success : undefined
      }
    })
    this.violations.push(
      ...Invariants.ofQuiet({
        stored,
        claims: [...tables.claims.values()],
        truth,
        heard: this.heard,
        received: this.received,
        plans: this.plans,
        accounts: this.setup.accounts
      })
    )
  }

  private wrong(invariant: Invariants.Violation["invariant"], detail: string): void {
    this.note("WRONG", detail)
    this.violations.push({ invariant, payment: undefined, detail })
  }

  private note(what: string, detail: string): void {
    const at = this.kernel.now()
    this.hash = (Math.imul(this.hash, 31) + at * 7 + detail.length * 131 + what.charCodeAt(0)) | 0
    if (this.options.trace === true) this.lines.push(`${(at / 1000).toFixed(3).padStart(9)} ${what.padEnd(7)} ${detail}`)
  }

  private outcome(): Outcome {
    const { counts, kernel } = this
    const stats: Stats = {
      steps: kernel.steps(),
      instanceSteps: counts.instanceSteps,
      virtualMillis: kernel.now(),
      payments: this.plans.length,
      requests: counts.requests,
      commits: counts.commits,
      faults: this.faults.struck(),
      crashes: counts.crashes,
      pauses: counts.pauses,
      fingerprint: `${kernel.steps()}-${kernel.now()}-${(this.hash >>> 0).toString(16)}`
    }
    return { violations: this.violations, stats, trace: this.lines }
  }
}

const describe = (event: {
  readonly _tag: string
  readonly operation?: number
  readonly intent?: { readonly number: number; readonly kind: string; readonly gateway: string }
}): string =>
  event.intent !== undefined
    ? `${event._tag} ${event.intent.number} ${event.intent.kind} at ${event.intent.gateway}`
    : event.operation !== undefined
      ? `${event._tag} ${event.operation}`
      : event._tag
