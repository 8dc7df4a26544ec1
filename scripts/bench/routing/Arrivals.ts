/**
 * The payments of a day: cards of three countries, amounts around 25.00 EUR, so that a good half of them may be explored. From a seed.
 */
import type { PaymentDetails } from "../../../src/domain/payment/Event.ts"
import { makePaymentId, type PaymentId, TenantId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import * as Chance from "../../../src/domain/routing/plan/Chance.ts"
import * as World from "./World.ts"

/** A payment. `at`: milliseconds since the day began. */
export interface Arrival {
  readonly number: number
  readonly id: PaymentId
  readonly at: number
  readonly country: number
  readonly details: PaymentDetails
}

/** One every five seconds on average: some 720 in the hour that the windows hold. */
const meanGapMillis = 5_000

/** Minor units: log-normal amounts within limits. */
const amounts = { median: 2_500, spread: 0.8, least: 100, most: 50_000 }

/** The payments of a seed, in the order of time (a Poisson process). */
export const make = (seed: number): ReadonlyArray<Arrival> => {
  const uniform = Chance.streamOf(World.seedOf(seed, "arrivals"))
  const all: Array<Arrival> = []
  for (let at = 0; ;) {
    at += -Math.log(1 - uniform()) * meanGapMillis
    if (at >= World.dayMillis) return all
    const country = Math.floor(uniform() * World.countries.length)
    const drawn = amounts.median * Math.exp(amounts.spread * World.normal(uniform))
    const minor = BigInt(Math.round(Math.min(amounts.most, Math.max(amounts.least, drawn))))
    const number = all.length
    const uuid = `01900000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`
    all.push({ number, at, country, id: makePaymentId({ bucket: number % 65_536, uuid }), details: detailsOf(minor, country) })
  }
}

const detailsOf = (minor: bigint, country: number): PaymentDetails => ({
  tenant: TenantId.make("study"),
  amount: { currency: World.EUR, minor },
  captureMethod: "automatic",
  method: { type: "card", token: Token.make("tok_success"), brand: "visa", country: World.countries[country] ?? "DE" },
  customerPresent: true,
  metadata: {},
  completeWithinMillis: 900_000
})
