/**
 * The engine's settings. Defaults are the presets; the configuration file and hosts override them.
 */
import * as Context from "effect/Context"
import type { NextStepPolicy } from "../domain/payment/NextStep.ts"
import type { MethodType } from "../domain/payment/PaymentMethod.ts"
import * as Presets from "../domain/Presets.ts"
import * as BreakerSettings from "../domain/resilience/BreakerSettings.ts"
import type { BulkheadLimits } from "../domain/resilience/Bulkhead.ts"
import type { RetryBudgetLimits } from "../domain/resilience/RetryBudget.ts"
import type { RetryKind } from "../domain/resilience/RetryStrategy.ts"

/** Settings of the orchestration. All times in milliseconds; ranges are checked where the configuration is decoded. */
export interface EngineSettings {
  readonly attemptTimeoutMillis: number
  readonly sendWindowMillis: number
  readonly retries: number
  readonly retryBaseMillis: number
  readonly retryCapMillis: number
  readonly retryKind: RetryKind
  readonly retryFactor: number
  readonly retryJitter: number
  /** Of every gateway; the balances are kept apart. */
  readonly retryBudget: RetryBudgetLimits
  /** Of every kind of operation at every gateway; by gateway, and by `<gateway>.<kind>`, where one differs. */
  readonly breakers: {
    readonly settings: BreakerSettings.BreakerSettings
    readonly byGateway: { readonly [gateway: string]: BreakerSettings.BreakerSettings }
    readonly byName: { readonly [name: string]: BreakerSettings.BreakerSettings }
  }
  readonly bulkhead: BulkheadLimits
  /** By the gateway's name, where it differs. */
  readonly bulkheadByGateway: { readonly [gateway: string]: Partial<BulkheadLimits> }
  readonly policy: NextStepPolicy
  readonly completeWithinPresentMillis: number
  readonly completeWithinAbsentMillis: number
  /** How long a payment waits for the customer before it expires. */
  readonly customerWaitMillis: number
  /** The same by kind of payment method, where it differs. */
  readonly customerWaitByMethod: { readonly [Type in MethodType]?: number }
  readonly idempotencyWaitMillis: number
  readonly maxUnstoredOutcomes: number
  readonly storeWaitMillis: number
  readonly recoveryOlderThanMillis: number
  /** How long a payment that is being recovered is kept from other processes, after a crash too. */
  readonly recoveryLeaseMillis: number
  /** Also gateways that the engine refuses (`UnsafeGateway`): a lost answer of theirs may need a person, or lead to a second charge. Default false. */
  readonly allowUnsafeGateways: boolean
}

/** The presets as settings. */
export const defaults: EngineSettings = {
  attemptTimeoutMillis: Presets.gatewayCall.attemptTimeoutMillis.value,
  sendWindowMillis: Presets.gatewayCall.sendWindowMillis.value,
  retries: Presets.gatewayCall.retries.value,
  retryBaseMillis: Presets.gatewayCall.retryBaseMillis.value,
  retryCapMillis: Presets.gatewayCall.retryCapMillis.value,
  retryKind: Presets.gatewayCall.retryKind.value,
  retryFactor: Presets.gatewayCall.retryFactor.value,
  retryJitter: Presets.gatewayCall.retryJitter.value,
  retryBudget: { earnPerCall: Presets.retryBudget.earnPerCall.value, maxTokens: Presets.retryBudget.maxTokens.value },
  breakers: { settings: BreakerSettings.gatewayDefault, byGateway: {}, byName: {} },
  bulkhead: {
    concurrency: Presets.bulkhead.concurrency.value,
    queue: Presets.bulkhead.queue.value,
    maxWaitMillis: Presets.bulkhead.maxWaitMillis.value
  },
  bulkheadByGateway: {},
  policy: {
    maxCharges: Presets.payment.maxCharges.value,
    failoverOnSoftDecline: Presets.payment.failoverOnSoftDecline.value,
    lateSuccess: Presets.payment.lateSuccess.value
  },
  completeWithinPresentMillis: Presets.payment.completeWithinPresentMillis.value,
  completeWithinAbsentMillis: Presets.payment.completeWithinAbsentMillis.value,
  customerWaitMillis: Presets.payment.customerWaitMillis.value,
  customerWaitByMethod: {},
  idempotencyWaitMillis: Presets.idempotency.waitMillis.value,
  maxUnstoredOutcomes: Presets.outcomes.maxUnstored.value,
  storeWaitMillis: Presets.outcomes.storeWaitMillis.value,
  recoveryOlderThanMillis: Presets.recovery.olderThanMillis.value,
  recoveryLeaseMillis: Presets.recovery.leaseMillis.value,
  allowUnsafeGateways: false
}

/** The settings in force; the presets unless provided. */
export const Settings = Context.Reference<EngineSettings>("aegispay/services/Settings", { defaultValue: () => defaults })
