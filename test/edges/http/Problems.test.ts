import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { readFileSync } from "node:fs"
import { GatewayName, IdempotencyKey, OperationNumber, PaymentId } from "../../../src/domain/payment/Ids.ts"
import { CommandRefused, type RefusalReason } from "../../../src/domain/payment/Command.ts"
import { EventContinuityError } from "../../../src/domain/payment/Replay.ts"
import { type EngineError, ofEngineError, type ProblemCode, problems } from "../../../src/edges/http/Problems.ts"
import {
  IdempotencyKeyReused,
  NoUsableGateway,
  NotAccepting,
  PaymentNotFound,
  RequestInProgress,
  TooManyConflicts
} from "../../../src/orchestration/payment/Errors.ts"
import { type MoneyCommandError, Payments } from "../../../src/orchestration/payment/Payments.ts"
import { EventStore, EventStoreError } from "../../../src/services/EventStore.ts"
import { GatewayNotConfigured } from "../../../src/services/Gateway.ts"
import { client, engine, idempotent, key, newPayment } from "./TestApi.ts"

const id = PaymentId.make(`pay_${"0".repeat(36)}`)
const idempotencyKey = IdempotencyKey.make("secret-looking-key")
const gateway = GatewayName.make("sandbox-a")
const storeError = (reason: EventStoreError["reason"]) =>
  new EventStoreError({ operation: "EventStore.commit", reason, cause: new Error("password=hunter2") })
const refused = (reason: RefusalReason) => new CommandRefused({ command: "CapturePayment", status: "authorized", reason })

const table: ReadonlyArray<readonly [error: EngineError, code: ProblemCode, retryAfterSeconds?: number]> = [
  [new IdempotencyKeyReused({ key: idempotencyKey }), "idempotency_key_reused"],
  [new RequestInProgress({ key: idempotencyKey, retryAfterMillis: 1_200 }), "request_in_progress", 2],
  [new NoUsableGateway({ excluded: [] }), "no_usable_gateway"],
  [new PaymentNotFound({ id }), "payment_not_found"],
  [new NotAccepting({ unstored: 7 }), "not_accepting", 5],
  [new TooManyConflicts({ id, attempts: 6 }), "too_many_conflicts", 1],
  [new GatewayNotConfigured({ gateway, configured: [GatewayName.make("elsewhere")] }), "gateway_not_configured"],
  [storeError({ _tag: "Unavailable", detail: "hunter2" }), "database_unavailable", 1],
  [storeError({ _tag: "OutcomeUnknown", detail: "hunter2" }), "outcome_unknown", 1],
  [storeError({ _tag: "Corrupt", detail: "hunter2" }), "internal_error"],
  [storeError({ _tag: "TransactionFailed", detail: "hunter2" }), "internal_error"],
  [new EventContinuityError({ paymentId: id, expectedVersion: 3, actualVersion: 5 }), "payment_halted"],
  [refused({ _tag: "IllegalInStatus" }), "illegal_in_status"],
  [refused({ _tag: "OperationInProgress", operation: OperationNumber.make(2) }), "operation_in_progress", 1],
  [refused({ _tag: "AmountExceeded", requested: 2n, available: 1n }), "amount_exceeded"],
  [refused({ _tag: "CurrencyMismatch", expected: "EUR", actual: "USD" }), "currency_mismatch"],
  [refused({ _tag: "AmountNotPositive" }), "amount_not_positive"],
  [refused({ _tag: "AlreadyCaptured" }), "already_captured"],
  [refused({ _tag: "ResendNotAllowed", why: "no" }), "operation_refused"],
  [refused({ _tag: "TooLate" }), "too_late"],
  [refused({ _tag: "OtherAccount" }), "operation_refused"],
  [refused({ _tag: "TooManyOperations" }), "too_many_operations"]
]

describe("an error of the engine becomes a problem", () => {
  for (const [error, code, retryAfterSeconds] of table) {
    it(`${error._tag} ${"reason" in error ? error.reason._tag : ""} is ${code}`, () => {
      const problem = ofEngineError(error)
      assert.strictEqual(problem.code, code)
      assert.strictEqual(problem.retryAfterSeconds, retryAfterSeconds)
      assert.notMatch(`${problem.detail} ${JSON.stringify(problem.errors)}`, /hunter2|secret-looking|elsewhere/)
    })
  }
})

describe("the documentation of errors", () => {
  it("has a row with the status of every code, and no other row", () => {
    const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8")
    const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm)].map(([, code = "", status = ""]) => `${code} ${status}`)
    assert.sameMembers(
      rows,
      Object.entries(problems).map(([code, { status }]) => `${code} ${status}`)
    )
  })
})

const failing = (charge: Effect.Effect<never, MoneyCommandError>) =>
  Layer.merge(
    Layer.effect(
      Payments,
      Effect.map(Payments, (payments) => Payments.of({ ...payments, charge: () => charge }))
    ).pipe(Layer.provideMerge(engine([]))),
    HttpServer.layerServices
  )

const post = Effect.flatMap(client, (send) => send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment }))

describe("what fails inside", () => {
  it.effect("is told apart: nothing started, or not known", () =>
    Effect.gen(function* () {
      const away = yield* Effect.provide(post, failing(Effect.fail(storeError({ _tag: "Unavailable", detail: "hunter2" }))))
      assert.deepStrictEqual([away.status, away.body.code, away.headers.get("retry-after")], [503, "database_unavailable", "1"])
      const unknown = yield* Effect.provide(post, failing(Effect.fail(storeError({ _tag: "OutcomeUnknown", detail: "hunter2" }))))
      assert.deepStrictEqual([unknown.status, unknown.body.code], [503, "outcome_unknown"])
      assert.match(unknown.body.detail, /Retry with the same Idempotency-Key/)
      assert.notInclude(away.text + unknown.text, "hunter2")
    })
  )

  it.effect("unexpectedly, is answered without details", () =>
    Effect.gen(function* () {
      const died = yield* Effect.provide(post, failing(Effect.die(new Error("password=hunter2"))))
      assert.deepStrictEqual([died.status, died.body.code], [500, "internal_error"])
      assert.strictEqual(died.headers.get("content-type"), "application/problem+json")
      assert.strictEqual(died.body.correlationId, died.headers.get("x-correlation-id"))
      assert.notMatch(died.text, /hunter2|\.ts|at /)
    })
  )

  it.effect("in the database, makes the server unready and keeps it alive", () => {
    const down = Layer.effect(
      EventStore,
      Effect.map(EventStore, (store) => EventStore.of({ ...store, now: Effect.fail(storeError({ _tag: "Unavailable", detail: "away" })) }))
    ).pipe(Layer.provideMerge(engine([])))
    return Effect.gen(function* () {
      const send = yield* client
      for (const path of ["/health", "/health/ready"]) {
        const { body, status } = yield* send("GET", path)
        assert.deepStrictEqual([status, body], [503, { status: "unavailable", checks: { database: "unavailable", accepting: "ok" } }])
      }
      assert.strictEqual((yield* send("GET", "/health/live")).status, 200)
    }).pipe(Effect.provide(Layer.merge(down, HttpServer.layerServices)))
  })
})
