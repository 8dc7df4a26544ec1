/**
 * What a gateway declares about itself. Recovery is planned from it (rules 12 to 14), and start-up refuses what cannot be
 * recovered.
 *
 * An unpublished replay window counts as none: without it nobody knows when a repeated key executes anew.
 */
import * as Schema from "effect/Schema"
import type { CurrencyCode } from "../Currency.ts"
import type { MethodType } from "../payment/PaymentMethod.ts"
import type { OperationKind } from "./Operation.ts"
import type { PollSchedule } from "./PollSchedule.ts"

/**
 * What a repeated request key does. `result`: a charge executed under a key is never executed again, whatever was answered.
 * `conflict`: the repetition is refused, so it is followed by a look-up. `none`: the key protects from nothing.
 */
export const Replay = Schema.Literals(["result", "conflict", "none"])
export type Replay = typeof Replay.Type

/** Capabilities of one kind of operation at one gateway. All times in milliseconds. */
export interface OperationCapabilities {
  /** Can a request be found by our reference, and how long after execution at the latest? `undefined`: it cannot. */
  readonly lookupByReference: { readonly lagMillis: number } | undefined
  readonly replay: Replay
  /** How long the gateway honours a key after its first use. Ignored where `replay` is `none`. */
  readonly replayWindowMillis: number
  /** Are declines and errors stored under the key too? */
  readonly cachesFailures: boolean
  /** Can a request be cancelled by our reference; does the answer name what was cancelled? */
  readonly cancelByReference: "named" | "unnamed" | "none"
  /** Does a declined payment stay open for the customer's page to confirm (rule 6)? */
  readonly leavesOpenAfterDecline: boolean
  /** Late arrival + processing + look-up lag: how long after its last permitted send a request may still take effect. */
  readonly settleTimeMillis: number
}

/** Capabilities of a gateway account. */
export interface GatewayCapabilities {
  readonly operations: { readonly [Kind in OperationKind]: OperationCapabilities }
  /** May an authorization be captured once or several times? */
  readonly captures: "single" | "multiple"
  /** How long an authorization can be captured. */
  readonly authorizationValidityMillis: number
  /** The currencies of this account with the exponent this PSP uses for each. */
  readonly currencies: ReadonlyMap<CurrencyCode, number>
  /** The kinds of payment method that this account takes; default: every kind. */
  readonly methods?: ReadonlySet<MethodType> | undefined
  /** When what waits for the gateway or the customer is asked about; default: the presets `recovery.poll*`. */
  readonly polling?: PollSchedule | undefined
}

/** `leavesOpenAfterDecline` without `cachesFailures` counts as no replay: the retry would open a second object beside the first. */
export const effectiveReplay = (capabilities: OperationCapabilities): Replay =>
  capabilities.leavesOpenAfterDecline && !capabilities.cachesFailures ? "none" : capabilities.replay

/** Can an operation whose answer was lost be resolved at all, without a person? A refused repetition tells nothing without a look-up. */
export const isRecoverable = (capabilities: OperationCapabilities): boolean =>
  capabilities.lookupByReference !== undefined || effectiveReplay(capabilities) === "result" || capabilities.cancelByReference !== "none"
