/**
 * What this process depends on, and how far it is away.
 *
 * Whoever knows a dependency registers how to check and to recover it, for the time of a scope. It is checked at once and then every 30 s;
 * while it is degraded or critical its recovery is tried every 2 min, and it is checked right after. Levels are in
 * `domain/resilience/dependency/Degradation`.
 *
 * ```ts
 * yield* dependencies.register({ name: "rates", importance: "optional", check: askForRates, recover: Effect.andThen(nextSource, clearCache) })
 * ```
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Presets from "../../../domain/Presets.ts"
import * as Degradation from "../../../domain/resilience/dependency/Degradation.ts"
import * as Metrics from "../../../services/Metrics.ts"
import type { HealthProbe } from "../../../services/resilience/HealthProbe.ts"

/** A dependency cannot be registered: its name is no name (`name`) or another's (`taken`), or there are too many (`full`). */
export class DependencyRefused extends Schema.TaggedError<DependencyRefused>()("DependencyRefused", {
  dependency: Schema.String,
  problem: Schema.Literals(["name", "taken", "full"])
}) {
  override get message(): string {
    switch (this.problem) {
      case "name":
        return `"${this.dependency}" is no name of a dependency: 1 to 64 characters of a-z 0-9 . _ - are, beginning with a letter or digit`
      case "taken":
        return `a dependency "${this.dependency}" is registered already`
      case "full":
        return `dependency "${this.dependency}": there are ${Presets.degradation.maxDependencies.value} already; register kinds of things, not things`
    }
  }
}

/** Nothing of this name is registered. */
export class DependencyNotFound extends Schema.TaggedError<DependencyNotFound>()("DependencyNotFound", { dependency: Schema.String }) {
  override get message(): string {
    return `no dependency "${this.dependency}" is registered`
  }
}

/** A dependency as it is. Times in epoch milliseconds. */
export interface DependencyHealth {
  readonly name: string
  readonly importance: Degradation.Importance
  readonly level: Degradation.Level
  /** When its checks led to this level. */
  readonly since: number
  readonly checkedAt: number | undefined
  /** How long the last check took. */
  readonly durationMillis: number | undefined
  /** Failed checks in a row. */
  readonly failures: number
  /** What the last failed check said, at most 200 characters; for people. */
  readonly lastFailure: string | undefined
  /** Recovery attempts since it was healthy, and when the next is due. */
  readonly recoveries: number
  readonly recoverAt: number | undefined
}

/** A dependency's level changed. `at`: epoch milliseconds. */
export interface LevelChange {
  readonly dependency: string
  readonly from: Degradation.Level
  readonly to: Degradation.Level
  readonly at: number
}

/**
 * - `register`: adds a dependency until the scope ends.
 * - `list`: all of them, by name. `level`: of one; `unknown` for what is not registered. `overall`: of the whole.
 * - `check`: checks one now, besides its schedule: after a failure, or for a person who waits.
 * - `changes`: from the moment it is run on. Bounded: a reader that is too slow misses the oldest.
 */
export class Dependencies extends Context.Service<
  Dependencies,
  {
    readonly register: (probe: HealthProbe) => Effect.Effect<void, DependencyRefused, Scope.Scope>
    readonly list: Effect.Effect<ReadonlyArray<DependencyHealth>>
    readonly level: (name: string) => Effect.Effect<Degradation.Level>
    readonly overall: Effect.Effect<Degradation.Level>
    readonly check: (name: string) => Effect.Effect<DependencyHealth, DependencyNotFound>
    readonly changes: Stream.Stream<LevelChange>
  }
>()("aegispay/orchestration/resilience/dependency/Dependencies") {}

interface Entry {
  readonly probe: HealthProbe
  readonly settings: Degradation.DegradationSettings
  readonly intervalMillis: number
  /** One check or recovery at a time. */
  readonly turn: Semaphore.Semaphore
  condition: Degradation.Condition
  durationMillis: number | undefined
  lastFailure: string | undefined
}

const isName = (name: string) => /^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)
const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
const presets = Presets.degradation

/** Of fewer than one check nothing is known. */
const atLeastOne = (checks: number): number => Math.max(1, checks)

const entryOf = (probe: HealthProbe, now: number): Entry => {
  const intervalMillis = probe.intervalMillis ?? presets.checkEveryMillis.value
  return {
    probe,
    intervalMillis,
    settings: {
      criticalAfter: atLeastOne(probe.criticalAfter ?? presets.criticalAfter.value),
      healthyAfter: atLeastOne(probe.healthyAfter ?? presets.healthyAfter.value),
      staleAfterMillis: atLeastOne(probe.staleAfterChecks ?? presets.staleAfterChecks.value) * intervalMillis,
      recoverEveryMillis: probe.recoverEveryMillis ?? presets.recoverEveryMillis.value
    },
    turn: Semaphore.makeUnsafe(1),
    condition: Degradation.initial(now),
    durationMillis: undefined,
    lastFailure: undefined
  }
}

const healthOf = ({ condition, durationMillis, lastFailure, probe, settings }: Entry, clock: Clock.Clock): DependencyHealth => {
  const now = monotonicMillis(clock)
  const inEpoch = (at: number) => Math.round(at - now + clock.currentTimeMillisUnsafe())
  return {
    name: probe.name,
    importance: probe.importance ?? "required",
    level: Degradation.levelAt(condition, now, settings),
    since: inEpoch(condition.since),
    checkedAt: condition.checkedAt === undefined ? undefined : inEpoch(condition.checkedAt),
    durationMillis,
    failures: condition.failures,
    lastFailure,
    recoveries: condition.recoveries,
    recoverAt: condition.recoverAt === undefined ? undefined : inEpoch(condition.recoverAt)
  }
}

type Told = (entry: Entry, from: Degradation.Level) => Effect.Effect<void>

/** Checks a dependency once and takes in the result. */
const check = Effect.fnUntraced(function* (entry: Entry, told: Told) {
  const { probe, settings } = entry
  const clock = yield* Clock.Clock
  const startedAt = monotonicMillis(clock)
  const timeoutMillis = probe.timeoutMillis ?? presets.checkTimeoutMillis.value
  const exit = yield* Effect.exit(
    Effect.timeoutOrElse(probe.check, { duration: timeoutMillis, orElse: () => Effect.fail(`no answer within ${timeoutMillis} ms`) })
  )
  const at = monotonicMillis(clock)
  const result = Exit.isSuccess(exit) ? exit.value : "failed"
  const from = entry.condition.level
  entry.condition = Degradation.afterCheck(entry.condition, { result, at }, settings)
  entry.durationMillis = Math.round(at - startedAt)
  if (Exit.isFailure(exit)) entry.lastFailure = textOf(exit.cause)
  yield* Metrics.dependencyChecked({ dependency: probe.name, result })
  if (entry.condition.level !== from) yield* told(entry, from)
})

const textOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return (error instanceof Error && error.message !== "" ? error.message : String(error)).slice(0, 200)
}

/** Tries to get a dependency back, if that is due, and checks it then. */
const recoverIfDue = Effect.fnUntraced(function* (entry: Entry, told: Told) {
  const { probe } = entry
  const clock = yield* Clock.Clock
  if (probe.recover === undefined || !Degradation.isRecoveryDue(entry.condition, monotonicMillis(clock))) return
  entry.condition = Degradation.afterRecovery(entry.condition, monotonicMillis(clock), entry.settings)
  const exit = yield* Effect.exit(Effect.timeout(probe.recover, probe.recoverTimeoutMillis ?? presets.recoverTimeoutMillis.value))
  yield* Metrics.recoveryTried({ dependency: probe.name, result: Exit.isSuccess(exit) ? "done" : "failed" })
  yield* Exit.isSuccess(exit)
    ? Effect.logInfo(`dependency ${probe.name}: recovery was tried`)
    : Effect.logWarning(`dependency ${probe.name}: recovery failed: ${textOf(exit.cause)}`)
  yield* check(entry, told)
})

const make = Effect.gen(function* () {
  const entries = new Map<string, Entry>()
  const hub = yield* Effect.acquireRelease(PubSub.sliding<LevelChange>(presets.changesKept.value), PubSub.shutdown)

  const told: Told = ({ condition, lastFailure, probe: { name } }, from) =>
    Effect.gen(function* () {
      const to = condition.level
      yield* Metrics.dependencyLevel({ dependency: name, level: to })
      yield* PubSub.publish(hub, { dependency: name, from, to, at: yield* Clock.currentTimeMillis })
      if (to !== "healthy") yield* Effect.logWarning(`dependency ${name} is ${to}${lastFailure === undefined ? "" : ` (${lastFailure})`}`)
      // That it works from the start is nothing to tell.
      else yield* from === "unknown" ? Effect.logDebug(`dependency ${name} is healthy`) : Effect.logInfo(`dependency ${name} is healthy`)
    })

  const checkNow = (entry: Entry) => Semaphore.withPermits(entry.turn, 1)(Effect.andThen(check(entry, told), recoverIfDue(entry, told)))

  const add = Effect.fnUntraced(function* (probe: HealthProbe) {
    const { name: dependency } = probe
    if (!isName(dependency)) return yield* new DependencyRefused({ dependency, problem: "name" })
    if (entries.has(dependency)) return yield* new DependencyRefused({ dependency, problem: "taken" })
    if (entries.size >= presets.maxDependencies.value) return yield* new DependencyRefused({ dependency, problem: "full" })
    const entry = entryOf(probe, monotonicMillis(yield* Clock.Clock))
    entries.set(dependency, entry)
    yield* Metrics.dependencyLevel({ dependency, level: "unknown" })
    return entry
  })
  const remove = ({ probe: { name } }: Entry) =>
    Effect.suspend(() => {
      entries.delete(name)
      return Metrics.dependencyLevel({ dependency: name, level: "unknown" })
    })

  const list = Effect.clockWith((clock) =>
    Effect.sync(() => [...entries.values()].map((entry) => healthOf(entry, clock)).sort((one, other) => (one.name < other.name ? -1 : 1)))
  )
  return Dependencies.of({
    register: Effect.fn("Dependencies.register")(function* (probe: HealthProbe) {
      const entry = yield* Effect.acquireRelease(add(probe), remove)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(checkNow(entry), Effect.sleep(entry.intervalMillis))))
    }),
    list,
    level: (name) =>
      Effect.clockWith((clock) => {
        const entry = entries.get(name)
        return Effect.succeed(
          entry === undefined ? "unknown" : Degradation.levelAt(entry.condition, monotonicMillis(clock), entry.settings)
        )
      }),
    overall: Effect.map(list, Degradation.overall),
    check: Effect.fn("Dependencies.check")(function* (name: string) {
      const entry = entries.get(name)
      if (entry === undefined) return yield* new DependencyNotFound({ dependency: name })
      yield* checkNow(entry)
      return healthOf(entry, yield* Clock.Clock)
    }),
    changes: Stream.fromPubSub(hub)
  })
})

/** The dependencies of this process; none at first. */
export const layer: Layer.Layer<Dependencies> = Layer.effect(Dependencies, make)
