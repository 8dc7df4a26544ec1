/**
 * An open loop: payments begin when they are due, however long the earlier ones take.
 *
 * A latency counts from the time the payment was due, not from the time it was begun. So what a stall keeps waiting shows up in every
 * payment behind it (no coordinated omission), the stalls of this process included.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Worker } from "node:worker_threads"

/** What an open loop saw. Milliseconds; one entry per payment. */
export interface Observed {
  /** From the time a payment was due to its end. */
  readonly latencies: ReadonlyArray<number>
  /** From the time a payment was due to its begin. */
  readonly delays: ReadonlyArray<number>
  /** The most payments under way at once. */
  readonly mostInFlight: number
}

/** The threads start before the clock does. */
const leadMillis = 50

const millisSince = (startedAt: bigint): number => Number(process.hrtime.bigint() - startedAt) / 1e6

/** Begins `one` at every due time (milliseconds from the start, rising) and waits for all of them. A failure is a defect. */
export const run = (one: Effect.Effect<void>, dueMillis: ReadonlyArray<number>): Effect.Effect<Observed> =>
  Effect.callback<Observed>((resume) => {
    const latencies: Array<number> = []
    const delays: Array<number> = []
    let begun = 0
    let mostInFlight = 0
    const finish = () => resume(Effect.succeed({ latencies, delays, mostInFlight }))
    if (dueMillis.length === 0) return finish()
    const startedAt = process.hrtime.bigint() + BigInt(leadMillis) * 1_000_000n
    const metronome = new Worker(new URL("./metronome.ts", import.meta.url), { workerData: { dueMillis, startedAt } })
    metronome.once("error", (error) => resume(Effect.die(error)))
    metronome.on("message", (index: number) => {
      const due = dueMillis[index] ?? Number.NaN
      delays.push(millisSince(startedAt) - due)
      begun++
      mostInFlight = Math.max(mostInFlight, begun - latencies.length)
      Effect.runFork(one).addObserver((exit) => {
        if (Exit.isFailure(exit)) return resume(Effect.failCause(exit.cause))
        latencies.push(millisSince(startedAt) - due)
        if (latencies.length === dueMillis.length) finish()
      })
    })
    return Effect.promise(() => metronome.terminate())
  })
