/**
 * One server of the crash test: `aegispay serve` on a port of its own, its database behind a proxy of its own.
 *
 * It is killed and started again any number of times; the process that replaces it has its code loaded by then. An end that was not
 * asked for, after it was up, is a violation; a start that is refused (the database is away) is tried again.
 */
import type { Chance } from "./Chance.ts"
import * as Child from "./Child.ts"
import { type FaultProxy, pause } from "./FaultProxy.ts"

export interface Instance {
  readonly name: string
  readonly url: string
  readonly proxy: FaultProxy
  readonly state: () => "down" | "up" | "paused"
  /** `kill -9`, and a start after a while. Answers whether it was up. */
  readonly kill: (restartAfterMillis: number) => boolean
  /** Stops its process for a while, as a suspended machine does. Answers whether it was up. */
  readonly pause: (millis: number) => boolean
  /** Ends it for good. */
  readonly stop: () => Promise<void>
}

export interface InstanceOptions {
  readonly name: string
  readonly port: number
  readonly config: string
  readonly proxy: FaultProxy
  readonly environment: Readonly<Record<string, string>>
  readonly chance: Chance
  readonly databaseIsUp: () => boolean
  readonly onUnexpectedEnd: (what: string) => void
}

const retryMillis = 300
/** A start that is refused because the database is away costs as much as dozens of payments: mostly that is waited for. */
const eagerShare = 0.2

/** Starts a server and keeps it running until it is stopped. */
export const start = (options: InstanceOptions): Instance => {
  const { name, port } = options
  let state: "down" | "up" | "paused" = "down"
  let child: Child.Child | undefined
  let killed = false
  const stopping = new AbortController()
  let restartAfter = 0

  const standby = () =>
    Child.standby(
      ["serve", "--config", options.config, "--port", String(port), "--host", "127.0.0.1", "--allow-missing-gateways", "--json"],
      options.environment
    )
  const live = async () => {
    let next: Child.Standby | undefined
    stopping.signal.addEventListener("abort", () => next?.signal("SIGKILL"))
    while (!stopping.signal.aborted) {
      killed = false
      const running = next ?? standby()
      next = undefined
      running.go()
      child = running
      const up = (await running.firstLine) !== undefined
      if (up) state = "up"
      if (up && !stopping.signal.aborted) next = standby()
      const end = await running.ended
      state = "down"
      child = undefined
      if (up && !killed) options.onUnexpectedEnd(`${name} ended with ${end.signal ?? end.code}: ${end.stderr.slice(-2_000)}`)
      if (!stopping.signal.aborted) await pause(up ? restartAfter : retryMillis)
      if (options.chance.happens(eagerShare)) continue
      while (!options.databaseIsUp() && !stopping.signal.aborted) await pause(retryMillis)
    }
  }
  const living = live()

  const end = () => {
    killed = true
    child?.signal("SIGKILL")
  }
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    proxy: options.proxy,
    state: () => state,
    kill: (restartAfterMillis) => {
      if (state === "down") return false
      restartAfter = restartAfterMillis
      end()
      return true
    },
    pause: (millis) => {
      const paused = child
      if (state !== "up" || paused === undefined) return false
      state = "paused"
      void paused.suspend(millis).then(() => {
        if (child === paused && state === "paused") state = "up"
      })
      return true
    },
    stop: async () => {
      stopping.abort()
      end()
      await living
    }
  }
}
