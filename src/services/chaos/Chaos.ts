/**
 * The switch of injected faults: one per process, asked by whatever may be made to fail.
 *
 * It is a service that is missing where nothing is to fail. What it decorates (`ChaosGateway`, `ChaosEventStore`, `ChaosLock`,
 * `ChaosClock`) is then the very object that it was; nothing of this is on the way of a call.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ChaosPlan } from "../../domain/chaos/ChaosPlan.ts"
import type { InjectionType, Target } from "../../domain/chaos/Injection.ts"
import type { Call, Injected } from "../../domain/chaos/Injector.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"

/** How often one fault was injected into one thing. */
export interface InjectionCount {
  readonly type: InjectionType
  readonly target: Target
  readonly gateway?: GatewayName
  readonly count: number
}

/** What is going on. `plan`: the running one, or the last. `startedAt`: epoch milliseconds, by the process' true clock. */
export interface ChaosStatus {
  readonly running: boolean
  readonly plan: ChaosPlan | undefined
  readonly startedAt: number | undefined
  readonly elapsedMillis: number
  /** Faults that calls met, and how many more may be injected. Moves of the clock are not among them. */
  readonly injections: number
  readonly remaining: number
  /** By fault and target; as many as there are gateways and faults at the most. */
  readonly counts: ReadonlyArray<InjectionCount>
  /** By how much the wall clock is off now. */
  readonly clockOffsetMillis: number
  /** In how many milliseconds it ends unless its holder says that it goes on; absent where nobody holds it. */
  readonly lapsesInMillis?: number
  /** It ended because its holder was not heard of any more; absent otherwise. */
  readonly lapsed?: true
}

/**
 * The switch.
 *
 * - `start`: begins a plan; a running one ends. Its times count from now. With `holdMillis` it ends by itself when it was not extended for
 *   that long: whoever started it may be gone without having ended it.
 * - `extend`: the plan that began at `startedAt` goes on for another `holdMillis`, where it still runs; otherwise nothing happens.
 * - `stop`: ends it: no further call meets a fault. Faults under way (a delay, a hanging call) end by themselves.
 * - `repetition`: a plan that does to the same calls what was done so far; `undefined` where nothing was started or more was injected than
 *   is kept (10,000).
 * - `decide`: the fault that this call meets, if any. Counts the call; every call that may fail asks once.
 * - `clockOffset`: by how much the wall clock is to be off. `clock`: the true one.
 * - `crash`: ends the process, or what a test takes for one.
 */
export class Chaos extends Context.Service<
  Chaos,
  {
    readonly start: (plan: ChaosPlan, options?: { readonly holdMillis?: number }) => Effect.Effect<ChaosStatus>
    readonly extend: (hold: { readonly startedAt: number; readonly holdMillis: number }) => Effect.Effect<ChaosStatus>
    readonly stop: Effect.Effect<ChaosStatus>
    readonly status: Effect.Effect<ChaosStatus>
    readonly repetition: Effect.Effect<ChaosPlan | undefined>
    readonly decide: (call: Omit<Call, "atMillis">) => Effect.Effect<Injected | undefined>
    readonly clockOffset: (clock: Clock.Clock) => number
    readonly crash: Effect.Effect<never>
  }
>()("aegispay/services/chaos/Chaos") {}
