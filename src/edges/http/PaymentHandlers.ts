/**
 * The payment routes: each decodes, asks the engine, and answers.
 *
 * Statuses: a payment that was created answers 201, a command on one 200; either is 202 while nobody knows the outcome yet. A repeated
 * request answers by the same rule for the payment as it is now, with `Idempotent-Replayed: true`.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type { PaymentView } from "../../domain/payment/View.ts"
import * as Presets from "../../domain/Presets.ts"
import type { Answer } from "../../orchestration/payment/Idempotency.ts"
import { Payments } from "../../orchestration/payment/Payments.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import { Api } from "./Api.ts"
import { Caller } from "./ApiKeyAuth.ts"
import * as Json from "./PaymentJson.ts"
import { type EngineError, internalError, ofEngineError, Problem, toResponse } from "./Problems.ts"
import * as RequestSubject from "./observability/RequestSubject.ts"
import * as RequestBody from "./RequestBody.ts"
import * as RateLimits from "./resilience/RateLimits.ts"

const json = (body: unknown, options: { readonly status: number; readonly replayed?: boolean }) =>
  HttpServerResponse.jsonUnsafe(body, {
    status: options.status,
    headers: options.replayed === true ? { "idempotent-replayed": "true" } : {}
  })

const unsettledPayment: ReadonlySet<PaymentView["status"]> = new Set([
  "initiated",
  "screened",
  "processing",
  "requires_action",
  "in_doubt",
  "needs_review"
])
const unsettledOperation: ReadonlySet<PaymentView["operations"][number]["status"]> = new Set([
  "processing",
  "unknown",
  "requires_action",
  "pending",
  "needs_review"
])

/** Does anybody know how it ended? */
const isSettled = ({ operation, payment }: Answer): boolean => {
  const started = payment.operations.find(({ number }) => number === operation)
  return !unsettledPayment.has(payment.status) && (started === undefined || !unsettledOperation.has(started.status))
}

const answered = (answer: Answer, settledStatus: 200 | 201) =>
  Effect.as(
    RequestSubject.answered(answer.payment),
    json(Json.ofView(answer.payment), { status: isSettled(answer) ? settledStatus : 202, replayed: answer.replayed })
  )

/** Every failure is a problem; what the engine should never answer is reported in the log. */
const orProblem = <R>(effect: Effect.Effect<HttpServerResponse.HttpServerResponse, EngineError | Problem, R>) =>
  Effect.catch(effect, (error) => {
    const problem = error._tag === "Problem" ? error : ofEngineError(error)
    return problem === internalError || problem.code === "payment_halted"
      ? Effect.andThen(RequestSubject.annotated(Effect.logError(`request failed: ${error.message}`)), toResponse(problem))
      : toResponse(problem)
  })

/** The handlers of the payment routes. */
export const layer = HttpApiBuilder.group(
  Api,
  "payments",
  Effect.fnUntraced(function* (handlers) {
    const payments = yield* Payments
    const repository = yield* PaymentRepository

    const create = Effect.fnUntraced(function* (key: Parameters<typeof payments.charge>[0]["key"]) {
      const { merchant: tenant } = yield* Caller
      const { amount, currency, paymentMethod, ...rest } = yield* RequestBody.decode(Json.NewPayment)
      yield* RateLimits.ofCustomer(rest.customer?.id)
      const answer = yield* payments.charge({ tenant, key, amount: { currency, minor: amount }, method: paymentMethod, ...rest })
      return yield* answered(answer, 201)
    })

    const list = Effect.fnUntraced(function* (
      query: Omit<Parameters<typeof repository.list>[0], "tenant" | "limit"> & { readonly limit?: number }
    ) {
      const { merchant: tenant } = yield* Caller
      const page = yield* repository.list({ ...query, tenant, limit: query.limit ?? Presets.http.pageSize.value })
      return json(pageJson(page.data.map(Json.ofView), page.nextCursor), { status: 200 })
    })

    const events = Effect.fnUntraced(function* (
      id: Parameters<typeof payments.get>[0]["id"],
      query: { readonly cursor?: number; readonly limit?: number }
    ) {
      const { merchant: tenant } = yield* Caller
      yield* RequestSubject.learned({ payment: id })
      const history = (yield* payments.history({ id, tenant })).filter(({ version }) => version > (query.cursor ?? 0))
      const page = history.slice(0, query.limit ?? Json.maxEvents)
      const last = page.at(-1)
      const nextCursor = last !== undefined && history.length > page.length ? String(last.version) : undefined
      return json(pageJson(page.map(Json.ofEvent), nextCursor), { status: 200 })
    })

    return handlers
      .handleRaw("create", ({ headers }) => orProblem(create(headers["idempotency-key"])))
      .handle("list", ({ query }) => orProblem(list(query)))
      .handle("get", ({ params }) =>
        orProblem(
          Effect.gen(function* () {
            const { merchant: tenant } = yield* Caller
            yield* RequestSubject.learned({ payment: params.id })
            const payment = yield* payments.get({ id: params.id, tenant })
            yield* RequestSubject.answered(payment)
            return json(Json.ofView(payment), { status: 200 })
          })
        )
      )
      .handle("events", ({ params, query }) => orProblem(events(params.id, query)))
      .handleRaw("confirm", (request) =>
        orProblem(
          Effect.gen(function* () {
            yield* RequestBody.decode(Json.Empty)
            return yield* answered(yield* payments.confirm(yield* commandOf(request)), 200)
          })
        )
      )
      .handleRaw("capture", (request) =>
        orProblem(
          Effect.gen(function* () {
            const body = yield* RequestBody.decode(Json.Capture)
            return yield* answered(yield* payments.capture({ ...(yield* commandOf(request)), ...body }), 200)
          })
        )
      )
      .handleRaw("cancel", (request) =>
        orProblem(
          Effect.gen(function* () {
            yield* RequestBody.decode(Json.Empty)
            return yield* answered(yield* payments.cancel(yield* commandOf(request)), 200)
          })
        )
      )
      .handleRaw("refund", (request) =>
        orProblem(
          Effect.gen(function* () {
            const body = yield* RequestBody.decode(Json.Refund)
            return yield* answered(yield* payments.refund({ ...(yield* commandOf(request)), ...body }), 200)
          })
        )
      )
  })
)

const pageJson = <A>(data: ReadonlyArray<A>, nextCursor: string | undefined) => ({
  data,
  ...(nextCursor === undefined ? {} : { nextCursor })
})

type Modification = Parameters<Payments["Service"]["confirm"]>[0]

const commandOf = (request: {
  readonly params: { readonly id: Modification["id"] }
  readonly headers: { readonly "idempotency-key": Modification["key"] }
}) =>
  Effect.gen(function* () {
    const { merchant: tenant } = yield* Caller
    yield* RequestSubject.learned({ payment: request.params.id })
    return { tenant, key: request.headers["idempotency-key"], id: request.params.id } satisfies Modification
  })
