/**
 * What a server does besides answering: it recovers open operations at the start and on an interval, lets expire what has waited for
 * its customer too long, and keeps the gauges of open operations.
 *
 * A run that fails (the database is away) is logged and followed by the next one; any number of servers may run it on one database.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import * as Expiry from "../../../orchestration/recovery/Expiry.ts"
import type { RecoveryReport } from "../../../orchestration/recovery/Recovery.ts"
import { EventStore } from "../../../services/EventStore.ts"
import * as Metrics from "../../../services/Metrics.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import type { Config } from "../../config/Config.ts"

/** Runs until its scope closes. Never fails. */
export const start = Effect.fnUntraced(function* (config: Config) {
  const { intervalMillis, onStart } = config.recovery
  const every = Schedule.spaced(Duration.millis(intervalMillis))
  const rounds = Effect.repeat(round(config, { at: undefined }), every)
  const work = onStart ? rounds : Effect.andThen(gauges, Effect.delay(rounds, Duration.millis(intervalMillis)))
  yield* Effect.forkScoped(work)
})

const logged = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.catchCause(Effect.asVoid(effect), (cause) => Effect.logError(`${what} failed and is tried again with the next round`, cause))

const gauges = logged(
  "counting open operations",
  Effect.gen(function* () {
    const repository = yield* PaymentRepository
    const store = yield* EventStore
    const open = yield* repository.openSummary
    const now = open.length === 0 ? 0 : yield* store.now
    const oldest = Math.min(now, ...open.map((account) => account.oldestOpenedAt))
    yield* Metrics.openOperations({ count: open.reduce((sum, account) => sum + account.count, 0), oldestAgeMillis: now - oldest })
  })
)

/** The last round that was through, in database time: what waits is asked about only when its schedule has come to a moment since. */
interface Previous {
  at: number | undefined
}

const recovery = (config: Config, previous: Previous) =>
  logged(
    "recovery",
    Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const report = yield* payments.recover({
        concurrency: config.recovery.concurrency,
        ...(previous.at === undefined ? {} : { previousRunAt: previous.at })
      })
      previous.at = report.startedAt
      if (report.scanned > 0) yield* Effect.logInfo(summary(report))
    })
  )

const expiry = (config: Config) =>
  logged(
    "expiry",
    Effect.gen(function* () {
      const report = yield* Expiry.expire({ concurrency: config.recovery.concurrency })
      if (report.due === 0) return
      const results = Object.entries(report.results).map(([result, count]) => `${count} ${result}`)
      yield* Effect.logInfo(`${report.due} payments waited for their customer too long: ${results.join(", ")}`)
    })
  )

const round = (config: Config, previous: Previous) => Effect.andThen(Effect.andThen(recovery(config, previous), expiry(config)), gauges)

const summary = (report: RecoveryReport): string => {
  const results = Object.entries(report.results).map(([result, count]) => `${count} ${result}`)
  const errors = report.errors.map((error) => `; ${error.payment} operation ${error.operation}: ${error.message}`)
  return `recovery looked at ${report.scanned} open operations in ${report.durationMillis} ms: ${results.join(", ")}${errors.slice(0, 3).join("")}`
}
