/**
 * What the engine refuses about a gateway before the first payment: with it, an answer that is lost could never be found out, or a charge be
 * taken for absent while it is still on its way.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isRecoverable, type OperationCapabilities } from "../../domain/operation/Capabilities.ts"
import { AccountFingerprint, GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Gateway, Gateways } from "../../services/Gateway.ts"
import { type EngineSettings, Settings } from "../../services/Settings.ts"

/** A gateway must not be used with these settings; the message says why, and what to change. */
export class UnsafeGateway extends Schema.TaggedError<UnsafeGateway>()("UnsafeGateway", {
  gateway: Schema.String,
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

/** What every intent stores of its gateway. */
const stored = {
  name: Schema.is(GatewayName),
  account: Schema.is(AccountFingerprint),
  adapterVersion: Schema.is(Schema.String),
  apiVersion: Schema.is(Schema.String)
}

const isMillis = (millis: number): boolean => Number.isSafeInteger(millis) && millis >= 0

/** What of a gateway no intent could store, or nothing could be judged by. */
const misdeclared = (gateway: Gateway): string | undefined => {
  if (!stored.name(gateway.name)) return "name has to be 1 to 64 characters a-z, 0-9 and -, starting with a letter or digit"
  if (!stored.account(gateway.account)) return "account has to be a text of 1 to 128 characters"
  if (!stored.adapterVersion(gateway.adapterVersion)) return "adapterVersion has to be a text"
  if (!stored.apiVersion(gateway.apiVersion)) return "apiVersion has to be a text"
  for (const [kind, capabilities] of Object.entries<OperationCapabilities>(gateway.capabilities.operations)) {
    const { lookupByReference, replayWindowMillis, settleTimeMillis } = capabilities
    const times = { settleTimeMillis, replayWindowMillis, lagMillis: lookupByReference === undefined ? 0 : lookupByReference.lagMillis }
    const wrong = Object.entries(times).find(([, millis]) => !isMillis(millis))
    if (wrong !== undefined) return `${wrong[0]} of ${kind} has to be an integer of 0 or more`
  }
  return undefined
}

/**
 * Why a gateway may not be used.
 *
 * - What it declares is not what can be stored and compared; types do not hold everywhere.
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
  const wrong = misdeclared(gateway)
  if (wrong !== undefined) return `gateway ${gateway.name}: ${wrong}`
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
