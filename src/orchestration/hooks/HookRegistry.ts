/**
 * The registry of hooks as a layer: what `Hooks` promises, and what the engine runs.
 *
 * ```ts
 * const hooks = Layer.mergeAll(HookRegistry.register(blockedList), HookRegistry.register(audit)).pipe(Layer.provideMerge(HookRegistry.layer))
 * const engine = Payments.layer.pipe(Layer.provide(hooks), Layer.provide(storage))
 * ```
 *
 * Closing the layer, or the scope of a registration, waits until listeners and post-validations were told of what is durable already, for as
 * long as one run of each may take; then it ends what runs in the background. What a payment waits for goes on until its limit.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { HookKind } from "../../domain/hooks/HookKind.ts"
import { type Hook, HookRefused, Hooks } from "../../services/hooks/Hooks.ts"
import { HookSettings } from "../../services/hooks/HookSettings.ts"
import { MetricsObserver } from "../../services/metrics/Observer.ts"
import { admit } from "./Admission.ts"
import * as Collecting from "./Collecting.ts"
import * as Listening from "./Listening.ts"
import { ActiveHooks, emptyLists, type Entry, inOrder, refresh, type Registry, statusOf } from "./Registry.ts"

/** Kinds that no payment waits for. */
const inBackground: ReadonlySet<HookKind> = new Set<HookKind>(["post_validation", "event_listener", "metrics_collector"])

/**
 * Ends what a hook does in the background. What a payment waits for goes on, at most until its limit: a payment keeps the hooks that it began
 * with, and a check that is ended gives no verdict, which would block the payment for good.
 */
const end = (entry: Entry): void => {
  if (!inBackground.has(entry.hook.kind)) return
  entry.gone = true
  entry.waiting.length = 0
  for (const running of entry.open) running.interruptUnsafe()
}

const unregister = (registry: Registry, entry: Entry): void => {
  if (registry.byName.get(entry.name) !== entry) return
  registry.byName.delete(entry.name)
  refresh(registry)
  end(entry)
}

const setEnabled = (registry: Registry, name: string, enabled: boolean): boolean => {
  const entry = registry.byName.get(name)
  if (entry === undefined) return false
  entry.enabled = enabled
  refresh(registry)
  return true
}

const serviceOf = (registry: Registry) => {
  const admitted = (hook: Hook) =>
    Effect.suspend(() => {
      const entry = admit(registry, hook)
      if (entry instanceof HookRefused) return Effect.fail(entry)
      registry.byName.set(entry.name, entry)
      refresh(registry)
      return Effect.succeed(entry)
    })
  const leave = (entry: Entry) => Effect.sync(() => unregister(registry, entry))
  return Hooks.of({
    register: (hook) => Effect.map(admitted(hook), (entry) => ({ unregister: leave(entry) })),
    registerScoped: (hook) =>
      Effect.asVoid(Effect.acquireRelease(admitted(hook), (entry) => Effect.andThen(Listening.drained(entry), leave(entry)))),
    setEnabled: (name, enabled) => Effect.sync(() => setEnabled(registry, name, enabled)),
    list: Effect.sync(() => inOrder(registry).map(statusOf)),
    reports: Effect.sync(() => registry.reports.map((kept) => ({ ...kept })).toReversed())
  })
}

/** A registry without hooks. Hooks run with the context it is built in. */
export const layer: Layer.Layer<Hooks> = Layer.effectContext(
  Effect.gen(function* () {
    const registry: Registry = {
      settings: yield* HookSettings,
      context: yield* Effect.context(),
      byName: new Map(),
      lists: emptyLists(),
      reports: [],
      closed: false
    }
    const collecting = Collecting.make(registry)
    yield* Effect.forkScoped(collecting.program)
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.forEach([...registry.byName.values()], Listening.drained, { concurrency: "unbounded", discard: true }),
        Effect.sync(() => {
          registry.closed = true
          for (const entry of registry.byName.values()) end(entry)
        })
      )
    )
    return Context.make(Hooks, serviceOf(registry)).pipe(
      Context.add(ActiveHooks, registry),
      Context.add(MetricsObserver, collecting.observe)
    )
  })
)

/** Registers a hook for as long as the layer lives. */
export const register = (hook: Hook): Layer.Layer<never, HookRefused, Hooks> =>
  Layer.effectDiscard(Hooks.use((hooks) => hooks.registerScoped(hook)))
