/**
 * Rate limits as keys that expire, on the server's clock. A check is one Lua script: one round trip, one step for everybody else.
 *
 * `rate:<hash>` holds the state of a key and goes when it no longer matters; `rate-blocked` lists the blocked ones. A key is kept as the
 * first 16 bytes of a SHA-256 of limit, algorithm and key: the server does not learn of whom it is. A check waits 250 ms at the most, then fails
 * with `RateLimitStoreError`.
 *
 * effect's `RateLimiter` over Redis (effect/persistence) asks for one key at a time, and its token bucket runs on the clock of the client:
 * see RateLimitStore.ts of the services for what else it lacks.
 *
 * **Gotchas**: Redis replicates after it has answered, so a failover may forget the last checks; a server that restarts without its data has
 * forgotten all, blocked keys too. On a Redis Cluster all keys of a check must be in one slot: give the prefix a hash tag, such as `{aegispay}:`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import * as Presets from "../../domain/Presets.ts"
import type { Decision, RateLimit } from "../../domain/resilience/RateLimit.ts"
import * as Check from "../../domain/resilience/RateLimitCheck.ts"
import * as State from "../../domain/resilience/RateLimitState.ts"
import { type Question, RateLimitStore, RateLimitStoreError } from "../../services/resilience/RateLimitStore.ts"
import { Commands, type Script } from "./Commands.ts"
import * as RateLimitScript from "./RateLimitScript.ts"

/** No limit's key can have this name: theirs begin with `rate:`. */
const blockedKey = "rate-blocked"

const keyOf = ({ algorithm, name }: RateLimit, key: string): string =>
  // A text that is no Unicode has no UTF-8 of its own; as UTF-16 every text has one.
  `rate:${createHash("sha256").update(`${name}\n${algorithm}\n`).update(Buffer.from(key, "utf16le")).digest("hex").slice(0, 32)}`

const keysOf = ({ keys, limits }: Omit<Question, "cost">) => limits.map((limit, index) => keyOf(limit, keys[index] ?? ""))

const argumentsOf = ({ algorithm, block, burst, limit, windowMillis }: RateLimit) => [
  algorithm,
  limit,
  windowMillis,
  burst,
  block?.refusals ?? 0,
  block?.withinMillis ?? 0,
  block?.durationMillis ?? 0
]

const decisionOf = ({ cost, limits }: Question, [now, ...answers]: RateLimitScript.Reply): Decision => ({
  allowed: !answers.some(([refused]) => refused === 1),
  standings: limits.map((limit, index) => {
    const [refused, used = 0, blockedUntil = 0, ...counts] = answers[index] ?? []
    const state = { ...State.make(), used, at: now, counts, blockedUntil }
    return refused === 1 ? State.refusal(limit, state, { cost, now }) : State.standing(limit, state, { cost, now })
  })
})

/** The state in the text of the script. */
const stateOf = (text: string | null | undefined): State.RateLimitState => {
  if (text === null || text === undefined) return State.make()
  const [used = 0, at = 0, refusals = 0, refusedAt = 0, blockedUntil = 0, ...counts] = text.split(" ").map(Number)
  return { used, at, refusals, refusedAt, blockedUntil, counts }
}

/**
 * `timeoutMillis`: of one question, default the preset (250). `now`: counts by this time instead of the server's, in epoch milliseconds; for
 * tests.
 */
export interface Options {
  readonly timeoutMillis?: number
  readonly now?: Effect.Effect<number>
}

const make = Effect.fnUntraced(function* ({ now, timeoutMillis = Presets.rateLimits.storeTimeoutMillis.value }: Options) {
  const commands = yield* Commands
  const at: Effect.Effect<number | ""> = now ?? Effect.succeed("")

  const ask = <A>(
    script: Script<A>,
    options: { readonly keys: ReadonlyArray<string>; readonly args: (at: number | "") => ReadonlyArray<string | number> }
  ): Effect.Effect<A, RateLimitStoreError> =>
    Effect.flatMap(at, (at) =>
      commands.run(script, { keys: options.keys, args: options.args(at) }).pipe(
        Effect.timeout(timeoutMillis),
        Effect.mapError((cause) => new RateLimitStoreError({ operation: script.name, cause }))
      )
    )

  const run = (mode: "take" | "refund", question: Question) =>
    ask(RateLimitScript.asking, {
      keys: [blockedKey, ...keysOf(question)],
      args: (at) => [mode, question.cost, at, ...question.limits.flatMap(argumentsOf)]
    })

  return RateLimitStore.of({
    take: (question) => Effect.map(run("take", question), (reply) => decisionOf(question, reply)),
    peek: (question) =>
      Effect.map(ask(RateLimitScript.looking, { keys: keysOf(question), args: (at) => [at] }), ([now, ...states]) =>
        Check.peek(
          question.limits,
          question.limits.map((_, index) => stateOf(states[index])),
          { cost: question.cost, now }
        )
      ),
    refund: (question) => Effect.asVoid(run("refund", question)),
    reset: (subject) => Effect.asVoid(ask(RateLimitScript.forgetting, { keys: [blockedKey, ...keysOf(subject)], args: () => [] })),
    blocked: ask(RateLimitScript.counting, { keys: [blockedKey], args: (at) => [at] }),
    takeUnsafe: undefined
  })
})

/** As `layer`, with other settings. */
export const layerWith = (options: Options): Layer.Layer<RateLimitStore, never, Commands> => Layer.effect(RateLimitStore, make(options))

/** Rate limits on the server of the commands. */
export const layer: Layer.Layer<RateLimitStore, never, Commands> = layerWith({})
