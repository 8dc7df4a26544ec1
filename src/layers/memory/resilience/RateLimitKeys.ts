/**
 * A bounded table of keys with their rate limit states.
 *
 * Whoever comes when it is full takes the place of another: of twenty keys in turn the one that is first back to what it was before
 * it was ever seen. Nothing is lost with one that already is, and each new key clears away up to two of those. Keys that are blocked
 * stand apart and go only when there are no others.
 */
import { createHash } from "node:crypto"
import { type Algorithm, maxLimitsOfCheck, type RateLimit } from "../../../domain/resilience/RateLimit.ts"
import * as State from "../../../domain/resilience/RateLimitState.ts"

/** Longer keys are kept as a hash, so that a key's size is bounded too. */
const longestKey = 64
/** Keys looked at for a victim; a check pins fewer. */
const candidates = 2 * maxLimitsOfCheck
/** Keys looked at to clear away, with each new one. */
const sweep = 2

type Home = Map<string, Entry>

/** A key's state, and its place in the table. A class, so that all have one shape. */
export class Entry implements State.RateLimitState {
  used = 0
  at = 0
  counts = State.none
  refusals = 0
  refusedAt = 0
  blockedUntil = 0
  /** As it was named last. */
  limit: RateLimit
  readonly key: string
  readonly home: Home
  pool: Pool
  place: number
  /** The last check that named it: a check must not evict what it is about to count. */
  check: number

  constructor(options: Pick<Entry, "limit" | "key" | "home" | "pool" | "place" | "check">) {
    this.limit = options.limit
    this.key = options.key
    this.home = options.home
    this.pool = options.pool
    this.place = options.place
    this.check = options.check
  }
}

/** Entries in no order, and where the hand that goes around stands. */
interface Pool {
  readonly entries: Array<Entry>
  hand: number
}

/** Opaque: use the functions of this module. */
export interface RateLimitKeys {
  readonly maxKeys: number
  readonly homes: { readonly [_ in Algorithm]: Map<string, Home> }
  readonly open: Pool
  readonly blocked: Pool
  /** Number of the present check. */
  check: number
}

/** An empty table of `maxKeys` at the most; of 20 where that is less. */
export const make = (maxKeys: number): RateLimitKeys => ({
  maxKeys: Math.max(candidates, maxKeys),
  homes: { token_bucket: new Map(), sliding_window: new Map(), fixed_window: new Map() },
  open: { entries: [], hand: 0 },
  blocked: { entries: [], hand: 0 },
  check: 0
})

export const size = ({ blocked, open }: RateLimitKeys): number => open.entries.length + blocked.entries.length

/** A key's entry, if it has one. */
export const find = (table: RateLimitKeys, limit: RateLimit, key: string): Entry | undefined => homeOf(table, limit).get(boundedKey(key))

const homeOf = ({ homes }: RateLimitKeys, { algorithm, name }: RateLimit): Home => {
  const known = homes[algorithm].get(name)
  if (known !== undefined) return known
  const home: Home = new Map()
  homes[algorithm].set(name, home)
  return home
}

const boundedKey = (key: string): string => (key.length <= longestKey ? key : `#${createHash("sha256").update(key).digest("base64url")}`)

/** A key may be a piece of a large text, such as a header, which it would keep in memory as a whole. */
const copyOf = (key: string): string => String(JSON.parse(JSON.stringify(key)))

/** A new entry for a key that has none. */
export const insert = (table: RateLimitKeys, limit: RateLimit, key: string, now: number): Entry => {
  tidy(table, now)
  if (size(table) >= table.maxKeys) makeRoom(table, now)
  const home = homeOf(table, limit)
  const kept = copyOf(boundedKey(key))
  const { check, open } = table
  const entry = new Entry({ limit, key: kept, home, pool: open, place: open.entries.length, check })
  home.set(kept, entry)
  open.entries.push(entry)
  return entry
}

/** Puts a key into the pool where it belongs after its state was changed. */
export const settle = ({ blocked, open }: RateLimitKeys, entry: Entry): void => {
  const pool = entry.blockedUntil === 0 ? open : blocked
  if (entry.pool === pool) return
  leave(entry)
  add(pool, entry)
}

/** Forgets a key. */
export const evict = (entry: Entry): void => {
  leave(entry)
  entry.home.delete(entry.key)
}

/** Keys that are blocked at `now`. */
export const countBlocked = ({ blocked }: RateLimitKeys, now: number): number =>
  blocked.entries.filter(({ blockedUntil }) => blockedUntil > now).length

const add = (pool: Pool, entry: Entry): void => {
  entry.pool = pool
  entry.place = pool.entries.length
  pool.entries.push(entry)
}

/** The last one takes its place. */
const leave = ({ place, pool: { entries } }: Entry): void => {
  const last = entries.pop()
  if (last === undefined || entries.length === place) return
  entries[place] = last
  last.place = place
}

const next = (pool: Pool): Entry | undefined => {
  pool.hand = pool.hand + 1 < pool.entries.length ? pool.hand + 1 : 0
  return pool.entries[pool.hand]
}

/** Clears away what is as good as never seen, and takes from the blocked what is blocked no more. */
const tidy = (table: RateLimitKeys, now: number): void => {
  for (let looked = 0; looked < sweep; looked++) {
    const entry = next(table.open)
    if (entry !== undefined && entry.check !== table.check && State.freshAt(entry.limit, entry) <= now) evict(entry)
  }
  const released = next(table.blocked)
  if (released === undefined || released.blockedUntil > now) return
  leave(released)
  add(table.open, released)
}

const makeRoom = (table: RateLimitKeys, now: number): void => {
  for (const pool of [table.open, table.blocked]) {
    let victim: Entry | undefined
    let earliest = Number.POSITIVE_INFINITY
    const looks = Math.min(candidates, pool.entries.length)
    for (let looked = 0; looked < looks && earliest > now; looked++) {
      const entry = next(pool)
      if (entry === undefined || entry.check === table.check) continue
      const freshAt = State.freshAt(entry.limit, entry)
      if (freshAt >= earliest) continue
      victim = entry
      earliest = freshAt
    }
    if (victim !== undefined) return evict(victim)
  }
}
