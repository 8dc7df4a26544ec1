/**
 * `settle`, by enumeration: every sequence of up to three attempts, under one to three permissions, written at every side of the
 * time of certainty. What counts as certain is said here a second time, from the rules and not from the code.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Operation } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { type Attempt, type Evidence, recorded, settle } from "../../../src/domain/operation/Settle.ts"
import { intent, reference } from "../../support/payments.ts"
import { absent, declined, notSent, paymentId, pending, requiresAction, succeeded, unknown } from "../../support/paymentSpec.ts"

const settleTime = 60_000
/** Permissions are granted so that each next one is written after the one before it may or may not have settled. */
const sendBefores = [30_000, 130_000, 400_000] as const

const operationWith = (options: {
  readonly permissions: number
  readonly sends: number | undefined
  readonly known: boolean
}): Operation => ({
  intent: intent({ payment: paymentId }),
  intendedAt: 0,
  permissions: sendBefores.slice(0, options.permissions).map((sendBefore) => ({ sendBefore })),
  sends: options.sends,
  gatewayReference: options.known ? reference("ch_1") : undefined,
  facts: [],
  failureReported: false,
  targetSettled: false,
  cancelled: false,
  chargedAfterCancel: false,
  givenUp: false,
  progress: { _tag: "Intended" }
})

const outcomes: ReadonlyArray<Outcome> = [
  succeeded(),
  declined("hard"),
  declined("gateway_error"),
  notSent,
  pending,
  requiresAction,
  unknown
]
const sequences: ReadonlyArray<ReadonlyArray<Outcome>> = [
  [],
  ...outcomes.map((first) => [first]),
  ...outcomes.flatMap((first) => outcomes.map((second) => [first, second])),
  ...outcomes.flatMap((first) => outcomes.flatMap((second) => outcomes.map((third) => [first, second, third])))
]
/** Before, at and after the moment when the first, the second and the third permission have settled. */
const moments = sendBefores.flatMap((sendBefore) => [sendBefore + settleTime - 1, sendBefore + settleTime, sendBefore + settleTime + 1])
const operations = [1, 2, 3].flatMap((permissions) =>
  [undefined, 0, 1, 2].flatMap((sends) => [false, true].map((known) => operationWith({ permissions, sends, known })))
)

const isTechnical = (outcome: Outcome) =>
  outcome._tag === "Declined" && ["gateway_error", "rate_limited", "configuration"].includes(outcome.category)

/** Rule 1: what this process sent and was not answered by the decline it ends with. */
const unansweredOf = (attempts: ReadonlyArray<Attempt>): number => {
  const maySent = attempts.filter((attempt) => attempt.outcome._tag !== "NotSent")
  return maySent.at(-1)?.outcome._tag === "Declined" ? maySent.length - 1 : maySent.length
}

/** Rules 1 and 13: can another send, under whatever permission, still take effect after these attempts? */
const othersMayCome = (operation: Operation, held: number, attempts: ReadonlyArray<Attempt>): boolean => {
  const answer = attempts.findLast((attempt) => attempt.outcome._tag !== "NotSent")
  const others = operation.permissions.filter((_, index) => index !== held)
  if (others.length === 0) return operation.sends !== undefined
  if (answer === undefined || isTechnical(answer.outcome) || held !== operation.permissions.length - 1) return true
  return others.some((other) => answer.writtenAt <= other.sendBefore + settleTime)
}

const isCertain = (operation: Operation, held: number, attempts: ReadonlyArray<Attempt>): boolean => {
  if (attempts.length === 0 || unansweredOf(attempts) > 0 || othersMayCome(operation, held, attempts)) return false
  const wroteNothing = attempts.every((attempt) => attempt.outcome._tag === "NotSent")
  return !(wroteNothing && operation.gatewayReference !== undefined)
}

describe("rules 1 and 13: what was sent", () => {
  it("only what answers every send that may have been made is certain; everything else stays open", () => {
    let certain = 0
    let cases = 0
    for (const operation of operations) {
      for (let permission = 0; permission < operation.permissions.length; permission++) {
        for (const sequence of sequences) {
          for (const writtenAt of moments) {
            const attempts = sequence.map((outcome) => ({ outcome, writtenAt }))
            const settlement = settle(operation, { _tag: "Sent", permission, attempts })
            const wasCharged = sequence.some((outcome) => outcome._tag === "Succeeded")
            const expected = wasCharged ? "Charged" : isCertain(operation, permission, attempts) ? "NotCharged" : "StillOpen"
            cases++
            if (expected === "NotCharged") certain++
            if (settlement._tag !== expected) {
              assert.fail(
                `${sequence.map((outcome) => outcome._tag).join()} under ${permission} of ${operation.permissions.length} at ${writtenAt}, sends ${operation.sends}: ${settlement._tag} instead of ${expected}`
              )
            }
          }
        }
      }
    }
    assert.strictEqual(cases, 48 * 400 * 9)
    assert.isAbove(certain, 100)
  })
  it("a StillOpen never carries an outcome that ends, and counts what may have been sent", () => {
    const operation = operationWith({ permissions: 1, sends: undefined, known: false })
    for (const sequence of sequences) {
      const settlement = settle(operation, {
        _tag: "Sent",
        permission: 0,
        attempts: sequence.map((outcome) => ({ outcome, writtenAt: 1 }))
      })
      if (settlement._tag !== "StillOpen") continue
      assert.include(["Pending", "RequiresAction", "Unknown"], settlement.outcome._tag)
      assert.strictEqual(settlement.sends, sequence.filter((outcome) => outcome._tag !== "NotSent").length)
    }
  })
  it("an attempt that timed out and then met an open breaker is unknown, not unsent", () => {
    const operation = operationWith({ permissions: 1, sends: undefined, known: false })
    const attempts = [unknown, notSent].map((outcome) => ({ outcome, writtenAt: 1 }))
    assert.strictEqual(settle(operation, { _tag: "Sent", permission: 0, attempts })._tag, "StillOpen")
  })
})

describe("rule 13: what was asked", () => {
  it("absence and declines are certain only when asked after the last permission has settled; a decline also of the only send", () => {
    const answers = [...outcomes.filter((outcome) => outcome._tag !== "NotSent"), absent] as ReadonlyArray<
      Extract<Evidence, { _tag: "Asked" }>["answer"]
    >
    let certain = 0
    for (const operation of operations) {
      for (const askedAt of moments) {
        for (const answer of answers) {
          const settlement = settle(operation, { _tag: "Asked", askedAt, answer })
          const says = answer._tag === "Declined" || answer._tag === "Absent"
          const late = operation.permissions.every((permission) => askedAt > permission.sendBefore + settleTime)
          const onlySend = answer._tag === "Declined" && !isTechnical(answer) && operation.permissions.length === 1 && operation.sends === 1
          const expected = answer._tag === "Succeeded" ? "Charged" : says && (late || onlySend) ? "NotCharged" : "StillOpen"
          if (expected === "NotCharged") certain++
          assert.strictEqual(settlement._tag, expected, `${answer._tag} at ${askedAt}`)
        }
      }
    }
    assert.isAbove(certain, 50)
  })
  it("absence is never certain of a send that may still arrive, however often it was made", () => {
    for (const operation of operations) {
      const last = operation.permissions.at(-1)?.sendBefore ?? 0
      assert.strictEqual(settle(operation, { _tag: "Asked", askedAt: last + settleTime, answer: absent })._tag, "StillOpen")
      assert.strictEqual(settle(operation, { _tag: "Asked", askedAt: last + settleTime + 1, answer: absent })._tag, "NotCharged")
    }
  })
})

describe("the proof that is recorded", () => {
  it("only an end without effect has one", () => {
    const base = operationWith({ permissions: 1, sends: undefined, known: false })
    const tags = (progress: Operation["progress"]) => recorded({ ...base, progress })?.because._tag
    assert.strictEqual(tags({ _tag: "Declined", declined: declined() }), "Declined")
    assert.strictEqual(tags({ ...notSent }), "NotSent")
    assert.strictEqual(tags({ _tag: "Absent" }), "Absent")
    assert.strictEqual(tags({ _tag: "Cancelled", by: base.intent.number }), "Absent")
    const open: ReadonlyArray<Operation["progress"]> = [
      { _tag: "Intended" },
      { _tag: "Uncertain", reason: "timeout", message: "" },
      { _tag: "AwaitingCustomer", nextAction: requiresAction.nextAction, observedAt: 1 },
      { _tag: "AwaitingGateway" },
      { _tag: "InReview" },
      { _tag: "Succeeded", chargedAt: undefined, failedLater: false, voided: false },
      { _tag: "Continued", by: base.intent.number }
    ]
    for (const progress of open) assert.isUndefined(tags(progress), progress._tag)
  })
})
