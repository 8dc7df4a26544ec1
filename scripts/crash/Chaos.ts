/**
 * What goes wrong while the load runs, by a seeded plan: servers are killed and suspended, Postgres is killed, the network changes.
 *
 * Each kind has a loop of its own with a mean interval; the first of each comes early, so that a short run has some of all.
 */
import type { Chance } from "./Chance.ts"
import { stream } from "./Chance.ts"
import { faults, pause } from "./FaultProxy.ts"
import { times, type World } from "./World.ts"

/** How much went wrong. */
export interface Counts {
  kills: number
  postgresKills: number
  pauses: number
  networkChanges: number
}

/** Mean intervals in milliseconds: over ten minutes they are meant to reach 400 kills, 50 of Postgres, 60 pauses and 500 changes. */
const intervals = { kill: 1_350, postgres: 9_000, pause: 8_000, network: 800 }

/** How soon it is tried again where nobody could be harmed. */
const notNowMillis = 150

/** Does harm until `isOver`; then heals everything. */
export const run = async (options: {
  readonly world: World
  readonly seed: number
  readonly counts: Counts
  readonly isOver: () => boolean
}): Promise<void> => {
  const { counts, isOver, world } = options
  const every = async (name: keyof typeof intervals, act: (chance: Chance) => boolean | Promise<boolean>) => {
    const chance = stream(options.seed, `chaos ${name}`)
    const mean = intervals[name]
    let wait = chance.between(mean * 0.3, mean * 0.6)
    for (;;) {
      const until = performance.now() + wait
      while (performance.now() < until && !isOver()) await pause(Math.min(50, until - performance.now()))
      if (isOver()) return
      wait = (await act(chance)) ? chance.between(mean * 0.5, mean * 1.5) : notNowMillis
    }
  }
  const victim = (chance: Chance) => world.instances[chance.between(0, world.instances.length - 1)]
  /** One stays up, so that payments go on however slow the machine starts servers. A single server is not spared. */
  const spare = () => world.instances.length > 1 && world.instances.filter((instance) => instance.state() === "up").length < 2
  await Promise.all([
    every("kill", (chance) => {
      const killed = !spare() && victim(chance)?.kill(chance.between(0, 400)) === true
      if (killed) counts.kills++
      return killed
    }),
    every("pause", (chance) => {
      const paused = !spare() && victim(chance)?.pause(times.lease + chance.between(500, 2_500)) === true
      if (paused) counts.pauses++
      return paused
    }),
    every("postgres", async (chance) => {
      counts.postgresKills++
      await world.killPostgres(chance.between(0, 800))
      return true
    }),
    every("network", async (chance) => {
      const fault = chance.pick(faults)
      const proxy = chance.happens(0.5) ? world.sandboxProxy : (victim(chance)?.proxy ?? world.sandboxProxy)
      counts.networkChanges++
      proxy.strike(fault)
      await pause(chance.between(50, fault === "half_open" ? 2_000 : 500))
      proxy.heal()
      return true
    })
  ])
  for (const proxy of [world.sandboxProxy, ...world.instances.map((instance) => instance.proxy)]) proxy.heal()
}
