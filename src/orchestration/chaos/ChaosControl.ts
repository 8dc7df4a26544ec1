/**
 * The switch of injected faults: one plan at a time, what it has done, and who is told.
 *
 * Every fault is a line of the log and an increment of `aegispay_chaos_injections_total`; start and stop are warnings. Times are
 * monotonic, so that a plan that moves the wall clock does not move itself.
 *
 * ```ts
 * const layer = ChaosControl.layer()                    // nothing fails until somebody calls `start`
 * const scripted = ChaosControl.layer({ plan })          // fails from the start: for tests
 * ```
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ChaosPlan } from "../../domain/chaos/ChaosPlan.ts"
import * as ChaosTime from "../../domain/chaos/ChaosTime.ts"
import * as Injector from "../../domain/chaos/Injector.ts"
import * as Presets from "../../domain/Presets.ts"
import { Chaos, type ChaosStatus, type InjectionCount } from "../../services/chaos/Chaos.ts"
import * as Metrics from "../../services/Metrics.ts"

/** The process ended, as far as whoever called can tell. */
export class Crashed extends Error {
  override readonly name = "Crashed"
}

/** `crash`: how a process ends; default: the fiber dies with `Crashed`. `plan`: started at once. */
export interface Options {
  readonly crash?: Effect.Effect<never>
  readonly plan?: ChaosPlan
}

/** A plan that was started. */
interface Run {
  readonly injector: Injector.Injector
  readonly startedAt: number
  readonly startedNanos: bigint
  readonly counts: Map<string, InjectionCount>
  readonly movesClock: boolean
  /** The last move of each rule that was noticed. */
  readonly moves: Map<number, number>
  /** When it was stopped, in milliseconds since its start. */
  stoppedMillis: number | undefined
  /** Until when it goes on unless it is extended, in milliseconds since its start, and for how long at a time. */
  hold: { readonly untilMillis: number; readonly holdMillis: number } | undefined
  lapsed: boolean
}

/** A switch without a plan, unless one is given. */
export const make = Effect.fnUntraced(function* ({ crash = dies, plan }: Options = {}) {
  const context = yield* Effect.context()
  let last: Run | undefined
  /** The one that runs, looked at with every call. */
  let running: Run | undefined
  /** Says that a plan lapsed, as soon as there is a fiber to say it. */
  let notice: Effect.Effect<void> = Effect.void

  /** Ends the one that runs if its time is over: nobody may be there to do it. */
  const lapse = (clock: Clock.Clock): void => {
    if (running?.hold === undefined || elapsedOf(running, clock) < running.hold.untilMillis) return
    const { hold, injector } = running
    running.stoppedMillis = hold.untilMillis
    running.lapsed = true
    running = undefined
    notice = Effect.suspend(() => {
      notice = Effect.void
      return Effect.annotateLogs(Effect.logWarning(lapsedLine), { injections: injector.injections, holdMillis: hold.holdMillis })
    })
  }

  const decide: Chaos["Service"]["decide"] = (call) =>
    Clock.clockWith((clock) => {
      if (running === undefined) return nothing
      lapse(clock)
      if (running === undefined) return Effect.as(notice, undefined)
      const injected = Injector.decide(running.injector, { ...call, atMillis: elapsedOf(running, clock) })
      if (injected === undefined) return nothing
      count(running.counts, { type: injected.injection.type, target: call.target, gateway: call.gateway }, context)
      return Effect.as(announce(injected), injected)
    })

  const start: Chaos["Service"]["start"] = (next, { holdMillis } = {}) =>
    Clock.clockWith((clock) => {
      lapse(clock)
      // First, so that the clock is right when it is read.
      running = undefined
      running = last = begin(next, clock)
      if (holdMillis !== undefined) last.hold = { untilMillis: holdMillis, holdMillis }
      const begun = Effect.annotateLogs(Effect.logWarning("faults are injected from now on"), summaryOf(next))
      return Effect.andThen(Effect.andThen(notice, begun), status)
    })

  const extend: Chaos["Service"]["extend"] = ({ holdMillis, startedAt }) =>
    Clock.clockWith((clock) => {
      lapse(clock)
      if (running?.startedAt === startedAt) running.hold = { untilMillis: elapsedOf(running, clock) + holdMillis, holdMillis }
      return status
    })

  const stop = Clock.clockWith((clock) => {
    lapse(clock)
    if (running === undefined) return status
    const { injections } = running.injector
    running.stoppedMillis = elapsedOf(running, clock)
    running = undefined
    return Effect.andThen(Effect.annotateLogs(Effect.logWarning("no more faults are injected"), { injections }), status)
  })

  const clockOffset = (clock: Clock.Clock): number => {
    if (running?.movesClock === true) lapse(clock)
    if (running?.movesClock !== true) return 0
    const moves = ChaosTime.movesAt(running.injector.plan, elapsedOf(running, clock))
    for (const move of moves) noticeMove(running, move, context)
    return ChaosTime.offsetOf(moves)
  }

  const status = Clock.clockWith((clock) => {
    lapse(clock)
    return Effect.as(notice, statusOf(last, { isRunning: running !== undefined, clock }))
  })

  if (plan !== undefined) yield* start(plan)
  return Chaos.of({
    start,
    extend,
    stop,
    status,
    repetition: Effect.sync(() => last && Injector.repetitionOf(last.injector)),
    decide,
    clockOffset,
    crash
  })
})

/** The switch as a layer. */
export const layer = (options: Options = {}): Layer.Layer<Chaos> => Layer.effect(Chaos, make(options))

const dies = Effect.suspend(() => Effect.die(new Crashed("injected: the process ended")))

const lapsedLine = "no more faults are injected: whoever started them has not said for too long that they are to go on"

const nothing: Effect.Effect<undefined> = Effect.undefined

const begin = (plan: ChaosPlan, clock: Clock.Clock): Run => ({
  injector: Injector.make(plan),
  startedAt: clock.currentTimeMillisUnsafe(),
  startedNanos: clock.monotonicTimeNanosUnsafe(),
  counts: new Map(),
  movesClock: plan.rules.some(({ target }) => target === "clock"),
  moves: new Map(),
  stoppedMillis: undefined,
  hold: undefined,
  lapsed: false
})

const elapsedOf = ({ startedNanos, stoppedMillis }: Run, clock: Clock.Clock): number =>
  stoppedMillis ?? Number((clock.monotonicTimeNanosUnsafe() - startedNanos) / 1_000_000n)

const count = (
  counts: Run["counts"],
  { gateway, target, type }: Pick<InjectionCount, "type" | "target"> & { readonly gateway: InjectionCount["gateway"] | undefined },
  context: Context.Context<never>
): void => {
  const key = `${type}/${target}/${gateway ?? ""}`
  const before = counts.get(key)?.count ?? 0
  counts.set(key, { type, target, ...(gateway === undefined ? {} : { gateway }), count: before + 1 })
  Metrics.chaosInjected({ type, target, gateway }, context)
}

/** A jump or a spell of the clock counts once, when the clock is first read after it began. */
const noticeMove = (run: Run, { count: nth, rule, type }: ChaosTime.Move, context: Context.Context<never>): void => {
  if (run.moves.get(rule) === nth) return
  run.moves.set(rule, nth)
  count(run.counts, { type, target: "clock", gateway: undefined }, context)
}

const announce = ({ call, gateway, injection, operation, target }: Injector.Injected): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logInfo("a fault is injected"), {
    fault: injection.type,
    target,
    ...(gateway === undefined ? {} : { gateway }),
    operation,
    call
  })

const summaryOf = ({ cascades, maxInjections, rules, script, seed }: ChaosPlan) => ({
  seed,
  rules: rules.length,
  cascades: cascades?.length ?? 0,
  scripted: script?.length ?? 0,
  maxInjections: maxInjections ?? Presets.chaos.maxInjections.value
})

const statusOf = (run: Run | undefined, now: { readonly isRunning: boolean; readonly clock: Clock.Clock }): ChaosStatus => {
  if (run === undefined) {
    return {
      running: false,
      plan: undefined,
      startedAt: undefined,
      elapsedMillis: 0,
      injections: 0,
      remaining: 0,
      counts: [],
      clockOffsetMillis: 0
    }
  }
  const { hold, injector, lapsed, startedAt } = run
  const elapsedMillis = elapsedOf(run, now.clock)
  return {
    running: now.isRunning,
    plan: injector.plan,
    startedAt,
    elapsedMillis,
    injections: injector.injections,
    remaining: injector.maxInjections - injector.injections,
    counts: [...run.counts.values()],
    clockOffsetMillis: now.isRunning ? ChaosTime.offsetOf(ChaosTime.movesAt(injector.plan, elapsedMillis)) : 0,
    ...(now.isRunning && hold !== undefined ? { lapsesInMillis: hold.untilMillis - elapsedMillis } : {}),
    ...(lapsed ? { lapsed } : {})
  }
}
