/**
 * A bounded table of keys with their rate limit states, packed: the numbers of a key are one line of a `Float64Array`, so that a check
 * touches little memory and nothing of a key has to be collected.
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
/** Keys there is room for at first; the room doubles. */
const firstRoom = 1_024

/** Numbers of a key: those of its state, the last check that named it, and where it stands in which pool. */
const column = { used: 0, at: 1, refusals: 2, refusedAt: 3, blockedUntil: 4, check: 5, place: 6, pool: 7 } as const
const columns = 8

/** Where a key's numbers are. */
type Slot = number

/** Slots in no order, and where the hand that goes around stands. */
interface Pool {
  readonly slots: Array<Slot>
  hand: number
}

/** Opaque: use the functions of this module. */
export interface RateLimitKeys {
  readonly maxKeys: number
  lastLimit: RateLimit | undefined
  lastSlots: Map<string, Slot>
  readonly slotsOf: { readonly [_ in Algorithm]: Map<string, Map<string, Slot>> }
  numbers: Float64Array
  /** By slot: the key, its limit as it was named last, the counts of its windows. */
  readonly keys: Array<string>
  readonly limits: Array<RateLimit | undefined>
  readonly counts: Array<Array<number>>
  /** Slots that were given up. */
  readonly free: Array<Slot>
  readonly open: Pool
  readonly blocked: Pool
  /** Number of the present check. */
  check: number
  /** Room to look at a state. */
  readonly looked: State.RateLimitState
}

/** An empty table of `maxKeys` at the most; of 20 where that is less. */
export const make = (maxKeys: number): RateLimitKeys => ({
  maxKeys: Math.max(candidates, maxKeys),
  lastLimit: undefined,
  lastSlots: new Map(),
  slotsOf: { token_bucket: new Map(), sliding_window: new Map(), fixed_window: new Map() },
  numbers: new Float64Array(firstRoom * columns),
  keys: [],
  limits: [],
  counts: [],
  free: [],
  open: { slots: [], hand: 0 },
  blocked: { slots: [], hand: 0 },
  check: 0,
  looked: State.make()
})

export const size = ({ blocked, open }: RateLimitKeys): number => open.slots.length + blocked.slots.length

/** A key's slot, if it has one. */
export const find = (table: RateLimitKeys, limit: RateLimit, key: string): Slot | undefined => slotsOf(table, limit).get(boundedKey(key))

/** The slots of a limit; most checks name the limit of the one before. */
const slotsOf = (table: RateLimitKeys, limit: RateLimit): Map<string, Slot> => {
  if (table.lastLimit === limit) return table.lastSlots
  const byName = table.slotsOf[limit.algorithm]
  const slots = byName.get(limit.name) ?? new Map<string, Slot>()
  byName.set(limit.name, slots)
  table.lastLimit = limit
  table.lastSlots = slots
  return slots
}

const boundedKey = (key: string): string => (key.length <= longestKey ? key : `#${createHash("sha256").update(key).digest("base64url")}`)

/** A key may be a piece of a large text, such as a header, which it would keep in memory as a whole. */
const copyOf = (key: string): string => String(JSON.parse(JSON.stringify(key)))

/** The slot of a key for the present check, which keeps it from being evicted; a new one where it has none. */
export const hold = (table: RateLimitKeys, limit: RateLimit, key: string, now: number): Slot => {
  const slot = find(table, limit, key) ?? insert(table, limit, key, now)
  table.numbers[slot * columns + column.check] = table.check
  if (table.limits[slot] !== limit) table.limits[slot] = limit
  return slot
}

const insert = (table: RateLimitKeys, limit: RateLimit, key: string, now: number): Slot => {
  tidy(table, now)
  if (size(table) >= table.maxKeys) makeRoom(table, now)
  const slot = table.free.pop() ?? size(table)
  if ((slot + 1) * columns > table.numbers.length) {
    const longer = new Float64Array(2 * table.numbers.length)
    longer.set(table.numbers)
    table.numbers = longer
  }
  const kept = copyOf(boundedKey(key))
  slotsOf(table, limit).set(kept, slot)
  table.keys[slot] = kept
  table.limits[slot] = limit
  save(table, slot, State.make())
  enter(table, slot, table.open)
  return slot
}

/** Copies the state of a slot. */
export const load = ({ counts, numbers }: RateLimitKeys, slot: Slot, state: State.RateLimitState): void => {
  const from = slot * columns
  state.used = numbers[from + column.used] ?? 0
  state.at = numbers[from + column.at] ?? 0
  state.refusals = numbers[from + column.refusals] ?? 0
  state.refusedAt = numbers[from + column.refusedAt] ?? 0
  state.blockedUntil = numbers[from + column.blockedUntil] ?? 0
  state.counts = counts[slot] ?? State.none
}

/** Writes the state of a slot. */
export const save = ({ counts, numbers }: RateLimitKeys, slot: Slot, state: State.RateLimitState): void => {
  const from = slot * columns
  numbers[from + column.used] = state.used
  numbers[from + column.at] = state.at
  numbers[from + column.refusals] = state.refusals
  numbers[from + column.refusedAt] = state.refusedAt
  numbers[from + column.blockedUntil] = state.blockedUntil
  if (counts[slot] !== state.counts) counts[slot] = state.counts
}

/** Puts a key into the pool where it belongs after its state was changed. */
export const settle = (table: RateLimitKeys, slot: Slot): void => {
  const pool = (table.numbers[slot * columns + column.blockedUntil] ?? 0) === 0 ? table.open : table.blocked
  if (poolOf(table, slot) === pool) return
  leave(table, slot)
  enter(table, slot, pool)
}

/** Forgets a key. */
export const evict = (table: RateLimitKeys, slot: Slot): void => {
  const limit = table.limits[slot]
  if (limit === undefined) return
  leave(table, slot)
  slotsOf(table, limit).delete(table.keys[slot] ?? "")
  table.keys[slot] = ""
  table.limits[slot] = undefined
  table.counts[slot] = State.none
  table.free.push(slot)
}

/** Keys that are blocked at `now`. */
export const countBlocked = ({ blocked, numbers }: RateLimitKeys, now: number): number =>
  blocked.slots.filter((slot) => (numbers[slot * columns + column.blockedUntil] ?? 0) > now).length

const poolOf = ({ blocked, numbers, open }: RateLimitKeys, slot: Slot): Pool =>
  numbers[slot * columns + column.pool] === 0 ? open : blocked

const enter = (table: RateLimitKeys, slot: Slot, pool: Pool): void => {
  table.numbers[slot * columns + column.pool] = pool === table.open ? 0 : 1
  table.numbers[slot * columns + column.place] = pool.slots.length
  pool.slots.push(slot)
}

/** The last one of its pool takes its place. */
const leave = (table: RateLimitKeys, slot: Slot): void => {
  const { slots } = poolOf(table, slot)
  const place = table.numbers[slot * columns + column.place] ?? 0
  const last = slots.pop()
  if (last === undefined || slots.length === place) return
  slots[place] = last
  table.numbers[last * columns + column.place] = place
}

const next = (pool: Pool): Slot | undefined => {
  pool.hand = pool.hand + 1 < pool.slots.length ? pool.hand + 1 : 0
  return pool.slots[pool.hand]
}

const isHeld = ({ check, numbers }: RateLimitKeys, slot: Slot): boolean => numbers[slot * columns + column.check] === check

const freshAt = (table: RateLimitKeys, slot: Slot): number => {
  const limit = table.limits[slot]
  load(table, slot, table.looked)
  return limit === undefined ? 0 : State.freshAt(limit, table.looked)
}

/** Clears away what is as good as never seen, and takes from the blocked what is blocked no more. */
const tidy = (table: RateLimitKeys, now: number): void => {
  for (let looked = 0; looked < sweep; looked++) {
    const slot = next(table.open)
    if (slot !== undefined && !isHeld(table, slot) && freshAt(table, slot) <= now) evict(table, slot)
  }
  const released = next(table.blocked)
  if (released === undefined || (table.numbers[released * columns + column.blockedUntil] ?? 0) > now) return
  leave(table, released)
  enter(table, released, table.open)
}

const makeRoom = (table: RateLimitKeys, now: number): void => {
  for (const pool of [table.open, table.blocked]) {
    let victim: Slot | undefined
    let earliest = Number.POSITIVE_INFINITY
    const looks = Math.min(candidates, pool.slots.length)
    for (let looked = 0; looked < looks && earliest > now; looked++) {
      const slot = next(pool)
      if (slot === undefined || isHeld(table, slot)) continue
      const fresh = freshAt(table, slot)
      if (fresh >= earliest) continue
      victim = slot
      earliest = fresh
    }
    if (victim !== undefined) return evict(table, victim)
  }
}
