/**
 * Idempotency keys: finding out who has one, and waiting for the request in progress (rule 11).
 *
 * The same key with the same request returns the payment as it is now; the first request is awaited while it is running. The
 * same key with another request is refused. A key is never run again.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { IdempotencyKey, OperationNumber, TenantId } from "../../domain/payment/Ids.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import * as Presets from "../../domain/Presets.ts"
import type { CommandName, StoredClaim } from "../../services/EventStore.ts"
import * as Metrics from "../../services/Metrics.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import { RequestFingerprint } from "../../services/RequestFingerprint.ts"
import { Settings } from "../../services/Settings.ts"
import { Background } from "../operation/Background.ts"
import { IdempotencyKeyReused, PaymentNotFound, RequestInProgress } from "./Errors.ts"

/** A money command's answer: the payment as it is now. */
export interface Answer {
  readonly payment: PaymentView
  /** The operation this command started; `undefined` where it started none. */
  readonly operation: OperationNumber | undefined
  /** The key was used before: this is the first request's payment. */
  readonly replayed: boolean
}

/** Whose key it is and what was asked under it. */
export interface KeyedRequest {
  readonly tenant: TenantId
  readonly key: IdempotencyKey
  readonly fingerprint: string
}

/** How often the projection is looked at while another process works on the request. */
const pollMillis = 100

/** The digest of a command: its name and its canonical content, keys sorted. */
export const fingerprint = (command: CommandName, content: unknown) =>
  RequestFingerprint.use((digest) => digest.of(`${command} ${canonical(content)}`))

/** What JSON writes as something else than it is, with every half of a pair (it escapes those that stand alone). */
const escaped = /["\\\u0000-\u001f\ud800-\udfff]/

const quoted = (text: string): string => (escaped.test(text) ? JSON.stringify(text) : `"${text}"`)

/** JSON with sorted keys and without `undefined`; bigints as decimal strings. */
export const canonical = (value: unknown): string => {
  if (typeof value === "string") return quoted(value)
  if (typeof value === "boolean") return value ? "true" : "false"
  if (typeof value === "bigint") return `"${value}"`
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null"
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  const fields = value as Readonly<Record<string, unknown>>
  let text = "{"
  for (const name of sorted(Object.keys(fields))) {
    const field = fields[name]
    if (field !== undefined) text += `${text === "{" ? "" : ","}${quoted(name)}:${canonical(field)}`
  }
  return `${text}}`
}

/** Most objects have their fields in this order already, and looking takes a fraction of sorting. */
const sorted = (names: Array<string>): ReadonlyArray<string> =>
  names.every((name, index) => index === 0 || (names[index - 1] ?? "") < name) ? names : names.sort()

const claimOf = ({ key, tenant }: KeyedRequest) => PaymentRepository.use((repository) => repository.findClaim({ tenant, key }))

const answerTo = (request: KeyedRequest) => (claim: Option.Option<StoredClaim>) =>
  Option.isNone(claim) ? Effect.succeed(Option.none<Answer>()) : Effect.map(answerOf(claim.value, request), Option.some)

/** Who has the key; none when it is new. */
export const find = (request: KeyedRequest) =>
  Effect.tap(claimOf(request), (claim) => (Option.isNone(claim) ? Metrics.idempotency("new") : Effect.void))

/** The answer of the first request with this key, awaited if need be; none when the key is new. */
export const lookUp = (request: KeyedRequest) => Effect.flatMap(find(request), answerTo(request))

/** The same for a request that was refused, whose twin may have been recorded after it had looked: it is counted already. */
export const lookUpAgain = (request: KeyedRequest) => Effect.flatMap(claimOf(request), answerTo(request))

/** The answer to a key that turned out to be taken. */
export const answerOf = Effect.fnUntraced(function* (claim: StoredClaim, request: KeyedRequest) {
  if (claim.fingerprint !== request.fingerprint) {
    yield* Metrics.idempotency("conflict")
    return yield* new IdempotencyKeyReused({ key: request.key })
  }
  yield* Metrics.idempotency("hit")
  const payment = yield* inTime(request, awaitOutcome(claim))
  return { payment, operation: claim.operation, replayed: true } satisfies Answer
})

/** Waits for the first request with a key for as long as a caller should. */
export const inTime = <A, E, R>({ key }: KeyedRequest, first: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Settings, ({ idempotencyWaitMillis }) =>
    Effect.timeoutOrElse(first, {
      duration: Duration.millis(idempotencyWaitMillis),
      orElse: () => Effect.fail(new RequestInProgress({ key, retryAfterMillis: Presets.idempotency.retryAfterMillis.value }))
    })
  )

const awaitOutcome = Effect.fnUntraced(function* (claim: StoredClaim) {
  const background = yield* Background
  for (;;) {
    const payment = yield* viewOf(claim)
    if (!isInProgress(payment, claim)) return payment
    const answering = background.answering(claim.payment)
    // An answer that was given before its outcome could be stored is no reason to look again at once.
    yield* answering === undefined || Deferred.isDoneUnsafe(answering)
      ? Effect.sleep(Duration.millis(pollMillis))
      : Effect.race(Effect.asVoid(Deferred.await(answering)), Effect.sleep(Duration.millis(pollMillis)))
  }
})

const viewOf = Effect.fnUntraced(function* (claim: StoredClaim) {
  const repository = yield* PaymentRepository
  const found = yield* repository.get({ id: claim.payment })
  return yield* Option.match(found, {
    onNone: () => Effect.fail(new PaymentNotFound({ id: claim.payment })),
    onSome: (payment) => Effect.succeed(payment)
  })
})

/** The claimed operation, or for a charge any that followed it, has no answer yet. */
const isInProgress = (payment: PaymentView, claim: StoredClaim): boolean =>
  payment.operations.some(
    (operation) =>
      operation.status === "processing" &&
      (operation.number === claim.operation ||
        (claim.command === "charge" && operation.purpose !== "refund" && operation.purpose !== "capture"))
  )
