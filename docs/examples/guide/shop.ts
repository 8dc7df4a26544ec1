import { type Charge, Currency, PaymentIds, PaymentMethod } from "../../../src/index.ts"

/** The merchant of all examples. */
export const shop = PaymentIds.TenantId.make("my-shop")

/** An order of 49.90 EUR, paid by card. Whoever repeats it with the same key gets the same payment. */
export const order = (key: string, more: Partial<Charge.ChargeRequest> = {}): Charge.ChargeRequest => ({
  tenant: shop,
  key: PaymentIds.IdempotencyKey.make(key),
  amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
  method: { type: "card", token: PaymentMethod.Token.make("tok_1") },
  ...more
})
