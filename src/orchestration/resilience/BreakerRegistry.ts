/**
 * The breakers of one process by name, with what belongs to each beside its state. Plain data, changed in place by its one owner,
 * `CircuitBreakers`.
 */
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import { type BreakerName, partsOf } from "../../domain/resilience/BreakerName.ts"
import type { BreakerSettings } from "../../domain/resilience/BreakerSettings.ts"

/** One breaker. */
export interface Entry {
  readonly name: BreakerName
  readonly breaker: Breaker.Breaker
  /** The greater, the later it was used. */
  lastUse: number
  /** Changed here, and not told to other instances yet. */
  untold: boolean
  /** Was the last change a person's? */
  byPerson: boolean
  /** Version of the newest entry of the store that was followed or made, and of the newest order that is known; 0: none. */
  version: number
  orderVersion: number
  removeSeries: () => void
}

/** Opaque: use the functions of this module. */
export interface Registry {
  readonly byName: Map<string, Entry>
  readonly byBreaker: WeakMap<Breaker.Breaker, Entry>
  /** The same entries, found without making a name. */
  readonly byGateway: Map<GatewayName, { [Kind in OperationKind]?: Entry }>
  readonly settingsOf: (name: BreakerName) => BreakerSettings
  readonly maxBreakers: number
  uses: number
}

export const make = (options: Pick<Registry, "settingsOf" | "maxBreakers">): Registry => ({
  byName: new Map(),
  byBreaker: new WeakMap(),
  byGateway: new Map(),
  uses: 0,
  ...options
})

/** Adds a breaker that is not there yet, at `now` of its clock. One that has to go for it is the closed one used longest ago; if none is closed, any such. */
export const add = (registry: Registry, name: BreakerName, now: number): Entry => {
  if (registry.byName.size >= registry.maxBreakers) removeIdlest(registry)
  const entry: Entry = {
    name,
    breaker: Breaker.make(registry.settingsOf(name), now),
    lastUse: ++registry.uses,
    untold: false,
    byPerson: false,
    version: 0,
    orderVersion: 0,
    removeSeries: () => {}
  }
  registry.byName.set(name, entry)
  registry.byBreaker.set(entry.breaker, entry)
  const parts = partsOf(name)
  if (parts !== undefined) registry.byGateway.set(parts.gateway, { ...registry.byGateway.get(parts.gateway), [parts.kind]: entry })
  return entry
}

/** Of a breaker that had to go there is none any more, though calls through it may still be under way. */
export const entryOf = (registry: Registry, breaker: Breaker.Breaker): Entry | undefined => {
  const entry = registry.byBreaker.get(breaker)
  return entry !== undefined && registry.byName.get(entry.name) === entry ? entry : undefined
}

const removeIdlest = (registry: Registry): void => {
  let idlest: Entry | undefined
  for (const entry of registry.byName.values()) {
    if (idlest === undefined || isBefore(entry, idlest)) idlest = entry
  }
  if (idlest === undefined) return
  idlest.removeSeries()
  registry.byName.delete(idlest.name)
  const parts = partsOf(idlest.name)
  if (parts === undefined) return
  const { [parts.kind]: _removed, ...rest } = registry.byGateway.get(parts.gateway) ?? {}
  if (Object.keys(rest).length === 0) registry.byGateway.delete(parts.gateway)
  else registry.byGateway.set(parts.gateway, rest)
}

const isBefore = (one: Entry, other: Entry): boolean => {
  const [oneCloses, otherCloses] = [one.breaker.state === "closed", other.breaker.state === "closed"]
  return oneCloses === otherCloses ? one.lastUse < other.lastUse : oneCloses
}
