/**
 * The running sandbox without its transport: the accounts' states, and the one way in which they change.
 *
 * `perform` decides, applies and journals in one synchronous step, so that no other fiber sees or changes the state in between; the
 * effect ends when the change is durable. Timers and webhooks follow only then. Late executions, timers and webhook senders
 * live in the engine's scope, not in that of the request that caused them.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import * as Injector from "../domain/chaos/Injector.ts"
import * as Journal from "./Journal.ts"
import { problem, resolve, type ResolvedAccount, type ResolvedOptions, type SandboxOptions } from "./Options.ts"
import * as Ledger from "./psp/Ledger.ts"
import * as PspState from "./psp/PspState.ts"
import { type Command, decide } from "./psp/Transitions.ts"
import * as Webhooks from "./Webhooks.ts"

/** The settings of the sandbox cannot be used; `detail` names the setting. */
export class SandboxConfigError extends Schema.TaggedError<SandboxConfigError>()("SandboxConfigError", {
  detail: Schema.String
}) {
  override get message() {
    return `sandbox settings: ${this.detail}`
  }
}

export type Outage = "none" | "refuse" | "5xx" | "timeout" | "slow"

/** What `PUT /{account}/control` changes. */
export interface Control {
  readonly outage: Outage
  readonly errorRate: number
  readonly latencyMillis: number
  readonly lookupLagMillis: number
}

export interface Account {
  readonly options: ResolvedAccount
  readonly state: PspState.AccountState
  /** Keys of requests that are being processed. */
  readonly busy: Set<string>
  /** Keys whose first send met a fault of kind `once`; bounded, oldest first. */
  readonly faulted: Set<string>
  control: Control
}

/** What one step does to an account: the change to make, if any, and what the caller gets. */
export interface Step<A> {
  readonly change?: PspState.Change | undefined
  readonly value: A
}

/** A plan of faults at work. */
export interface FaultRun {
  readonly injector: Injector.Injector
  readonly startedNanos: bigint
}

export interface Engine {
  readonly options: ResolvedOptions
  /** The plan that runs, if any. */
  readonly faults: { run: FaultRun | undefined }
  readonly accounts: ReadonlyMap<string, Account>
  readonly random: Random.Random
  /** Runs a step at the present time and ends when its change is durable. */
  readonly perform: <A>(account: Account, step: (now: number) => Step<A>) => Effect.Effect<A, Journal.JournalError>
  /** Ends when all that was decided so far is durable. */
  readonly flushed: Effect.Effect<void, Journal.JournalError>
  /** Starts an effect that outlives the request. */
  readonly detach: (effect: Effect.Effect<void>) => Effect.Effect<void>
  readonly webhookCounts: Webhooks.Webhooks["counts"]
}

export const initialControl = (options: ResolvedAccount): Control => ({
  outage: "none",
  errorRate: options.errorRate,
  latencyMillis: options.latencyMillis,
  lookupLagMillis: options.lookupLagMillis
})

const rulesOf = (account: ResolvedAccount, options: ResolvedOptions): PspState.Rules => ({
  account: account.name,
  leavesOpenAfterDecline: account.leavesOpenAfterDecline,
  captures: account.captures,
  authorizationValidityMillis: account.authorizationValidityMillis,
  currencies: account.currencies,
  price: account.price,
  settleDelayMillis: options.settleDelayMillis,
  idempotencyWindowMillis: options.idempotencyWindowMillis,
  maxEntries: options.maxEntries,
  maxKeys: options.maxKeys,
  maxPending: options.maxPending
})

const makeAccount = (account: ResolvedAccount, options: ResolvedOptions, instance: string): Account => ({
  options: account,
  state: PspState.initial(rulesOf(account, options), instance),
  busy: new Set(),
  faulted: new Set(),
  control: initialControl(account)
})

/** A change that only stores a result: the request was answered without executing anything. */
export const emptyChange = (state: PspState.AccountState, now: number): PspState.Change => ({
  at: Math.max(now, state.lastAt),
  sequence: state.sequence,
  charges: [],
  refunds: [],
  operations: [],
  entries: [],
  events: []
})

type Timer = ReturnType<typeof PspState.waiting>[number]

const commandOf = ({ id, kind }: Timer): Command => {
  switch (kind) {
    case "charge":
      return { _tag: "SettleCharge", chargeId: id }
    case "refund":
      return { _tag: "SettleRefund", refundId: id }
    case "hold":
      return { _tag: "LapseHold", chargeId: id }
  }
}

const openJournal = Effect.fnUntraced(function* (options: ResolvedOptions, accounts: ReadonlyMap<string, Account>, instance: string) {
  if (options.directory === undefined) return undefined
  const journal = yield* Journal.open({
    directory: options.directory,
    instance,
    // A line of an account that is no longer configured stays in the file and is not used.
    onChange: (name, change) => {
      const account = accounts.get(name)
      if (account !== undefined) PspState.apply(account.state, change as PspState.Change)
    }
  })
  for (const account of accounts.values()) account.state.instance = journal.instance
  return journal
})

/** Takes the generator that the seed gives, or the current one. Ids without a seed come from the system's randomness. */
const makeRandom = (seed: number | string | undefined) =>
  Effect.map(seed === undefined ? Random.Random : Random.withSeed(Random.Random, seed), (random) => ({
    random,
    instance:
      seed === undefined
        ? randomBytes(4).toString("hex")
        : Math.floor(random.nextDoubleUnsafe() * 2 ** 32)
            .toString(16)
            .padStart(8, "0")
  }))

/** Starts an engine that lives as long as the scope. */
export const make = Effect.fnUntraced(function* (
  input: SandboxOptions
): Effect.fn.Return<Engine, SandboxConfigError | Journal.JournalError, Scope.Scope> {
  const options = resolve(input)
  const detail = problem(options)
  if (detail !== undefined) return yield* new SandboxConfigError({ detail })
  const { instance, random } = yield* makeRandom(options.seed)
  const scope = yield* Effect.scope
  const accounts = new Map(options.accounts.map((account) => [account.name, makeAccount(account, options, instance)]))
  const journal = yield* openJournal(options, accounts, instance)
  const webhooks = yield* Webhooks.make(options.webhooks, random)
  // A detached effect must not keep the context of the request that started it.
  const context = yield* Effect.context()

  const detach = (effect: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.asVoid(
      Effect.forkIn(
        Effect.updateContext(effect, (_request: Context.Context<never>) => context),
        scope
      )
    )

  const settleAll = (account: Account, source: Parameters<typeof PspState.waiting>[0]): Effect.Effect<void> =>
    Effect.forEach(PspState.waiting(source), (timer) => detach(settleAt(account, timer)), { discard: true })

  const follow = (account: Account, change: PspState.Change, bodies: ReadonlyArray<string>): Effect.Effect<void> => {
    for (const body of bodies) webhooks.offer(account.options, body)
    return change.charges.length + change.refunds.length === 0 ? Effect.void : settleAll(account, change)
  }

  const eventBodies = (account: Account, change: PspState.Change): ReadonlyArray<string> =>
    account.options.webhookUrl === undefined
      ? []
      : change.events.flatMap((event) => {
          const body = Ledger.eventJson(account.state, event, change.at)
          return body === undefined ? [] : [JSON.stringify(body)]
        })

  const perform: Engine["perform"] = (account, step) =>
    Effect.clockWith((clock) => {
      const { change, value } = step(clock.currentTimeMillisUnsafe())
      if (change === undefined) return Effect.succeed(value)
      PspState.apply(account.state, change)
      const bodies = eventBodies(account, change)
      const durable = journal?.append(JSON.stringify({ account: account.options.name, change })) ?? Effect.void
      return Effect.as(
        Effect.andThen(
          durable,
          Effect.suspend(() => follow(account, change, bodies))
        ),
        value
      )
    })

  const settleAt = (account: Account, timer: Timer): Effect.Effect<void> =>
    Clock.currentTimeMillis.pipe(
      Effect.flatMap((now) => Effect.sleep(Math.max(0, timer.at - now))),
      Effect.andThen(Effect.uninterruptible(settleNow(account, timer))),
      // A journal that cannot be written refuses every request; the timer has nobody to tell.
      Effect.ignore
    )

  const settleNow = (account: Account, timer: Timer) =>
    perform(account, (now) => ({ change: decide(account.state, commandOf(timer), now).change, value: undefined }))

  for (const account of accounts.values()) yield* settleAll(account, account.state)
  const run =
    options.chaos === undefined ? undefined : { injector: Injector.make(options.chaos), startedNanos: yield* Clock.monotonicTimeNanos }
  return {
    options,
    faults: { run },
    accounts,
    random,
    perform,
    flushed: journal?.flushed ?? Effect.void,
    detach,
    webhookCounts: webhooks.counts
  }
})
