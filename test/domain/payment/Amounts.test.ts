/** Captures, refunds, disputes and later failures: what the operations add up to. */
import { assert, describe, it } from "@effect/vitest"
import type { Command } from "../../../src/domain/payment/Command.ts"
import { amounts } from "../../../src/domain/payment/Status.ts"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as View from "../../../src/domain/payment/View.ts"
import { eur, operationNumber } from "../../support/payments.ts"
import {
  absent,
  answered,
  at,
  begun,
  declined,
  does,
  given,
  notSent,
  operation,
  pending,
  starts,
  startsManual,
  succeeded,
  terms,
  told,
  unknown
} from "../../support/paymentSpec.ts"

const capture = (amount?: bigint, options: { final?: boolean; single?: boolean } = {}): Command => ({
  _tag: "CapturePayment",
  amount: amount === undefined ? undefined : eur(amount),
  final: options.final ?? false,
  terms: terms({ captures: options.single === true ? "single" : "multiple" })
})
const refund = (amount?: bigint): Command => ({
  _tag: "RefundPayment",
  amount: amount === undefined ? undefined : eur(amount),
  terms: terms()
})
const cancel: Command = { _tag: "CancelPayment", purpose: "cancel", terms: terms() }
const failure = (number: number): Command => ({
  _tag: "ReportFailure",
  operation: operationNumber(number),
  source: "webhook",
  message: "returned"
})
const dispute = (status: "open" | "won" | "lost", disputeId = "dp_1", minor = 4990n): Command => ({
  _tag: "ReportDispute",
  disputeId,
  amount: eur(minor),
  status
})
const authorized = [startsManual(), answered(1, succeeded())] as const
const sold = [starts(), answered(1, succeeded())] as const
const dollars = { currency: CurrencyCode.make("USD"), minor: 1n }
const of = (minor: bigint, id: string) => succeeded({ amount: minor, id })

describe("capture", () => {
  it("all that is left, finally", () => {
    given(...authorized)
      .when(capture())
      .then("intend 2: capture 4990 at a of 1 final")
      .hasStatus("processing")
    given(...authorized, does(capture()), answered(2, of(4990n, "cap_1"))).hasStatus("succeeded")
  })
  it("a part; the rest stays authorized", () => {
    given(...authorized)
      .when(capture(1000n))
      .then("intend 2: capture 1000 at a of 1")
    const part = given(...authorized, does(capture(1000n)), answered(2, of(1000n, "cap_1")))
    part.hasStatus("partially_captured")
    assert.deepInclude(amounts(begun(part.state)), { authorized: 4990n, captured: 1000n, reservedForCapture: 0n })
    part.when(capture()).then("intend 3: capture 3990 at a of 1 final")
  })
  it("several at once reserve what they may capture", () => {
    const two = given(...authorized, does(capture(2000n)), does(capture(2000n)))
    assert.deepInclude(amounts(begun(two.state)), { captured: 0n, reservedForCapture: 4000n })
    two.when(capture(991n)).refused("AmountExceeded")
    two.when(capture(990n)).then("intend 4: capture 990 at a of 1")
  })
  it("the rest beside one that may still be on its way is not final: the gateway would release what that one is to capture", () => {
    for (const outcome of [unknown, pending]) {
      given(...authorized, does(capture(2000n)), answered(2, outcome))
        .when(capture())
        .then("intend 3: capture 2990 at a of 1")
    }
    given(...authorized, does(capture(2000n)), answered(2, of(2000n, "cap_2")))
      .when(capture())
      .then("intend 3: capture 2990 at a of 1 final")
  })
  it("an unknown or pending capture keeps its reservation; a declined or unsent one gives it back", () => {
    for (const outcome of [unknown, pending]) {
      given(...authorized, does(capture(4000n)), answered(2, outcome))
        .when(capture(991n))
        .refused("AmountExceeded")
    }
    for (const outcome of [declined("gateway_error"), notSent]) {
      given(...authorized, does(capture(4000n)), answered(2, outcome))
        .when(capture(4990n))
        .then("intend 3: capture 4990 at a of 1 final")
    }
  })
  it("a final capture releases the rest", () => {
    const final = given(...authorized, does(capture(1000n, { final: true })), answered(2, of(1000n, "cap_1")))
    final.hasStatus("succeeded")
    final.when(capture(1n)).refused("AmountExceeded")
    final.when(cancel).refused("IllegalInStatus")
  })
  it("a gateway with a single capture takes one, and it is final", () => {
    given(...authorized)
      .when(capture(1000n, { single: true }))
      .then("intend 2: capture 1000 at a of 1 final")
    given(...authorized, does(capture(1000n, { single: true })))
      .when(capture(1000n, { single: true }))
      .refused("OperationInProgress")
    const once = given(...authorized, does(capture(1000n, { single: true })), answered(2, of(1000n, "cap_1")))
    once.when(capture(1000n, { single: true })).refused("AlreadyCaptured")
  })
  it("amounts are positive, in the payment's currency, within what is left", () => {
    given(...authorized)
      .when(capture(0n))
      .refused("AmountNotPositive")
    given(...authorized)
      .when(capture(-1n))
      .refused("AmountNotPositive")
    given(...authorized)
      .when(capture(4991n))
      .refused("AmountExceeded")
    given(...authorized)
      .when({ ...capture(), amount: dollars } as Command)
      .refused("CurrencyMismatch")
    given(...authorized)
      .when({ ...capture(), terms: terms({ gateway: "b" }) } as Command)
      .refused("OtherAccount")
    given(...sold)
      .when(capture(1n))
      .refused("IllegalInStatus")
  })
  it("void and capture exclude each other", () => {
    given(...authorized, does(cancel))
      .when(capture())
      .refused("OperationInProgress")
    given(...authorized, does(capture(1n)))
      .when(cancel)
      .refused("OperationInProgress")
  })
  it("the rest of a partly captured payment can be cancelled", () => {
    const part = [...authorized, does(capture(1000n)), answered(2, of(1000n, "cap_1"))] as const
    given(...part)
      .when(cancel)
      .then("intend 3: void to cancel 4990 at a of 1")
      .hasStatus("processing")
    const rest = given(...part, does(cancel), answered(3, succeeded()))
    rest.hasStatus("succeeded")
    assert.deepInclude(amounts(begun(rest.state)), { authorized: 1000n, captured: 1000n })
  })
  it("more than was authorized, by one that was taken for not done: a person has to look", () => {
    given(...authorized, does(capture()), answered(2, unknown), at(3_600_000, told(2, absent)), does(capture()), answered(3, succeeded()))
      .when(told(2, of(4990n, "cap_2")))
      .then("OperationSucceeded 2", "ReviewOpened 2 contradiction")
  })
  it("CaptureFailed: what was captured is authorized again, and is said by name", () => {
    given(...authorized, does(capture()), answered(2, of(4990n, "cap_1")))
      .when(failure(2))
      .then("CaptureFailed 2")
      .hasStatus("authorized")
  })
  it("rule 17: the failure may be told before the success", () => {
    const before = given(...authorized, does(capture()), does(failure(2)), told(2, of(4990n, "cap_1")))
    const after = given(...authorized, does(capture()), told(2, of(4990n, "cap_1")), does(failure(2)))
    assert.deepStrictEqual(operation(before.state, 2), operation(after.state, 2))
    before.hasStatus("authorized")
    before.when(failure(2)).then()
  })
})

describe("refund", () => {
  it("all that is left, a part, several", () => {
    given(...sold)
      .when(refund())
      .then("intend 2: refund 4990 at a of 1")
      .hasStatus("succeeded")
    given(...sold, does(refund(1000n)), answered(2, of(1000n, "re_1"))).hasStatus("partially_refunded")
    const two = given(...sold, does(refund(1000n)), answered(2, of(1000n, "re_1")), does(refund()), answered(3, of(3990n, "re_2")))
    two.hasStatus("refunded")
    two.when(refund()).refused("IllegalInStatus")
    two.when(refund(1n)).refused("AmountExceeded")
  })
  it("two at once never exceed what was captured", () => {
    const one = given(...sold, does(refund(3000n)))
    one.when(refund(1991n)).refused("AmountExceeded")
    one.when(refund(1990n)).then("intend 3: refund 1990 at a of 1")
    given(...sold, does(refund(4990n)), answered(2, unknown))
      .when(refund(1n))
      .refused("AmountExceeded")
  })
  it("what a refund in review reserves stays reserved", () => {
    const wrong = given(...sold, does(refund(4000n)), answered(2, of(3999n, "re_1")))
    wrong.hasStatus("needs_review")
    wrong.when(refund(991n)).refused("AmountExceeded")
  })
  it("a refund that did not happen gives back what it reserved", () => {
    given(...sold, does(refund()), answered(2, notSent))
      .when(refund())
      .then("intend 3: refund 4990 at a of 1")
    given(...sold, does(refund()), answered(2, declined("hard")))
      .when(refund())
      .then("intend 3: refund 4990 at a of 1")
    given(...sold, does(refund()), at(300_000, told(2, absent)))
      .when(refund())
      .then("intend 3: refund 4990 at a of 1")
    given(...sold, does(refund()), told(2, absent))
      .when(refund())
      .refused("IllegalInStatus")
  })
  it("only what was captured, in its currency, at its account", () => {
    given(...authorized)
      .when(refund(1n))
      .refused("IllegalInStatus")
    given(...authorized, does(capture(1000n)), answered(2, of(1000n, "cap_1")))
      .when(refund(1001n))
      .refused("AmountExceeded")
    given(...sold)
      .when({ ...refund(), amount: dollars } as Command)
      .refused("CurrencyMismatch")
    given(...sold)
      .when(refund(0n))
      .refused("AmountNotPositive")
    given(...sold)
      .when({ ...refund(), terms: terms({ gateway: "b" }) } as Command)
      .refused("OtherAccount")
  })
  it("one taken for not done that shows up after another was made instead: more is given back than was captured, and a person has to look", () => {
    const both = [...sold, does(refund()), answered(2, unknown), at(3_600_000, told(2, absent)), does(refund())] as const
    given(...both, answered(3, of(4990n, "re_3")))
      .when(told(2, of(4990n, "re_2")))
      .then("OperationSucceeded 2", "ReviewOpened 2 contradiction")
    given(...both, told(2, of(4990n, "re_2")))
      .when(answered(3, of(4990n, "re_3")))
      .then("OperationSucceeded 3", "ReviewOpened 3 contradiction")
    given(...both, answered(3, declined()))
      .when(told(2, of(4990n, "re_2")))
      .then("OperationSucceeded 2")
  })
  it("nor does a person's word on the one hide that both were carried out; on what is known already it settles that", () => {
    const word: Command = {
      _tag: "ResolveByPerson",
      operation: operationNumber(2),
      word: of(4990n, "re_2"),
      note: "on the statement",
      saidAt: 0
    }
    const both = [...sold, does(refund()), answered(2, unknown), at(3_600_000, told(2, absent)), does(refund())] as const
    given(...both, answered(3, of(4990n, "re_3")))
      .when(word)
      .then("OperationSucceeded 2", "ReviewOpened 2 contradiction")
    given(...both, answered(3, of(4990n, "re_3")), told(2, of(4990n, "re_2")))
      .when(word)
      .then("ReviewClosed 2 contradiction")
    given(...both, answered(3, declined()))
      .when(word)
      .then("OperationSucceeded 2")
  })
  it("CaptureFailed after what was captured was given back: more is given back than was captured, whichever is told first", () => {
    const both = [...authorized, does(capture()), answered(2, of(4990n, "cap_1")), does(refund(3000n))] as const
    given(...both, answered(3, of(3000n, "re_1")))
      .when(failure(2))
      .then("CaptureFailed 2", "ReviewOpened 2 contradiction")
    given(...both, does(failure(2)))
      .when(answered(3, of(3000n, "re_1")))
      .then("OperationSucceeded 3", "ReviewOpened 3 contradiction")
    given(...both, answered(3, declined()))
      .when(failure(2))
      .then("CaptureFailed 2")
  })
  it("RefundFailed: what was refunded is captured again", () => {
    const refunded = [...sold, does(refund()), answered(2, of(4990n, "re_1"))] as const
    given(...refunded)
      .when(failure(2))
      .then("RefundFailed 2")
      .hasStatus("succeeded")
    given(...refunded, does(failure(2)))
      .when(failure(2))
      .then()
    given(...refunded)
      .when(failure(1))
      .then()
    given(...refunded, does(failure(2)))
      .when(refund())
      .then("intend 3: refund 4990 at a of 1")
  })
})

describe("disputes", () => {
  it("opened, won or lost, each told once", () => {
    given(...sold)
      .when(dispute("open"))
      .then("DisputeOpened")
      .hasStatus("disputed")
    given(...sold, does(dispute("open")))
      .when(dispute("open"))
      .then()
    given(...sold, does(dispute("open")))
      .when(dispute("won"))
      .then("DisputeWon")
      .hasStatus("succeeded")
    given(...sold, does(dispute("open")))
      .when(dispute("lost"))
      .then("DisputeLost")
      .hasStatus("disputed")
  })
  it("rule 17: news of a dispute may come in any order", () => {
    given(...sold, does(dispute("won")))
      .when(dispute("open"))
      .then()
    given(...sold, does(dispute("lost")))
      .when(dispute("won"))
      .then()
    given(...sold, does(dispute("won")))
      .when(dispute("lost"))
      .then("DisputeLost")
  })
  it("rule 17: by the gateway's time a lost one may be appealed and won, whatever comes first", () => {
    const at = (status: "open" | "won" | "lost", time: number) => ({ ...dispute(status), at: time }) as Command
    given(...sold, does(at("open", 1)), does(at("lost", 2)))
      .when(at("open", 3))
      .then("DisputeOpened")
      .hasStatus("disputed")
    given(...sold, does(at("lost", 2)), does(at("open", 3)))
      .when(at("won", 4))
      .then("DisputeWon")
      .hasStatus("succeeded")
    given(...sold, does(at("won", 4)))
      .when(at("lost", 2))
      .then()
    given(...sold, does(at("lost", 2)))
      .when(at("open", 2))
      .then()
  })
  it("in another currency than the payment's are for a person, and add to nothing", () => {
    const inDollars = { ...dispute("open"), amount: { currency: "USD", minor: 5_400n } } as Command
    const after = given(...sold, does(inDollars))
    assert.strictEqual(View.ofPayment(begun(after.state)).amountDisputed, 0)
    given(...sold)
      .when(inDollars)
      .then("DisputeOpened", "ReviewOpened 1 amount_mismatch")
      .hasStatus("needs_review")
  })
  it("show what is disputed", () => {
    const two = given(...sold, does(dispute("open", "dp_2", 1000n)), does(dispute("lost", "dp_1", 500n)))
    assert.strictEqual(View.ofPayment(begun(two.state)).amountDisputed, 1500)
  })
})
