/**
 * A gateway with a ledger: it remembers what it did under every request key, as a PSP does, whoever of us has heard of it.
 */
import { Effect, Stream } from "effect"
import type { OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { operationOfRequestKey, type PaymentId } from "../../src/domain/payment/Ids.ts"
import type { PaymentView } from "../../src/domain/payment/View.ts"
import type { GatewayRecord, LookupAnswer } from "../../src/services/Gateway.ts"
import { success, testGateway, type TestGateway } from "../support/TestEngine.ts"

/** Money that moved, in minor units. */
export interface Entry {
  readonly payment: PaymentId
  readonly intent: Intent
}

export interface LedgerGateway {
  readonly gateway: TestGateway
  readonly entries: Array<Entry>
  /** The customer pays what was left open: an operation that had not succeeded does now. */
  readonly complete: (kind: Intent["kind"]) => void
}

/**
 * `answers`: what the PSP decides about a new request key; the same key gets the same answer again. `lost`: it succeeds, and the first
 * answer does not arrive.
 */
export const make = (
  name: string,
  answers: (intent: Intent) => Outcome | "lost" = success,
  capabilities: { readonly charges?: Partial<OperationCapabilities>; readonly others?: Partial<OperationCapabilities> } = {}
): LedgerGateway => {
  const known = new Map<string, { readonly intent: Intent; outcome: Outcome }>()
  const entries: Array<Entry> = []
  const enter = (intent: Intent, outcome: Outcome) => {
    const subject = operationOfRequestKey(intent.requestKey)
    if (outcome._tag === "Succeeded" && subject !== undefined) entries.push({ payment: subject.payment, intent })
  }
  const send = (intent: Intent): Outcome => {
    const before = known.get(intent.requestKey)
    if (before !== undefined) return before.outcome
    const decided = answers(intent)
    const outcome = decided === "lost" ? success(intent) : decided
    known.set(intent.requestKey, { intent, outcome })
    enter(intent, outcome)
    return decided === "lost" ? { _tag: "Unknown", reason: "connection_lost", message: "the answer was lost" } : outcome
  }
  const lookup = (intent: Intent): LookupAnswer => {
    const found = known.get(intent.requestKey)?.outcome
    return found === undefined || found._tag === "NotSent" ? { _tag: "Absent" } : found
  }
  return {
    gateway: {
      ...testGateway(name, {
        send: (intent) => Effect.sync(() => send(intent)),
        lookup: (intent) => Effect.sync(() => lookup(intent)),
        ...capabilities
      }),
      list: () => Stream.suspend(() => Stream.fromIterable(entries.flatMap(recordOf)))
    },
    entries,
    complete: (kind) => {
      for (const record of known.values()) {
        if (record.intent.kind !== kind || record.outcome._tag === "Succeeded") continue
        record.outcome = success(record.intent)
        // A cancel of it that was confirmed before did not hold.
        const { payment } = operationOfRequestKey(record.intent.requestKey) ?? {}
        const undone = entries.findIndex(
          ({ intent, payment: of }) => of === payment && intent.kind === "void" && intent.target === record.intent.number
        )
        if (undone >= 0) entries.splice(undone, 1)
        enter(record.intent, record.outcome)
      }
    }
  }
}

const recordOf = ({ intent }: Entry): ReadonlyArray<GatewayRecord> => {
  const answer = success(intent)
  return intent.kind === "sale" || intent.kind === "refund"
    ? [
        {
          kind: intent.kind === "sale" ? "charge" : "refund",
          reference: intent.requestKey,
          gatewayReference: answer.gatewayReference,
          createdAt: 1,
          answer
        }
      ]
    : []
}

/** What all ledgers together say of a payment, held against how it is shown; empty when they agree. */
export const differences = (view: PaymentView, gateways: ReadonlyArray<LedgerGateway>): ReadonlyArray<string> => {
  const all = gateways.flatMap(({ entries }, index) =>
    entries.filter(({ payment }) => payment === view.id).map(({ intent }) => ({ index, intent }))
  )
  const isVoided = (index: number, number: number) =>
    all.some((other) => other.index === index && other.intent.kind === "void" && other.intent.target === number)
  const of = (...kinds: ReadonlyArray<Intent["kind"]>) => all.filter(({ intent }) => kinds.includes(intent.kind))
  const sum = (list: typeof all) => list.reduce((total, { intent }) => total + Number(intent.amount.minor), 0)
  const charges = of("sale", "authorize", "confirm").filter(({ index, intent }) => !isVoided(index, intent.number))
  const isCaptured = ({ intent }: (typeof all)[number]) =>
    intent.kind === "sale" || (intent.kind === "confirm" && view.captureMethod === "automatic")
  const captured = sum(charges.filter(isCaptured)) + sum(of("capture"))
  const refunded = sum(of("refund"))
  const isReversed = (charge: (typeof all)[number]) =>
    sum(of("refund").filter(({ index, intent }) => index === charge.index && intent.target === charge.intent.number)) >=
    Number(charge.intent.amount.minor)
  const standing = charges.filter((charge) => !isReversed(charge))
  return [
    ...(standing.length > 1 ? [`${standing.length} charges stand`] : []),
    ...(captured === view.amountCaptured ? [] : [`captured ${captured} there, ${view.amountCaptured} here`]),
    ...(refunded === view.amountRefunded ? [] : [`refunded ${refunded} there, ${view.amountRefunded} here`]),
    ...(["failed", "cancelled"].includes(view.status) && captured > refunded ? [`it is ${view.status} and charged`] : [])
  ]
}
