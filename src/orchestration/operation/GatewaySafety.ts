/**
 * What the engine refuses about a gateway before the first payment: with it, an answer that is lost could never be found out, or a charge be
 * taken for absent while it is still on its way.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isRecoverable, type OperationCapabilities } from "../../domain/operation/Capabilities.ts"
import { GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Gateway, Gateways } from "../../services/Gateway.ts"
import { type EngineSettings, Settings } from "../../services/Settings.ts"

/** A gateway must not be used with these settings; the message says why, and what to change. */
export class UnsafeGateway extends Schema.TaggedError<UnsafeGateway>()("UnsafeGateway", {
  gateway: GatewayName,
  problem: Schema.String
}) {
  override get message(): string {
    return this.problem
  }
}

/** Fails for the first gateway that must not be used, unless the setting `allowUnsafeGateways` says otherwise. */
export const check = Effect.gen(function* () {
  const { all } = yield* Gateways
  const settings = yield* Settings
  if (settings.allowUnsafeGateways) return
  for (const gateway of all) {
    const problem = problemOf(gateway, settings)
    if (problem !== undefined) return yield* new UnsafeGateway({ gateway: gateway.name, problem })
  }
})

/**
 * Why a gateway may not be used.
 *
 * - Its lost answers could not be found out.
 * - Its settle time is too short (rule 13): a request may be written at the end of its permission, be answered as late as an attempt is
 *   waited for, and be seen by a look-up only after the lag. Whoever concluded an absence before would go on to another gateway while this
 *   one's answer is still awaited. Connecting is not in it: what has to connect starts that much earlier.
 * - No attempt would ever start, since connecting may take longer than a permission lasts.
 */
export const problemOf = (
  gateway: Gateway,
  settings: Pick<EngineSettings, "attemptTimeoutMillis" | "sendWindowMillis">
): string | undefined => {
  const { attemptTimeoutMillis, sendWindowMillis } = settings
  for (const [kind, capabilities] of Object.entries<OperationCapabilities>(gateway.capabilities.operations)) {
    if (!isRecoverable(capabilities)) {
      return `gateway ${gateway.name} cannot look up, replay or cancel a ${kind}: a lost answer could never be found out; do not use it`
    }
    const lag = capabilities.lookupByReference?.lagMillis ?? 0
    const least = attemptTimeoutMillis + lag
    if (capabilities.settleTimeMillis < least) {
      return `gateway ${gateway.name}: settleTimeMillis (${capabilities.settleTimeMillis}) of ${kind} is below ${least}: the attempt timeout (${attemptTimeoutMillis}) plus its look-up lag (${lag}); set it to at least that, or retries.attemptTimeoutMillis to less`
    }
  }
  const connectLimitMillis = gateway.connectLimitMillis ?? Presets.gatewayCall.connectLimitMillis.value
  return connectLimitMillis < sendWindowMillis
    ? undefined
    : `gateway ${gateway.name}: connecting may take ${connectLimitMillis} ms, a permission to send lasts ${sendWindowMillis} ms; set retries.sendWindowMillis to more, or retries.connectLimitMillis to less`
}
