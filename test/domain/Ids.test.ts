/** Identifiers: what is stored must never change. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Ids from "../../src/domain/payment/Ids.ts"

const bucket = (tenant: string, key: string) => Ids.bucketOf({ tenant: Ids.TenantId.make(tenant), key: Ids.IdempotencyKey.make(key) })
const accepts = (schema: Schema.Codec<string, string>, value: string) => Result.isSuccess(Schema.decodeUnknownResult(schema)(value))

describe("buckets", () => {
  it("are FNV-1a of tenant, NUL and key, folded to 16 bits: fixed vectors", () => {
    assert.strictEqual(bucket("m1", "key-1"), 63924)
    assert.strictEqual(bucket("m1", "order-A-1001"), 35611)
    assert.strictEqual(bucket("merchant_2", "key-1"), 29159)
    assert.strictEqual(bucket("a", "~"), 61373)
    assert.strictEqual(bucket("Z".repeat(64), "k".repeat(255)), 49211)
  })
  it("are in range, and tenant and key do not run together", () => {
    for (let index = 0; index < 2000; index++) {
      const value = bucket("m1", `key-${index}`)
      assert.isTrue(Number.isInteger(value) && value >= 0 && value < Ids.bucketCount)
    }
    assert.notStrictEqual(bucket("ab", "c"), bucket("a", "bc"))
  })
})

describe("payment ids", () => {
  it("carry their bucket and their UUID", () => {
    const uuid = "01890a5d-ac96-774b-bcce-b302099a8057"
    for (const value of [0, 1, 0x00ff, 0xabcd, 0xffff]) {
      const id = Ids.makePaymentId({ bucket: value, uuid })
      assert.strictEqual(Ids.bucketOfPayment(id), value)
      assert.strictEqual(Ids.uuidOfPayment(id), uuid)
      assert.isTrue(accepts(Ids.PaymentId, id))
    }
  })
  it("nothing else is one", () => {
    for (const text of [
      "",
      "pay_",
      `pay_${"0".repeat(35)}`,
      `pay_${"0".repeat(37)}`,
      `pay_${"G".repeat(36)}`,
      `PAY_${"0".repeat(36)}`,
      `pay_${"0".repeat(36)}\n`
    ]) {
      assert.isFalse(accepts(Ids.PaymentId, text), JSON.stringify(text))
    }
  })
})

describe("request keys and names", () => {
  it("a request key names payment and operation and fits every PSP (64 characters)", () => {
    const payment = Ids.makePaymentId({ bucket: 1, uuid: "01890a5d-ac96-774b-bcce-b302099a8057" })
    const key = Ids.requestKeyOf({ payment, operation: Ids.OperationNumber.make(1000) })
    assert.strictEqual(key, `${payment}-1000`)
    assert.isAtMost(key.length, 64)
  })
  it("tenants, keys and gateway names are bounded and plain", () => {
    assert.isTrue(accepts(Ids.TenantId, "m".repeat(64)))
    for (const text of ["", "m".repeat(65), "a b", "a/b", "é", "a\n"]) assert.isFalse(accepts(Ids.TenantId, text), JSON.stringify(text))
    assert.isTrue(accepts(Ids.IdempotencyKey, "k".repeat(255)))
    for (const text of ["", "k".repeat(256), "a b", "a\u0000", "é", "a\n"])
      assert.isFalse(accepts(Ids.IdempotencyKey, text), JSON.stringify(text))
    for (const text of ["", "-a", "A", "a_b", "a".repeat(65), "__proto__"]) assert.isFalse(accepts(Ids.GatewayName, text), text)
  })
  it("operations are numbered from 1 to 1,000", () => {
    const decode = Schema.decodeUnknownResult(Ids.OperationNumber)
    for (const number of [1, 1000]) assert.isTrue(Result.isSuccess(decode(number)))
    for (const number of [0, -1, 1001, 1.5, NaN, "1"]) assert.isTrue(Result.isFailure(decode(number)))
  })
})
