/**
 * `aegispay payment ...`: reads and commands on payments.
 *
 * Reads need the database only; commands run an engine in this process, like `pay`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { IdempotencyKey, PaymentId, TenantId } from "../../../domain/payment/Ids.ts"
import { PaymentStatus } from "../../../domain/payment/Status.ts"
import type { PaymentView } from "../../../domain/payment/View.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import { EventStore } from "../../../services/EventStore.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import { failureOf, keyOf, show } from "../Answers.ts"
import * as PaymentJson from "../../http/PaymentJson.ts"
import { cannotRun, notDone, orCannotRun } from "../Failure.ts"
import { amount, print, table, time } from "../Output.ts"
import * as PaymentText from "../PaymentText.ts"
import * as Engine from "../runtime/Engine.ts"
import * as Storage from "../runtime/Storage.ts"
import * as Target from "../runtime/Target.ts"

interface One {
  readonly id: PaymentId
  readonly merchant: Option.Option<TenantId>
}

/** A payment of the merchant; exit code 1 when there is none. Without `--merchant`, where several are known, of anyone. */
const find = Effect.fnUntraced(function* (input: One) {
  const repository = yield* PaymentRepository
  const found = yield* orCannotRun(
    repository.get({ id: input.id, ...(Option.isSome(input.merchant) ? { tenant: input.merchant.value } : {}) })
  )
  if (Option.isNone(found)) return yield* notDone(`there is no payment ${input.id}`)
  return found.value
})

export const get = Effect.fnUntraced(function* (input: One) {
  const target = yield* Target.load
  const payment = yield* Effect.provide(find(input), Storage.layer(target, "existing"))
  yield* print({ json: jsonOf(payment), text: PaymentText.payment(payment) })
})

export const events = Effect.fnUntraced(function* (input: One) {
  const target = yield* Target.load
  const history = yield* Effect.gen(function* () {
    yield* find(input)
    const store = yield* EventStore
    return yield* orCannotRun(store.read(input.id))
  }).pipe(Effect.provide(Storage.layer(target, "existing")))
  yield* print({ json: { data: history.map(PaymentJson.ofEvent) }, text: PaymentText.history(history) })
})

export const list = Effect.fnUntraced(function* (input: {
  readonly merchant: Option.Option<TenantId>
  readonly status: Option.Option<string>
  readonly limit: number
  readonly cursor: Option.Option<string>
}) {
  const status = Option.getOrUndefined(input.status)
  if (status !== undefined && !isStatus(status)) return yield* cannotRun(`--status: one of ${PaymentStatus.literals.join(", ")} is needed`)
  const target = yield* Target.load
  const bounds = { limit: input.limit, ...(Option.isSome(input.cursor) ? { cursor: input.cursor.value } : {}) }
  // A person who looks after payments looks after those of all merchants.
  const everybodys = status === "needs_review" && Option.isNone(input.merchant)
  const tenant = everybodys ? undefined : yield* Target.merchant(target, input.merchant)
  const page = yield* PaymentRepository.use((repository) =>
    orCannotRun(
      tenant === undefined
        ? repository.needingReview(bounds)
        : repository.list({ tenant, ...bounds, ...(status === undefined ? {} : { status }) })
    )
  ).pipe(Effect.provide(Storage.layer(target, "existing")))
  const rows = page.data.map((payment) => [
    payment.id,
    time(payment.createdAt),
    payment.status,
    amount(payment.amount, payment.currency),
    payment.gateway ?? "none",
    ...(everybodys ? [payment.tenant] : [])
  ])
  yield* print({
    json: {
      data: page.data.map((view) => (everybodys ? { ...jsonOf(view), merchant: view.tenant } : jsonOf(view))),
      ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor })
    },
    text: [
      ...(rows.length === 0 ? ["no payments"] : withReviews(table(rows), page.data)),
      ...(page.nextCursor === undefined ? [] : [`more: --cursor ${page.nextCursor}`])
    ]
  })
})

/** Below each payment that needs review: which operation, why, and the evidence. */
const withReviews = (lines: ReadonlyArray<string>, payments: ReadonlyArray<PaymentView>): ReadonlyArray<string> =>
  lines.flatMap((line, index) => [
    line,
    ...(payments[index]?.reviews ?? []).map(({ evidence, operation, reason }) => `    operation ${operation}: ${reason}: ${evidence}`)
  ])

/** As the HTTP interface shows it, with what a person has to look at. */
const jsonOf = (view: PaymentView) => ({ ...PaymentJson.ofView(view), ...(view.reviews.length === 0 ? {} : { reviews: view.reviews }) })

const isStatus = (text: string): text is PaymentStatus => PaymentStatus.literals.some((literal) => literal === text)

interface Modification extends One {
  readonly key: Option.Option<IdempotencyKey>
}

type Command = { readonly tenant: TenantId; readonly key: IdempotencyKey; readonly id: PaymentId }

/** A command on a payment, by an engine in this process. */
const modify = Effect.fnUntraced(function* (
  input: Modification,
  command: (payments: Payments.Payments["Service"], command: Command) => ReturnType<Payments.Payments["Service"]["cancel"]>
) {
  const target = yield* Target.load
  const tenant = yield* Target.merchant(target, input.merchant)
  const key = keyOf(input.key)
  const answer = yield* Payments.Payments.use((payments) => command(payments, { tenant, key, id: input.id })).pipe(
    Effect.mapError(failureOf(key)),
    Effect.provide(Engine.layer(target, "existing"))
  )
  yield* show(answer, key)
})

const amountOf = (given: Option.Option<bigint>) => (Option.isSome(given) ? { amount: given.value } : {})

export const capture = (input: Modification & { readonly amount: Option.Option<bigint>; readonly final: boolean }) =>
  modify(input, (payments, command) => payments.capture({ ...command, ...amountOf(input.amount), ...(input.final ? { final: true } : {}) }))

export const refund = (input: Modification & { readonly amount: Option.Option<bigint> }) =>
  modify(input, (payments, command) => payments.refund({ ...command, ...amountOf(input.amount) }))

export const cancel = (input: Modification) => modify(input, (payments, command) => payments.cancel(command))

export const confirm = (input: Modification) => modify(input, (payments, command) => payments.confirm(command))
