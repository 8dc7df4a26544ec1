/**
 * The crash test: real processes, real sockets, a real Postgres, and an independent ledger to compare with.
 *
 *     npm run test:crash -- --seconds 600 --seed 7 --servers 3
 *
 * Load runs on several servers while servers are killed and suspended, Postgres is killed and connections break (Chaos.ts). Then the
 * faults stop, `aegispay recover` runs until nothing is open but what waits for its customer, and ledger, database and what the callers
 * were told are compared payment by payment (Verify.ts). The last line says how it ended; exit code 1 where anything is lost, doubled or
 * unexplained, 2 where it could not run.
 */
import * as Child from "./Child.ts"
import * as Chaos from "./Chaos.ts"
import { pause } from "./FaultProxy.ts"
import * as Load from "./Load.ts"
import * as Log from "./Log.ts"
import * as Plant from "./Plant.ts"
import * as Verify from "./Verify.ts"
import * as World from "./World.ts"

/** Callers mostly wait: for answers that were lost, for the next try, for the PSP, for their customers. So there are many. */
const defaults = { seconds: 30, servers: 3, workers: 128, plant: 0 }
/** Everything that was open is settled well before: the settle time, and a few rounds. */
const recoveryLimitMillis = 120_000
const maxShown = 20

const usage = "usage: npm run test:crash -- [--seconds 1..3600] [--seed N] [--servers 1..8] [--workers 1..256]"

interface Options {
  readonly seconds: number
  readonly seed: number
  readonly servers: number
  readonly workers: number
  /** 1: no faults; damages ledger and log before the comparison, to show that it is noticed (Plant.ts). */
  readonly plant: number
}

const parse = (args: ReadonlyArray<string>): Options | undefined => {
  const limits: Record<string, number> = { seconds: 3_600, seed: 2 ** 31 - 1, servers: 8, workers: 256, plant: 1 }
  const given: Record<string, number> = {}
  for (let index = 0; index < args.length; index += 2) {
    const name = args[index]?.replace(/^--/, "") ?? ""
    const value = Number(args[index + 1])
    if (limits[name] === undefined || !Number.isInteger(value) || value < 1 || value > limits[name]) return undefined
    given[name] = value
  }
  return { ...defaults, seed: 1 + Math.floor(Math.random() * 1_000_000), ...given }
}

const say = (text: string) => void process.stdout.write(`${text}\n`)

/** What a recovery came to. */
interface Report {
  readonly scanned: number
  readonly results: Readonly<Record<string, number>>
}

const only = ({ results, scanned }: Report, ...allowed: ReadonlyArray<string>): boolean =>
  scanned === allowed.reduce((sum, result) => sum + (results[result] ?? 0), 0)

/**
 * Recovers until every operation that is open waits for its customer. Two at once, as two operators might: of what one is busy with the
 * other learns nothing. So where both leave nothing but that, a third one by itself has to find that all of it waits.
 */
const recoverAll = async (world: World.World): Promise<string | undefined> => {
  const startedAt = performance.now()
  let last: ReadonlyArray<Report> = []
  const round = async (processes: number): Promise<string | undefined> => {
    const ends = await Promise.all(Array.from({ length: processes }, () => world.recover()))
    const failed = ends.find(({ code }) => code !== 0 && code !== 1)
    if (failed !== undefined) return `aegispay recover ended with ${failed.signal ?? failed.code}: ${failed.stderr}`
    last = ends.map(({ stdout }) => JSON.parse(stdout.split("\n")[0] ?? "{}") as Report)
    return undefined
  }
  for (let rounds = 1; performance.now() - startedAt < recoveryLimitMillis; rounds++) {
    const failed = await round(2)
    if (failed !== undefined) return failed
    if (last.every((report) => only(report, "requires_action", "busy"))) {
      const failedAlone = await round(1)
      if (failedAlone !== undefined) return failedAlone
      if (last.every((report) => only(report, "requires_action"))) {
        say(`recovered in ${rounds} rounds of two processes at once, ${elapsed(startedAt)}`)
        return undefined
      }
    }
    await pause(1_000)
  }
  return `operations are still open after ${recoveryLimitMillis / 1000} s: ${JSON.stringify(last[0])}`
}

const elapsed = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`

const run = async (options: Options, stopping: AbortSignal): Promise<number> => {
  const unexpected: Array<string> = []
  const world = await World.start({
    servers: options.servers,
    seed: options.seed,
    onUnexpectedEnd: (what) => void unexpected.push(what)
  })
  const onStop = () => void world.close()
  stopping.addEventListener("abort", onStop)
  try {
    const log = Log.make()
    const counts: Chaos.Counts = { kills: 0, postgresKills: 0, pauses: 0, networkChanges: 0 }
    while (world.instances.some((instance) => instance.state() === "down") && unexpected.length === 0 && !stopping.aborted) await pause(50)
    const startedAt = performance.now()
    const end = performance.now() + options.seconds * 1000
    const isOver = () => performance.now() >= end || stopping.aborted
    await Promise.all([
      Load.run({ world, log, seed: options.seed, workers: options.workers, isOver }),
      options.plant === 1 ? undefined : Chaos.run({ world, seed: options.seed, counts, isOver })
    ])
    // The last kill: whatever is in hand is cut off.
    counts.kills += world.instances.filter((instance) => instance.state() !== "down").length
    await world.stopServers()
    say(`load and faults took ${elapsed(startedAt)}`)
    const open = await recoverAll(world)
    if (options.plant === 1) await Plant.plant(world, log)
    const before = await Verify.sizes(world)
    const again = await recoverAll(world)
    const comparedAt = performance.now()
    const verdict = await Verify.verify(world, log)
    say(`comparison took ${elapsed(comparedAt)}`)
    if (stopping.aborted) return 2
    const wrong = [
      ...unexpected.map((what) => `I10: ${what}`),
      ...(open === undefined ? [] : [open]),
      ...(again === undefined ? [] : [`I9: ${again}`]),
      ...(before.events === verdict.events && before.ledgerEntries === verdict.ledgerEntries
        ? []
        : [
            `I9: a further recovery made events ${before.events} -> ${verdict.events}, ledger entries ${before.ledgerEntries} -> ${verdict.ledgerEntries}`
          ]),
      ...(verdict.payments === 0 ? ["no payment was made"] : [])
    ]
    return print(options, counts, log, verdict, wrong)
  } finally {
    stopping.removeEventListener("abort", onStop)
    await world.close()
  }
}

const print = (options: Options, counts: Chaos.Counts, log: Log.Log, verdict: Verify.Verdict, wrong: ReadonlyArray<string>): number => {
  const of = (kind: Verify.Violation["kind"]) =>
    new Set(verdict.violations.filter((one) => one.kind === kind).map(({ payment }) => payment)).size
  say(
    `answers: ${[...log.outcomes]
      .sort(([one], [other]) => one.localeCompare(other))
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`
  )
  say(
    `faults: ${counts.kills} server kills, ${counts.postgresKills} Postgres kills, ${counts.pauses} pauses, ${counts.networkChanges} network changes`
  )
  say(
    `payments: ${verdict.payments} of ${log.charges} asked for, ${verdict.events} events, ${log.answers.length} acknowledged answers, ` +
      `${verdict.charges} charges and ${verdict.ledgerEntries} entries in the ledger, ${verdict.waiting} wait for the customer`
  )
  for (const what of wrong.slice(0, maxShown)) say(`WRONG ${what}`)
  for (const { kind, payment, what } of verdict.violations.slice(0, maxShown)) say(`${kind.toUpperCase()} ${payment} ${what}`)
  const failed = verdict.violations.length > 0 || wrong.length > 0
  if (failed)
    say(
      `the same plan again: npm run test:crash -- --seconds ${options.seconds} --seed ${options.seed} --servers ${options.servers} --workers ${options.workers}`
    )
  say(
    `${failed ? "FAILED" : "passed"}: ${options.seconds} s, seed ${options.seed}, ${verdict.payments} payments, ${counts.kills} kills, ` +
      `${counts.postgresKills} Postgres kills, ${counts.pauses} pauses, ${counts.networkChanges} network changes, ` +
      `lost ${of("lost")}, doubled ${of("doubled")}, wrong ${of("wrong") + wrong.length}`
  )
  return failed ? 1 : 0
}

const options = parse(process.argv.slice(2))
if (options === undefined) {
  process.stderr.write(`${usage}\n`)
  process.exit(2)
}
const stopping = new AbortController()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stopping.abort())
process.exitCode = await run(options, stopping.signal).catch(async (error: unknown) => {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(stopping.signal.aborted ? "the crash test was stopped\n" : `the crash test could not run: ${why}\n`)
  await Child.killAll()
  return 2
})
// Nothing is left running: connections that a fetch keeps alive are no reason to stay.
process.exit()
