/**
 * What has to hold when nothing is under way any more, whatever went wrong before: against the PSP's ledger, which the engine cannot
 * write, and against a fresh fold of the stored events. The rules are those of the simulator (`simulation/checks`).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { InvariantResult } from "../../domain/chaos/experiment/ExperimentResult.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import type { Payment } from "../../domain/payment/State.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Outbox } from "../../services/Outbox.ts"
import * as History from "../checks/History.ts"
import type { Violation } from "../checks/Invariants.ts"
import * as Money from "../checks/Money.ts"
import * as Rest from "../checks/Rest.ts"
import type { Received } from "../world/Receiver.ts"
import type { Stored } from "../world/Storage.ts"
import type { Books } from "./Ledger.ts"
import type { Tables } from "./Tables.ts"

/** A payment that a caller was shown. */
export interface Shown {
  readonly key: string
  readonly payment: PaymentView
}

/** The world when nothing changes any more. `wrong`: programs that died. */
export interface Quiet {
  readonly tables: Tables
  readonly books: Books
  readonly shown: ReadonlyArray<Shown>
  readonly received: ReadonlyArray<Received>
  readonly wrong: ReadonlyArray<string>
}

/** What has to hold, and which rules of the simulator say so. */
const names: ReadonlyArray<readonly [name: string, of: ReadonlyArray<Violation["invariant"]>]> = [
  ["at most one charge per key", ["I1"]],
  ["records and gateways agree", ["I2"]],
  ["nothing acknowledged is lost", ["I3"]],
  ["history without a gap, projection as the history says", ["I4"]],
  ["every event delivered, in order", ["I5"]],
  ["nothing captured or given back beyond what was asked", ["I6"]],
  ["nothing charged without a record", ["I7"]],
  ["nothing in flight", ["quiescence", "I8", "I9"]],
  ["no program died", ["I10"]]
]

/** Every invariant, and whether it held. */
export const check = Effect.fnUntraced(function* (quiet: Quiet) {
  const all = yield* readAll(quiet.tables)
  const found = [
    ...ofPayments(all, quiet),
    ...ofCallers(all, quiet),
    ...quiet.wrong.map((detail): Violation => ({ invariant: "I10", payment: undefined, detail })),
    ...(yield* ofOutbox(quiet.tables))
  ]
  const seen = `${all.length} payments, ${quiet.books.ledger.length} lines in the ledgers`
  return names.map(([name, of]): InvariantResult => {
    const broken = found.filter(({ invariant }) => of.includes(invariant))
    return broken.length === 0 ? { name, status: "held", detail: seen } : { name, status: "broken", detail: detailOf(broken) }
  })
})

/** The first few of what does not hold, and how many there are. */
const detailOf = (broken: ReadonlyArray<Violation>): string => {
  const few = broken.slice(0, 3).map(({ detail, payment }) => (payment === undefined ? detail : `${payment}: ${detail}`))
  return `${broken.length === 1 ? "" : `${broken.length} times; `}${few.join("; ")}`.slice(0, 2_000)
}

/** What the tables hold of every payment. */
const readAll = Effect.fnUntraced(function* ({ memory, stores }: Tables) {
  const store = Context.get(stores, EventStore)
  const all: Array<Stored> = []
  for (const [id, { view }] of memory.payments) {
    const events = yield* Effect.option(store.read(id))
    const open = (memory.open.get(id) ?? []).map(({ operation }) => operation).sort((one, other) => one - other)
    all.push({ id, view, open, events: Option.getOrUndefined(events) })
  }
  return all
})

/** No account is disputed, and no capture fails later. */
const noFacts = { disputes: [], failedCaptures: [] }

const ofPayments = (all: ReadonlyArray<Stored>, { books, received }: Quiet): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const payments = new Map<string, Payment>()
  const linesOf = Map.groupBy(books.ledger, ({ payment }) => payment)
  const chargesOf = Map.groupBy(books.charges, ({ payment }) => payment)
  const receivedOf = Map.groupBy(received, ({ payment }) => payment)
  for (const stored of all) {
    const { payment, violations } = History.folded(stored)
    found.push(...violations, ...History.delivered(stored, receivedOf.get(stored.id) ?? []))
    if (payment === undefined) continue
    payments.set(stored.id, payment)
    const money = { charges: chargesOf.get(payment.id) ?? [], ledger: linesOf.get(payment.id) ?? [], facts: noFacts, refunds: 1 }
    found.push(
      ...Money.ofPayment(payment, money),
      ...Rest.ofPayment(payment, { plan: undefined, accounts: [], told: [], expiredBefore: 0 })
    )
  }
  for (const id of chargesOf.keys()) {
    if (!payments.has(id)) found.push({ invariant: "I7", payment: id, detail: "charged at the PSP, unknown here" })
  }
  return found
}

/** What callers were shown is there still, and a key has one payment. */
const ofCallers = (all: ReadonlyArray<Stored>, { shown }: Quiet): ReadonlyArray<Violation> => {
  const byId = new Map(all.map((stored) => [stored.id as string, stored]))
  const owners = new Map<string, PaymentId>()
  const found: Array<Violation> = []
  for (const { key, payment } of shown) {
    found.push(...History.acknowledged({ key, command: "charge", at: 0, payment, error: undefined }, byId))
    const owner = owners.get(key)
    if (owner !== undefined && owner !== payment.id)
      found.push({ invariant: "I1", payment: payment.id, detail: `${key} has also ${owner}` })
    owners.set(key, payment.id)
  }
  return found
}

const ofOutbox = ({ stores }: Tables) =>
  Effect.map(Effect.orDie(Context.get(stores, Outbox).deadLetters({ limit: 100 })), (dead) =>
    dead.map(({ payment, reason }): Violation => ({ invariant: "I5", payment, detail: `given up: ${reason}` }))
  )
