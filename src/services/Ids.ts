/**
 * New identifiers, as a service so that tests and simulations are deterministic.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** - `uuids`: that many new UUIDv7, ascending within this process. */
export class Ids extends Context.Service<
  Ids,
  {
    readonly uuids: (count: number) => Effect.Effect<ReadonlyArray<string>>
  }
>()("aegispay/services/Ids") {}
