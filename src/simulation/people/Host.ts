/**
 * The hosts and customers of a simulation: they ask for payments, repeat what was not answered under the same key, leave early,
 * capture, refund and cancel, and pay on the customer's page. What they hear is kept: nothing acknowledged may vanish.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Currency from "../../domain/Currency.ts"
import { IdempotencyKey, type PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import { Token } from "../../domain/payment/PaymentMethod.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import type { ChargeRequest } from "../../orchestration/payment/Charge.ts"
import type { Answer } from "../../orchestration/payment/Idempotency.ts"
import type { ModifyError } from "../../orchestration/payment/Payments.ts"
import type { NoUsableGateway } from "../../orchestration/payment/Errors.ts"
import type { Handler } from "../../sandbox/Sandbox.ts"
import * as Chance from "../world/Chance.ts"
import type { Engine, Instance } from "../Instance.ts"
import type { Kernel, Process } from "../world/Kernel.ts"
import { type PaymentPlan, share } from "../Plan.ts"
import * as Psp from "../world/Psp.ts"

type CallError = ModifyError | NoUsableGateway
type Program = (engine: Engine) => Effect.Effect<Answer, CallError>

/** What a caller heard: the payment, or the name of the error. */
export interface Heard {
  readonly key: string
  readonly command: "charge" | "capture" | "refund" | "cancel" | "confirm"
  readonly at: number
  readonly payment: PaymentView | undefined
  readonly error: string | undefined
}

export interface HostOptions {
  readonly kernel: Kernel
  readonly host: Process
  readonly psp: Process
  readonly handler: Handler
  readonly seed: number
  /** When the customer of a payment comes back to the page, so long after its start; `undefined`: never. */
  readonly comesBackAfter: (plan: PaymentPlan) => number | undefined
  /** A running instance by chance; none while all are down. */
  readonly instance: (draw: Chance.Draw) => Instance | undefined
  /** Who owns a key, as the database has it. */
  readonly ownerOf: (key: IdempotencyKey) => PaymentId | undefined
  readonly onHeard: (heard: Heard) => void
  readonly onWrong: (what: string) => void
}

export const tenant = TenantId.make("m1")

/** How often a caller repeats a request that was not answered. */
const maxTries = 12

type Reply =
  | { readonly _tag: "Answer"; readonly answer: Answer }
  | { readonly _tag: "Error"; readonly error: CallError }
  | { readonly _tag: "Lost" }

/** Errors that end a request; after every other one it is repeated. */
const isFinal = (error: CallError): boolean =>
  error._tag === "CommandRefused" || error._tag === "NoUsableGateway" || error._tag === "IdempotencyKeyReused"

/** Errors that nobody may ever see here: every key belongs to one request, every gateway is configured, no history is damaged. */
const isWrong = (error: CallError): boolean =>
  error._tag === "IdempotencyKeyReused" ||
  error._tag === "PaymentNotFound" ||
  error._tag === "GatewayNotConfigured" ||
  error._tag === "EventContinuityError" ||
  error._tag === "NoUsableGateway" ||
  (error._tag === "EventStoreError" && error.reason._tag === "Corrupt")

/** One request to one instance; `Lost` when it is not answered in time. */
const ask = (options: HostOptions, draw: Chance.Draw, program: Program, patienceMillis: number): Effect.Effect<Reply> =>
  Effect.callback<Reply>((resume) => {
    const { host, kernel } = options
    const instance = options.instance(draw)
    const lose = () => resume(Effect.succeed<Reply>({ _tag: "Lost" }))
    if (instance === undefined) {
      kernel.after(1_000, host, lose)
      return Effect.void
    }
    const call = instance.call(
      program,
      (exit) => kernel.after(Chance.between(draw, 1, 10), host, () => resume(Effect.succeed(replyOf(options, exit)))),
      () => kernel.after(Chance.between(draw, 1, 10), host, lose)
    )
    const stop = kernel.after(patienceMillis, host, () => {
      call.leave()
      lose()
    })
    return Effect.sync(() => {
      stop()
      call.leave()
    })
  })

const replyOf = (options: HostOptions, exit: Exit.Exit<Answer, CallError>): Reply => {
  if (Exit.isSuccess(exit)) return { _tag: "Answer", answer: exit.value }
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure !== undefined) return { _tag: "Error", error: failure.error }
  if (!Cause.hasInterruptsOnly(exit.cause)) options.onWrong(`a program died: ${String(Cause.squash(exit.cause))}`)
  return { _tag: "Lost" }
}

/** Repeats a request under its key until it is answered for good. */
const insist = Effect.fnUntraced(function* (
  options: HostOptions,
  request: {
    readonly plan: PaymentPlan
    readonly key: string
    readonly command: Heard["command"]
    readonly program: Program
    readonly name: string
  }
) {
  const { command, key, plan } = request
  const draw = Chance.stream(options.seed, `caller of ${request.name}`)
  for (let attempt = 0; attempt < maxTries; attempt++) {
    // Nobody leaves for ever: later requests wait longer.
    const reply = yield* ask(options, draw, request.program, Math.max(plan.patienceMillis, attempt * 10_000))
    const at = options.kernel.now()
    if (reply._tag === "Answer") {
      options.onHeard({ key, command, at, payment: reply.answer.payment, error: undefined })
      return reply.answer.payment
    }
    if (reply._tag === "Error") {
      options.onHeard({ key, command, at, payment: undefined, error: reply.error._tag })
      if (isWrong(reply.error)) options.onWrong(`${command} ${key}: ${reply.error.message}`)
      if (isFinal(reply.error)) return undefined
    }
    yield* Effect.sleep(Chance.between(draw, 100, 15_000))
  }
  return undefined
})

const requestOf = (plan: PaymentPlan): ChargeRequest => ({
  tenant,
  key: keyOf(plan),
  amount: { currency: Currency.CurrencyCode.make("EUR"), minor: plan.minor },
  method: {
    type: "card",
    references: Object.fromEntries(Object.entries(plan.references).map(([account, token]) => [account, Token.make(token)]))
  },
  captureMethod: plan.manual ? "manual" : "automatic",
  offSession: plan.offSession
})

const chargeProgram =
  (plan: PaymentPlan): Program =>
  ({ inTransaction, payments }) => {
    if (plan.how === "charge") return payments.charge(requestOf(plan))
    return inTransaction(payments.prepare(requestOf(plan)), plan.how === "prepare_rolled_back")
  }

/** The key that a plan's payment is asked for under. */
export const keyOf = (plan: PaymentPlan): IdempotencyKey => IdempotencyKey.make(plan.key)

/** A command on the payment that owns the plan's key. */
const command = (
  options: HostOptions,
  plan: PaymentPlan,
  name: Exclude<Heard["command"], "charge">,
  suffix: string,
  amount: bigint | undefined
) => {
  const key = `${plan.key}-${suffix}`
  const run =
    (id: PaymentId): Program =>
    ({ payments }) => {
      const base = { tenant, key: IdempotencyKey.make(key), id }
      switch (name) {
        case "capture":
          return payments.capture({ ...base, ...(amount === undefined ? {} : { amount }) })
        case "refund":
          return payments.refund({ ...base, ...(amount === undefined ? {} : { amount }) })
        case "cancel":
          return payments.cancel(base)
        case "confirm":
          return payments.confirm(base)
      }
    }
  return (caller: string) =>
    Effect.suspend(() => {
      const id = options.ownerOf(keyOf(plan))
      return id === undefined ? Effect.undefined : insist(options, { plan, key, command: name, program: run(id), name: `${key} ${caller}` })
    })
}

/** The customer acts on every object of the payment that the PSP leaves open. */
const visitPage = (options: HostOptions, plan: PaymentPlan, action: "complete" | "fail") =>
  Effect.sync(() => {
    const { handler, kernel, psp } = options
    const id = options.ownerOf(keyOf(plan))
    const visit = Effect.gen(function* () {
      for (const charge of yield* Psp.charges(handler)) {
        const open = charge.status === "requires_action" || charge.status === "requires_payment_method"
        if (charge.payment === id && open) yield* handler.handle(Psp.request("POST", `/${charge.account}/customer/${charge.id}/${action}`))
      }
    })
    kernel.post(psp, () => void kernel.fork(psp, visit))
  })

/** What the payment has come to, as the host sees it: asked for until it has come to something. */
const settled = Effect.fnUntraced(function* (options: HostOptions, plan: PaymentPlan, first: PaymentView | undefined) {
  const draw = Chance.stream(options.seed, `waiting for ${plan.key}`)
  let view = first
  for (let attempt = 0; attempt < 10; attempt++) {
    if (view !== undefined && view.status !== "processing" && view.status !== "in_doubt") return view
    yield* Effect.sleep(Chance.between(draw, 5_000, 40_000))
    const id = options.ownerOf(keyOf(plan))
    if (id === undefined) return undefined
    const program: Program = ({ payments }) =>
      Effect.map(payments.get({ id, tenant }), (payment) => ({ payment, operation: undefined, replayed: true }))
    const reply = yield* ask(options, draw, program, 5_000)
    if (reply._tag !== "Answer") continue
    view = reply.answer.payment
    options.onHeard({ key: plan.key, command: "charge", at: options.kernel.now(), payment: view, error: undefined })
  }
  return view
})

const twice = (run: (caller: string) => Effect.Effect<unknown>, again: boolean) =>
  Effect.all(again ? [run("first"), run("second")] : [run("first")], { concurrency: "unbounded", discard: true })

/** One payment from its first request to whatever is done with it. */
export const live = Effect.fnUntraced(function* (options: HostOptions, plan: PaymentPlan) {
  const draw = Chance.stream(options.seed, `life of ${plan.key}`)
  yield* Effect.sleep(plan.startAt)
  const program = chargeProgram(plan)
  if (plan.how === "prepare_rolled_back") return yield* Effect.asVoid(ask(options, draw, program, 5_000))
  const request = { plan, key: plan.key, command: "charge", program } as const
  for (let index = 0; index < plan.duplicates; index++) {
    const delayed = Effect.delay(insist(options, { ...request, name: `${plan.key} duplicate ${index}` }), Chance.between(draw, 0, 6_000))
    yield* Effect.forkChild(delayed)
  }
  if (plan.cancelAfter !== undefined) {
    yield* Effect.forkChild(Effect.delay(command(options, plan, "cancel", "cancel", undefined)("first"), plan.cancelAfter))
  }
  for (const { action, afterMillis } of plan.visits) yield* Effect.forkChild(Effect.delay(visitPage(options, plan, action), afterMillis))
  let view = yield* settled(options, plan, yield* insist(options, { ...request, name: plan.key }))
  if (view?.status === "requires_action") view = yield* act(options, plan)
  if (view?.status === "requires_action") view = yield* comeBack(options, plan, view)
  if (view?.status === "authorized") view = yield* take(options, plan, draw)
  if (view?.status === "succeeded" || view?.status === "partially_captured") yield* giveBack(options, plan, draw)
  // Whoever was told that nothing was charged may still have the page open.
  if (view?.status === "failed" || view?.status === "cancelled") yield* visitPage(options, plan, "complete")
  yield* Effect.sleep(Chance.between(draw, 0, 20_000))
})

/** The customer acts, and the host confirms or waits for it to be found out. */
const act = Effect.fnUntraced(function* (options: HostOptions, plan: PaymentPlan) {
  if (plan.customer.action !== "nothing") {
    yield* Effect.sleep(plan.customer.afterMillis)
    yield* visitPage(options, plan, plan.customer.action)
  }
  if (plan.customer.confirms) yield* command(options, plan, "confirm", "confirm", undefined)("first")
  return yield* settled(options, plan, undefined)
})

/** The customer comes back when the payment is about to expire, or has expired. */
const comeBack = Effect.fnUntraced(function* (options: HostOptions, plan: PaymentPlan, view: PaymentView) {
  const afterMillis = options.comesBackAfter(plan)
  if (afterMillis === undefined) return view
  yield* Effect.sleep(Math.max(0, plan.startAt + afterMillis - options.kernel.now()))
  yield* visitPage(options, plan, "complete")
  return yield* settled(options, plan, undefined)
})

const amountOf = (plan: PaymentPlan, part: number): bigint | undefined => (part === 1 ? undefined : share(plan.minor, part))

/** Captures, one after the other or at the same time, or cancels. */
const take = Effect.fnUntraced(function* (options: HostOptions, plan: PaymentPlan, draw: Chance.Draw) {
  const again = () => Chance.happens(draw, 0.3)
  if (plan.captures === "cancel") yield* twice(command(options, plan, "cancel", "cancel2", undefined), again())
  else {
    const captures = plan.captures.map((part, index) =>
      twice(command(options, plan, "capture", `capture${index}`, amountOf(plan, part)), again())
    )
    yield* Effect.all(captures, { concurrency: Chance.happens(draw, 0.5) ? "unbounded" : 1, discard: true })
  }
  return yield* settled(options, plan, undefined)
})

/** Refunds, all at the same time. */
const giveBack = (options: HostOptions, plan: PaymentPlan, draw: Chance.Draw) => {
  const refunds = plan.refunds.map((part, index) =>
    twice(command(options, plan, "refund", `refund${index}`, amountOf(plan, part)), Chance.happens(draw, 0.4))
  )
  return Effect.all(refunds, { concurrency: "unbounded", discard: true })
}
