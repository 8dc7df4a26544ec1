/**
 * The hooks of one process, and how they have done so far. Plain data, changed in place by its one owner, `HookRegistry`; the engine reads it
 * through `ActiveHooks`.
 *
 * The lists that the engine walks over are replaced, never changed: a payment that is being screened keeps those it began with.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type { HookFailure, HookKind, HookName } from "../../domain/hooks/HookKind.ts"
import type { Hook, HookOf, HookReport, HookStatus } from "../../services/hooks/Hooks.ts"
import type { HookSettings } from "../../services/hooks/HookSettings.ts"

/** A registered hook. `hook`: a copy with what is read after it was registered. */
export interface Entry<H extends Hook = Hook> {
  readonly hook: H
  readonly name: HookName
  readonly priority: number
  readonly timeoutMillis: number
  enabled: boolean
  /** Was it ended, being of a kind that runs in the background? What waits for it is not handed to it any more. */
  gone: boolean
  /** Runs that have not come to an end. */
  readonly open: Set<Fiber.Fiber<unknown, unknown>>
  /** Those of them that nobody waits for any more. */
  abandoned: number
  /** Events handled now, where it is told of events. */
  working: number
  readonly waiting: Array<unknown>
  /** Told when nothing waits for it any more and it is not at work. */
  readonly onIdle: Set<() => void>
  runs: number
  readonly failures: { [Failure in HookFailure]: number }
  dropped: number
  totalMillis: number
  maxMillis: number
  /** When a failure of it was logged last, and how many were not since. */
  loggedAt: number
  unlogged: number
}

/** The enabled hooks of each kind, in the order in which they run. */
export type Lists = { [Kind in HookKind]: ReadonlyArray<Entry<HookOf<Kind>>> }

export interface Registry {
  readonly settings: HookSettings
  /** What hooks run with: that of whoever made the registry. A host's transaction is no part of it. */
  readonly context: Context.Context<never>
  readonly byName: Map<string, Entry>
  lists: Lists
  /** Newest last. */
  readonly reports: Array<HookReport>
  closed: boolean
}

/** The hooks that the engine runs; `undefined` where a host has none. */
export const ActiveHooks = Context.Reference<Registry | undefined>("aegispay/orchestration/hooks/ActiveHooks", {
  defaultValue: () => undefined
})

const noEntries = () => ({
  pre_validation: [],
  fraud_check: [],
  enrichment: [],
  routing_strategy: [],
  error_handler: [],
  post_validation: [],
  event_listener: [],
  metrics_collector: []
})

export const emptyLists = (): Lists => noEntries()

/** A hook as it is before its first run. */
export const entryOf = (hook: Hook, options: Pick<Entry, "name" | "priority" | "timeoutMillis" | "enabled">): Entry => ({
  hook,
  ...options,
  gone: false,
  open: new Set(),
  abandoned: 0,
  working: 0,
  waiting: [],
  onIdle: new Set(),
  runs: 0,
  failures: { failed: 0, defect: 0, timeout: 0, invalid: 0, busy: 0, closed: 0 },
  dropped: 0,
  totalMillis: 0,
  maxMillis: 0,
  loggedAt: Number.NEGATIVE_INFINITY,
  unlogged: 0
})

/** Makes the lists anew: lowest priority first, among equals as they were registered. */
export const refresh = (registry: Registry): void => {
  const lists: { [Kind in HookKind]: Array<Entry> } = noEntries()
  for (const entry of inOrder(registry)) if (entry.enabled) lists[entry.hook.kind].push(entry)
  // Each entry went into the list of its own hook's kind.
  registry.lists = lists as unknown as Lists
}

/** All hooks, the disabled ones too. A map keeps the order in which they were registered, and sorting is stable. */
export const inOrder = (registry: Registry): ReadonlyArray<Entry> =>
  [...registry.byName.values()].sort((left, right) => left.priority - right.priority)

export const statusOf = (entry: Entry): HookStatus => ({
  kind: entry.hook.kind,
  name: entry.name,
  priority: entry.priority,
  enabled: entry.enabled,
  timeoutMillis: entry.timeoutMillis,
  runs: entry.runs,
  abandoned: entry.abandoned,
  failures: { ...entry.failures },
  dropped: entry.dropped,
  totalMillis: entry.totalMillis,
  maxMillis: entry.maxMillis
})
