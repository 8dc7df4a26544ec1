/**
 * Identifiers of a payment and of what belongs to it.
 *
 * A payment id is `pay_` and 36 hexadecimal digits: four for the bucket, 32 for a UUIDv7. The bucket is a hash of
 * (tenant, idempotency key), so every table of a payment can be partitioned by it. Request keys and references are pure
 * functions of payment id and operation number: the same operation always presents the same key to the gateway.
 *
 * **Gotchas**: `bucketOf` is stored data. Changing it would orphan every claim, so its vectors are fixed by a test.
 */
import * as Schema from "effect/Schema"

/** The number of hash buckets, 65,536: four hexadecimal digits. */
export const bucketCount = 0x1_0000

/** A merchant: the owner of payments, keys and API keys. 1 to 64 characters of `A-Z a-z 0-9 _ -`. */
export const TenantId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,64}$/)).pipe(Schema.brand("TenantId"))
export type TenantId = typeof TenantId.Type

/** The caller's idempotency key: 1 to 255 visible ASCII characters. Unique per tenant, for ever. */
export const IdempotencyKey = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,255}$/)).pipe(Schema.brand("IdempotencyKey"))
export type IdempotencyKey = typeof IdempotencyKey.Type

/** `pay_`, four hexadecimal digits of bucket, 32 of UUIDv7. */
export const PaymentId = Schema.String.check(Schema.isPattern(/^pay_[0-9a-f]{36}$/)).pipe(Schema.brand("PaymentId"))
export type PaymentId = typeof PaymentId.Type

/** A UUIDv7 in its usual form. */
export const EventId = Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)).pipe(
  Schema.brand("EventId")
)
export type EventId = typeof EventId.Type

const gatewayName = /^[a-z0-9][a-z0-9-]{0,63}$/

/** The name of one gateway account in the configuration: 1 to 64 characters of `a-z 0-9 -`, starting with a letter or digit. */
export const GatewayName = Schema.String.check(Schema.isPattern(gatewayName)).pipe(Schema.brand("GatewayName"))
export type GatewayName = typeof GatewayName.Type

/** Is it the name of a gateway? */
export const isGatewayName = (name: unknown): name is GatewayName => typeof name === "string" && gatewayName.test(name)

/** A digest that tells one account at a PSP from another; it contains no secret. */
export const AccountFingerprint = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(128)).pipe(
  Schema.brand("AccountFingerprint")
)
export type AccountFingerprint = typeof AccountFingerprint.Type

/** Operations are numbered from 1 within a payment; at most 1,000. */
export const OperationNumber = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })).pipe(Schema.brand("OperationNumber"))
export type OperationNumber = typeof OperationNumber.Type

/** What makes the PSP recognise a repeated request. At most 64 characters, the shortest limit among the supported PSPs. */
export const RequestKey = Schema.String.check(Schema.isPattern(/^pay_[0-9a-f]{36}-[0-9]{1,4}(-[a-z]{1,12})?$/)).pipe(
  Schema.brand("RequestKey")
)
export type RequestKey = typeof RequestKey.Type

/** The PSP's own id of an object. 1 to 255 characters. */
export const GatewayReference = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(255)).pipe(Schema.brand("GatewayReference"))
export type GatewayReference = typeof GatewayReference.Type

/** FNV-1a (32 bit) over the UTF-16 code units of `tenant NUL key`, folded to 16 bits. */
export const bucketOf = (options: { readonly tenant: TenantId; readonly key: IdempotencyKey }): number => {
  const text = `${options.tenant}\u0000${options.key}`
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0
  }
  return (hash >>> 16) ^ (hash & 0xffff)
}

/** Builds a payment id from its bucket and a UUIDv7 in its usual form. */
export const makePaymentId = ({ bucket, uuid }: { readonly bucket: number; readonly uuid: string }): PaymentId => {
  const hex = `${uuid.slice(0, 8)}${uuid.slice(9, 13)}${uuid.slice(14, 18)}${uuid.slice(19, 23)}${uuid.slice(24)}`
  return `pay_${bucket.toString(16).padStart(4, "0")}${hex}` as PaymentId
}

/** The bucket a payment id carries. */
export const bucketOfPayment = (id: PaymentId): number => Number.parseInt(id.slice(4, 8), 16)

/** The UUID a payment id carries, in its usual form with dashes. */
export const uuidOfPayment = (id: PaymentId): string => {
  const hex = id.slice(8)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The reference of one operation, which the gateway stores and by which recovery finds it again. */
export const requestKeyOf = (options: { readonly payment: PaymentId; readonly operation: OperationNumber }): RequestKey =>
  `${options.payment}-${options.operation}` as RequestKey

/** The operation that a reference names, or `undefined` for a text that is none of our references. */
export const operationOfRequestKey = (
  reference: string
): { readonly payment: PaymentId; readonly operation: OperationNumber } | undefined => {
  const parts = /^(pay_[0-9a-f]{36})-([1-9][0-9]{0,3})(?:-[a-z]{1,12})?$/.exec(reference)
  const payment = parts?.[1]
  const number = Number(parts?.[2])
  return payment !== undefined && number <= 1000 ? { payment: PaymentId.make(payment), operation: OperationNumber.make(number) } : undefined
}
