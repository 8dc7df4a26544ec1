/**
 * A world's outages, and how it comes to rest: no more faults, everything is up, and recovery runs until it changes nothing.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Served } from "./Parts.ts"
import * as Upkeep from "./Upkeep.ts"
import * as Psp from "./world/Psp.ts"
import * as Storage from "./world/Storage.ts"

/** The longest that recovery then takes: the time for completing a payment, and repetitions. */
const calmMillis = 60 * 60_000
/** How often it is looked whether something is left to be done. */
const watchMillis = 5_000
/** Recovery that recorded something within this time before the end of the calm goes on recording. */
const restlessMillis = 600_000

/** Lets accounts of the PSP fail as the seed wants. */
export const disturb = (world: Served): void => {
  const { kernel, options, setup } = world
  for (const { at, kind, millis, which } of setup.outages.slice(0, options.outages)) {
    const account = setup.accounts[which % setup.accounts.length]?.name ?? "a"
    kernel.after(at, undefined, () => control(world, account, kind))
    kernel.after(at + millis, undefined, () => control(world, account, "none"))
  }
}

const control = ({ calm, chronicle, handler, kernel, psp }: Served, account: string, wanted: string): void => {
  const outage = calm ? "none" : wanted
  chronicle.note("outage", () => `${account}: ${outage}`)
  kernel.fork(psp, handler.handle(Psp.request("PUT", `/${account}/control`, JSON.stringify({ outage }))))
}

/** No more faults; everything is up. */
export const calmDown = (world: Served): void => {
  const { chronicle, faults, fleet, hosts, kernel, people, setup, storage } = world
  world.calm = true
  faults.end()
  chronicle.note("calm", () => "no more faults")
  storage.calm()
  for (const { name } of setup.accounts) control(world, name, "none")
  fleet.calm()
  kernel.crash(hosts)
  kernel.crash(people)
}

/**
 * Ends when it is quiet: nothing but what waits for the customer or a person is left to be done, and two runs of recovery on every
 * instance change nothing. Not quiet within `calmMillis`: whatever is still open is a violation.
 */
export const quiet = Effect.fnUntraced(function* (world: Served) {
  const { chronicle, kernel, postman, setup, storage } = world
  const until = kernel.now() + calmMillis
  // Recovery leaves young operations alone, and what is under way takes its time: what runs before then says nothing.
  const restMillis = setup.recoveryOlderThanMillis + Psp.settleTimeMillis + Psp.longestLookupLagMillis
  let since: { readonly at: number; readonly commits: number } | undefined
  while (kernel.now() <= until) {
    yield* Effect.sleep(watchMillis)
    const left = yield* Storage.leftOver(storage.watched)
    const commits = chronicle.commits()
    if (!isAtRest(world, left) || postman.undelivered() > 0) since = undefined
    else if (since?.commits !== commits) since = { at: kernel.now(), commits }
    else if (kernel.now() > since.at + restMillis) {
      const through = (yield* recoverEverywhere(world)) && (yield* recoverEverywhere(world))
      if (through) yield* world.person?.atLast(world.server) ?? Effect.void
      if (through && chronicle.commits() === commits) return
    }
  }
  if (since === undefined || kernel.now() - since.at < restlessMillis) chronicle.wrong("I9", "recovery goes on recording, run after run")
})

/**
 * A run of recovery on every instance, one after the other, with everything asked that can be asked. False where it did not get to
 * something: what a dead instance has leased is kept from the others for a while.
 */
const recoverEverywhere = ({ fleet, kernel, server }: Served): Effect.Effect<boolean> =>
  Effect.map(
    Effect.forEach(fleet.all(), (instance) =>
      Effect.callback<boolean>((resume) => {
        const end = (through: boolean) => kernel.post(server, () => resume(Effect.succeed(through)))
        instance.call(
          ({ payments }) => payments.recover({}),
          (exit) => end(Exit.isSuccess(exit) && exit.value.results.busy === undefined && exit.value.errors.length === 0),
          () => end(false)
        )
      })
    ),
    (through) => through.every(Boolean)
  )

/** Where payments expire, what waits for its customer does not rest, but for one that a person has to look at. */
const isAtRest = ({ chronicle, setup }: Served, { open, undelivered, webhooks }: Storage.LeftOver): boolean => {
  const expires = Upkeep.expiresAfter(setup.upkeep) !== undefined
  const rests = ({ payment, status }: Storage.LeftOver["open"][number]) =>
    status === "needs_review" || (status === "requires_action" && (!expires || (chronicle.durable(payment)?.reviews.length ?? 0) > 0))
  return undelivered === 0 && webhooks === 0 && open.every(rests)
}
