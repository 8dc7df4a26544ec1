/**
 * What becomes of a charge long after it was made, by news that come by webhook and no other way: a capture that fails after all, a
 * dispute that is opened, won or lost. The sandbox knows neither; this tells them in its name and keeps what is true.
 *
 * A capture fails only where no refund is planned: a PSP that gives back what it could not take is another matter.
 */
import * as Effect from "effect/Effect"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import type { Handler } from "../../sandbox/Sandbox.ts"
import * as Clock from "effect/Clock"
import type { PaymentPlan } from "../Plan.ts"
import * as Psp from "./Psp.ts"

/** A dispute as it stands. Amounts in minor units of EUR. */
export interface Dispute {
  readonly payment: string
  readonly id: string
  readonly amount: number
  status: "open" | "won" | "lost"
}

/** Captures that failed after they had succeeded. */
export interface FailedCapture {
  readonly account: string
  readonly charge: string
  readonly amount: number
}

/** The facts that only webhooks told. */
export interface Facts {
  readonly disputes: ReadonlyArray<Dispute>
  readonly failedCaptures: ReadonlyArray<FailedCapture>
}

/** Types of event, and what they tell of a dispute. */
export const disputeTypes: ReadonlyMap<string, Dispute["status"]> = new Map([
  ["dispute.opened", "open"],
  ["dispute.won", "won"],
  ["dispute.lost", "lost"]
])
export const captureFailedType = "capture.failed"

export interface AftermathOptions {
  readonly handler: Handler
  readonly accounts: ReadonlyArray<Psp.Account>
  readonly ownerOf: (plan: PaymentPlan) => PaymentId | undefined
  readonly tell: Psp.Tell
}

/** Something may not have happened yet when its time has come: then it is waited for, so often and so long. */
const tries = 4
const waitMillis = 15_000

export const make = (options: AftermathOptions) => {
  const { accounts, handler, tell } = options
  const disputes: Array<Dispute> = []
  const failedCaptures: Array<FailedCapture> = []
  const telling = new Set(accounts.filter(({ webhooks }) => webhooks === "repeated").map(({ name }) => name))
  let sequence = 0

  const event = (account: string, type: string, data: { readonly reference: string; readonly more: object }) =>
    Effect.map(Clock.currentTimeMillis, (created) =>
      tell(
        account,
        JSON.stringify({
          id: `ev_after${++sequence}`,
          object: "event",
          type,
          created,
          data: { operation: { reference: data.reference }, ...data.more }
        })
      )
    )

  /** The charge of a plan's payment that holds captured money at an account which tells what becomes of it. */
  const captured = (plan: PaymentPlan) =>
    Effect.map(Psp.charges(handler), (charges) => {
      const payment = options.ownerOf(plan)
      return charges.find((charge) => charge.payment === payment && charge.amount_captured > 0 && telling.has(charge.account))
    })

  const awaited = Effect.fnUntraced(function* <A>(find: Effect.Effect<A | undefined>) {
    for (let left = tries; left > 0; left--) {
      const found = yield* find
      if (found !== undefined) return found
      yield* Effect.sleep(waitMillis)
    }
    return undefined
  })

  const dispute = Effect.fnUntraced(function* (plan: PaymentPlan, planned: NonNullable<PaymentPlan["dispute"]>) {
    yield* Effect.sleep(plan.startAt + planned.afterMillis)
    const charge = yield* awaited(captured(plan))
    if (charge === undefined) return
    const { account, amount_captured: amount, payment, reference } = charge
    const opened: Dispute = { payment, id: `dp_${plan.index}`, amount, status: "open" }
    disputes.push(opened)
    const news = (type: string) => event(account, type, { reference, more: { dispute: { id: opened.id, amount } } })
    yield* news("dispute.opened")
    if (planned.ends === "open") return
    yield* Effect.sleep(planned.decidedAfterMillis)
    opened.status = planned.ends
    yield* news(`dispute.${planned.ends}`)
  })

  const failCapture = Effect.fnUntraced(function* (plan: PaymentPlan, afterMillis: number) {
    yield* Effect.sleep(plan.startAt + afterMillis)
    const capture = yield* awaited(Effect.flatMap(captured(plan), (charge) => (charge === undefined ? Effect.undefined : line(charge))))
    if (capture === undefined) return
    const { account, amount, charge_id: charge, reference } = capture
    failedCaptures.push({ account, charge, amount })
    yield* event(account, captureFailedType, { reference, more: {} })
  })

  /** The capture in the ledger; a sale has none. */
  const line = (charge: Psp.PspCharge) =>
    Effect.map(Psp.truth(handler), ({ ledger }) =>
      ledger.find((one) => one.kind === "capture" && one.account === charge.account && one.charge_id === charge.id)
    )

  const facts: Facts = { disputes, failedCaptures }
  return {
    facts,
    /** Ends when everything that becomes of a plan's payment has happened. */
    live: (plan: PaymentPlan) =>
      Effect.all(
        [
          plan.dispute === undefined ? Effect.void : dispute(plan, plan.dispute),
          plan.captureFailsAfter === undefined ? Effect.void : failCapture(plan, plan.captureFailsAfter)
        ],
        { concurrency: "unbounded", discard: true }
      )
  }
}
