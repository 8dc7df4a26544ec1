/**
 * The windows of all gateways, by name. Bounded: a new gateway beyond the limit takes the place of the one recorded longest ago.
 *
 * Like its windows it is changed in place and belongs to one owner.
 */
import type { GatewayName } from "../payment/Ids.ts"
import * as GatewayWindow from "./GatewayWindow.ts"

/** The names come from the configuration, so the limit is far away; with it the windows take at most 9 MB. */
export const maxGateways = 256

/** Windows by gateway, in the order in which the gateways were first seen. */
export interface GatewayWindows {
  readonly byName: Map<GatewayName, GatewayWindow.GatewayWindow>
  /** Nothing is ever recorded in it: what is known of a gateway that has no window. Making one for every question takes 5 us. */
  readonly unknown: GatewayWindow.GatewayWindow
}

export const make = (): GatewayWindows => ({ byName: new Map(), unknown: GatewayWindow.make() })

/** The window of a gateway; a new one where there is none. */
export const windowOf = (windows: GatewayWindows, gateway: GatewayName): GatewayWindow.GatewayWindow => {
  const known = windows.byName.get(gateway)
  if (known !== undefined) return known
  if (windows.byName.size >= maxGateways) forgetIdlest(windows)
  const window = GatewayWindow.make()
  windows.byName.set(gateway, window)
  return window
}

/** What is known of a gateway; of an unknown one: no samples. */
export const summarize = (windows: GatewayWindows, gateway: GatewayName, now: number): GatewayWindow.WindowSummary =>
  GatewayWindow.summarize(windows.byName.get(gateway) ?? windows.unknown, now)

const forgetIdlest = (windows: GatewayWindows): void => {
  let idlest: GatewayName | undefined
  let least = Number.POSITIVE_INFINITY
  for (const [name, window] of windows.byName) {
    if (window.newestMinute >= least) continue
    idlest = name
    least = window.newestMinute
  }
  if (idlest !== undefined) windows.byName.delete(idlest)
}
