/**
 * The registry of hooks as a layer: what `Hooks` promises, and what the engine runs.
 *
 * ```ts
 * const hooks = Layer.mergeAll(HookRegistry.register(blockedList), HookRegistry.register(audit)).pipe(Layer.provideMerge(HookRegistry.layer))
 * const engine = Payments.layer.pipe(Layer.provide(hooks), Layer.provide(storage))
 * ```
 *
 * Closing the layer ends the hooks that run, and waits for none of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { HookName } from "../../domain/hooks/HookKind.ts"
import { maxHooksPerKind } from "../../domain/hooks/Records.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Hook, HookRefused, Hooks } from "../../services/hooks/Hooks.ts"
import { HookSettings } from "../../services/hooks/HookSettings.ts"
import { MetricsObserver } from "../../services/metrics/Observer.ts"
import * as Collecting from "./Collecting.ts"
import { ActiveHooks, emptyLists, type Entry, entryOf, inOrder, refresh, type Registry, statusOf } from "./Registry.ts"

const isName = Schema.is(HookName)

const invalid = (hook: string, detail: string) => new HookRefused({ hook, reason: { _tag: "Invalid", detail } })

/** The hook as an entry, or why it cannot be one. */
const admit = (registry: Registry, hook: Hook): Entry | HookRefused => {
  const { kind, priority = Presets.hooks.priority.value } = hook
  const name: unknown = hook.name
  if (!isName(name)) return invalid(String(name), "a name has 1 to 64 characters of a-z 0-9 - _ . and starts with a letter or digit")
  if (registry.lists[kind] === undefined || typeof hook.run !== "function") return invalid(name, "it has no kind that exists, or no run")
  const { eachMillis, totalMillis } = registry.settings.limits[kind]
  const timeoutMillis = hook.timeoutMillis ?? Math.min(eachMillis, totalMillis)
  if (!Number.isFinite(priority)) return invalid(name, "its priority is no number")
  if (!(timeoutMillis > 0 && timeoutMillis <= totalMillis))
    return invalid(name, `its time limit has to be more than 0 and at most the ${totalMillis} ms that all ${kind} hooks have together`)
  if (registry.byName.has(name)) return new HookRefused({ hook: name, reason: { _tag: "NameTaken" } })
  const ofKind = [...registry.byName.values()].filter((entry) => entry.hook.kind === kind)
  return ofKind.length >= maxHooksPerKind
    ? new HookRefused({ hook: name, reason: { _tag: "Full", maximum: maxHooksPerKind } })
    : entryOf(hook, { name, priority, timeoutMillis })
}

const end = (entry: Entry): void => {
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
  const register = (hook: Hook) =>
    Effect.suspend(() => {
      const entry = admit(registry, hook)
      if (entry instanceof HookRefused) return Effect.fail(entry)
      registry.byName.set(entry.name, entry)
      refresh(registry)
      return Effect.succeed({ unregister: Effect.sync(() => unregister(registry, entry)) })
    })
  return Hooks.of({
    register,
    registerScoped: (hook) => Effect.asVoid(Effect.acquireRelease(register(hook), (registered) => registered.unregister)),
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
      Effect.sync(() => {
        registry.closed = true
        for (const entry of registry.byName.values()) end(entry)
      })
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
