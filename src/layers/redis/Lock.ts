/**
 * Locks as keys that expire, on the server's clock. Each question is one Lua script: one round trip, one step for everybody else.
 *
 * `lock:<key>` holds owner and token and goes with the lease. Tokens come from one counter for all keys that never expires, and are at
 * least the server's time in microseconds: so they grow over release, expiry, and the loss of the counter. Whoever waits asks
 * again every 50 ms first, 250 ms later, jittered; waiters are not served in order.
 *
 * An acquisition that is interrupted while it is under way gives back what it got. One whose answer is lost leaves a lease that nobody
 * holds; it ends with its time to live.
 *
 * **Gotchas**: this is one Redis server, and Redis replicates after it has answered. A failover may lose a lease that was just granted
 * and grant it again, so for a moment two owners believe they hold it; a clock of the new server that is behind may even repeat
 * tokens. The same goes for a server that restarts without its data. Locks save work; what is safe is the fence at the commit: the
 * version of the payment (https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { type Lease, LeaseLost, Lock, LockNotAcquired, LockUnavailable } from "../../services/Lock.ts"
import { Commands, type RedisFailed, type Script, script } from "./Commands.ts"

/** Between two questions of a waiter: often enough to be quick, seldom enough that 100 waiters ask 400 times a second. */
const firstPollMillis = 50
const longestPollMillis = 250
const pollGrowth = 1.5

/** Where the last token is kept. No lock can have this name: theirs begin with `lock:`. */
const tokensKey = "lock-tokens"

/** The server's time in milliseconds. Numbers of Lua are doubles: microseconds since 1970 are exact in them until the year 2255. */
const now = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** KEYS: lease, counter. ARGV: owner, time to live. The token is text: its digits would not survive as a number of every client. */
const acquiring = script<readonly [token: string, expiresAt: number] | null>(
  "lock.acquire",
  `${now}
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, time[1] * 1000000 + time[2])
token = string.format('%.0f', token)
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return { token, now + ARGV[2] }`
)

/** KEYS: lease. ARGV: what it holds. */
const releasing = script<number>(
  "lock.release",
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`
)

/** KEYS: lease. ARGV: what it holds, time to live. */
const extending = script<number | null>(
  "lock.extend",
  `${now}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return now + ARGV[2]`
)

const nameOf = (key: string) => `lock:${key}`
const contentOf = ({ owner, token }: Lease) => `${token} ${owner}`

const make = Effect.gen(function* () {
  const commands = yield* Commands

  const ask = <A>(key: string, script: Script<A>, options: Parameters<typeof commands.run>[1]): Effect.Effect<A, LockUnavailable> =>
    Effect.mapError(commands.run(script, options), (cause: RedisFailed) => new LockUnavailable({ key, cause }))

  const tryAcquire = ({ key, owner, ttlMillis }: { readonly key: string; readonly owner: string; readonly ttlMillis: number }) =>
    Effect.map(ask(key, acquiring, { keys: [nameOf(key), tokensKey], args: [owner, ttlMillis] }), (reply): Lease | undefined =>
      reply === null ? undefined : { key, owner, token: BigInt(reply[0]), expiresAt: reply[1] }
    )

  const release = Effect.fn("Lock.release")(function* (lease: Lease) {
    return (yield* ask(lease.key, releasing, { keys: [nameOf(lease.key)], args: [contentOf(lease)] })) === 1
  })

  /** A question is not interrupted, it would be carried out all the same; waiting is. */
  const acquire = Effect.fn("Lock.acquire")(function* (options: Parameters<(typeof Lock.Service)["acquire"]>[0]) {
    const { key, owner, waitMillis = 0 } = options
    let taken: Lease | undefined
    const waiting = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const startedAt = yield* Clock.monotonicTimeNanos
        for (let pollMillis = firstPollMillis; ; pollMillis = Math.min(pollMillis * pollGrowth, longestPollMillis)) {
          taken = yield* tryAcquire(options)
          if (taken !== undefined) return taken
          const waitedMillis = Number((yield* Clock.monotonicTimeNanos) - startedAt) / 1e6
          if (waitedMillis >= waitMillis) return yield* new LockNotAcquired({ key, owner, waitedMillis: Math.round(waitedMillis) })
          const jitter = yield* Random.nextBetween(0.5, 1)
          yield* restore(Effect.sleep(Math.ceil(Math.min(pollMillis * jitter, waitMillis - waitedMillis))))
        }
      })
    )
    return yield* Effect.onInterrupt(waiting, () => (taken === undefined ? Effect.void : Effect.ignore(release(taken))))
  })

  const extend = Effect.fn("Lock.extend")(function* (lease: Lease, { ttlMillis }: { readonly ttlMillis: number }) {
    const { key, owner } = lease
    const expiresAt = yield* ask(key, extending, { keys: [nameOf(key)], args: [contentOf(lease), ttlMillis] })
    return expiresAt === null ? yield* new LeaseLost({ key, owner }) : { ...lease, expiresAt }
  })

  return Lock.of({ acquire, release, extend })
})

/** Locks on the server of the commands. */
export const layer: Layer.Layer<Lock, never, Commands> = Layer.effect(Lock, make)
