/**
 * The way of a call through its breaker: `tryAcquire`, `report`, and `guard` and `protect` made of them.
 *
 * This is what every call pays, so it is plain state behind one thin effect, and reads the time once before and once after.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import * as BreakerName from "../../domain/resilience/BreakerName.ts"
import * as Registry from "./BreakerRegistry.ts"

/** The breaker refused the call; nothing was sent. `retryInMillis`: `undefined` while it is forced open. */
export class BreakerOpen extends Schema.TaggedError<BreakerOpen>()("BreakerOpen", {
  breaker: BreakerName.BreakerName,
  state: Schema.String,
  retryInMillis: Schema.UndefinedOr(Schema.Number)
}) {
  override get message(): string {
    const until =
      this.retryInMillis === undefined ? "it stays so until it is reset" : `try again in ${Math.max(1, Math.ceil(this.retryInMillis))} ms`
    return `circuit breaker ${this.breaker} is ${this.state} and refused the call; ${until}`
  }
}

/** What calls work on. `entryFor` makes a breaker that is not there; `changed` tells of a transition that has just been made. */
export interface Live {
  readonly registry: Registry.Registry
  readonly entryFor: (name: BreakerName.BreakerName, clock: Clock.Clock) => Registry.Entry
  readonly changed: (entry: Registry.Entry, from: Breaker.BreakerState, byPerson?: boolean) => Effect.Effect<void>
}

/**
 * A call on its way through a gateway's breaker.
 *
 * - `gatewayName`, `kind`: whose breaker it is.
 * - `send`: what is done under a permit.
 * - `judge`: how that ended; not asked where it was interrupted.
 * - `refused`: what is done instead where the breaker refuses. It is not the breaker's call: nothing is reported of it.
 */
export interface GuardedCall<A, E, R, E2> extends Through<A, E, R, E2> {
  readonly gatewayName: GatewayName
  readonly kind: OperationKind
}

/** The same through any breaker. */
interface Through<A, E, R, E2> {
  readonly send: () => Effect.Effect<A, E, R>
  readonly judge: (exit: Exit.Exit<A, E>) => Breaker.Verdict
  readonly refused: (open: BreakerOpen) => Effect.Effect<A, E2, R>
}

/** The clock of the breakers. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

export const make = ({ changed, entryFor, registry }: Live) => {
  const used = (entry: Registry.Entry): Registry.Entry => {
    entry.lastUse = ++registry.uses
    return entry
  }

  const tryAcquire = (name: BreakerName.BreakerName) =>
    Effect.withFiber<Breaker.Permit | Breaker.Rejected>((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const { breaker } = used(entryFor(name, clock))
      const permit = Breaker.closedPermit(breaker)
      if (permit !== undefined) return Effect.succeed(permit)
      const { changes, state } = breaker
      const admission = Breaker.tryAcquire(breaker, monotonicMillis(clock))
      return changes === breaker.changes ? Effect.succeed(admission) : Effect.as(tellOf(breaker, state), admission)
    })

  /** A breaker that had to go meanwhile has nobody to tell. */
  const tellOf = (breaker: Breaker.Breaker, from: Breaker.BreakerState) => {
    const entry = Registry.entryOf(registry, breaker)
    return entry === undefined ? Effect.void : changed(entry, from)
  }

  /** `undefined`: nothing more is to be done, as after most calls. */
  const reportAt = (permit: Breaker.Permit, call: Breaker.CallReport, now: number): Effect.Effect<void> | undefined => {
    const { breaker } = permit
    const { changes, state } = breaker
    Breaker.report(permit, call, now)
    return changes === breaker.changes ? undefined : tellOf(breaker, state)
  }

  const report = (permit: Breaker.Permit, call: Breaker.CallReport) =>
    Effect.withFiber<void>((fiber) => reportAt(permit, call, monotonicMillis(fiber.getRef(Clock.Clock))) ?? Effect.void)

  const through = <A, E, R, E2>(entry: Registry.Entry, call: Through<A, E, R, E2>, clock: Clock.Clock): Effect.Effect<A, E | E2, R> => {
    let permit: Breaker.Permit | undefined
    let startedAt = 0
    // Asked for inside what is guarded: there is no moment between the permit and its report at which an interruption could lose it.
    const permitted = Effect.suspend((): Effect.Effect<A, E | E2, R> => {
      startedAt = monotonicMillis(clock)
      const { breaker, name } = used(entry)
      const { changes, state } = breaker
      const admission = Breaker.tryAcquire(breaker, startedAt)
      if (admission._tag === "Rejected")
        return call.refused(new BreakerOpen({ breaker: name, state: admission.state, retryInMillis: admission.retryInMillis }))
      permit = admission
      return changes === breaker.changes ? call.send() : Effect.andThen(tellOf(breaker, state), call.send())
    })
    return Effect.onExitPrimitive(permitted, (exit) => {
      if (permit === undefined) return undefined
      const now = monotonicMillis(clock)
      return reportAt(permit, { verdict: verdictOf(exit as Exit.Exit<A, E>, call), durationMillis: now - startedAt }, now)
    })
  }

  /** Its breaker is mostly there, and found without making its name. */
  const guard = <A, E, R, E2>(call: GuardedCall<A, E, R, E2>, clock: Clock.Clock): Effect.Effect<A, E | E2, R> => {
    const { gatewayName, kind } = call
    return through(registry.byGateway.get(gatewayName)?.[kind] ?? entryFor(BreakerName.of(gatewayName, kind), clock), call, clock)
  }

  const protect = <A, E, R>(
    name: BreakerName.BreakerName,
    effect: Effect.Effect<A, E, R>,
    classify: (exit: Exit.Exit<A, E>) => Breaker.Verdict = byExit
  ): Effect.Effect<A, E | BreakerOpen, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      return through<A, E, R, BreakerOpen>(entryFor(name, clock), { send: () => effect, judge: classify, refused: Effect.fail }, clock)
    })

  return { tryAcquire, report, protect, guard }
}

const byExit = (exit: Exit.Exit<unknown, unknown>): Breaker.Verdict => (Exit.isSuccess(exit) ? "success" : "failure")

const verdictOf = <A, E>(exit: Exit.Exit<A, E>, call: Pick<Through<A, E, unknown, unknown>, "judge">): Breaker.Verdict =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? "ignored" : call.judge(exit)
