/**
 * An experiment in real time against a running server: callers from here, faults by the server's own switch.
 *
 * Whatever happens, the faults end: at their time, when the experiment is ended early or interrupted, and when it dies.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schedule from "effect/Schedule"
import { type ChaosPlan, maxPlanMillis } from "../../../../../domain/chaos/ChaosPlan.ts"
import * as Abort from "../../../../../domain/chaos/experiment/Abort.ts"
import * as Answers from "../../../../../domain/chaos/experiment/Answers.ts"
import * as Arrivals from "../../../../../domain/chaos/experiment/load/Arrivals.ts"
import { complete, type CompleteExperiment, type Experiment, gatewaysNamedBy } from "../../../../../domain/chaos/experiment/Experiment.ts"
import type { Reason } from "../../../../../domain/chaos/experiment/ExperimentResult.ts"
import * as Findings from "../../../../../domain/chaos/experiment/Findings.ts"
import * as Recorder from "../../../../../domain/chaos/experiment/Recorder.ts"
import * as Summary from "../../../../../domain/chaos/experiment/Summary.ts"
import type { GatewayName } from "../../../../../domain/payment/Ids.ts"
import * as Callers from "../../../../../simulation/experiment/Callers.ts"
import { definitionHashOf } from "../../../../../simulation/experiment/DefinitionHash.ts"
import * as Chance from "../../../../../simulation/world/Chance.ts"
import { cannotRun } from "../../../Failure.ts"
import * as Books from "./Books.ts"
import type { Client, Payment, Status } from "./Client.ts"
import * as Watch from "./Watch.ts"

export interface RemoteOptions {
  readonly client: Client
  /** Where the sandbox's ledgers are read; without it they are not. */
  readonly ledger: string | undefined
  /** How long the end of payments in doubt is waited for. */
  readonly settle: Duration.Duration
  readonly onProgress: (progress: { readonly atMillis: number; readonly loadMillis: number; readonly text: string }) => Effect.Effect<void>
}

/** Callers that wait at the same time: no more sockets than a process may have. A caller beyond is counted as failed. */
const maxWaiting = 2_000
/** Faults whose run is gone end after this time; a run that is there says so three times meanwhile. */
const holdMillis = 15_000
const holdEvery = Duration.seconds(5)
const watchEvery = Duration.seconds(1)
/** Payments that are looked at together at the end. */
const readers = 8

/** What a run keeps. */
interface Run {
  readonly experiment: CompleteExperiment
  readonly options: RemoteOptions
  readonly recorder: Recorder.Recorder
  readonly now: () => number
  readonly shown: Array<{ readonly key: string; readonly payment: Payment }>
  /** Every charge, with the payment that it was shown, and how it is asked for again. */
  readonly charges: Array<{ readonly charge: Recorder.Charge; readonly arrival: Arrivals.Arrival; id: string | undefined }>
  readonly aborted: Deferred.Deferred<Reason>
  readonly port: Callers.Port
  readonly watch: ReturnType<typeof Watch.make>
}

/** Runs an experiment. Fails where the server cannot take part. */
export const run = Effect.fnUntraced(function* (data: Experiment, options: RemoteOptions) {
  if (data.settings !== undefined) return yield* cannotRun(`${data.name}: settings: a running server has its own; leave them out`)
  const { client, ledger } = options
  const { gateways, lapsed, lapsesInMillis, running, startedAt: former } = yield* client.status
  if (running) return yield* cannotRun(busy(lapsesInMillis))
  if (lapsed === true)
    yield* Effect.logInfo("the faults of an earlier run had ended by themselves: whoever ran it was not heard of any more")
  if (ledger !== undefined) yield* Books.of(ledger)
  const seen = gateways ?? Watch.gatewaysOf(Watch.breakersOf((yield* client.metrics) ?? ""))
  const [unknown] = seen.length === 0 ? [] : gatewaysNamedBy(data.chaos).filter((name) => !seen.includes(name))
  if (unknown !== undefined) {
    return yield* cannotRun(`${data.name}: the plan names the gateway "${unknown}"; those of the server are ${seen.join(", ")}`)
  }
  const experiment = withGateways(complete(data), seen)
  const clock = yield* Clock.Clock
  const begunAt = clock.monotonicTimeNanosUnsafe()
  const recorder = Recorder.make({ loadMillis: experiment.phases.loadMillis, gateways: experiment.gateways.map(({ name }) => name) })
  const shown: Run["shown"] = []
  const begun: Run = {
    experiment,
    options,
    recorder,
    now: () => Number((clock.monotonicTimeNanosUnsafe() - begunAt) / 1_000_000n),
    shown,
    charges: [],
    aborted: yield* Deferred.make<Reason>(),
    port: client.port((key, payment) => void shown.push({ key, payment })),
    watch: Watch.make(recorder, former)
  }
  const aborted = yield* Effect.scoped(underLoad(begun))
  Recorder.givenUp(recorder, begun.now())
  const loadEndedAt = Math.min(begun.now(), experiment.phases.loadMillis)
  const now = yield* settle(begun)
  const books = ledger === undefined ? undefined : yield* Books.of(ledger)
  const unsettled = recorder.charges.filter(({ end }) => end === "unsettled").length
  return Findings.of(recorder, {
    experiment,
    definitionHash: definitionHashOf(complete(data)),
    summary: Summary.of(experiment),
    mode: "server",
    loadEndedAt,
    endedAt: begun.now(),
    aborted,
    invariants: Books.check({ shown, now, unsettled, books }),
    failovers: failoversOf(now.values()),
    seesCalls: false
  })
})

/** The gateways are those of the server, where it tells. */
const withGateways = (experiment: CompleteExperiment, seen: ReadonlyArray<GatewayName>): CompleteExperiment =>
  seen.length === 0
    ? experiment
    : { ...experiment, gateways: seen.map((name) => ({ name, latencyMillis: 0, errorRate: 0, feeBasisPoints: undefined })) }

/** Load and faults, each in its time. Tells why they were ended early, if they were. */
const underLoad = Effect.fnUntraced(function* (run: Run) {
  const { experiment, options, recorder } = run
  const { faultsAt, loadMillis, recoverAt } = experiment.phases
  const { client } = options
  const watching = yield* Effect.forkScoped(watchOn(run))
  const callers = yield* FiberSet.make<void>()
  yield* Effect.forkScoped(load(run, callers))
  let started = false
  let startedAt: string | undefined
  const stop = Effect.suspend(() =>
    started ? Effect.retry(client.stop(startedAt), { times: 5, schedule: Schedule.spaced("500 millis") }) : Effect.void
  )
  // Uninterruptible, so that no start is cut off without being known; whatever ends this phase, the faults end.
  const start = Effect.uninterruptible(
    Effect.andThen(
      Effect.sync(() => (started = true)),
      Effect.tap(client.start(bounded(experiment), holdMillis), (status) => Effect.sync(() => (startedAt = status.startedAt)))
    )
  )
  const faults = Effect.gen(function* () {
    yield* until(run, faultsAt)
    const before = faultsAt > 0 ? Findings.steadyOf(recorder, experiment, 0, faultsAt) : null
    if (before?.held === false) {
      const reason: Reason = { code: "aborted", message: "the steady state did not hold before the faults, so none were injected" }
      yield* Deferred.succeed(run.aborted, reason)
    }
    if (yield* Deferred.isDone(run.aborted)) return
    const begun = yield* start
    yield* Effect.race(until(run, recoverAt), holding(run, begun))
  })
  yield* Effect.ensuring(
    faults,
    Effect.catch(stop, (error) =>
      Effect.logError(`the faults could not be ended, which has to be done now (DELETE /ops/chaos): ${error.message}`)
    )
  )
  yield* until(run, loadMillis)
  yield* FiberSet.awaitEmpty(callers).pipe(Effect.timeoutOption(Duration.minutes(2)))
  yield* look(run)
  watching.interruptUnsafe()
  return (yield* Deferred.isDone(run.aborted)) ? yield* Deferred.await(run.aborted) : undefined
})

/** Why it cannot start while faults are injected. */
const busy = (lapsesInMillis: number | undefined): string =>
  lapsesInMillis === undefined
    ? "the server injects faults already; end them first (DELETE /ops/chaos)"
    : `the server injects faults already, for another run: they end ${Math.ceil(lapsesInMillis / 1_000)} s from now where that run is gone; try again then, or end them first (DELETE /ops/chaos)`

/** Says again and again that the faults go on, until it is interrupted; ends the experiment where the server has ended them meanwhile. */
const holding = ({ aborted, options }: Run, { startedAt }: Status) =>
  startedAt === undefined
    ? Effect.never
    : Effect.gen(function* () {
        for (;;) {
          yield* Effect.sleep(holdEvery)
          // A server that does not answer now may answer in time.
          const status: Status | undefined = yield* Effect.orElseSucceed(options.client.extend({ startedAt, holdMillis }), () => undefined)
          if (status?.startedAt === startedAt && !status.running) {
            const message = status.lapsed === true ? "the server had not heard of this run for too long" : "somebody else ended them"
            yield* Deferred.succeed(aborted, { code: "aborted", message: `the faults were ended early: ${message}` } satisfies Reason)
          }
        }
      })

/**
 * The plan, which ends by itself when its time is over: whoever is to end it may have been killed, or may not reach the server any more. A
 * rule that would begin later is put off for as long as can be, not left out: what rules draw depends on their numbers.
 */
export const bounded = ({ chaos, durationMillis }: Pick<CompleteExperiment, "chaos" | "durationMillis">): ChaosPlan => ({
  ...chaos,
  rules: chaos.rules.map((rule) => {
    const { fromMillis = 0, untilMillis = durationMillis } = rule
    return fromMillis < durationMillis
      ? { ...rule, untilMillis: Math.min(untilMillis, durationMillis) }
      : { ...rule, fromMillis: maxPlanMillis - 1, untilMillis: maxPlanMillis }
  })
})

/** Waits for a time of the experiment, or for its early end. */
const until = ({ aborted, now }: Run, atMillis: number) =>
  Effect.race(Effect.sleep(Duration.millis(Math.max(0, atMillis - now()))), Effect.asVoid(Deferred.await(aborted)))

const load = Effect.fnUntraced(function* (run: Run, callers: FiberSet.FiberSet<void>) {
  const { aborted, charges, experiment, now, port, recorder } = run
  const { load, phases, seed } = experiment
  const watch = Abort.make(experiment)
  const draws = { times: Chance.stream(seed, "arrivals"), contents: Chance.stream(seed, "payments") }
  const waiting = new Map<Recorder.Charge, Run["charges"][number]>()
  const options: Callers.CallersOptions = {
    port,
    recorder,
    now,
    followUpMillis: load.followUpMillis,
    onAsked: (charge, arrival) => {
      const entry = { charge, arrival, id: undefined }
      charges.push(entry)
      waiting.set(charge, entry)
    },
    onAnswered: (charge, seen) => {
      const entry = waiting.get(charge)
      waiting.delete(charge)
      if (entry !== undefined) entry.id = seen?.id
      const reason = watch === undefined ? undefined : Abort.answered(watch, charge)
      if (reason !== undefined) Deferred.doneUnsafe(aborted, Effect.succeed(reason))
    }
  }
  for (const arrival of Arrivals.of(load, phases.loadMillis, draws)) {
    yield* until(run, arrival.atMillis)
    if (yield* Deferred.isDone(aborted)) return
    if (waiting.size < maxWaiting) yield* FiberSet.run(callers, Callers.live(options, arrival))
    else {
      const charge = Recorder.asked(recorder, arrival.atMillis)
      Recorder.answered(charge, { at: now(), answer: "failed", error: "too_many_callers", firstChoice: undefined })
      charge.end = "failed"
    }
  }
})

/** Looks at the server until it is interrupted. What cannot be seen for a moment is looked at again. */
const watchOn = (run: Run) =>
  Effect.forever(
    Effect.andThen(
      Effect.ignore(look(run)),
      Effect.suspend(() => {
        const { experiment, now, options, recorder } = run
        const text = `${experiment.name}: ${recorder.charges.length} payments, ${recorder.injected} faults`
        return Effect.andThen(
          options.onProgress({ atMillis: now(), loadMillis: experiment.phases.loadMillis, text }),
          Effect.sleep(watchEvery)
        )
      })
    )
  )

const look = Effect.fnUntraced(function* ({ now, options, watch }: Run) {
  const metrics = yield* options.client.metrics
  if (metrics !== undefined) watch.sawBreakers(Watch.breakersOf(metrics), now())
  watch.sawInjections(yield* options.client.status, now())
})

/** What the server shows of every payment now; those that are under way are waited for. */
const settle = Effect.fnUntraced(function* ({ charges, now, options, port, shown }: Run) {
  const giveUpAt = now() + Duration.toMillis(options.settle)
  const found = new Map<string, Payment | undefined>()
  const one = Effect.fnUntraced(function* (entry: Run["charges"][number]) {
    const { charge } = entry
    // Whoever was not shown a payment asks for it again, as a host would.
    if (entry.id === undefined && isOpen(charge)) {
      const heard = yield* port.charge(entry.arrival)
      entry.id = typeof heard === "string" ? undefined : heard.id
    }
    for (;;) {
      const payment = entry.id === undefined ? undefined : yield* options.client.payment(entry.id)
      if (entry.id !== undefined) found.set(entry.id, payment)
      charge.end = entry.id !== undefined && payment === undefined ? "unsettled" : Answers.endOf(payment, charge.answer)
      if (entry.id === undefined && isOpen(charge)) charge.end = "unsettled"
      const isOver = charge.end !== "unsettled" && (payment === undefined || !Books.isInFlight(payment))
      if (isOver || now() >= giveUpAt) return
      yield* Effect.sleep(Duration.seconds(2))
    }
  })
  yield* Effect.forEach(charges, one, { concurrency: readers, discard: true })
  for (const { payment } of shown) if (!found.has(payment.id)) found.set(payment.id, yield* options.client.payment(payment.id))
  return found
})

/** Its caller was not told what became of it. */
const isOpen = ({ answer }: Recorder.Charge): boolean => answer === undefined || answer === "in_doubt"

const failoversOf = (payments: Iterable<Payment | undefined>): number => {
  let failovers = 0
  for (const payment of payments) {
    const charges = (payment?.operations ?? []).filter(({ kind }) => kind === "sale" || kind === "authorize").length
    failovers += Math.max(0, charges - 1)
  }
  return failovers
}
