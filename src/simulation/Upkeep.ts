/**
 * What looks after the payments of a seed beside recovery: expiry, reconciliation, rebuild and a person. Pure; from streams of its own, so
 * that everything else of a seed stays what it is without it.
 */
import type { PaymentPlan } from "./Plan.ts"
import * as Chance from "./world/Chance.ts"

/** Times in virtual milliseconds. `undefined`: it does not run. */
export interface Upkeep {
  readonly expiryIntervalMillis: number | undefined
  /** How long a payment waits for its customer. */
  readonly customerWaitMillis: number | undefined
  readonly reconciliationIntervalMillis: number | undefined
  readonly rebuildIntervalMillis: number | undefined
  /** How long the lease of a payment lasts that is not extended; `undefined`: the preset. */
  readonly recoveryLeaseMillis: number | undefined
  readonly lateSuccess: "reverse" | "keep"
  /** `hasty`: says what the PSP shows before anything is asked of it, and before everything sent has arrived. */
  readonly person: "careful" | "hasty" | undefined
}

/** Nothing beside recovery. */
export const recoveryOnly: Upkeep = {
  expiryIntervalMillis: undefined,
  customerWaitMillis: undefined,
  reconciliationIntervalMillis: undefined,
  rebuildIntervalMillis: undefined,
  recoveryLeaseMillis: undefined,
  lateSuccess: "reverse",
  person: undefined
}

/** What a seed brings. */
export const of = (seed: number): Upkeep => {
  const draw = Chance.stream(seed, "upkeep")
  return {
    expiryIntervalMillis: Chance.pick(draw, [undefined, 15_000, 45_000]),
    customerWaitMillis: Chance.pick(draw, [120_000, 120_000, 180_000, 900_000, 86_400_000]),
    reconciliationIntervalMillis: Chance.pick(draw, [undefined, undefined, undefined, 70_000]),
    rebuildIntervalMillis: Chance.pick(draw, [undefined, undefined, undefined, 50_000]),
    lateSuccess: Chance.pick(draw, ["reverse", "reverse", "keep"]),
    person: Chance.pick(draw, [undefined, "careful", "hasty"]),
    recoveryLeaseMillis: Chance.pick(draw, [undefined, 6_000])
  }
}

/** Longer waits than this are not waited for. */
const longestWaitMillis = 180_000

/** How long a payment waits for its customer until it has to expire here; `undefined`: it does not within the time of a simulation. */
export const expiresAfter = ({ customerWaitMillis, expiryIntervalMillis }: Upkeep): number | undefined =>
  expiryIntervalMillis !== undefined && customerWaitMillis !== undefined && customerWaitMillis <= longestWaitMillis
    ? customerWaitMillis
    : undefined

/** How many payments wait for a customer who does not act in time, where they expire. */
const forgottenShare = 0.35

/**
 * The plans of a seed with its upkeep. The PSP's list does not know of a capture that only a webhook told to have failed, so there is none where
 * lists are read; where payments expire, some customers forget theirs.
 */
export const plansFor = (seed: number, upkeep: Upkeep, plans: ReadonlyArray<PaymentPlan>): ReadonlyArray<PaymentPlan> =>
  plans.map((plan) => {
    const draw = Chance.stream(seed, `forgotten ${plan.key}`)
    const isForgotten = expiresAfter(upkeep) !== undefined && Chance.happens(draw, forgottenShare)
    return {
      ...plan,
      ...(upkeep.reconciliationIntervalMillis === undefined ? {} : { captureFailsAfter: undefined }),
      ...(isForgotten ? forgotten(plan) : {})
    }
  })

const forgotten = (plan: PaymentPlan): Partial<PaymentPlan> => ({
  offSession: false,
  references: Object.fromEntries(Object.keys(plan.references).map((account) => [account, "tok_3ds"])),
  customer: { ...plan.customer, action: "nothing" },
  visits: []
})

/** Customers come back that late before or after the time to expire. */
const earliestMillis = -10_000
const latestMillis = 50_000

/** When the customer of a payment comes back to the page, so long after its start; `undefined`: never. */
export const comesBackAfter = (seed: number, plan: PaymentPlan, upkeep: Upkeep): number | undefined => {
  const wait = expiresAfter(upkeep)
  const draw = Chance.stream(seed, `return to ${plan.key}`)
  return wait === undefined || Chance.happens(draw, 0.4) ? undefined : wait + Chance.between(draw, earliestMillis, latestMillis)
}
