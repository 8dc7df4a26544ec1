/**
 * The engine in memory, for tests of hosts.
 *
 * ```ts
 * const gateway = ScriptedGateway.make("psp")
 * it.effect("pays", () => checkout.pipe(Effect.provide(TestEngine.layer([gateway]))))
 * ```
 */
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as GatewayList from "../gateways/GatewayList.ts"
import * as Memory from "../layers/memory/Memory.ts"
import * as RequestFingerprint from "../layers/node/RequestFingerprint.ts"
import * as Payments from "../orchestration/payment/Payments.ts"
import type { Gateway } from "../services/Gateway.ts"

/** A key is needed and protects nothing here: the database ends with the test. */
const fingerprintKey = Redacted.make("a key for tests, of at least 32 bytes")

/** Payments over memory and these gateways, with the services they are made of. Settings come from `Settings`, else the presets. */
export const layer = (gateways: ReadonlyArray<Gateway>) =>
  Payments.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(GatewayList.layer(gateways), RequestFingerprint.layer(fingerprintKey))),
    Layer.provideMerge(Memory.layer)
  )
