/**
 * What a server does besides answering: it recovers open operations at the start and on an interval, and lets expire what has waited for
 * its customer too long.
 *
 * A server starts because another one ended, perhaps with payments in its hands. So the first round also asks about what is younger than
 * recovery's age limit, and rounds follow each other quickly until all that was in hand then is old enough to be finished.
 *
 * A run that fails (the database is away) is logged and followed by the next one; any number of servers may run it on one database.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Presets from "../../../domain/Presets.ts"
import * as PaymentLog from "../../../orchestration/observability/PaymentLog.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import type { RecoveryReport } from "../../../orchestration/recovery/Recovery.ts"
import type { Config } from "../../config/Config.ts"

/** Runs until its scope closes. Never fails. */
export const start = (config: Pick<Config, "recovery" | "engine">) => Effect.forkScoped(rounds(config))

/** With `recovery.onStart: false` the first round comes after an interval, and none is hurried. */
const rounds = Effect.fnUntraced(function* ({ engine, recovery }: Pick<Config, "recovery" | "engine">) {
  const { concurrency, intervalMillis, onStart } = recovery
  const startMillis = Presets.recovery.startIntervalMillis.value
  const hurryUntil = (yield* Clock.currentTimeMillis) + (onStart ? engine.recoveryOlderThanMillis + startMillis : 0)
  if (!onStart) yield* Effect.sleep(Duration.millis(intervalMillis))
  for (let round = 1; ; round++) {
    yield* PaymentLog.inRound("recovery")(recover({ concurrency, lookUpYounger: onStart && round === 1 }))
    yield* PaymentLog.inRound("expiry")(expire(concurrency))
    const hurries = (yield* Clock.currentTimeMillis) < hurryUntil
    yield* Effect.sleep(Duration.millis(hurries ? Math.min(startMillis, intervalMillis) : intervalMillis))
  }
})

const logged = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.catchCause(effect, (cause) =>
    Effect.as(Effect.logError(`${what} failed and is tried again with the next round`, cause), undefined)
  )

const recover = (options: { readonly concurrency: number; readonly lookUpYounger: boolean }) =>
  logged(
    "recovery",
    Effect.gen(function* () {
      const report = yield* Payments.Payments.use((payments) => payments.recover({ ...options, onlyDue: true }))
      if (report.scanned > 0) yield* Effect.logInfo(summary(report))
    })
  )

const expire = (concurrency: number) =>
  logged(
    "expiry",
    Effect.gen(function* () {
      const report = yield* Payments.Payments.use((payments) => payments.expire({ concurrency }))
      if (report.due > 0) yield* Effect.logInfo(`${report.due} payments waited for their customer too long: ${countsOf(report.results)}`)
      const { released = 0 } = report.holds
      if (released > 0) yield* Effect.logInfo(`authorizations that their gateway had ended: ${countsOf(report.holds)}`)
    })
  )

const summary = (report: RecoveryReport): string => {
  return `recovery looked at ${report.scanned} open operations in ${report.durationMillis} ms: ${countsOf(report.results)}`
}

const countsOf = (results: { readonly [result: string]: number }): string =>
  Object.entries(results)
    .map(([result, count]) => `${count} ${result}`)
    .join(", ")
