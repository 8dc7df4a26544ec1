/**
 * What a simulation is asked for and what it answers.
 */
import type { Bug } from "./bugs/Bug.ts"
import type { Violation } from "./checks/Invariants.ts"

/** What to simulate. Everything but the seed only takes something away from what the seed brings. */
export interface Options {
  readonly seed: number
  /** Payments by their number; default all of the seed's. */
  readonly payments?: ReadonlyArray<number>
  /** At most this many faults of network and database strike. */
  readonly faults?: number
  /** At most this many processes crash. */
  readonly crashes?: number
  /** At most this many pauses. */
  readonly pauses?: number
  /** At most this many outages of PSP accounts. */
  readonly outages?: number
  /** How likely a fiber gives way at an operation. With it nothing else makes one give way, and none goes on late; default by the seed. */
  readonly preempt?: number
  /** Writes each commit alone; default false. */
  readonly alone?: boolean
  /** Of what looks after payments only recovery runs: no expiry, reconciliation, rebuild and no person; default false. */
  readonly recoveryOnly?: boolean
  /** Crashes an instance before this operation of the instances, counted from 1, and no other time. */
  readonly crashAt?: number
  readonly bug?: Bug
  /** Keeps the schedule as text; default false. */
  readonly trace?: boolean
}

/** What happened, in numbers. `fingerprint`: two runs with the same one were the same. */
export interface Stats {
  readonly steps: number
  /** Of the instances, until the hosts were done: so many places for a crash. */
  readonly operations: number
  readonly virtualMillis: number
  readonly payments: number
  readonly requests: number
  readonly commits: number
  /** Commits that were written together with another one's. */
  readonly grouped: number
  readonly faults: number
  readonly crashes: number
  readonly pauses: number
  readonly fingerprint: string
}

export interface Outcome {
  readonly violations: ReadonlyArray<Violation>
  readonly stats: Stats
  readonly trace: ReadonlyArray<string>
}
