/**
 * The number that a merchant's customer is counted by is stored: it is the same for ever.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { customerKeyOf } from "../../../src/layers/postgres/payment/Rows.ts"
import { merchant } from "../../support/payments.ts"

const keyOf = (id: string) => customerKeyOf({ tenant: merchant, customer: { id } })

describe("customerKeyOf", () => {
  it("is fixed (vectors from Python's hashlib), of either sign, and null without a name", () => {
    assert.strictEqual(keyOf("customer-1"), 3_668_849_597_840_329_017n)
    assert.strictEqual(keyOf("customer-3"), -189_263_641_339_274_034n)
    assert.strictEqual(keyOf("Łukasz 💳"), 2_477_690_230_783_415_713n)
    assert.isNull(customerKeyOf({ tenant: merchant }))
    assert.isNull(customerKeyOf({ tenant: merchant, customer: { email: "a@example.com" } }))
  })

  it.prop("is the first eight bytes of the SHA-256, with the sign of a bigint column", { id: Schema.String }, ({ id }) => {
    assert.strictEqual(keyOf(id), createHash("sha256").update(`${merchant} ${id}`, "utf8").digest().readBigInt64BE(0))
  })
})
