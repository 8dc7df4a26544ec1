/**
 * What makes the demo of an outage fail: made-up runs with one thing wrong each.
 */
import { assert, describe, it } from "@effect/vitest"
import { GatewayName, PaymentId } from "../../src/domain/payment/Ids.ts"
import * as BreakerName from "../../src/domain/resilience/BreakerName.ts"
import type { BreakerState, TransitionReason } from "../../src/domain/resilience/Breaker.ts"
import type { PaymentView } from "../../src/domain/payment/View.ts"
import type { Transition } from "../../src/orchestration/resilience/CircuitBreakers.ts"
import type { Call } from "../../scripts/demo/Engine.ts"
import * as Checks from "../../scripts/demo/outage/Checks.ts"
import * as Compare from "../../scripts/demo/outage/Compare.ts"
import * as Figures from "../../scripts/demo/outage/Figures.ts"
import type { Entry } from "../../scripts/demo/Provider.ts"

const paymentId = (number: number) => PaymentId.make(`pay_0000${String(number).padStart(32, "0")}`)

const view = (number: number, overrides: Partial<PaymentView> = {}) =>
  ({
    id: paymentId(number),
    status: "succeeded",
    amount: 999,
    amountCaptured: 999,
    currency: "EUR",
    gateway: "a",
    operations: [{ gateway: "a" }],
    ...overrides
  }) as PaymentView

const entry = (number: number, overrides: Partial<Entry> = {}): Entry => ({
  kind: "charge",
  charge_id: `ch_${number}`,
  payment: paymentId(number),
  amount: 999,
  currency: "EUR",
  ...overrides
})

describe("comparing the ledgers with the store", () => {
  const compare = (stored: ReadonlyArray<PaymentView>, a: ReadonlyArray<Entry>, b: ReadonlyArray<Entry> = [], answered = stored) =>
    Compare.compare({ stored, answered, ledgers: new Map([["a", a], ["b", b]]) }) // prettier-ignore

  it("one charge of the amount, where the payment says: nothing to say", () => {
    const result = compare([view(1), view(2, { gateway: GatewayName.make("b") })], [entry(1)], [entry(2)])
    assert.deepStrictEqual(result, { payments: 2, charges: 2, lost: [], doubled: [], wrong: [] })
  })

  it("a failed payment without a charge is in order, one with a charge is not", () => {
    const failed = view(1, { status: "failed", amountCaptured: 0 })
    assert.isEmpty(compare([failed], []).wrong)
    assert.lengthOf(compare([failed], [entry(1)]).wrong, 1)
  })

  it("charged at two providers, or twice at one, is doubled", () => {
    assert.lengthOf(compare([view(1)], [entry(1)], [entry(1)]).doubled, 1)
    assert.lengthOf(compare([view(1)], [entry(1), entry(1, { charge_id: "ch_9" })]).doubled, 1)
  })

  it("what was answered or charged and is not in the store is lost, and so is a success that is none any more", () => {
    assert.lengthOf(compare([], [], [], [view(1)]).lost, 1)
    assert.lengthOf(compare([], [entry(1)]).lost, 1)
    assert.lengthOf(compare([view(1, { status: "failed" })], [], [], [view(1)]).lost, 1)
  })

  it("a success without a charge, elsewhere, of another amount or currency, or still open is wrong", () => {
    assert.lengthOf(compare([view(1)], []).wrong, 1)
    assert.lengthOf(compare([view(1)], [], [entry(1)]).wrong, 1)
    assert.lengthOf(compare([view(1)], [entry(1, { amount: 998 })]).wrong, 1)
    assert.lengthOf(compare([view(1)], [entry(1, { currency: "USD" })]).wrong, 1)
    assert.lengthOf(compare([view(1, { status: "in_doubt" })], []).wrong, 1)
  })
})

const breaker = BreakerName.of(GatewayName.make("a"), "sale")
const moved = (at: number, from: BreakerState, to: BreakerState, reason: TransitionReason): Transition => ({
  breaker,
  from,
  to,
  reason,
  at
})
const transitions = [
  moved(1_050, "closed", "open", "consecutive_failures"),
  moved(3_060, "open", "half-open", "open_time_over"),
  moved(3_070, "half-open", "open", "probe_failed"),
  moved(5_080, "open", "half-open", "open_time_over"),
  moved(5_200, "half-open", "closed", "recovered")
]

const call = (sentAt: number, endedAt: number | undefined, outcome: Call["outcome"]): Call => ({
  gateway: "a",
  payment: paymentId(1),
  sentAt,
  endedAt,
  outcome
})

describe("the rounds of an outage", () => {
  const outage = { from: 1_000, to: 5_000 }

  it("calls that met it, by the opening they came before", () => {
    const calls = [
      call(900, 950, "Unknown"),
      call(980, 1_001, "Succeeded"),
      call(990, 1_002, "Unknown"),
      call(1_010, 1_011, "NotSent"),
      call(1_052, undefined, undefined),
      call(3_065, 3_070, "NotSent"),
      call(5_100, 5_110, "Succeeded")
    ]
    assert.deepStrictEqual(Figures.roundsOf(calls, transitions, outage), [
      { kind: "closed", calls: 3, openedAt: 1_050 },
      { kind: "half_open", calls: 1, openedAt: 3_070 }
    ])
  })

  it("a breaker that does not open has one round", () => {
    assert.deepStrictEqual(Figures.roundsOf([call(1_010, 1_020, "Unknown"), call(4_900, 4_950, "Unknown")], [], outage), [
      { kind: "closed", calls: 2, openedAt: undefined }
    ])
  })
})

describe("the checks", () => {
  const phase: Figures.PhaseFigures = {
    seconds: 4,
    payments: 400,
    succeededAtOnce: 1,
    inDoubt: 0,
    unanswered: 0,
    failed: 0,
    succeeded: 1,
    shares: new Map([["a", 0.9]]),
    meanFeeMinor: 20,
    p50Millis: 10,
    p95Millis: 20,
    failovers: 0
  }
  const good: Checks.Checked = {
    limits: { closed: 15, half_open: 5 },
    phases: { before: phase, during: { ...phase, succeededAtOnce: 0.99, inDoubt: 4, unanswered: 4 }, after: phase },
    gateway: "a",
    rounds: [
      { kind: "closed", calls: 15, openedAt: 1_050 },
      { kind: "half_open", calls: 5, openedAt: 3_070 }
    ],
    transitions,
    openings: 2,
    comparison: { payments: 1_200, charges: 1_200, lost: [], doubled: [], wrong: [] },
    returnedAfterMillis: 1_500,
    open: 0,
    unexpectedEnds: []
  }
  const failing = (overrides: Partial<Checks.Checked>) =>
    Checks.all({ ...good, ...overrides })
      .filter(({ holds }) => !holds)
      .map(({ name }) => name)

  it("all hold in a good run", () => assert.isEmpty(failing({})))

  const during = (overrides: Partial<Figures.PhaseFigures>) => ({ ...good.phases, during: { ...good.phases.during, ...overrides } })
  const wrong: ReadonlyArray<readonly [name: string, overrides: Partial<Checks.Checked>]> = [
    ["more calls than the threshold and the bulkhead allow", { rounds: [{ kind: "closed", calls: 16, openedAt: 1_050 }] }],
    ["more probes at once than are allowed", { rounds: [good.rounds[0]!, { kind: "half_open", calls: 6, openedAt: 3_070 }] }],
    ["no call met the outage", { rounds: [] }],
    ["too many failed while it lasted", { phases: during({ succeededAtOnce: 0.97, unanswered: 4 }) }],
    ["a payment failed although another gateway was there", { phases: during({ failed: 1 }) }],
    ["more in doubt than were sent to the dead gateway", { phases: during({ succeededAtOnce: 0.9, inDoubt: 40, unanswered: 0 }) }],
    ["nobody paid while it lasted", { phases: during({ payments: 0, succeededAtOnce: Number.NaN, unanswered: 0 }) }],
    ["something is still open", { open: 1 }],
    ["a payment is lost", { comparison: { ...good.comparison, lost: ["pay_1 is gone"] } }],
    ["a payment is charged twice", { comparison: { ...good.comparison, doubled: ["pay_1 was charged 2 times"] } }],
    ["there were no payments", { comparison: { ...good.comparison, payments: 0 } }],
    ["the traffic did not return", { returnedAfterMillis: undefined }],
    ["a transition is missing", { transitions: transitions.slice(1) }],
    ["an opening is missing", { transitions: [...transitions.slice(0, 2), ...transitions.slice(4)], openings: 2 }],
    ["the breaker is not closed at the end", { transitions: transitions.slice(0, 4) }],
    ["no transition at all", { transitions: [], openings: 0 }],
    ["a process ended by itself", { unexpectedEnds: ["quick: its process ended with 1"] }]
  ]
  for (const [name, overrides] of wrong) {
    it(`one fails where ${name}`, () => assert.lengthOf(failing(overrides), 1))
  }

  it("a wrong payment fails two: it was not found out, and money is not where it should be", () => {
    assert.lengthOf(failing({ comparison: { ...good.comparison, wrong: ["pay_1 is still in_doubt"] } }), 2)
  })
})
