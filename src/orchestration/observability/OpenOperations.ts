/**
 * How many operations are open and how old the oldest is, of each gateway, among the exported metrics.
 *
 * It has its own loop beside recovery's: it is needed most when recovery is stuck. Between two looks, and while the database is away, the
 * oldest goes on ageing: what was open then can hardly have ended since.
 *
 * Every instance tells the same figures, those of the whole database: take the maximum over the instances, not the sum.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import * as Family from "../../services/metrics/Family.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import * as Sampling from "./Sampling.ts"

/** What is known of a gateway. `openedAt`: when its oldest open operation began, by the monotonic clock of this process. */
interface Open {
  count: number
  openedAt: number | undefined
}

const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** Keeps the gauges until the scope closes, then removes them. Never fails. `everyMillis`: default the preset `sampling.everyMillis`. */
export const start = Effect.fnUntraced(function* (options: { readonly everyMillis?: number } = {}) {
  const repository = yield* PaymentRepository
  const store = yield* EventStore
  const gateways = yield* Gateways
  const series = Family.registrar(yield* Effect.context())
  yield* Effect.addFinalizer(() => Effect.sync(series.remove))
  const known = new Map<GatewayName, Open>()

  const of = (gateway: GatewayName): Open => {
    const found = known.get(gateway)
    if (found !== undefined) return found
    const open: Open = { count: 0, openedAt: undefined }
    known.set(gateway, open)
    series.gauge("aegispay_open_operations", { gateway }, () => open.count)
    series.gauge("aegispay_oldest_open_operation_age_milliseconds", { gateway }, (clock) =>
      open.openedAt === undefined ? 0 : Math.max(0, monotonicMillis(clock) - open.openedAt)
    )
    return open
  }

  const look = Effect.gen(function* () {
    const accounts = yield* repository.openSummary
    const databaseNow = accounts.length === 0 ? 0 : yield* store.now
    const now = monotonicMillis(yield* Clock.Clock)
    for (const open of known.values()) Object.assign(open, { count: 0, openedAt: undefined })
    for (const { count, gateway, oldestOpenedAt } of accounts) {
      const open = of(gateway)
      open.count += count
      open.openedAt = Math.min(open.openedAt ?? Number.POSITIVE_INFINITY, now - (databaseNow - oldestOpenedAt))
    }
  })

  for (const { name } of gateways.all) of(name)
  yield* Effect.forkScoped(Sampling.every("the number of open operations", look, options.everyMillis))
})
