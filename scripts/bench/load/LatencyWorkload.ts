/**
 * `latency`: how long a payment takes where payments come by their own schedule, beside two transactions written by hand.
 *
 * The gateway answers at once, so what is measured is what each adds. Both meet the same arrivals, one after the other. Latencies count from
 * the scheduled time (see `OpenLoop.ts`).
 */
import * as Effect from "effect/Effect"
import * as Database from "../engine/Database.ts"
import * as Engine from "../engine/Engine.ts"
import { alternate, type Case, type Options, ratioOf, repeatFor, type Report, resultsOf, type Sample } from "../Harness.ts"
import * as PeerSubject from "../peers/PeerSubject.ts"
import * as HandWritten from "../peers/HandWritten.ts"
import * as Subject from "../engine/Subject.ts"
import * as OpenLoop from "./OpenLoop.ts"
import { arrivals, quantile } from "./Schedule.ts"

const ours = "AegisPay"
const peerName = HandWritten.atOnce

/** A measurement is so many times as long as `--seconds`: a 99th percentile takes some hundred payments. */
const lengthFactor = 4

const caseOf = (
  subject: Subject.Subject,
  options: { readonly rate: number; readonly seconds: number; readonly seed: () => number }
): Case => ({
  name: `${subject.name}, ${options.rate}/s`,
  measure: Effect.gen(function* () {
    const { one } = yield* subject.make
    // Connections are opened and code is compiled before the first payment counts.
    yield* repeatFor({ one, concurrency: 16, seconds: options.seconds * Subject.warmUpShare })
    const due = arrivals({ perSecond: options.rate, seconds: options.seconds * lengthFactor, seed: options.seed() })
    const cpu = process.cpuUsage()
    const observed = yield* OpenLoop.run(one, due)
    const { system, user } = process.cpuUsage(cpu)
    return {
      "p50 ms": quantile(observed.latencies, 0.5),
      "p99 ms": quantile(observed.latencies, 0.99),
      "begun late p50 ms": quantile(observed.delays, 0.5),
      "begun late p99 ms": quantile(observed.delays, 0.99),
      "most in flight": observed.mostInFlight,
      "Node CPU ms": (user + system) / 1000 / Math.max(1, due.length)
    } satisfies Sample
  }).pipe(Effect.scoped)
})

/** Everybody of a round meets the same arrivals: the seed changes when all have been measured. */
const seedsFor = (cases: number) => {
  let measured = 0
  return () => 1 + Math.floor(measured++ / cases)
}

/** Runs the workload. */
export const run = ({ rates, rounds, seconds, walMegabytes }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const server = yield* Database.server({ walMegabytes })
    const peer = (yield* Effect.promise(HandWritten.peers)).find(({ name }) => name === peerName)
    const subjects: ReadonlyArray<Subject.Subject> = [
      Subject.enginePostgres(server, { name: ours, database: yield* server.create, gateways: Engine.instantGateways }),
      ...(peer === undefined ? [] : [yield* PeerSubject.make(server, peer)])
    ]
    const seed = seedsFor(subjects.length * rates.length)
    const cases = rates.flatMap((rate) => subjects.map((subject) => caseOf(subject, { rate, seconds, seed })))
    const samples = yield* alternate("latency", cases, rounds)
    return {
      workload: "latency",
      facts: {
        Postgres: `${server.version}, ${server.settings}`,
        "each measurement": `${seconds * lengthFactor} s of payments that arrive at random (a Poisson process), after ${seconds * Subject.warmUpShare} s of warm-up`
      },
      cases: resultsOf(samples),
      ratios:
        peer === undefined
          ? []
          : rates.flatMap((rate) =>
              (["p50 ms", "p99 ms"] as const).map((number) =>
                ratioOf(samples, {
                  name: `${number}: ${ours} / ${peerName}, ${rate}/s`,
                  of: `${ours}, ${rate}/s`,
                  over: `${peerName}, ${rate}/s`,
                  number
                })
              )
            ),
      notes: [
        ...(peer === undefined ? ["pg is not installed and was left out: npm install --prefix scripts/bench/peers"] : []),
        "Latencies count from the time a payment was due, also where it was begun late because the process was busy."
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
