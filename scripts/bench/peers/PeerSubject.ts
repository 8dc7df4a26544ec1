/** A peer as a subject of measurements. */
import * as Effect from "effect/Effect"
import type * as Database from "../engine/Database.ts"
import type * as Subject from "../engine/Subject.ts"
import type { Peer } from "./Peer.ts"

/** The peer on a database of its own, whose tables are made now. */
export const make = Effect.fnUntraced(function* (server: Database.Server, peer: Peer) {
  const database = yield* server.createEmpty
  const url = server.urlOf(database)
  yield* Effect.promise(() => peer.prepare(url))
  return {
    name: peer.name,
    database,
    make: Effect.acquireRelease(
      Effect.promise(() => peer.open(url)),
      ({ close }) => Effect.promise(close)
    ).pipe(Effect.map(({ pay }) => ({ one: Effect.promise(pay) })))
  } satisfies Subject.DurableSubject
})
