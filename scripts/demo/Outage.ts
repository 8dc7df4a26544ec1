/**
 * An outage of one gateway, watched: payments at a steady rate over three providers, of which the cheapest goes down and comes back.
 *
 * Everything is real but the money: the providers are processes with an address and a ledger on disk, the engine is the one that a server
 * runs, with routing by score, circuit breakers, failover and recovery. At the end the providers' ledgers are compared with the store, and
 * what has to hold is checked (outage/Checks.ts).
 *
 * ```ts
 * const result = yield* Outage.run({ ...Outage.defaults, say: (line) => void process.stdout.write(`${line}\n`) })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as BreakerName from "../../src/domain/resilience/BreakerName.ts"
import type { Transition } from "../../src/orchestration/resilience/CircuitBreakers.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import * as Engine from "./Engine.ts"
import * as Checks from "./outage/Checks.ts"
import * as Compare from "./outage/Compare.ts"
import * as Evidence from "./outage/Evidence.ts"
import * as Figures from "./outage/Figures.ts"
import * as Load from "./outage/Load.ts"
import * as Text from "./outage/Text.ts"
import * as Provider from "./Provider.ts"

/** The cheapest is the best by score as long as it answers: the weights are the presets. */
export const accounts: ReadonlyArray<Provider.Account> = [
  { name: "low-fee", price: { fixedMinor: 10, basisPoints: 90 }, latencyMillis: 12 },
  { name: "balanced", price: { fixedMinor: 20, basisPoints: 110 }, latencyMillis: 8 },
  { name: "quick", price: { fixedMinor: 25, basisPoints: 140 }, latencyMillis: 3 }
]

/** Which one goes down, and the breaker in front of its charges. */
const victim = "low-fee"
const breakerName = BreakerName.of(GatewayName.make(victim), "sale")

/** `say`: told every line while it runs. The last phase goes on until the traffic has returned, at most as long as `limitMillis`. */
export interface OutageOptions {
  readonly outage: Provider.Outage
  readonly store: Engine.Store
  readonly perSecond: number
  readonly beforeMillis: number
  readonly outageMillis: number
  readonly afterMillis: number
  readonly say: (line: string) => void
  /** Instead of the settings of the demo: what the checks find then. */
  readonly settings?: Partial<EngineSettings>
}

export const defaults = {
  outage: "killed",
  store: "memory",
  perSecond: 100,
  beforeMillis: 4_000,
  outageMillis: 5_000,
  afterMillis: 2_500
} as const satisfies Partial<OutageOptions>

/** How long the traffic may take to return, and what is open to be found out. */
const limitMillis = 40_000
const lineMillis = 1_000
/** The share of a gateway is looked at over this long. */
const shareMillis = 500
const lookEveryMillis = 50

/** What was measured and checked. Times in epoch milliseconds, spans since the gateway was back; `undefined`: not at all. */
export interface OutageResult {
  readonly victim: string
  readonly outage: Figures.Span
  readonly phases: Checks.Phases
  readonly standings: Readonly<Record<Figures.PhaseName, Evidence.Standing>>
  readonly transitions: ReadonlyArray<Transition>
  readonly rounds: ReadonlyArray<Figures.Round>
  readonly closedAfterMillis: number | undefined
  readonly returnedAfterMillis: number | undefined
  readonly settledAfterMillis: number | undefined
  readonly comparison: Compare.Comparison
  /** Payments that were not asked for, because the machine was too busy for the rate. */
  readonly leftOut: number
  /** Why payments were refused, each time. */
  readonly refused: ReadonlyArray<string>
  readonly checks: ReadonlyArray<Checks.Check>
}

/** Runs it. Everything that was started ends with the scope. */
export const run = (
  options: OutageOptions
): Effect.Effect<OutageResult, Provider.ProviderFailed | Effect.Error<ReturnType<typeof Engine.build>>, Scope.Scope> =>
  Effect.gen(function* () {
    const stage = yield* setUp(options)
    return yield* evaluate(stage, yield* outageOf(stage, options))
  }).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))

/** What a run works with. */
interface Stage {
  readonly engine: Engine.Engine
  readonly providers: ReadonlyArray<Provider.Provider>
  readonly load: Load.Load
  /** All there were so far, of every breaker. */
  readonly transitions: ReadonlyArray<Transition>
  readonly startedAt: number
}

/** What happened when. */
interface Course {
  readonly outage: OutageResult["outage"]
  readonly returnedAt: number | undefined
  readonly endedAt: number
  readonly settledAt: number | undefined
}

/** Providers, engine and load, warmed up; says every transition and, every second, how it goes. */
const setUp = Effect.fnUntraced(function* (options: OutageOptions) {
  const { say } = options
  const directory = yield* temporaryDirectory
  const providers = yield* Effect.forEach(accounts, (account) => Provider.start(account, directory), { concurrency: "unbounded" })
  const engine = yield* Engine.build({ providers, store: options.store, directory, settings: options.settings })
  for (const line of Text.introduction({ accounts, options, settings: Engine.settings, amountMinor: Load.amountMinor })) say(line)
  yield* Effect.orDie(Load.warmUp(engine))
  const transitions: Array<Transition> = []
  const startedAt = yield* Clock.currentTimeMillis
  yield* Effect.forkScoped(
    Stream.runForEach(engine.breakers.transitions, (transition) =>
      Effect.sync(() => {
        transitions.push(transition)
        say(Text.line(transition.at - startedAt, Text.transition(transition)))
      })
    ),
    { startImmediately: true }
  )
  const load = yield* Load.start(engine, options.perSecond)
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      for (let from = startedAt; !load.isOver(); from += lineMillis) {
        const to = from + lineMillis
        yield* Effect.sleep(Math.max(0, to - (yield* Clock.currentTimeMillis)))
        say(Text.progress({ asked: load.asked, gateways: accounts, breakers: yield* engine.breakers.list, from, to, startedAt }))
      }
    })
  )
  return { engine, providers, load, transitions, startedAt } satisfies Stage
})

/** The outage itself, until the traffic has returned and nothing is open any more. */
const outageOf = Effect.fnUntraced(function* ({ engine, load, providers, startedAt }: Stage, options: OutageOptions) {
  const say = (at: number, text: string) => options.say(Text.line(at - startedAt, text))
  const provider = providers.find(({ account }) => account.name === victim)
  if (provider === undefined) return yield* Effect.die(new Error(`there is no provider ${victim}`))
  yield* Effect.sleep(options.beforeMillis)
  const from = yield* Clock.currentTimeMillis
  say(from, Text.goesDown(victim, options.outage))
  yield* provider.takeDown(options.outage)
  yield* Effect.sleep(options.outageMillis)
  yield* provider.bringBack(options.outage)
  const to = yield* Clock.currentTimeMillis
  say(to, `${victim} is back`)
  const enough = Figures.shareOf(load.asked, victim, { from: startedAt, to: from }) * Checks.leastReturned
  const returnedAt = yield* firstTime((now) =>
    Effect.map(breakerOf(engine), (breaker) => {
      const share = Figures.shareOf(load.asked, victim, { from: now - shareMillis, to: now })
      return breaker?.state === "closed" && share >= enough
    })
  )
  // A while of the traffic that has returned, too.
  const rest = Math.max(to + options.afterMillis, (returnedAt ?? 0) + options.afterMillis / 2) - (yield* Clock.currentTimeMillis)
  yield* Effect.sleep(Math.max(0, rest))
  const endedAt = yield* Clock.currentTimeMillis
  yield* load.stop
  const settledAt = yield* firstTime(() => Effect.map(Evidence.openOperations(engine), (open) => open === 0))
  return { outage: { from, to }, returnedAt, endedAt, settledAt } satisfies Course
})

const breakerOf = ({ breakers }: Engine.Engine) => Effect.map(breakers.list, (all) => all.find(({ name }) => name === breakerName))

/** When something was first seen, within the limit. */
const firstTime = Effect.fnUntraced(function* (isSeen: (now: number) => Effect.Effect<boolean>) {
  const since = yield* Clock.currentTimeMillis
  for (;;) {
    const now = yield* Clock.currentTimeMillis
    if (yield* isSeen(now)) return now
    if (now - since >= limitMillis) return undefined
    yield* Effect.sleep(lookEveryMillis)
  }
})

/** Reads what there is, and judges it. */
const evaluate = Effect.fnUntraced(function* (stage: Stage, { endedAt, outage, returnedAt, settledAt }: Course) {
  const { engine, load, providers, startedAt } = stage
  const stored = yield* Evidence.storedPayments(engine)
  const known: Figures.Known = {
    asked: load.asked,
    final: new Map(stored.map((payment) => [payment.id, payment])),
    fees: yield* Evidence.feesOf(providers),
    unanswered: Evidence.unansweredBy(engine, victim),
    gateways: accounts.map(({ name }) => name)
  }
  const spans = {
    before: { from: startedAt, to: outage.from },
    during: outage,
    after: { from: outage.to, to: endedAt }
  }
  const phases = {
    before: Figures.ofPhase(known, spans.before),
    during: Figures.ofPhase(known, spans.during),
    after: Figures.ofPhase(known, spans.after)
  }
  const transitions = stage.transitions.filter(({ breaker }) => breaker === breakerName)
  const calls = engine.calls.filter(({ gateway }) => gateway === victim)
  const rounds = Figures.roundsOf(calls, transitions, outage)
  const answered = load.asked.flatMap(({ answer }) => (answer === undefined ? [] : [answer]))
  const comparison = Compare.compare({ stored, ledgers: yield* Evidence.ledgersOf(providers), answered })
  const sinceBack = (at: number | undefined) => (at === undefined ? undefined : at - outage.to)
  const returnedAfterMillis = sinceBack(returnedAt)
  const { breakers, bulkhead } = Engine.settings
  return {
    victim,
    outage,
    phases,
    standings: {
      before: yield* Evidence.standing(engine, load.asked, spans.before),
      during: yield* Evidence.standing(engine, load.asked, spans.during),
      after: yield* Evidence.standing(engine, load.asked, spans.after)
    },
    transitions: stage.transitions,
    rounds,
    closedAfterMillis: sinceBack(transitions.findLast(({ to }) => to === "closed")?.at),
    returnedAfterMillis,
    settledAfterMillis: sinceBack(settledAt),
    comparison,
    leftOut: load.leftOut(),
    refused: load.asked.flatMap(({ refused }) => refused ?? []),
    checks: Checks.all({
      limits: { closed: breakers.settings.failureThreshold + bulkhead.concurrency, half_open: breakers.settings.halfOpenMaxAttempts },
      phases,
      gateway: victim,
      rounds,
      transitions,
      openings: (yield* breakerOf(engine))?.openCount ?? 0,
      comparison,
      returnedAfterMillis,
      open: yield* Evidence.openOperations(engine),
      unexpectedEnds: providers.flatMap((provider) => provider.unexpectedEnd() ?? [])
    })
  } satisfies OutageResult
})

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "aegispay-demo-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true, maxRetries: 10 }))
)
