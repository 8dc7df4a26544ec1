/**
 * When a key is looked up before it is claimed, and when it is claimed at once.
 *
 * The claim in the commit of the intent decides alone whose a key is (rule 11). So a new request needs no look-up: it would be one statement
 * more for every payment. A repeated one is dearer without it: its plan was made for nothing, and its commit is refused in a group, tried
 * alone and asked why, where a look-up is one read. So keys are looked up first
 *
 * - while repetitions come: whoever finds a key taken makes the next requests of this process look first, and each that finds one as well
 *   does so anew. However many are repeated, of those that come one after the other at most one in seventeen is found by its claim;
 * - where a request of this process is claiming the same key: the others wait for it, and find it;
 * - while commits fail: there the key may be known and readable all the same;
 * - where no commit was answered lately: what has become of the connections meanwhile is found out by a read, which may be repeated, and not
 *   by a commit, of which nobody would know whether it was written.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { CommitTimes } from "../operation/Journal.ts"

/**
 * How many requests look first after a key was found taken. A repetition found by its claim costs two statements more than one that looked,
 * so at worst these are an eighth of a statement per request; and where one request in a thousand is a repetition, one in sixty looks.
 */
const lookUpsAfterTaken = 16

/** Whoever has fewer than one payment a second does not notice the look-up of each. */
const answeredLatelyNanos = 1_000_000_000n

/** Of one engine: plain state, changed in place. */
export interface State {
  /** When a commit was answered last, by the monotonic clock. */
  answeredAt: bigint | undefined
  /** How many requests more look first. */
  lookUps: number
  /** The keys that are being claimed, and what is done at the end of that once somebody waits for it. */
  readonly underWay: Map<string, Deferred.Deferred<void> | undefined>
}

export const make = (): State => ({ answeredAt: undefined, lookUps: 0, underWay: new Map() })

/** The state of the engine that runs the program. */
export const KeyClaims = Context.Reference<State>("aegispay/orchestration/payment/KeyClaims", { defaultValue: make })

/** May a key be claimed without having been looked up? `now`: of the monotonic clock. */
export const isFree = ({ answeredAt, lookUps, underWay }: State, name: string, now: bigint): boolean =>
  lookUps === 0 && answeredAt !== undefined && now - answeredAt < answeredLatelyNanos && !underWay.has(name)

/** Is a request of this process claiming the key? */
export const isUnderWay = ({ underWay }: State, name: string): boolean => underWay.has(name)

/** The end of whoever is claiming the key in this process. */
export const settled = (claims: State, name: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!claims.underWay.has(name)) return Effect.void
    const end = claims.underWay.get(name) ?? Deferred.makeUnsafe<void>()
    claims.underWay.set(name, end)
    return Deferred.await(end)
  })

/** Claims the key, and begins what follows from that: who comes with the same one meanwhile waits for its end. */
export const claiming = <A, E, R>(claims: State, name: string, claim: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    if (claims.underWay.has(name)) return claim
    claims.underWay.set(name, undefined)
    return Effect.onExit(claim, () => {
      const end = claims.underWay.get(name)
      claims.underWay.delete(name)
      return end === undefined ? Effect.void : Effect.asVoid(Deferred.done(end, Exit.void))
    })
  })

/** A commit was answered. */
export const answered = (claims: State, { answeredMonotonicNanos }: Pick<CommitTimes, "answeredMonotonicNanos">): void => {
  claims.answeredAt = answeredMonotonicNanos
}

/** A key was taken, or nobody knows: the next requests look first. */
export const expectTaken = (claims: State): void => {
  claims.lookUps = lookUpsAfterTaken
}

/** A key was looked up, and new. */
export const foundNew = (claims: State): void => {
  if (claims.lookUps > 0) claims.lookUps--
}
