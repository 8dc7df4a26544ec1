/**
 * Builders of what a routing decision is made from.
 */
import * as Currency from "../../src/domain/Currency.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import type { PaymentDetails } from "../../src/domain/payment/Event.ts"
import { GatewayName, makePaymentId, type PaymentId } from "../../src/domain/payment/Ids.ts"
import type { GatewaySignals } from "../../src/domain/routing/Decision.ts"
import type { Candidate } from "../../src/domain/routing/plan/Eligibility.ts"
import * as Route from "../../src/domain/routing/plan/Route.ts"
import * as Policy from "../../src/domain/routing/policy/Policy.ts"
import { details, eur } from "./payments.ts"

export const name = (text: string): GatewayName => GatewayName.make(text)

const operation: OperationCapabilities = {
  lookupByReference: { lagMillis: 0 },
  replay: "result",
  replayWindowMillis: 86_400_000,
  cachesFailures: true,
  cancelByReference: "named",
  leavesOpenAfterDecline: false,
  settleTimeMillis: 20_000
}

const capabilities: GatewayCapabilities = {
  operations: { sale: operation, authorize: operation, confirm: operation, capture: operation, void: operation, refund: operation },
  captures: "multiple",
  authorizationValidityMillis: 604_800_000,
  currencies: new Map(Currency.all.map((code) => [code, Currency.exponent(code)]))
}

/** A gateway that takes everything, but for what is said otherwise. */
export const candidate = (text: string, differs: Partial<GatewayCapabilities> = {}): Candidate => ({
  name: name(text),
  capabilities: { ...capabilities, ...differs }
})

/** A charge of this gateway could not be recovered. */
export const unrecoverable: GatewayCapabilities["operations"] = {
  ...capabilities.operations,
  sale: { ...operation, lookupByReference: undefined, replay: "none", cancelByReference: "none" }
}

/** A gateway that nothing is known of. */
export const unknownSignals: GatewaySignals = {
  samples: 0,
  successRate: 1,
  approved: 0,
  declined: 0,
  p95Millis: 0,
  breaker: "closed",
  health: 0.9,
  failuresInRow: 0
}

/** A gateway of 1,000 calls that does well, but for what is said otherwise. */
export const signalsOf = (differs: Partial<GatewaySignals> = {}): GatewaySignals => ({
  ...unknownSignals,
  samples: 1_000,
  successRate: 0.99,
  p95Millis: 1_000,
  ...differs
})

/** The nth payment, with an id like those of the engine. */
export const paymentId = (number: number): PaymentId =>
  makePaymentId({
    bucket: (number * 7919) % 65_536,
    uuid: `01900000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`
  })

/** 20.00 EUR: within what is explored. */
export const small: PaymentDetails = details({ amount: eur(2_000n) })

/** Decides with these gateways: by name, with their signals or nothing known. */
export const decide = (
  gateways: Readonly<Record<string, Partial<GatewaySignals> | undefined>>,
  input: Partial<Route.RouteInput> & { readonly policyData?: Policy.PolicyData } = {}
) => {
  const { policyData, ...rest } = input
  return Route.route({
    payment: paymentId(1),
    details: small,
    candidates: Object.keys(gateways).map((gateway) => candidate(gateway)),
    signals: Object.values(gateways).map((differs) => (differs === undefined ? unknownSignals : signalsOf(differs))),
    policy: Policy.make(policyData),
    now: 1_700_000_000_000,
    random: 0.999_999,
    ...rest
  })
}

/** The names of a plan, in order. */
export const namesOf = (plan: ReadonlyArray<{ readonly gateway: GatewayName }>): ReadonlyArray<string> => plan.map(({ gateway }) => gateway)
