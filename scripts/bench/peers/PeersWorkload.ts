/**
 * `peers`: the same crash-safe payment by this engine and by what a team would take instead, at the same concurrency, in the same rounds.
 *
 * See `Peer.ts` for what a payment is. The engine does more than any peer: it routes, guards the call, and keeps metrics; its gateway
 * answers at once like theirs. Every peer has a database of its own on the same server, with `synchronous_commit` on.
 */
import * as Effect from "effect/Effect"
import * as Database from "../engine/Database.ts"
import * as Engine from "../engine/Engine.ts"
import { alternate, type Options, ratioOf, type Report, resultsOf, type Sample } from "../Harness.ts"
import * as Subject from "../engine/Subject.ts"
import * as HandWritten from "./HandWritten.ts"
import * as Installed from "./Installed.ts"
import * as PeerSubject from "./PeerSubject.ts"

const ours = "AegisPay"

/** What is compared, and whether more or less of it is better. */
const compared = ["payments/s", "Node CPU ms", "Postgres CPU ms", "WAL KB"] as const

const ratiosOf = (
  samples: ReadonlyMap<string, ReadonlyArray<Sample>>,
  options: { readonly names: ReadonlyArray<string>; readonly fibers: number }
) =>
  compared.flatMap((number) =>
    options.names
      .filter((name) => samples.has(`${name}, c=${options.fibers}`) && samples.has(`${ours}, c=${options.fibers}`))
      .map((name) =>
        ratioOf(samples, {
          name: `${number}: ${ours} / ${name}, c=${options.fibers}`,
          of: `${ours}, c=${options.fibers}`,
          over: `${name}, c=${options.fibers}`,
          number
        })
      )
  )

/** Runs the workload. */
export const run = (options: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const { only, rounds, seconds } = options
    const concurrency = options.concurrency.length === 0 ? [64] : options.concurrency
    const server = yield* Database.server(options)
    const { missing, peers } = yield* Effect.promise(Installed.peers)
    const wanted = peers.filter(({ name }) => name.includes(only))
    const engine = Subject.enginePostgres(server, { name: ours, database: yield* server.create, gateways: Engine.instantGateways })
    const subjects = [engine, ...(yield* Effect.forEach(wanted, (peer) => PeerSubject.make(server, peer)))]
    const cases = concurrency.flatMap((fibers) =>
      subjects.map((subject) => Subject.postgresCase(server, subject, { concurrency: fibers, seconds }))
    )
    // One caller, with nothing to group: beside what would be as fast by hand.
    const alone = options.concurrency.length === 0 ? subjects.filter(({ name }) => [ours, HandWritten.atOnce].includes(name)) : []
    cases.push(...alone.map((subject) => Subject.postgresCase(server, subject, { concurrency: 1, seconds })))
    const samples = yield* alternate("peers", cases, rounds)
    return {
      workload: "peers",
      facts: {
        Postgres: `${server.version}, ${server.settings}`,
        "each measurement": `${seconds} s after ${seconds * Subject.warmUpShare} s of warm-up`,
        peers: Installed.versions()
      },
      cases: resultsOf(samples),
      ratios: [...new Set([...concurrency, ...(alone.length > 0 ? [1] : [])])].flatMap((fibers) =>
        ratiosOf(samples, { names: wanted.map(({ name }) => name), fibers })
      ),
      notes: [
        ...missing.map((name) => `${name} is not installed and was left out: npm install --prefix scripts/bench/peers`),
        "payments/s: more is better; of the others less is.",
        "CPU is what was used while measuring; transactions, fsyncs and WAL are the server's and include opening and warming up."
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
