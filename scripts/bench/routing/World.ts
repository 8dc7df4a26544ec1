/**
 * A day of four gateways that do not stay as they are: approval rates that drift, outages, brown-outs, different prices. From a seed.
 *
 * What stays is who they are: the cheaper ones approve less and are slower. What the seed decides is when each is down, how its approval rate
 * drifts, and what each country's issuers make of it. One of them begins badly and gets good, so that a policy that never looks again
 * misses it.
 */
import * as Chance from "../../../src/domain/routing/plan/Chance.ts"
import type { Fees } from "../../../src/domain/routing/policy/Cost.ts"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"

export const EUR = CurrencyCode.make("EUR")
export const countries = ["DE", "FR", "NL"] as const

const minute = 60_000
const hour = 60 * minute
export const dayMillis = 24 * hour

/** How a gateway is at a moment. Shares in [0, 1]. */
export interface Condition {
  /** It answers at all; else it times out or refuses the connection. */
  readonly availability: number
  /** It approves what it answers. */
  readonly approval: number
  readonly medianMillis: number
}

/** A gateway of the world. `at`: for payments of a country, at a time since the day began. */
export interface Gateway {
  readonly name: GatewayName
  readonly fees: Fees
  readonly at: (time: number, country: number) => Condition
}

/** What an event does to a gateway while it lasts. */
interface Trouble {
  readonly from: number
  readonly to: number
  readonly availability: number
  readonly slower: number
}

interface Role {
  readonly name: string
  readonly basisPoints: number
  readonly fixedMinor: number
  readonly availability: number
  readonly approval: number
  readonly medianMillis: number
  /** Added to the approval rate from the middle of the day on, reached within two hours. */
  readonly later: number
}

const roles: ReadonlyArray<Role> = [
  { name: "budget", basisPoints: 90, fixedMinor: 20, availability: 0.985, approval: 0.87, medianMillis: 900, later: 0 },
  { name: "newcomer", basisPoints: 120, fixedMinor: 20, availability: 0.99, approval: 0.8, medianMillis: 700, later: 0.14 },
  { name: "standard", basisPoints: 140, fixedMinor: 25, availability: 0.995, approval: 0.9, medianMillis: 600, later: 0 },
  { name: "premium", basisPoints: 240, fixedMinor: 30, availability: 0.998, approval: 0.925, medianMillis: 400, later: 0 }
]

/** The gateways of a seed, cheapest first. */
export const make = (seed: number): ReadonlyArray<Gateway> => {
  const uniform = Chance.streamOf(seedOf(seed, "world"))
  return roles.map((role) => gatewayOf(role, uniform))
}

/** A number in (0, 1) for a seed and a purpose. */
export const seedOf = (seed: number, purpose: string): number => Chance.uniformOf(`${purpose} ${seed}`)

/** A standard normal number (Box and Muller). */
export const normal = (uniform: Chance.Uniform): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())

/** No gateway of the world. */
export const nobody = GatewayName.make("nobody")

const gatewayOf = (role: Role, uniform: Chance.Uniform): Gateway => {
  const between = (least: number, most: number) => least + (most - least) * uniform()
  const period = between(8 * hour, 24 * hour)
  const phase = between(0, 2 * Math.PI)
  const amplitude = between(0.01, 0.04)
  const issuers = countries.map(() => between(-0.04, 0.04))
  const outages = times(uniform, 1.5).map((from) => ({ from, to: from + between(5, 45) * minute, availability: 0.02, slower: 1 }))
  const brownouts = times(uniform, 1.5).map((from) => ({ from, to: from + between(20, 120) * minute, availability: 0.8, slower: 3 }))
  const troubles: ReadonlyArray<Trouble> = [...outages, ...brownouts]
  return {
    name: GatewayName.make(role.name),
    fees: [{ currency: EUR, fixedMinor: role.fixedMinor, basisPoints: role.basisPoints }],
    at: (time, country) => {
      const drift = amplitude * Math.sin((2 * Math.PI * time) / period + phase)
      const later = role.later * Math.min(1, Math.max(0, (time - dayMillis / 2) / (2 * hour)))
      let availability = role.availability
      let slower = 1
      for (const trouble of troubles) {
        if (time < trouble.from || time >= trouble.to) continue
        availability = Math.min(availability, trouble.availability)
        slower = Math.max(slower, trouble.slower)
      }
      return {
        availability,
        approval: Math.min(0.99, role.approval + drift + later + (issuers[country] ?? 0)),
        medianMillis: role.medianMillis * slower
      }
    }
  }
}

/** Moments of a day, so many on average (a Poisson process). */
const times = (uniform: Chance.Uniform, mean: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  let at = 0
  for (;;) {
    at += (-Math.log(1 - uniform()) * dayMillis) / mean
    if (at >= dayMillis) return found
    found.push(at)
  }
}
