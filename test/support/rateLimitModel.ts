/**
 * Rate limits as one would explain them: a diary of what was taken, read from its beginning for every question; tokens that drip one
 * millisecond at a time. Slow and obvious, to compare the real ones with.
 *
 * Time only goes forward here.
 */
import { capacityOf, type RateLimit } from "../../src/domain/resilience/RateLimit.ts"

interface Entry {
  readonly at: number
  cost: number
}

/** One key of one limit. */
class Key {
  readonly limit: RateLimit
  /** What was taken and not given back, oldest first. */
  taken: Array<Entry> = []
  /** Token bucket: units missing of a full one, and until when they dripped back. */
  missing = 0n
  dripped = 0
  refusals: Array<number> = []
  blockedUntil = 0

  constructor(limit: RateLimit) {
    this.limit = limit
  }

  drip(now: number): void {
    if (this.missing === 0n) this.dripped = now
    while (this.dripped < now && this.missing > 0n) {
      this.missing -= BigInt(this.limit.limit)
      if (this.missing < 0n) this.missing = 0n
      this.dripped += 1
    }
    this.dripped = now
  }

  /** What still counts. */
  counted(now: number): Array<Entry> {
    const { algorithm, windowMillis } = this.limit
    if (algorithm === "sliding_window") {
      const step = Math.ceil(windowMillis / 60)
      return this.taken.filter(({ at }) => Math.floor(now / step) - Math.floor(at / step) <= 60)
    }
    let window: Array<Entry> = []
    for (const entry of this.taken) {
      const [first] = window
      if (first !== undefined && entry.at < first.at + windowMillis) window.push(entry)
      else window = [entry]
    }
    const [first] = window
    return first !== undefined && now < first.at + windowMillis ? window : []
  }

  remaining(now: number): number {
    if (now < this.blockedUntil) return 0
    if (this.limit.algorithm === "token_bucket") {
      this.drip(now)
      const window = BigInt(this.limit.windowMillis)
      return Number((BigInt(capacityOf(this.limit)) * window - this.missing) / window)
    }
    return this.counted(now).reduce((left, { cost }) => left - cost, capacityOf(this.limit))
  }

  take(cost: number, now: number): void {
    this.drip(now)
    this.missing += BigInt(cost * this.limit.windowMillis)
    this.taken.push({ at: now, cost })
  }

  refund(cost: number, now: number): void {
    this.drip(now)
    const units = BigInt(cost * this.limit.windowMillis)
    this.missing = this.missing > units ? this.missing - units : 0n
    let left = cost
    for (const entry of this.counted(now).reverse()) {
      const given = Math.min(left, entry.cost)
      entry.cost -= given
      left -= given
    }
    this.taken = this.taken.filter((entry) => entry.cost > 0)
  }

  refuse(now: number): void {
    const { block } = this.limit
    if (block === undefined || now < this.blockedUntil) return
    const [first = now] = this.refusals
    if (now >= first + block.withinMillis) this.refusals = []
    this.refusals.push(now)
    if (this.refusals.length < block.refusals) return
    this.blockedUntil = now + block.durationMillis
    this.refusals = []
  }
}

/** What a check asks. `keys` belong to `limits` by position. */
export interface Asked {
  readonly limits: ReadonlyArray<RateLimit>
  readonly keys: ReadonlyArray<string>
  readonly cost: number
  readonly now: number
}

/** What the model answers. */
export interface Expected {
  readonly allowed: boolean
  readonly remaining: ReadonlyArray<number>
  /** Which of the limits refused. */
  readonly refused: ReadonlyArray<boolean>
  readonly blocked: ReadonlyArray<boolean>
}

/** Any number of limits and keys. */
export class RateLimitModel {
  readonly #keys = new Map<string, Key>()

  #find(asked: Asked): Array<Key> {
    return asked.limits.map((limit, index) => {
      const id = `${limit.name} ${asked.keys[index]}`
      const key = this.#keys.get(id) ?? new Key(limit)
      this.#keys.set(id, key)
      return key
    })
  }

  #answer(asked: Asked, refused: ReadonlyArray<boolean>): Expected {
    const keys = this.#find(asked)
    return {
      allowed: !refused.includes(true),
      remaining: keys.map((key) => key.remaining(asked.now)),
      refused,
      blocked: keys.map((key) => asked.now < key.blockedUntil)
    }
  }

  peek(asked: Asked): Expected {
    return this.#answer(
      asked,
      this.#find(asked).map((key) => asked.now < key.blockedUntil || key.remaining(asked.now) < asked.cost)
    )
  }

  take(asked: Asked): Expected {
    const { refused } = this.peek(asked)
    this.#find(asked).forEach((key, index) => {
      if (!refused.includes(true)) key.take(asked.cost, asked.now)
      if (refused[index] === true) key.refuse(asked.now)
    })
    return this.#answer(asked, refused)
  }

  refund(asked: Asked): void {
    for (const key of this.#find(asked)) key.refund(asked.cost, asked.now)
  }
}
