/**
 * Rate limits for programs: may this happen once more for these keys, and if not, when?
 *
 * ```ts
 * const limiter = yield* RateLimiter
 * const decision = yield* limiter.check([perUser, perAddress], [customer, address])
 * const sent = yield* limiter.limit([perUser], [customer])(send)     // fails with RateLimited instead of sending
 * ```
 *
 * It counts what was allowed and refused, per limit, and how many keys are blocked. What happens while the store is away is a setting: `open`
 * (the default) allows everything, since no money depends on a rate limit; `closed` fails with `RateLimitStoreError`. Then the store is asked
 * once in `storePauseMillis`, so that not every request waits for it; the first failure is logged, and its end.
 *
 * A check in memory costs less than one of effect's own metric updates, so its counters are plain numbers which are read when metrics are
 * exported. Two rate limiters in one process with the same limits and metric registry show the counters of the later one.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Presets from "../../domain/Presets.ts"
import { capacityOf, type Decision, maxLimitsOfCheck, type RateLimit, retryAfterMillis, scopes } from "../../domain/resilience/RateLimit.ts"
import * as Metrics from "../../services/resilience/RateLimitMetrics.ts"
import { type Question, RateLimitStore, RateLimitStoreError } from "../../services/resilience/RateLimitStore.ts"

/** Too many requests. `limit` and `scope`: of the limit that refused for longest. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  limit: Schema.String,
  scope: Schema.Literals(scopes),
  blocked: Schema.Boolean,
  retryAfterMillis: Schema.Int
}) {
  override get message(): string {
    return `too many requests: the limit ${this.limit} (${this.scope}) ${this.blocked ? "has blocked the key" : "is used up"}; try again in ${this.retryAfterMillis} ms`
  }
}

/** `onStoreFailure`: default `open`. `storePauseMillis`: default the preset (1,000). */
export interface Options {
  readonly onStoreFailure?: "open" | "closed"
  readonly storePauseMillis?: number
}

type Limits = ReadonlyArray<RateLimit>
type Keys = ReadonlyArray<string>

/**
 * Rate limits.
 *
 * `limits` and `keys` belong together by position; 1 to 10 limits, each once. `cost`, default 1, is at most the capacity of each.
 * Anything else is a defect.
 *
 * - `check`: takes `cost` of every limit if all admit it, of none otherwise. Without an answer of the store and `open`: allowed, with no
 *   standings.
 * - `peek`: what `check` would answer, with nothing taken, counted or blocked.
 * - `refund`: gives back what a `check` of the same request has taken, that is one with standings; a failure of the store is ignored, as a
 *   unit comes back by itself.
 * - `reset`: forgets the keys and their blocks.
 * - `limit`: runs an effect if the check allows it, otherwise fails with `RateLimited`.
 */
export class RateLimiter extends Context.Service<
  RateLimiter,
  {
    readonly check: (limits: Limits, keys: Keys, cost?: number) => Effect.Effect<Decision, RateLimitStoreError>
    readonly peek: (limits: Limits, keys: Keys, cost?: number) => Effect.Effect<Decision, RateLimitStoreError>
    readonly refund: (limits: Limits, keys: Keys, cost?: number) => Effect.Effect<void>
    readonly reset: (limits: Limits, keys: Keys) => Effect.Effect<void, RateLimitStoreError>
    readonly limit: (
      limits: Limits,
      keys: Keys,
      cost?: number
    ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimited | RateLimitStoreError, R>
  }
>()("aegispay/orchestration/resilience/RateLimiter") {}

/** Limits with a series of their own; there are as many as the configuration names. */
const maxSeries = 1_000

const unchecked: Decision = { allowed: true, standings: [] }

/** What is wrong with a question, if anything: a mistake of the program that asks. */
const mistakeIn = ({ cost, keys, limits }: Question): string | undefined => {
  if (limits.length === 0 || limits.length > maxLimitsOfCheck) return `a check has 1 to ${maxLimitsOfCheck} limits, not ${limits.length}`
  if (limits.length !== keys.length) return `${limits.length} limits need as many keys, not ${keys.length}`
  if (!Number.isInteger(cost) || cost < 1) return `the cost of a check is an integer from 1, not ${cost}`
  if (cost === 1) return undefined
  for (const limit of limits) {
    if (cost > capacityOf(limit)) return `the limit ${limit.name} never admits a cost of ${cost}, its capacity is ${capacityOf(limit)}`
  }
  return undefined
}

/** The counters of each limit, and their series. */
const makeCounters = Effect.gen(function* () {
  const context = yield* Effect.context()
  const byLimit = new Map<string, Metrics.Totals>()
  const removals: Array<() => void> = []
  yield* Effect.addFinalizer(() => Effect.sync(() => removals.forEach((remove) => remove())))

  const totalsOf = (limit: RateLimit): Metrics.Totals => {
    const known = byLimit.get(limit.name)
    if (known !== undefined) return known
    const totals = { allowed: 0, blocked: 0 }
    if (byLimit.size < maxSeries) {
      byLimit.set(limit.name, totals)
      removals.push(Metrics.series(context, limit, totals))
    }
    return totals
  }

  /** The list of the last check, and its counters: most checks come with the same list again. */
  let lastLimits: Limits = []
  let lastTotals: ReadonlyArray<Metrics.Totals> = []

  return (limits: Limits, { allowed, standings }: Decision): void => {
    if (limits !== lastLimits) {
      lastTotals = limits.map(totalsOf)
      lastLimits = limits
    }
    for (let index = 0; index < standings.length; index++) {
      const totals = lastTotals[index]
      if (totals === undefined) continue
      if (allowed) totals.allowed++
      else if (standings[index]?.refused === true) totals.blocked++
    }
  }
})

const make = Effect.fnUntraced(function* (options: Options) {
  const { onStoreFailure = "open", storePauseMillis = Presets.rateLimits.storePauseMillis.value } = options
  const store = yield* RateLimitStore
  const count = yield* makeCounters
  /** While the store is away: when it may be asked again. */
  let askAgainAt: number | undefined

  const answered = (decision: Decision): Effect.Effect<Decision> => {
    if (askAgainAt === undefined) return Effect.succeed(decision)
    askAgainAt = undefined
    return Effect.as(Effect.logInfo("rate limits are checked again"), decision)
  }

  const refusedByStore = (error: RateLimitStoreError): Effect.Effect<Decision, RateLimitStoreError> =>
    onStoreFailure === "open" ? Effect.succeed(unchecked) : Effect.fail(error)

  const failed = Effect.fnUntraced(function* (error: RateLimitStoreError) {
    const first = askAgainAt === undefined
    askAgainAt = (yield* Clock.currentTimeMillis) + storePauseMillis
    yield* Metrics.storeFailed
    if (first) {
      const meanwhile = onStoreFailure === "open" ? "everything is allowed" : "everything is refused"
      yield* Effect.logWarning(`rate limits cannot be checked, ${meanwhile} until they can`, error)
    }
    return yield* refusedByStore(error)
  })

  const ask = (asked: Effect.Effect<Decision, RateLimitStoreError>) =>
    Effect.withFiber<Decision, RateLimitStoreError>((fiber) => {
      if (askAgainAt !== undefined) {
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        if (now < askAgainAt)
          return refusedByStore(new RateLimitStoreError({ operation: "pause", cause: new Error("it failed a moment ago") }))
        // Of those that come meanwhile nobody waits with this one.
        askAgainAt = now + storePauseMillis
      }
      return Effect.matchEffect(asked, { onSuccess: answered, onFailure: failed })
    })

  /** Of the last check: those of one program have the same context, and finding a clock takes longer than an addition. */
  let lastContext: Context.Context<never> | undefined
  let lastClock: Clock.Clock | undefined
  const nowOf = (context: Context.Context<never>): number => {
    if (lastClock === undefined || lastContext !== context) {
      lastClock = Context.get(context, Clock.Clock)
      lastContext = context
    }
    return lastClock.currentTimeMillisUnsafe()
  }

  /** In memory nothing can fail, so a check is one step of the fiber. */
  const checkUnsafe = (question: Question, now: number, takeUnsafe: NonNullable<typeof store.takeUnsafe>): Decision => {
    const decision = takeUnsafe(question, now)
    count(question.limits, decision)
    return decision
  }

  const check = (limits: Limits, keys: Keys, cost = 1): Effect.Effect<Decision, RateLimitStoreError> => {
    const question = { limits, keys, cost }
    const mistake = mistakeIn(question)
    if (mistake !== undefined) return Effect.die(new Error(mistake))
    const { takeUnsafe } = store
    if (takeUnsafe === undefined) {
      return Effect.map(ask(store.take(question)), (decision) => {
        count(limits, decision)
        return decision
      })
    }
    return Effect.withFiberSucceed((fiber) => checkUnsafe(question, nowOf(fiber.context), takeUnsafe))
  }

  yield* store.blocked.pipe(
    Effect.flatMap(Metrics.blockedKeys),
    Effect.ignore,
    Effect.repeat(Schedule.spaced(Presets.rateLimits.blockedIntervalMillis.value)),
    Effect.forkScoped
  )

  return RateLimiter.of({
    check,
    peek: (limits, keys, cost = 1) => {
      const question = { limits, keys, cost }
      const mistake = mistakeIn(question)
      return mistake === undefined ? ask(store.peek(question)) : Effect.die(new Error(mistake))
    },
    refund: (limits, keys, cost = 1) => Effect.ignore(store.refund({ limits, keys, cost })),
    reset: (limits, keys) => store.reset({ limits, keys }),
    limit:
      (limits, keys, cost) =>
      <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.flatMap(check(limits, keys, cost), (decision): Effect.Effect<A, E | RateLimited, R> =>
          decision.allowed ? effect : Effect.fail(refusalOf(decision))
        )
  })
})

const refusalOf = (decision: Decision): RateLimited => {
  const longest = retryAfterMillis(decision)
  const standing = decision.standings.find(({ refused, retryAfterMillis }) => refused && retryAfterMillis === longest)
  return new RateLimited({
    limit: standing?.limit.name ?? "unknown",
    scope: standing?.limit.scope ?? "global",
    blocked: standing?.blocked ?? false,
    retryAfterMillis: longest
  })
}

/** Rate limits over a store, with other settings than the presets. */
export const layerWith = (options: Options): Layer.Layer<RateLimiter, never, RateLimitStore> => Layer.effect(RateLimiter, make(options))

/** Rate limits over a store. */
export const layer: Layer.Layer<RateLimiter, never, RateLimitStore> = layerWith({})
