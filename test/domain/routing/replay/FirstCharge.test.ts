/**
 * The end of a first charge, read from events.
 */
import { assert, describe, it } from "@effect/vitest"
import type { NextAction } from "../../../../src/domain/operation/Outcome.ts"
import type { PaymentEvent, Source } from "../../../../src/domain/payment/Event.ts"
import * as FirstCharge from "../../../../src/domain/routing/replay/FirstCharge.ts"
import {
  declined,
  initiated,
  intended,
  newEventId,
  newPaymentId,
  operationNumber,
  reference,
  screened,
  succeeded
} from "../../../support/payments.ts"

const payment = newPaymentId()
const first = intended({ payment })
const second = intended({ payment, number: 2 })
const confirm = intended({ payment, number: 2, kind: "confirm", purpose: "continue", target: 1 })
const cancel = intended({ payment, number: 2, kind: "void", purpose: "recover", target: 1 })
const nextAction: NextAction = { type: "redirect", url: "https://bank.example" }

const uncertain = (source: Source = "response"): PaymentEvent => ({
  _tag: "OperationUncertain",
  operation: operationNumber(1),
  source,
  reason: "timeout",
  message: "no answer",
  sends: 1
})
const actionRequired: PaymentEvent = {
  _tag: "ActionRequired",
  operation: operationNumber(1),
  source: "response",
  gatewayReference: reference("ch_1"),
  nextAction,
  sends: 1,
  observedAt: 0
}
const absent: PaymentEvent = { _tag: "OperationAbsent", operation: operationNumber(1), source: "recovery" }
const notSent: PaymentEvent = { _tag: "OperationNotSent", operation: operationNumber(1), reason: "connection_refused", message: "no" }

/** Reads events that are 100 ms apart. */
const read = (...events: ReadonlyArray<PaymentEvent>): FirstCharge.Followed => {
  const followed = FirstCharge.make(payment)
  events.forEach((event, index) => {
    const at = 1_000 + index * 100
    FirstCharge.read(followed, { eventId: newEventId(), version: index + 1, occurredAt: at, recordedAt: at + 5, paymentId: payment, event })
  })
  return followed
}
const outcomeOf = (...events: ReadonlyArray<PaymentEvent>) => FirstCharge.outcomeOf(read(...events))

describe("FirstCharge", () => {
  it("a charge that succeeds or is declined ends it; its latency reaches from the intent to the answer", () => {
    assert.deepStrictEqual(outcomeOf(initiated(), first, succeeded()), { approved: true, latencyMillis: 100 })
    assert.deepStrictEqual(outcomeOf(initiated(), screened, first, declined()), { approved: false, latencyMillis: 100 })
    assert.deepInclude(read(initiated(), first).first, { recordedAt: 1_105, occurredAt: 1_100 })
  })

  it("is not ended while it is open", () => {
    assert.isUndefined(outcomeOf())
    assert.isUndefined(outcomeOf(initiated()))
    assert.isUndefined(outcomeOf(initiated(), first))
    assert.isUndefined(outcomeOf(initiated(), first, uncertain()))
    assert.isUndefined(outcomeOf(initiated(), first, actionRequired))
    assert.isUndefined(outcomeOf(initiated(), first, actionRequired, confirm))
  })

  it("what happens after it, at another gateway, changes nothing", () => {
    assert.deepStrictEqual(outcomeOf(initiated(), first, declined(1, "soft"), second, succeeded(2)), {
      approved: false,
      latencyMillis: 100
    })
    assert.deepStrictEqual(outcomeOf(initiated(), first, notSent, second, succeeded(2)), { approved: false, latencyMillis: undefined })
  })

  it("a lost answer took as long as it was waited for, however it was found out", () => {
    assert.deepStrictEqual(outcomeOf(initiated(), first, uncertain(), { ...succeeded(), source: "recovery" } as PaymentEvent), {
      approved: true,
      latencyMillis: 100
    })
    assert.deepStrictEqual(outcomeOf(initiated(), first, uncertain("recovery"), absent), { approved: false, latencyMillis: undefined })
  })

  it("a charge that the customer continued ends as the continuation; one that was cancelled did not take effect", () => {
    assert.deepStrictEqual(outcomeOf(initiated(), first, actionRequired, confirm, succeeded(2)), { approved: true, latencyMillis: 100 })
    assert.deepStrictEqual(outcomeOf(initiated(), first, actionRequired, confirm, declined(2)), { approved: false, latencyMillis: 100 })
    const cancelled: PaymentEvent = { ...succeeded(2), endsTarget: true } as PaymentEvent
    assert.deepStrictEqual(outcomeOf(initiated(), first, uncertain(), cancel, cancelled), { approved: false, latencyMillis: 100 })
  })
})
