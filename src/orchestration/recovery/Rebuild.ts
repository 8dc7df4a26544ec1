/**
 * Writes the projection of every payment anew from its events, while payments go on.
 *
 * Pages of ids are read one after another and a few payments are folded at a time, so memory does not grow with the number of
 * payments. Interrupting it loses nothing: every payment is written on its own. Doing it twice changes nothing.
 *
 * A payment whose history is damaged is left as it is and listed; the others go on.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import { Projection, type ProjectionPart } from "../../services/Projection.ts"

/** What a run does. */
export interface RebuildOptions {
  /** Only compare; write nothing. Default false. */
  readonly dryRun?: boolean
  /** Payments at a time; default: the preset `recovery.concurrency`. */
  readonly concurrency?: number
  /** Told after every page. */
  readonly onProgress?: (progress: RebuildProgress) => Effect.Effect<void>
}

/** How many payments were looked at, were (or with `dryRun` would be) written anew, were right already, and are damaged. */
export interface RebuildProgress {
  readonly scanned: number
  readonly rewritten: number
  readonly unchanged: number
  readonly damaged: number
}

/** A run's report. Lists keep the first 100 each. */
export interface RebuildReport extends RebuildProgress {
  readonly differences: ReadonlyArray<{ readonly payment: PaymentId; readonly parts: ReadonlyArray<ProjectionPart> }>
  /** The payments that a person has to look at, with what is wrong. */
  readonly damages: ReadonlyArray<{ readonly payment: PaymentId; readonly message: string }>
  readonly durationMillis: number
}

/** The most payments that a list of a report names. */
const maxListed = 100

/** Looks at every payment once. Fails with `EventStoreError` where the store cannot be read or written. */
export const rebuild = Effect.fn("Rebuild.rebuild")(function* (options: RebuildOptions = {}) {
  const projection = yield* Projection
  const startedAt = yield* Clock.currentTimeMillis
  const counts = { scanned: 0, rewritten: 0, unchanged: 0, damaged: 0 }
  const differences: Array<RebuildReport["differences"][number]> = []
  const damages: Array<RebuildReport["damages"][number]> = []
  const one = Effect.fnUntraced(function* (payment: PaymentId) {
    const damage = (error: { readonly message: string }) => Effect.succeed({ message: error.message })
    const result = yield* (options.dryRun === true ? projection.compare(payment) : projection.rebuild(payment)).pipe(
      Effect.catchTag("EventContinuityError", damage),
      Effect.catchIf((error) => error.reason._tag === "Corrupt", damage)
    )
    counts.scanned++
    if ("message" in result) {
      counts.damaged++
      if (damages.length < maxListed) damages.push({ payment, message: result.message })
    } else if (result.length > 0) {
      counts.rewritten++
      if (differences.length < maxListed) differences.push({ payment, parts: result })
    } else {
      counts.unchanged++
    }
  })
  let cursor: string | undefined
  do {
    const page = yield* projection.payments({ limit: Presets.recovery.pageSize.value, ...(cursor === undefined ? {} : { cursor }) })
    yield* Effect.forEach(page.data, one, { concurrency: options.concurrency ?? Presets.recovery.concurrency.value, discard: true })
    if (options.onProgress !== undefined) yield* options.onProgress({ ...counts })
    cursor = page.nextCursor
  } while (cursor !== undefined)
  const durationMillis = (yield* Clock.currentTimeMillis) - startedAt
  return { ...counts, differences, damages, durationMillis } satisfies RebuildReport
})
