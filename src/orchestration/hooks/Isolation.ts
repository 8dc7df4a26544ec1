/**
 * Running one hook so that nothing of it reaches the payment but its answer.
 *
 * It runs in a fiber of its own, which nobody waits for longer than its limit: one that cannot be interrupted goes on alone, and after too many
 * of these the hook is not started any more. It runs with the context of whoever made the registry, so a host's transaction is out of its
 * reach; its log lines carry what those of its caller do. Whatever it does wrong is counted, kept and logged under its name.
 *
 * **Gotchas**: a hook that computes without end, without giving way, stops the whole process: no limit in the same process helps there.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Result from "effect/Result"
import type { HookFailure, HookKind } from "../../domain/hooks/HookKind.ts"
import * as HookText from "../../domain/hooks/HookText.ts"
import * as Presets from "../../domain/Presets.ts"
import * as HookMetrics from "../../services/hooks/HookMetrics.ts"
import type { Entry, Registry } from "./Registry.ts"

/** What came of a run. */
export type Ran<A> = { readonly _tag: "Answered"; readonly value: A } | { readonly _tag: "NoAnswer"; readonly failure: HookFailure }

/** An answer as it has to be, or why it is none. `because`: what may hold parts of the answer; it is kept, and not logged. */
export type Reading<A> = { readonly value: A } | { readonly invalid: string; readonly because?: string }

type Ended<A> = { readonly _tag: "Answered"; readonly value: A } | Wrong
interface Wrong extends Fault {
  readonly _tag: "Wrong"
}

/** What a hook did wrong. `because`: in words that may come from the hook or from what it threw; it is kept, and not logged. */
interface Fault {
  readonly failure: HookFailure
  readonly detail: string
  readonly because?: string | undefined
}

/**
 * Runs a hook for at most `limitMillis`. `read`: makes of the answer what it has to be, or says why it is none. Never fails, and is over
 * in time even where the caller cannot be interrupted.
 */
export const run = <A>(
  registry: Registry,
  entry: Entry,
  options: {
    readonly limitMillis: number
    readonly effect: () => Effect.Effect<unknown, unknown>
    readonly read: (answer: unknown) => Reading<A>
  }
): Effect.Effect<Ran<A>> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const startedAt = clock.monotonicTimeNanosUnsafe()
    const done = (ended: Ended<unknown>): Effect.Effect<Ran<A>> => {
      const durationMillis = Number(clock.monotonicTimeNanosUnsafe() - startedAt) / 1e6
      const judged = ended._tag === "Wrong" ? ended : readSafely(options.read, ended.value)
      entry.runs++
      entry.totalMillis += durationMillis
      entry.maxMillis = Math.max(entry.maxMillis, durationMillis)
      const result = judged._tag === "Wrong" ? judged.failure : "done"
      HookMetrics.ran(registry.context, { kind: entry.hook.kind, hook: entry.name, result, durationMillis })
      return judged._tag === "Answered"
        ? Effect.succeed(judged)
        : Effect.as(report(registry, entry, judged, clock.currentTimeMillisUnsafe()), {
            _tag: "NoAnswer",
            failure: judged.failure
          } as const)
    }
    if (options.limitMillis <= 0) return done(wrong("timeout", "the time of its kind was used up before its turn"))
    if (entry.abandoned >= Presets.hooks.maxAbandoned.value)
      return done(wrong("busy", `${entry.abandoned} of its runs took too long and do not end`))
    return Effect.flatMap(bounded(registry, entry, options), done)
  })

/** How long the next hook of a kind may take: its own limit, but no longer than what is left for all of them. */
export const limitsOf = Effect.fnUntraced(function* (registry: Registry, kind: HookKind) {
  const clock = yield* Clock.Clock
  const endAt = clock.monotonicTimeNanosUnsafe() + BigInt(Math.ceil(registry.settings.limits[kind].totalMillis * 1e6))
  return (entry: Entry): number => Math.min(entry.timeoutMillis, Number(endAt - clock.monotonicTimeNanosUnsafe()) / 1e6)
})

const wrong = (failure: HookFailure, detail: string, because?: string): Wrong => ({ _tag: "Wrong", failure, detail, because })

/** The answer or the timer, whichever is first. Works where the caller is uninterruptible: nothing here waits for the run to end. */
const bounded = (
  registry: Registry,
  entry: Entry,
  options: { readonly limitMillis: number; readonly effect: () => Effect.Effect<unknown, unknown> }
): Effect.Effect<Ended<unknown>> => {
  const ours = (callers: Context.Context<never>): Context.Context<never> =>
    Context.add(registry.context, References.CurrentLogAnnotations, Context.get(callers, References.CurrentLogAnnotations))
  const inContext = Effect.updateContext<unknown, unknown, never, never>(Effect.suspend(options.effect), ours)
  const started = Effect.tap(Effect.forkDetach(inContext, { startImmediately: true }), (running) =>
    Effect.sync(() => track(entry, running))
  )
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(started, (running) => {
      const exit = running.pollUnsafe()
      if (exit !== undefined) return Effect.succeed(endOf(entry, exit))
      return Effect.flatMap(Effect.forkDetach(Effect.sleep(Duration.millis(options.limitMillis))), (timer) => {
        let unobserve = () => {}
        const giveUp = () => {
          unobserve()
          timer.interruptUnsafe()
          abandon(entry, running)
        }
        const first = Effect.callback<Ended<unknown>>((resume) => {
          unobserve = running.addObserver((exit) => {
            timer.interruptUnsafe()
            resume(Effect.succeed(endOf(entry, exit)))
          })
          timer.addObserver((exit) => {
            if (!Exit.isSuccess(exit)) return
            giveUp()
            resume(Effect.succeed(wrong("timeout", `no answer within ${options.limitMillis} ms`)))
          })
        })
        return Effect.onInterrupt(restore(first), () => Effect.sync(giveUp))
      })
    })
  )
}

const track = (entry: Entry, running: Fiber.Fiber<unknown, unknown>): void => {
  if (running.pollUnsafe() !== undefined) return
  entry.open.add(running)
  running.addObserver(() => void entry.open.delete(running))
}

/** Interrupts a run and waits for nothing: it counts as long as it goes on. */
const abandon = (entry: Entry, running: Fiber.Fiber<unknown, unknown>): void => {
  running.interruptUnsafe()
  if (running.pollUnsafe() !== undefined) return
  entry.abandoned++
  running.addObserver(() => void entry.abandoned--)
}

const endOf = (entry: Entry, exit: Exit.Exit<unknown, unknown>): Ended<unknown> => {
  if (Exit.isSuccess(exit)) return { _tag: "Answered", value: exit.value }
  const { cause } = exit
  if (Cause.hasInterruptsOnly(cause))
    return entry.gone ? wrong("closed", "it was unregistered while it ran") : wrong("failed", "it interrupted itself")
  const thrown = Cause.squash(cause)
  return wrong(Cause.hasDies(cause) ? "defect" : "failed", nameOf(thrown), textOf(thrown))
}

const readSafely = <A>(read: (answer: unknown) => Reading<A>, answer: unknown): Ended<A> => {
  // An answer may be an object whose fields throw when they are read.
  const judged = Result.getOrElse(
    Result.try(() => read(answer)),
    (thrown): Reading<A> => ({ invalid: "its answer throws when it is read", because: textOf(thrown) })
  )
  return "invalid" in judged ? wrong("invalid", judged.invalid, judged.because) : { _tag: "Answered", value: judged.value }
}

/** What was thrown may be anything, an object that throws when it is read included. */
const textOf = (thrown: unknown): string =>
  Result.getOrElse(
    Result.try(() => String(thrown instanceof Error ? thrown.message : thrown)),
    () => "something that has no text"
  )

/** What kind of thing was thrown: a name of a program, never a text. */
const nameOf = (thrown: unknown): string =>
  Result.getOrElse(
    Result.try(() => {
      if (typeof thrown !== "object" || thrown === null) return `a ${typeof thrown}`
      const name: unknown = "_tag" in thrown ? thrown._tag : "name" in thrown ? thrown.name : undefined
      return typeof name === "string" && /^[A-Za-z_$][\w$./-]{0,99}$/.test(name) ? name : "an object without a name"
    }),
    () => "an object without a name"
  )

const maxDetail = 500

/**
 * Keeps and logs what a hook did wrong. Of one that fails all the time a line now and then is logged, with how many there were. A card number
 * is replaced in either; what may hold a part of the payment is only kept.
 */
export const report = (registry: Registry, entry: Entry, { because, detail, failure }: Fault, at: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { kind } = entry.hook
    entry.failures[failure]++
    const whole = because === undefined || because === "" ? detail : `${detail}: ${because}`
    registry.reports.push({ kind, hook: entry.name, failure, detail: HookText.clean(whole, maxDetail), at })
    if (registry.reports.length > Presets.hooks.reports.value) registry.reports.shift()
    if (at - entry.loggedAt < Presets.hooks.logMillis.value) {
      entry.unlogged++
      return Effect.void
    }
    const more = entry.unlogged === 0 ? "" : ` (${entry.unlogged} more since the last line)`
    entry.loggedAt = at
    entry.unlogged = 0
    return Effect.logError(`the ${kind} hook "${entry.name}" gave no answer (${failure}): ${HookText.clean(detail, maxDetail)}${more}`)
  })
