import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Requests from "../../src/sandbox/http/Requests.ts"
import * as WebhookSignature from "../../src/sandbox/WebhookSignature.ts"

const good = {
  amount: 4990,
  currency: "EUR",
  token: "tok_success",
  capture: "automatic",
  reference: "r",
  payment: "p"
}

const decode = (body: unknown) =>
  Requests.decode({ kind: "charge", baseUrl: "http://x" }, typeof body === "string" ? body : JSON.stringify(body))

const code = (body: unknown): string => {
  const decoded = decode(body)
  return Result.isSuccess(decoded) ? "ok" : (decoded.failure.answer.body["error"] as { code: string; param?: string }).code
}

describe("request bodies", () => {
  it("accepts a charge and everything optional", () => {
    assert.strictEqual(code(good), "ok")
    assert.strictEqual(code({ ...good, return_url: "https://shop.example/back", off_session: true, metadata: { order: "7" } }), "ok")
  })

  it("refuses amounts that are not positive integers within the range", () => {
    for (const amount of [0, -1, 1.5, 1e12, "10", null, true])
      assert.strictEqual(code({ ...good, amount }), "invalid_field", String(amount))
    assert.strictEqual(code(JSON.stringify(good).replace("4990", "1e999")), "invalid_field")
  })

  it("refuses missing, misshapen and unknown fields, and what is no object", () => {
    for (const field of Object.keys(good)) assert.strictEqual(code({ ...good, [field]: undefined }), "missing_field", field)
    const wrong = { currency: "eur", capture: "later", reference: "", payment: "x".repeat(256), return_url: "javascript:alert(1)" }
    for (const [field, value] of Object.entries(wrong)) assert.strictEqual(code({ ...good, [field]: value }), "invalid_field", field)
    assert.strictEqual(code({ ...good, metadata: { a: 1 } }), "invalid_field")
    assert.strictEqual(code({ ...good, amout: 1 }), "unknown_field")
    for (const body of ["", "{", "[]", "null", "7"]) assert.strictEqual(code(body), "invalid_json", body)
  })

  it("refuses a card number and never repeats it", () => {
    for (const token of ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", 4242424242424242, "378282246310005"]) {
      const decoded = decode({ ...good, token })
      assert.isTrue(Result.isFailure(decoded))
      assert.strictEqual(code({ ...good, token }), "card_number_not_accepted")
      if (Result.isFailure(decoded)) assert.notInclude(JSON.stringify(decoded.failure), "4242")
    }
    assert.isFalse(Requests.isCardNumber("4242424242424241"))
    assert.isFalse(Requests.isCardNumber("424242"))
  })

  it("two bodies that differ only in order have one canonical form", () => {
    const left = decode(good)
    const right = decode(Object.fromEntries(Object.entries(good).reverse()))
    assert.isTrue(Result.isSuccess(left) && Result.isSuccess(right) && left.success.canonical === right.success.canonical)
  })
})

describe("webhook signature", () => {
  const secret = Redacted.make("whsec_test")
  const rawBody = '{"id":"ev_1"}'
  const header = WebhookSignature.sign({ secret, timeSeconds: 1_000, rawBody })

  it("has the documented form", () => {
    // HMAC-SHA256("whsec_test", '1000.{"id":"ev_1"}'), computed with openssl.
    assert.strictEqual(header, `t=1000,v1=2949fa43772c58589a7609657390ca23939c8810d8c2620c9b4ecd91b2b8fbf2`)
  })

  it("holds for this body, this secret and this time only", () => {
    const verify = (changed: Partial<Parameters<typeof WebhookSignature.verify>[0]>) =>
      WebhookSignature.verify({ secret, header, rawBody, nowSeconds: 1_300, ...changed })
    assert.strictEqual(verify({}), "valid")
    assert.strictEqual(verify({ nowSeconds: 1_301 }), "expired")
    assert.strictEqual(verify({ nowSeconds: 699 }), "expired")
    assert.strictEqual(verify({ nowSeconds: 2_000, toleranceSeconds: 1_000 }), "valid")
    assert.strictEqual(verify({ rawBody: `${rawBody} ` }), "wrong")
    assert.strictEqual(verify({ secret: Redacted.make("other") }), "wrong")
    assert.strictEqual(verify({ header: header.replace("t=1000", "t=1001") }), "wrong")
    for (const bad of [undefined, "", "t=1000", "v1=00", `${header},v1=00`]) assert.strictEqual(verify({ header: bad }), "malformed")
  })
})
