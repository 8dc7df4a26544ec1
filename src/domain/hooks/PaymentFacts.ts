/**
 * What a hook is told of a payment: everything but what could charge it. Tokens and the return address stay out.
 *
 * The facts are a frozen copy: a hook that writes to them dies, and the engine's own values are out of its reach.
 */
import type { Money } from "../Money.ts"
import type { CaptureMethod, Customer, Metadata, PaymentDetails } from "../payment/Event.ts"
import type { GatewayName, PaymentId, TenantId } from "../payment/Ids.ts"
import type { PaymentMethod } from "../payment/PaymentMethod.ts"

/** The method without its tokens. `gateways`: those it has a token for; absent where one token serves all. */
export type MethodFacts = Omit<PaymentMethod, "references" | "token"> & { readonly gateways?: ReadonlyArray<GatewayName> }

/** A payment, as hooks see it. */
export interface PaymentFacts {
  readonly id: PaymentId
  readonly tenant: TenantId
  readonly amount: Money
  readonly captureMethod: CaptureMethod
  readonly method: MethodFacts
  readonly customer?: Customer
  readonly customerPresent: boolean
  readonly metadata: Metadata
}

/** The facts of a payment: copied, so that nothing of the engine's is in them, and frozen all the way down. */
export const of = (id: PaymentId, details: PaymentDetails): PaymentFacts => {
  const { references, token: _token, ...method } = details.method
  return frozen({
    id,
    tenant: details.tenant,
    amount: { ...details.amount },
    captureMethod: details.captureMethod,
    method: { ...method, ...(references === undefined ? {} : { gateways: Object.keys(references) as Array<GatewayName> }) },
    ...(details.customer === undefined ? {} : { customer: { ...details.customer } }),
    customerPresent: details.customerPresent,
    metadata: { ...details.metadata }
  })
}

/** Freezes plain data all the way down. For copies only. */
export const frozen = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) frozen(part)
  }
  return value
}

/** A copy of plain data, frozen all the way down. */
export const copied = <A>(value: A): A => frozen(copy(value) as A)

const copy = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(copy)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, copy(part)]))
}
