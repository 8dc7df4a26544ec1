/**
 * Giving collectors what the engine counts and measures.
 *
 * Where something is counted it is only put away, in one buffer for all collectors; once a second they are given what came in. What comes
 * while the buffer is full is dropped and counted. What is counted of hooks themselves is not collected: a collector would never come to rest.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PaymentFacts from "../../domain/hooks/PaymentFacts.ts"
import * as Presets from "../../domain/Presets.ts"
import * as HookMetrics from "../../services/hooks/HookMetrics.ts"
import type { Observation } from "../../services/hooks/Hooks.ts"
import type { Observe } from "../../services/metrics/Observer.ts"
import * as Isolation from "./Isolation.ts"
import type { Registry } from "./Registry.ts"

export interface Collecting {
  readonly observe: Observe
  /** Gives collectors what came in, without end. */
  readonly program: Effect.Effect<never>
}

export const make = (registry: Registry): Collecting => {
  let buffer: Array<Observation> = []
  let dropped = 0
  const observe: Observe = (name, value, labels) => {
    if (registry.lists.metrics_collector.length === 0 || name.startsWith("aegispay_hook_")) return
    if (buffer.length >= Presets.hooks.collectMax.value) dropped++
    else buffer.push({ name, value, labels: { ...labels } })
  }
  const deliver = Effect.suspend(() => {
    const observations = PaymentFacts.frozen(buffer)
    const over = dropped
    buffer = []
    dropped = 0
    if (observations.length === 0) return Effect.void
    const collectors = registry.lists.metrics_collector
    for (const entry of collectors) {
      if (over === 0) continue
      entry.dropped += over
      HookMetrics.dropped(registry.context, { kind: "metrics_collector", hook: entry.name }, over)
    }
    return Effect.forEach(
      collectors,
      (entry) =>
        Isolation.run(registry, entry, {
          limitMillis: entry.timeoutMillis,
          effect: () => entry.hook.run(observations),
          read: (value) => ({ value })
        }),
      { concurrency: "unbounded", discard: true }
    )
  })
  const program = Effect.forever(Effect.andThen(Effect.sleep(Duration.millis(Presets.hooks.collectMillis.value)), deliver))
  return { observe, program }
}
