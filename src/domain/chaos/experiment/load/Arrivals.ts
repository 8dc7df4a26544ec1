/**
 * Which payments are asked for when: the load, drawn from a seed. Times in milliseconds from the start of the experiment.
 */
import type { CurrencyCode } from "../../../Currency.ts"
import { type CompleteLoad, type Kind, kinds } from "./Load.ts"

/** Numbers in [0, 1). */
type Draw = () => number

/** A payment that is asked for. */
export interface Arrival {
  readonly index: number
  readonly atMillis: number
  readonly kind: Kind
  /** Minor units. */
  readonly amount: number
  readonly currency: CurrencyCode
  /** The customer's bank refuses it. */
  readonly declined: boolean
  /** Of a duplicate: how long after the first request the second is made. */
  readonly duplicateAfterMillis: number
}

/** The longest that a duplicate comes after the first request: some meet it under way, some when it is answered. */
const duplicateWithinMillis = 1_000

/**
 * Every payment of a load, in the order of their times. Times, and what is asked for, are drawn apart (`draws`), so that another mix
 * leaves the times as they are.
 */
export function* of(load: CompleteLoad, untilMillis: number, draws: { readonly times: Draw; readonly contents: Draw }): Generator<Arrival> {
  let index = 0
  for (const atMillis of timesOf(load, untilMillis, draws.times)) yield arrival(load, index++, atMillis, draws.contents)
}

function* timesOf({ arrival, burstSize, ratePerSecond }: CompleteLoad, untilMillis: number, draw: Draw): Generator<number> {
  const everyMillis = 1_000 / ratePerSecond
  switch (arrival) {
    case "poisson":
      for (let at = exponential(everyMillis, draw); at < untilMillis; at += exponential(everyMillis, draw)) yield Math.floor(at)
      return
    case "uniform":
      for (let count = 0; count * everyMillis < untilMillis; count++) yield Math.floor(count * everyMillis)
      return
    case "bursts":
      for (let count = 0; count * everyMillis < untilMillis; count++) yield Math.floor((count - (count % burstSize)) * everyMillis)
  }
}

/** Times between independent events: -ln(1 - u) times their mean. */
const exponential = (mean: number, draw: Draw): number => -Math.log(1 - draw()) * mean

/** Five draws for every payment, whatever it is, so that no payment changes what the next one is. */
const arrival = (load: CompleteLoad, index: number, atMillis: number, draw: Draw): Arrival => {
  const kind = weighted(
    kinds.map((kind) => [kind, load.mix[kind]] as const),
    draw()
  )
  const currency = weighted(
    load.currencies.map((one) => [one, one.weight] as const),
    draw()
  )
  const { maxAmount = 1, minAmount = 1 } = currency ?? {}
  return {
    index,
    atMillis,
    kind: kind ?? "charge",
    amount: minAmount + Math.floor(draw() * (maxAmount - minAmount + 1)),
    currency: currency?.currency ?? ("EUR" as CurrencyCode),
    declined: draw() < load.declinedShare,
    duplicateAfterMillis: Math.floor(draw() * duplicateWithinMillis)
  }
}

const weighted = <A>(from: ReadonlyArray<readonly [A, number]>, drawn: number): A | undefined => {
  let left = drawn * from.reduce((total, [, weight]) => total + weight, 0)
  for (const [value, weight] of from) {
    left -= weight
    if (left < 0) return value
  }
  return from[0]?.[0]
}
