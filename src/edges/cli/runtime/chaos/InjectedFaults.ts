/**
 * The switch of injected faults of a server, which is there only where a flag says so.
 *
 * A plan at a real payment provider makes real payments in doubt: that takes a second word.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ChaosClock from "../../../../orchestration/chaos/ChaosClock.ts"
import * as ChaosControl from "../../../../orchestration/chaos/ChaosControl.ts"
import { cannotRun } from "../../Failure.ts"
import type { Target } from "../Target.ts"

export interface Input {
  readonly allowChaos: boolean
  readonly allowChaosAtAllGateways: boolean
}

/** Fails where the flags do not say what the configuration would need. Says aloud what is allowed. */
export const check = Effect.fnUntraced(function* ({ config, source }: Target, { allowChaos, allowChaosAtAllGateways }: Input) {
  if (!allowChaos && allowChaosAtAllGateways) return yield* cannotRun("--allow-chaos-at-all-gateways needs --allow-chaos")
  if (!allowChaos) return
  const real = config.gateways.filter(({ kind }) => kind !== "sandbox").map(({ name }) => name)
  if (real.length > 0 && !allowChaosAtAllGateways) {
    return yield* cannotRun(
      `${source}: ${real.join(", ")}: not a sandbox, and faults there make real payments in doubt; leave out --allow-chaos, or add --allow-chaos-at-all-gateways if that is meant`
    )
  }
  yield* Effect.logWarning(
    `faults may be injected into this server (--allow-chaos): whoever has a key with the scope chaos can make payments fail${
      real.length === 0 ? "" : `, at ${real.join(", ")} with real money`
    }`
  )
})

/** Ends the process as a power cut would: nothing is cleaned up. */
const killed = Effect.andThen(
  Effect.sync(() => process.kill(process.pid, "SIGKILL")),
  Effect.never
)

/** The switch, and a clock that it can move. Nothing without the flag. */
export const layer = ({ allowChaos }: Pick<Input, "allowChaos">): Layer.Layer<never> =>
  allowChaos ? Layer.provideMerge(ChaosClock.layer, ChaosControl.layer({ crash: killed })) : Layer.empty
