/**
 * A gateway for tests, without network: its answers are what the test says, and what it was sent is kept.
 *
 * By default every operation succeeds under the first answer given to its request key, so that repetitions and look-ups find it, as
 * at a PSP.
 *
 * ```ts
 * const gateway = ScriptedGateway.make("psp", {
 *   answer: (intent) => ScriptedGateway.declined("soft")
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Currency from "../domain/Currency.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../domain/operation/Capabilities.ts"
import type { DeclineCategory } from "../domain/operation/Decline.ts"
import type { Intent } from "../domain/operation/Operation.ts"
import type { Declined, Outcome, Succeeded, Unknown } from "../domain/operation/Outcome.ts"
import { AccountFingerprint, GatewayName, GatewayReference, type RequestKey } from "../domain/payment/Ids.ts"
import type { Gateway, HoldAnswer, LookupAnswer } from "../services/Gateway.ts"

/** What a test may decide. */
export interface Script {
  /** The answer to a request that is new to the gateway. Default: `succeeded`. */
  readonly answer?: (intent: Intent) => Outcome
  /** What a look-up finds where nothing definite was answered. Default: `Absent`. */
  readonly lookup?: (intent: Intent) => LookupAnswer
  /** What is left of an authorization when it is asked about. Default: it holds. */
  readonly hold?: (intent: Intent) => HoldAnswer
  /** Capabilities that differ from: look-up, replayed results for 24 h, cancel by reference, settled within 15 s. */
  readonly capabilities?: Partial<OperationCapabilities>
  /** Default `multiple`. */
  readonly captures?: GatewayCapabilities["captures"]
}

/** A gateway that keeps the intents it was sent, repetitions included, and those it was asked about. */
export interface ScriptedGateway extends Gateway {
  readonly sent: ReadonlyArray<Intent>
  readonly asked: ReadonlyArray<Intent>
}

const defaults: OperationCapabilities = {
  lookupByReference: { lagMillis: 0 },
  replay: "result",
  replayWindowMillis: 86_400_000,
  cachesFailures: true,
  cancelByReference: "named",
  leavesOpenAfterDecline: false,
  settleTimeMillis: 15_000
}

const isDefinite = (outcome: Outcome): outcome is Succeeded | Declined => outcome._tag === "Succeeded" || outcome._tag === "Declined"

/** A gateway of this name. */
export const make = (name: string, script: Script = {}): ScriptedGateway => {
  const sent: Array<Intent> = []
  const asked: Array<Intent> = []
  const answers = new Map<RequestKey, Succeeded | Declined>()
  const operation = { ...defaults, ...script.capabilities }
  return {
    sent,
    asked,
    name: GatewayName.make(name),
    account: AccountFingerprint.make(`scripted:${name}`),
    adapterVersion: "1",
    apiVersion: "1",
    connectLimitMillis: 0,
    capabilities: {
      operations: { sale: operation, authorize: operation, confirm: operation, capture: operation, void: operation, refund: operation },
      captures: script.captures ?? "multiple",
      authorizationValidityMillis: 7 * 86_400_000,
      currencies: new Map(Currency.all.map((code) => [code, Currency.exponent(code)]))
    },
    send: ({ intent }) =>
      Effect.sync(() => {
        sent.push(intent)
        const answered = answers.get(intent.requestKey)
        if (answered !== undefined) return answered
        const outcome = script.answer?.(intent) ?? succeeded(intent)
        if (isDefinite(outcome)) answers.set(intent.requestKey, outcome)
        return outcome
      }),
    lookup: ({ intent }) =>
      Effect.sync(() => {
        asked.push(intent)
        return answers.get(intent.requestKey) ?? script.lookup?.(intent) ?? { _tag: "Absent" }
      }),
    hold: ({ intent }) => Effect.sync(() => script.hold?.(intent) ?? { _tag: "Held" })
  }
}

/** It happened, with the amount asked for. */
export const succeeded = (intent: Intent): Succeeded => ({
  _tag: "Succeeded",
  gatewayReference: GatewayReference.make(`ref-${intent.kind === "confirm" ? intent.target : intent.number}`),
  amount: intent.amount,
  named: true
})

/** It certainly did not happen. */
export const declined = (category: DeclineCategory, code = category as string): Declined => ({
  _tag: "Declined",
  category,
  code,
  message: `declined: ${category}`
})

/** It may have happened: the answer was lost. */
export const lost: Unknown = { _tag: "Unknown", reason: "connection_lost", message: "the answer was lost" }
