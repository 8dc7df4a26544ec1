/**
 * Bad input, by table: each answers the status and code that are promised, as problem details, without a stack trace or what was
 * sent, and leaves nothing written.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { problems } from "../../../src/edges/http/Problems.ts"
import { testGateway } from "../../support/TestEngine.ts"
import {
  type Answered,
  client,
  idempotent,
  type InProcess,
  key,
  layerInProcess,
  newPayment,
  type RequestOptions,
  written
} from "./TestApi.ts"

const card = "4242424242424242"

interface Bad {
  readonly name: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly code: keyof typeof problems
  /** The field that `errors` names. */
  readonly path?: string
}

const withField = (field: string, value: unknown) => ({ ...newPayment, [field]: value })
const raw = (field: string, json: string) => JSON.stringify(withField(field, "@@")).replace('"@@"', json)
const method = (fields: object) => ({ ...newPayment, paymentMethod: { type: "card", token: "tok_1", ...fields } })

const amounts: ReadonlyArray<readonly [name: string, json: string]> = [
  ["negative", "-1"],
  ["zero", "0"],
  ["minus zero", "-0"],
  ["fractional", "49.9"],
  ["a tiny fraction", "1e-3"],
  ["2^53", "9007199254740992"],
  ["2^53+1", "9007199254740993"],
  ["beyond a double", "1e400"],
  ["1e21", "1e21"],
  ["a string", '"4990"'],
  ["a list", "[4990]"],
  ["an object", '{"value":4990}'],
  ["null", "null"],
  ["true", "true"]
]

const bodies: ReadonlyArray<Bad> = [
  ...amounts.map(
    ([name, json]) => ({ name: `amount ${name}`, body: raw("amount", json), code: "invalid_request", path: "amount" }) as const
  ),
  { name: "amount NaN", body: raw("amount", "NaN"), code: "malformed_json" },
  { name: "amount missing", body: { ...newPayment, amount: undefined }, code: "invalid_request", path: "amount" },
  ...["eur", "EU", "XXX", "XAU", "", "EURO", "€", "__proto__", "constructor", 978, null].map(
    (currency) =>
      ({ name: `currency ${currency}`, body: withField("currency", currency), code: "invalid_request", path: "currency" }) as const
  ),
  ...["status", "tenant", "tenantId", "id", "version", "amountCaptured", "gateway", "operations"].map(
    (field) => ({ name: `unknown field ${field}`, body: withField(field, "x"), code: "invalid_request", path: field }) as const
  ),
  { name: "unknown field in the method", body: method({ cvc: "123" }), code: "invalid_request", path: "paymentMethod.cvc" },
  { name: "no method", body: { ...newPayment, paymentMethod: undefined }, code: "invalid_request", path: "paymentMethod" },
  { name: "neither token nor references", body: method({ token: undefined }), code: "invalid_request", path: "paymentMethod" },
  { name: "token and references", body: method({ references: { a: "b" } }), code: "invalid_request", path: "paymentMethod" },
  { name: "unknown type of method", body: method({ type: "cheque" }), code: "invalid_request", path: "paymentMethod.type" },
  {
    name: "too many references",
    body: method({ token: undefined, references: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`g${at}`, "t"])) }),
    code: "invalid_request",
    path: "paymentMethod.references"
  },
  { name: "empty token", body: method({ token: "" }), code: "invalid_request", path: "paymentMethod.token" },
  { name: "token of 60 kB", body: method({ token: "t".repeat(60_000) }), code: "invalid_request", path: "paymentMethod.token" },
  { name: "card number as a token", body: method({ token: card }), code: "card_number_refused", path: "paymentMethod.token" },
  {
    name: "card number with blanks",
    body: method({ token: "4242 4242 4242 4242" }),
    code: "card_number_refused",
    path: "paymentMethod.token"
  },
  {
    name: "card number within a token",
    body: method({ token: `pan_${card}_x` }),
    code: "card_number_refused",
    path: "paymentMethod.token"
  },
  {
    name: "card number as a reference",
    body: method({ token: undefined, references: { "sandbox-a": card } }),
    code: "card_number_refused"
  },
  { name: "card number as a number", body: method({ token: Number(card) }), code: "invalid_request", path: "paymentMethod.token" },
  {
    name: "card number in metadata",
    body: withField("metadata", { note: `card ${card}` }),
    code: "card_number_refused",
    path: "metadata.note"
  },
  { name: "card number as a name in metadata", body: withField("metadata", { [card]: "x" }), code: "card_number_refused" },
  { name: "card number in the e-mail", body: withField("customer", { email: `${card}@x.example` }), code: "card_number_refused" },
  { name: "card number in an unknown field", body: withField("card", { number: card }), code: "card_number_refused" },
  { name: "card number as an unknown field", body: withField(card, "x"), code: "card_number_refused" },
  {
    name: "metadata with 51 entries",
    body: withField("metadata", Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`k${at}`, "v"]))),
    code: "invalid_request",
    path: "metadata"
  },
  { name: "metadata with a long value", body: withField("metadata", { k: "v".repeat(501) }), code: "invalid_request", path: "metadata.k" },
  { name: "metadata with a number", body: withField("metadata", { k: 1 }), code: "invalid_request", path: "metadata.k" },
  { name: "metadata with a list", body: withField("metadata", ["x"]), code: "invalid_request", path: "metadata" },
  { name: "NUL in metadata", body: raw("metadata", String.raw`{"k":"a\u0000b"}`), code: "invalid_request", path: "metadata.k" },
  { name: "NUL in a name of metadata", body: raw("metadata", String.raw`{"a\u0000b":"v"}`), code: "invalid_request" },
  { name: "half a surrogate pair", body: raw("customer", String.raw`{"name":"\ud800"}`), code: "invalid_request", path: "customer.name" },
  {
    name: "customer's e-mail too long",
    body: withField("customer", { email: "e".repeat(255) }),
    code: "invalid_request",
    path: "customer.email"
  },
  { name: "return URL that runs code", body: withField("returnUrl", "javascript:alert(1)"), code: "invalid_request", path: "returnUrl" },
  { name: "return URL that is none", body: withField("returnUrl", "/relative"), code: "invalid_request", path: "returnUrl" },
  { name: "unknown capture method", body: withField("captureMethod", "later"), code: "invalid_request", path: "captureMethod" },
  { name: "offSession as a text", body: withField("offSession", "true"), code: "invalid_request", path: "offSession" },
  {
    name: "__proto__ in the body",
    body: raw("amount", '1,"__proto__":{"status":"succeeded"}'),
    code: "invalid_request",
    path: "__proto__"
  },
  {
    name: "constructor in the body",
    body: raw("amount", '1,"constructor":{"prototype":{"x":1}}'),
    code: "invalid_request",
    path: "constructor"
  },
  { name: "a list", body: "[]", code: "invalid_request", path: "" },
  { name: "a number", body: "1", code: "invalid_request", path: "" },
  { name: "null", body: "null", code: "invalid_request", path: "" },
  { name: "an empty object", body: {}, code: "invalid_request", path: "amount" },
  { name: "no body", code: "invalid_request", path: "amount" },
  { name: "half an object", body: '{"amount":4990', code: "malformed_json" },
  { name: "a trailing comma", body: '{"amount":4990,}', code: "malformed_json" },
  { name: "text", body: `card ${card}`, code: "malformed_json" },
  { name: "deep nesting", body: raw("metadata", `${"[".repeat(30_000)}${"]".repeat(30_000)}`), code: "invalid_request", path: "" },
  {
    name: "deep nesting of objects",
    body: raw("metadata", `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`),
    code: "invalid_request",
    path: ""
  },
  {
    name: "ten thousand unknown fields",
    body: Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`f${at}`, 1])),
    code: "invalid_request",
    path: "f0"
  },
  { name: "a body over 64 KiB", body: withField("metadata", { k: "v".repeat(65_536) }), code: "body_too_large" },
  { name: "a body announced over 64 KiB", body: newPayment, headers: { "content-length": "65537" }, code: "body_too_large" },
  { name: "a length that is none", body: newPayment, headers: { "content-length": "abc" }, code: "body_too_large" },
  ...[
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/jsonp",
    ""
  ].map(
    (contentType) =>
      ({
        name: `media type "${contentType}"`,
        body: newPayment,
        headers: { "content-type": contentType },
        code: "unsupported_media_type"
      }) as const
  ),
  ...[
    ["missing", undefined, "idempotency_key_missing"],
    ["empty", "", "idempotency_key_invalid"],
    ["of 256 characters", "k".repeat(256), "idempotency_key_invalid"],
    ["of 10 kB", "k".repeat(10_240), "idempotency_key_invalid"],
    ["with a blank", "a b", "idempotency_key_invalid"],
    ["sent twice", "a, b", "idempotency_key_invalid"],
    ["not in ASCII", "schl\u00fcssel", "idempotency_key_invalid"]
  ].map(
    ([name, value, code]) =>
      ({
        name: `Idempotency-Key ${name}`,
        body: newPayment,
        headers: value === undefined ? { "x-none": "1" } : { "idempotency-key": value },
        code
      }) as Bad
  )
]

const isProblem = (answer: Answered, code: keyof typeof problems, sent = "") => {
  assert.strictEqual(answer.status, problems[code].status, answer.text)
  assert.strictEqual(answer.body.code, code, answer.text)
  assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
  assert.strictEqual(answer.body.status, answer.status)
  assert.strictEqual(answer.body.title, problems[code].title)
  assert.strictEqual(answer.body.type, `urn:aegispay:problem:${code}`)
  assert.strictEqual(answer.body.correlationId, answer.headers.get("x-correlation-id"))
  assert.isString(answer.body.detail)
  assert.isBelow(answer.text.length, 5_000)
  assert.notMatch(answer.text, /\n\s+at |\.ts:\d+|node_modules|424242/, sent)
}

const nothing = { payments: 0, events: 0, claims: 0 }

/** Runs against one gateway, and checks that it was not called. */
const uncharged = <A, E>(test: Effect.Effect<A, E, InProcess>) =>
  Effect.suspend(() => {
    const gateway = testGateway("sandbox-a")
    return Effect.provide(test, layerInProcess([gateway])).pipe(Effect.tap(() => Effect.sync(() => assert.lengthOf(gateway.sent, 0))))
  })

describe("POST /v1/payments refuses", () => {
  for (const bad of bodies) {
    it.effect(bad.name, () =>
      uncharged(
        Effect.gen(function* () {
          const send = yield* client
          const keyHeader = bad.headers?.["idempotency-key"] === undefined && bad.headers?.["x-none"] === undefined ? idempotent() : {}
          const options: RequestOptions = { key, body: bad.body, headers: { ...keyHeader, ...bad.headers } }
          const answer = yield* send("POST", "/v1/payments", options)
          isProblem(answer, bad.code)
          if (bad.path !== undefined) {
            const paths: ReadonlyArray<string> = answer.body.errors.map(({ path }: { readonly path: string }) => path)
            assert.include(paths, bad.path, answer.text)
          }
          assert.deepStrictEqual(yield* written, nothing)
          assert.isUndefined(({} as Record<string, unknown>)["status"])
        })
      )
    )
  }
})

describe("commands refuse", () => {
  const refused: ReadonlyArray<readonly [path: string, body: unknown, code: keyof typeof problems]> = [
    ["capture", { amount: 0 }, "invalid_request"],
    ["capture", { amount: "1" }, "invalid_request"],
    ["capture", { amount: 1, currency: "USD" }, "invalid_request"],
    ["capture", { final: 1 }, "invalid_request"],
    ["capture", { amount: 4991 }, "amount_exceeded"],
    ["capture", { amount: Number.MAX_SAFE_INTEGER }, "amount_exceeded"],
    ["capture", "{", "malformed_json"],
    ["refunds", { amount: -1 }, "invalid_request"],
    ["refunds", { amount: 1 }, "illegal_in_status"],
    ["refunds", { amount: 1, reason: "x" }, "invalid_request"],
    ["cancel", { amount: 1 }, "invalid_request"],
    ["confirm", { x: 1 }, "invalid_request"],
    ["confirm", {}, "illegal_in_status"]
  ]
  for (const [path, body, code] of refused) {
    it.effect(`${path} ${JSON.stringify(body)}`, () =>
      Effect.gen(function* () {
        const send = yield* client
        const manual = { ...newPayment, captureMethod: "manual" }
        const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: manual })).body
        const before = yield* written
        isProblem(yield* send("POST", `/v1/payments/${id}/${path}`, { key, headers: idempotent(), body }), code)
        isProblem(yield* send("POST", `/v1/payments/${id}/${path}`, { key, body }), "idempotency_key_missing")
        assert.deepStrictEqual(yield* written, before)
      }).pipe(Effect.provide(layerInProcess([testGateway("sandbox-a")])))
    )
  }

  it.effect("a refund above what was captured", () =>
    Effect.gen(function* () {
      const send = yield* client
      const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })).body
      const before = yield* written
      isProblem(
        yield* send("POST", `/v1/payments/${id}/refunds`, { key, headers: idempotent(), body: { amount: 4991 } }),
        "amount_exceeded"
      )
      assert.deepStrictEqual(yield* written, before)
    }).pipe(Effect.provide(layerInProcess([testGateway("sandbox-a")])))
  )

  it.effect("all but one of the captures that race for the same amount", () => {
    const gateway = testGateway("sandbox-a")
    return Effect.gen(function* () {
      const send = yield* client
      const manual = { ...newPayment, captureMethod: "manual" }
      const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: manual })).body
      const capture = send("POST", `/v1/payments/${id}/capture`, { key, headers: idempotent(), body: { amount: 4990 } })
      const rivals = Array.from({ length: 4 }, () =>
        Effect.suspend(() => send("POST", `/v1/payments/${id}/capture`, { key, headers: idempotent(), body: { amount: 4990 } }))
      )
      const answers = yield* Effect.all([capture, ...rivals], { concurrency: "unbounded" })
      assert.lengthOf(
        answers.filter(({ status }) => status === 200),
        1
      )
      for (const answer of answers.filter(({ status }) => status !== 200)) assert.include([409, 422], answer.status, answer.text)
      assert.lengthOf(
        gateway.sent.filter(({ kind }) => kind === "capture"),
        1
      )
      assert.strictEqual((yield* send("GET", `/v1/payments/${id}`, { key })).body.amountCaptured, 4990)
    }).pipe(Effect.provide(layerInProcess([gateway])))
  })
})

describe("reads refuse", () => {
  const queries: ReadonlyArray<readonly [query: string, path: string]> = [
    ["limit=0", "limit"],
    ["limit=201", "limit"],
    ["limit=1.5", "limit"],
    ["limit=ten", "limit"],
    ["limit=1&limit=2", "limit"],
    ["status=paid", "status"],
    ["from=yesterday", "from"],
    ["from=2026-13-45T00:00:00Z", "from"],
    ["from=1700000000", "from"],
    ["cursor=%00", "cursor"],
    [`cursor=${"a".repeat(513)}`, "cursor"],
    ["merchant=m2", "merchant"]
  ]
  for (const [query, path] of queries) {
    it.effect(`?${query.slice(0, 40)}`, () =>
      uncharged(
        Effect.gen(function* () {
          const send = yield* client
          const answer = yield* send("GET", `/v1/payments?${query}`, { key })
          isProblem(answer, "invalid_request")
          assert.deepStrictEqual(
            answer.body.errors.map((error: { readonly path: string }) => error.path),
            [path]
          )
        })
      )
    )
  }

  const addresses: ReadonlyArray<readonly [method: string, path: string, code: keyof typeof problems]> = [
    ["GET", "/v1/payments/pay_1", "payment_not_found"],
    ["GET", `/v1/payments/${"x".repeat(2_000)}`, "not_found"],
    ["GET", "/v1/payments/..%2f..%2fetc%2fpasswd", "payment_not_found"],
    ["GET", "/v1/payments/%00", "payment_not_found"],
    ["GET", "/v1/payments/%zz", "not_found"],
    ["GET", "/", "not_found"],
    ["GET", "/v1/refunds", "not_found"],
    ["GET", "/V1/payments", "not_found"],
    ["GET", "/v1/payments/", "payment_not_found"],
    ["GET", "//v1/payments", "not_found"],
    ["DELETE", "/v1/payments", "method_not_allowed"],
    ["PUT", `/v1/payments/pay_${"0".repeat(36)}`, "method_not_allowed"],
    ["GET", `/v1/payments/pay_${"0".repeat(36)}/capture`, "method_not_allowed"],
    ["POST", "/health", "method_not_allowed"]
  ]
  for (const [method, path, code] of addresses) {
    it.effect(`${method} ${path.slice(0, 60)}`, () =>
      uncharged(
        Effect.gen(function* () {
          const send = yield* client
          const answer = yield* send(method, path, { key })
          isProblem(answer, code)
          if (code === "method_not_allowed") assert.isNotNull(answer.headers.get("allow"))
        })
      )
    )
  }
})

describe("correlation ids", () => {
  it.effect("are kept when they are well-formed, and made otherwise", () =>
    uncharged(
      Effect.gen(function* () {
        const send = yield* client
        const sent = (id: string) =>
          Effect.map(send("GET", "/health/live", { headers: { "x-correlation-id": id } }), ({ headers }) => headers.get("x-correlation-id"))
        assert.strictEqual(yield* sent("order-1.a_B"), "order-1.a_B")
        for (const bad of ["a b", "x".repeat(65), "<script>", "", card]) assert.match((yield* sent(bad)) ?? "", /^[0-9a-f-]{36}$/)
      })
    )
  )
})
