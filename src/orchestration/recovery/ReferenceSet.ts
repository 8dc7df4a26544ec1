/**
 * A set of references that knows only their 64-bit digests: 16 to 32 bytes for each, whatever its length.
 *
 * Open addressing over two arrays of 32 bits, grown by doubling when half full. Two different references share a digest with a
 * probability of 3e-8 among a million, and then one counts as the other.
 */

/**
 * - `add`: true where the reference is new. A set that is full takes nothing more, and answers true.
 * - `isFull`: the most references are in it.
 */
export interface ReferenceSet {
  readonly has: (reference: string) => boolean
  readonly add: (reference: string) => boolean
  readonly isFull: () => boolean
}

const firstSlots = 4_096

interface Table {
  readonly high: Uint32Array
  readonly low: Uint32Array
  readonly mask: number
}

const tableOf = (slots: number): Table => ({ high: new Uint32Array(slots), low: new Uint32Array(slots), mask: slots - 1 })

/** An empty set of at most `maximum` references. */
export const make = (maximum: number): ReferenceSet => {
  let table = tableOf(firstSlots)
  let size = 0
  const grow = () => {
    const old = table
    table = tableOf((old.mask + 1) * 2)
    for (let slot = 0; slot <= old.mask; slot++) {
      const high = old.high[slot] ?? 0
      const low = old.low[slot] ?? 0
      if (high !== 0 || low !== 0) put(table, slotOf(table, high, low), high, low)
    }
  }
  return {
    has: (reference) => {
      const [high, low] = digest(reference)
      return isTaken(table, slotOf(table, high, low))
    },
    add: (reference) => {
      const [high, low] = digest(reference)
      const slot = slotOf(table, high, low)
      if (isTaken(table, slot)) return false
      if (size >= maximum) return true
      put(table, slot, high, low)
      size++
      if (size * 2 > table.mask) grow()
      return true
    },
    isFull: () => size >= maximum
  }
}

const put = (table: Table, slot: number, high: number, low: number): void => {
  table.high[slot] = high
  table.low[slot] = low
}

const isTaken = (table: Table, slot: number): boolean => table.high[slot] !== 0 || table.low[slot] !== 0

/** The slot of a digest, or the free one where it belongs. */
const slotOf = (table: Table, high: number, low: number): number => {
  let slot = low & table.mask
  while (isTaken(table, slot) && (table.high[slot] !== high || table.low[slot] !== low)) slot = (slot + 1) & table.mask
  return slot
}

/** FNV-1a and a second multiplicative hash over the code units, each mixed at the end; never twice zero, which marks a free slot. */
const digest = (text: string): readonly [high: number, low: number] => {
  let first = 0x811c9dc5
  let second = 0x9747b28c
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    first = Math.imul(first ^ unit, 0x01000193)
    second = Math.imul(second + unit, 0x85ebca6b) ^ (second >>> 13)
  }
  return [(mixed(first) | 1) >>> 0, mixed(second)]
}

/** The finaliser of MurmurHash3. */
const mixed = (hash: number): number => {
  let value = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
