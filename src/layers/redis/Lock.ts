/**
 * Locks as keys that expire, on the server's clock. Each question is one Lua script: one round trip, one step for everybody else.
 *
 * `lock:<key>` holds owner and token and goes with the lease. Tokens come from one counter for all keys that never expires, and are at
 * least the server's time in microseconds: so they grow over release, expiry, and the loss of the counter. Whoever waits polls (PolledLock).
 *
 * An acquisition whose answer is lost leaves a lease that nobody holds; it ends with its time to live.
 *
 * **Gotchas**: this is one Redis server, and Redis replicates after it has answered. A failover may lose a lease that was just granted
 * and grant it again, so for a moment two owners believe they hold it; a clock of the new server that is behind may even repeat
 * tokens. The same goes for a server that restarts without its data. Locks save work; what is safe is the fence at the commit: the
 * version of the payment (https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Lease, LeaseLost, Lock, LockUnavailable } from "../../services/Lock.ts"
import * as PolledLock from "../PolledLock.ts"
import { Commands, type RedisFailed, type Script, script } from "./Commands.ts"

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

  const acquire = PolledLock.acquireFrom({ tryAcquire, release })

  const extend = Effect.fn("Lock.extend")(function* (lease: Lease, { ttlMillis }: { readonly ttlMillis: number }) {
    const { key, owner } = lease
    const expiresAt = yield* ask(key, extending, { keys: [nameOf(key)], args: [contentOf(lease), ttlMillis] })
    return expiresAt === null ? yield* new LeaseLost({ key, owner }) : { ...lease, expiresAt }
  })

  return Lock.of({ acquire, release, extend })
})

/** Locks on the server of the commands. */
export const layer: Layer.Layer<Lock, never, Commands> = Layer.effect(Lock, make)
