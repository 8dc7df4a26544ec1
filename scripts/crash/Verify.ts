/**
 * The comparison at the end: the PSP's ledger, the database and what the callers were told, payment by payment.
 *
 * Every check carries the name of the invariant it stands for (docs/GUARANTEES.md): I1 at most one charge, I2 status and ledger agree, I3 an
 * acknowledged answer stays true, I4 history and projection are whole, I6 amounts, I7 no other gateway while an outcome is unknown.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { isDeepStrictEqual } from "node:util"
import { isCharge, isOpen } from "../../src/domain/operation/Operation.ts"
import type { StoredEvent } from "../../src/domain/payment/Event.ts"
import { IdempotencyKey, TenantId } from "../../src/domain/payment/Ids.ts"
import { replayFrom } from "../../src/domain/payment/Replay.ts"
import { initial, type Payment, type PaymentState } from "../../src/domain/payment/State.ts"
import * as View from "../../src/domain/payment/View.ts"
import * as PaymentJson from "../../src/edges/http/PaymentJson.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as Ledger from "./Ledger.ts"
import type { Acknowledged, Log } from "./Log.ts"
import { merchant, type World } from "./World.ts"

/** `lost`: something acknowledged or charged is missing. `doubled`: a customer pays twice. `wrong`: everything else that does not agree. */
export interface Violation {
  readonly kind: "lost" | "doubled" | "wrong"
  readonly payment: string
  readonly what: string
}

export interface Verdict {
  readonly payments: number
  readonly charges: number
  readonly events: number
  readonly ledgerEntries: number
  /** Payments that wait for their customer. */
  readonly waiting: number
  readonly violations: ReadonlyArray<Violation>
}

/** How much there is of everything, to see that a further recovery changes nothing. */
export const sizes = async (world: World): Promise<{ readonly events: number; readonly ledgerEntries: number }> => {
  const histories = await read(world.databaseUrl(), new Set())
  return {
    events: histories.events,
    ledgerEntries: (await Ledger.read(world.sandboxUrl)).entries
  }
}

/** Compares everything. */
export const verify = async (world: World, log: Log): Promise<Verdict> => {
  const ledger = await Ledger.read(world.sandboxUrl)
  const { claims, events, histories, views } = await read(world.databaseUrl(), new Set(log.answers.map(({ key }) => key)))
  const violations: Array<Violation> = []
  const report = (kind: Violation["kind"], payment: string, what: string) => void violations.push({ kind, payment, what })
  const answers = Map.groupBy(log.answers, ({ body }) => body.id)
  let waiting = 0

  for (const [id, history] of histories) {
    const say = (kind: Violation["kind"], what: string) => report(kind, id, what)
    const payment = foldAndCheck(history, answers.get(id) ?? [], say)
    if (payment === undefined) continue
    const view = View.ofPayment(payment)
    if (view.status === "requires_action") waiting++
    if (!isDeepStrictEqual(views.get(id), view)) say("wrong", "I4: the projection is not the fold of the events")
    const atPsp = {
      charges: ledger.byPayment.get(id) ?? [],
      holding: payment.details.method.token === refusingVoids ? holdingForGood : holding
    }
    compare(view, atPsp, say)
  }
  for (const id of ledger.byPayment.keys())
    if (!histories.has(id)) report("lost", id, "I7: the PSP knows a payment that the database does not")
  for (const id of answers.keys()) if (!histories.has(id)) report("lost", id, "I3: it was acknowledged and is not in the database")
  for (const [key, ofKey] of Map.groupBy(log.answers, ({ key }) => key)) {
    const ids = new Set(ofKey.map(({ body }) => body.id))
    const owner = claims.get(key)
    if (ids.size > 1) report("doubled", [...ids].join(" "), `I1: key ${key} was answered with several payments`)
    if (owner === undefined || !ids.has(owner))
      report("lost", [...ids].join(" "), `I3: key ${key} was acknowledged and belongs to ${owner ?? "nobody"}`)
  }
  return {
    payments: histories.size,
    charges: [...ledger.byPayment.values()].reduce((sum, charges) => sum + charges.length, 0),
    events,
    ledgerEntries: ledger.entries,
    waiting,
    violations
  }
}

type Say = (kind: Violation["kind"], what: string) => void

/** Folds a history step by step; on the way every answer is held against the state at its version. */
const foldAndCheck = (history: ReadonlyArray<StoredEvent>, answers: ReadonlyArray<Acknowledged>, say: Say): Payment | undefined => {
  const byVersion = Map.groupBy(answers, ({ body }) => body.version)
  let state: PaymentState = initial(history[0]!.paymentId)
  for (const stored of history) {
    if (stored.event._tag === "OperationIntended") checkIntent(state, stored.event.intent, say)
    const next = replayFrom(state, [stored])
    if (Result.isFailure(next)) {
      say("wrong", `I4: ${next.failure.message}`)
      return undefined
    }
    state = next.success
    const told = byVersion.get(stored.version)
    if (told === undefined || state._tag !== "Payment") continue
    const shown: unknown = JSON.parse(JSON.stringify(PaymentJson.ofView(View.ofPayment(state))))
    for (const { body, command } of told) {
      if (!isDeepStrictEqual(body, shown)) {
        say("lost", `I3: ${command} was answered ${JSON.stringify(body)}, but version ${stored.version} is ${JSON.stringify(shown)}`)
      }
    }
  }
  for (const version of byVersion.keys()) {
    if (version > state.version) say("lost", `I3: version ${version} was acknowledged, the history ends at ${state.version}`)
  }
  if (state._tag === "Payment") return state
  say("wrong", "I4: a history without a beginning")
  return undefined
}

/** A further charge is started only when every one before it is known not to have charged. A confirm continues an open one. */
const checkIntent = (state: PaymentState, intent: { readonly kind: string; readonly gateway: string }, say: Say): void => {
  if (state._tag !== "Payment" || (intent.kind !== "sale" && intent.kind !== "authorize")) return
  const unsettled = state.operations.find((operation) => isCharge(operation) && isOpen(operation))
  if (unsettled !== undefined) say("wrong", `I7: a charge at ${intent.gateway} while operation ${unsettled.intent.number} was open`)
}

const endedWithout: ReadonlySet<string> = new Set(["failed", "cancelled", "expired", "requires_action"])
const charged: ReadonlySet<string> = new Set(["succeeded", "partially_captured", "refunded", "partially_refunded"])

/** The token whose authorizations the PSP never gives back. */
const refusingVoids = "tok_void_fails"

/** With what status an authorization stands. One that the PSP refuses to void ends with a person, if it was cancelled before it was there. */
const holding: ReadonlySet<string> = new Set(["authorized"])
const holdingForGood: ReadonlySet<string> = new Set(["authorized", "needs_review"])

/** What the PSP has of a payment, and with what status it may hold an authorization. */
interface AtPsp {
  readonly charges: ReadonlyArray<Ledger.Charge>
  readonly holding: ReadonlySet<string>
}

const compare = (view: View.PaymentView, { charges, holding }: AtPsp, say: Say): void => {
  const standing = charges.filter(Ledger.stands)
  const list = charges.map((charge) => JSON.stringify(charge)).join(" ")
  if (standing.length > 1) say("doubled", `I1: ${standing.length} charges stand: ${list}`)
  const captured = charges.reduce((sum, charge) => sum + charge.captured, 0)
  const refunded = charges.reduce((sum, charge) => sum + charge.refunded, 0)
  // A second charge that was reversed is shown apart; the PSP has both.
  const known = {
    captured: view.amountCaptured + (view.doubleCharge?.amountCaptured ?? 0),
    refunded: view.amountRefunded + (view.doubleCharge?.amountRefunded ?? 0)
  }
  if (captured !== known.captured) say("lost", `I2: captured ${captured} at the PSP, ${known.captured} here (${view.status}): ${list}`)
  if (refunded !== known.refunded) say("lost", `I6: refunded ${refunded} at the PSP, ${known.refunded} here (${view.status}): ${list}`)
  if (refunded > captured) say("doubled", `I6: refunded ${refunded} of ${captured}`)
  for (const charge of charges) {
    if (charge.captured > charge.amount || charge.amount !== view.amount) say("wrong", `I6: ${view.amount} was asked for: ${list}`)
    if (charge.currency !== view.currency) say("wrong", `I2: ${view.currency} was asked for: ${list}`)
  }
  if (endedWithout.has(view.status)) {
    if (standing.length > 0) say("lost", `I2: it is ${view.status}, and a charge stands: ${list}`)
  } else if (charged.has(view.status)) {
    if (charges.filter(({ captured }) => captured > 0).length !== 1)
      say("lost", `I2: it is ${view.status}, and not one charge was captured: ${list}`)
  } else if (holding.has(view.status)) {
    if (standing.length !== 1 || captured > 0) say("lost", `I2: it is ${view.status}, and not one authorization stands: ${list}`)
  } else {
    say("wrong", `it is left ${view.status}: ${JSON.stringify(view.operations)} ${JSON.stringify(view.reviews)} at the PSP: ${list}`)
  }
}

/** Everything the database holds, and who owns the keys. */
const read = (url: Redacted.Redacted, keys: ReadonlySet<string>) =>
  Effect.gen(function* () {
    const store = yield* EventStore
    const repository = yield* PaymentRepository
    const tenant = TenantId.make(merchant)
    const histories = new Map<string, Array<StoredEvent>>()
    let events = 0
    for (let after = 0n; ;) {
      const page = yield* store.readAll({ after, limit: 5_000 })
      const last = page.at(-1)
      if (last === undefined) break
      after = last.position
      events += page.length
      for (const { event } of page) {
        const history = histories.get(event.paymentId)
        if (history === undefined) histories.set(event.paymentId, [event])
        else history.push(event)
      }
    }
    const views = new Map<string, View.PaymentView>()
    for (let cursor: string | undefined; ;) {
      const page: { readonly data: ReadonlyArray<View.PaymentView>; readonly nextCursor: string | undefined } = yield* repository.list({
        tenant,
        limit: 200,
        ...(cursor === undefined ? {} : { cursor })
      })
      for (const view of page.data) views.set(view.id, view)
      cursor = page.nextCursor
      if (cursor === undefined) break
    }
    const claims = new Map<string, string>()
    yield* Effect.forEach(
      keys,
      (key) =>
        Effect.map(repository.findClaim({ tenant, key: IdempotencyKey.make(key) }), (found) => {
          if (Option.isSome(found)) claims.set(key, found.value.payment)
        }),
      { concurrency: 8, discard: true }
    )
    for (const history of histories.values()) history.sort((one, other) => one.version - other.version)
    return {
      histories,
      views,
      claims,
      events
    }
  }).pipe(Effect.provide(Layer.provideMerge(Postgres.layer, PgClient.layer({ url, maxConnections: 8 }))), Effect.runPromise)
