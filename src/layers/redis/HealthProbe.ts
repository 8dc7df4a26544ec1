/**
 * Is Redis there?
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { HealthProbe } from "../../services/resilience/HealthProbe.ts"
import { Commands } from "./Commands.ts"
import { Reconnect } from "./Connection.ts"

/**
 * The probe `redis`: PING. The recovery opens a new connection in the place of the present one, where the connection is ours
 * (`Commands.layerConnected`). Optional by default: locks and shared limits save work, payments are safe without them.
 */
export const make = (options: Pick<HealthProbe, "importance"> = {}): Effect.Effect<HealthProbe, never, Commands> =>
  Effect.gen(function* () {
    const commands = yield* Commands
    const reconnect = yield* Effect.serviceOption(Reconnect)
    return {
      name: "redis",
      importance: options.importance ?? "optional",
      check: Effect.as(commands.send("PING"), "ok"),
      ...(Option.isSome(reconnect) ? { recover: reconnect.value.now } : {})
    } satisfies HealthProbe
  })
