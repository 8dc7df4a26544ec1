/**
 * What a seed makes of the world: how many instances, which gateways with which limits, and when processes crash and pause and
 * accounts fail. Pure.
 */
import * as Plan from "./Plan.ts"
import type { PaymentPlan } from "./Plan.ts"
import * as Upkeep from "./Upkeep.ts"
import * as Chance from "./world/Chance.ts"
import { type Account, accounts as allAccounts } from "./world/Psp.ts"

/** Which instance: a number that is taken modulo their count. */
interface Target {
  readonly at: number
  readonly which: number
}

/** Times in virtual milliseconds. */
export interface Setup {
  /** How likely a fiber gives way at an operation. */
  readonly preempt: number
  /** After how many operations a fiber gives way at the latest, by instance; `undefined`: effect's default. */
  readonly opsBeforeYield: ReadonlyArray<number | undefined>
  /** How likely a fiber that gave way goes on some milliseconds later. */
  readonly late: number
  readonly accounts: ReadonlyArray<Account>
  readonly replayWindowMillis: number
  readonly plans: ReadonlyArray<PaymentPlan>
  readonly instances: number
  readonly recoveryOlderThanMillis: number
  readonly recoveryIntervalMillis: number
  /** The longest a statement of the database takes where commits of several payments are written together; `undefined`: each is written alone. */
  readonly groupMillis: number | undefined
  /** How often an instance looks whether webhooks are to be processed. */
  readonly webhookPollMillis: number
  readonly upkeep: Upkeep.Upkeep
  /** So many operations of the process after its time; it is down for a while. */
  readonly crashes: ReadonlyArray<Target & { readonly operations: number; readonly downMillis: number }>
  readonly pauses: ReadonlyArray<Target & { readonly millis: number }>
  readonly outages: ReadonlyArray<Target & { readonly millis: number; readonly kind: string }>
}

const maxPayments = 5
const maxInstances = 3
/** Crashes, pauses and outages begin within this time. */
const spanMillis = 90_000

const list = <A>(count: number, make: () => A): ReadonlyArray<A> => Array.from({ length: count }, make)

/** What an account tells of itself, and how. One that nobody can ask has to be heard; a hint is of use only where one can ask. */
const habitsOf = (draw: Chance.Draw): Pick<Account, "declares" | "webhooks"> => {
  const declares = Chance.pick(draw, ["all", "all", "all", "no look-up", "no replay", "neither"] as const)
  if (declares === "neither") return { declares, webhooks: "repeated" }
  const webhooks = Chance.pick(draw, ["repeated", "repeated", "given up", "unsigned", "none", "none"] as const)
  return { declares, webhooks: webhooks === "unsigned" && declares === "no look-up" ? "none" : webhooks }
}

/** Commits are grouped where payments are made at the same time: within a second or two, or at the very same moment. */
const rush = 30
const together = (plans: ReadonlyArray<PaymentPlan>, how: "apart" | "soon" | "at once") =>
  how === "apart"
    ? plans
    : plans.map((plan) => ({ ...plan, startAt: Math.floor((how === "soon" ? plan : (plans[0] ?? plan)).startAt / rush) }))

/** Few operations find what stands between two of them; more leave room for what takes as many to set up. */
const opsBeforeYield = (draw: Chance.Draw): number | undefined =>
  Chance.pick(draw, [undefined, undefined, Chance.between(draw, 1, 30), Chance.between(draw, 31, 300)])

const noTurns: Pick<Setup, "opsBeforeYield" | "late"> = { opsBeforeYield: [], late: 0 }

/** How fibers of the instances give way. */
const turnsOf = (seed: number, instances: number): Pick<Setup, "opsBeforeYield" | "late"> => {
  const draw = Chance.stream(seed, "turns")
  return { late: Chance.pick(draw, [0, 0, 0.05, 0.3]), opsBeforeYield: list(instances, () => opsBeforeYield(draw)) }
}

/** `alone`: no commits are written together, and nobody is in a rush. `preempt`, `recoveryOnly`: as in `Options`. */
export const of = (
  seed: number,
  options?: {
    readonly alone?: boolean | undefined
    readonly preempt?: number | undefined
    readonly recoveryOnly?: boolean | undefined
  }
): Setup => {
  const upkeep = options?.recoveryOnly === true ? Upkeep.recoveryOnly : Upkeep.of(seed)
  const draw = Chance.stream(seed, "world")
  const groups = Chance.stream(seed, "groups")
  const drawn = Chance.pick(groups, [undefined, 100, 300, 600])
  const groupMillis = options?.alone === true ? undefined : drawn
  const hurry = Chance.pick(groups, ["soon", "soon", "at once"] as const)
  const target = (): Target => ({ at: Chance.between(draw, 0, spanMillis), which: Chance.between(draw, 0, 9) })
  const accounts = Chance.shuffled(draw, allAccounts)
    .slice(0, Chance.pick(draw, [1, 2, 2, 3]))
    .map((account) => ({ ...account, ...habitsOf(draw) }))
  const preempt = Chance.pick(draw, [0, 0.005, 0.02, 0.08])
  const world = {
    accounts,
    replayWindowMillis: Chance.pick(draw, [86_400_000, 86_400_000, 180_000, 60_000]),
    plans: Upkeep.plansFor(
      seed,
      upkeep,
      together(Plan.payments(seed, Chance.between(draw, 1, maxPayments), accounts), groupMillis === undefined ? "apart" : hurry)
    ),
    instances: Chance.between(draw, 1, maxInstances),
    recoveryOlderThanMillis: Chance.pick(draw, [45_000, 10_000, 1_000, 1_000]),
    recoveryIntervalMillis: Chance.pick(draw, [30_000, 30_000, 30_000, 8_000]),
    groupMillis,
    webhookPollMillis: Chance.pick(draw, [8_000, 30_000]),
    upkeep,
    crashes: list(Chance.pick(draw, [0, 1, 3, 8, 16]), () => ({
      ...target(),
      operations: Chance.between(draw, 0, Chance.pick(draw, [30, 150, 600])),
      downMillis: Chance.between(draw, 100, Chance.pick(draw, [2_000, 15_000, 60_000]))
    })),
    pauses: list(Chance.pick(draw, [0, 0, 1, 3]), () => ({ ...target(), millis: Chance.pick(draw, [2_000, 20_000, 50_000, 100_000]) })),
    outages: list(Chance.pick(draw, [0, 0, 1, 3]), () => ({
      ...target(),
      millis: Chance.between(draw, 1_000, 60_000),
      kind: Chance.pick(draw, ["refuse", "5xx", "timeout", "slow"])
    }))
  }
  const turns = options?.preempt === undefined ? { preempt, ...turnsOf(seed, world.instances) } : { preempt: options.preempt, ...noTurns }
  return { ...world, ...turns }
}
