/**
 * Builders of payments, events and commits for tests.
 *
 * Identifiers are new with every call and ascend within the process, so that tests may share a database. `randomHistory` makes
 * histories from a seed; they are valid to fold (evolve is total) but need not be what the decider would have written.
 */
import { randomBytes } from "node:crypto"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import type { Money } from "../../src/domain/Money.ts"
import type { DeclineCategory } from "../../src/domain/operation/Decline.ts"
import type { Intent, OperationKind, Purpose } from "../../src/domain/operation/Operation.ts"
import type { NewEvent, PaymentDetails, PaymentEvent } from "../../src/domain/payment/Event.ts"
import {
  AccountFingerprint,
  bucketOf,
  EventId,
  GatewayName,
  GatewayReference,
  IdempotencyKey,
  makePaymentId,
  OperationNumber,
  type PaymentId,
  requestKeyOf,
  TenantId
} from "../../src/domain/payment/Ids.ts"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import { initial, type PaymentState } from "../../src/domain/payment/State.ts"
import type { Claim, Commit } from "../../src/services/EventStore.ts"

let lastMillis = Date.now()

/** A UUIDv7 greater than all earlier ones of this process. */
export const uuid = (): string => {
  lastMillis += 1
  const hex = `${lastMillis.toString(16).padStart(12, "0")}7${randomBytes(2).toString("hex").slice(1)}8${randomBytes(8).toString("hex").slice(1)}`
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const unique = () => randomBytes(8).toString("hex")

export const merchant = TenantId.make("m1")
export const newTenant = (): TenantId => TenantId.make(`m-${unique()}`)
export const newKey = (): IdempotencyKey => IdempotencyKey.make(`key-${unique()}`)
export const newGateway = (): GatewayName => GatewayName.make(`gateway-${unique()}`)
export const newEventId = (): EventId => EventId.make(uuid())
export const newPaymentId = (options: { readonly tenant?: TenantId; readonly key?: IdempotencyKey } = {}): PaymentId =>
  makePaymentId({ bucket: bucketOf({ tenant: options.tenant ?? merchant, key: options.key ?? newKey() }), uuid: uuid() })

export const gateway = GatewayName.make("sandbox-a")
export const account = AccountFingerprint.make("account-1")
export const operationNumber = (number: number): OperationNumber => OperationNumber.make(number)
export const reference = (text: string): GatewayReference => GatewayReference.make(text)

/** Euro, in cents. */
export const eur = (minor: bigint): Money => ({ currency: CurrencyCode.make("EUR"), minor })

/** A card payment of 49.90 EUR, captured at once. */
export const details = (overrides: Partial<PaymentDetails> = {}): PaymentDetails => ({
  tenant: merchant,
  amount: eur(4990n),
  captureMethod: "automatic",
  method: { type: "card", token: Token.make("tok_success"), brand: "visa", country: "DE" },
  customerPresent: true,
  metadata: { order: "A-1001" },
  completeWithinMillis: 900_000,
  ...overrides
})

export interface IntentOptions {
  readonly payment: PaymentId
  readonly number?: number
  readonly kind?: OperationKind
  readonly purpose?: Purpose
  readonly gateway?: GatewayName
  readonly account?: AccountFingerprint
  readonly amount?: Money
  readonly target?: number
}

/** The intent of an operation; by default number 1, a sale. */
export const intent = (options: IntentOptions): Intent => {
  const number = operationNumber(options.number ?? 1)
  return {
    number,
    kind: options.kind ?? "sale",
    purpose: options.purpose ?? "charge",
    gateway: options.gateway ?? gateway,
    account: options.account ?? account,
    adapterVersion: "1",
    apiVersion: "2026-01-01",
    requestKey: requestKeyOf({ payment: options.payment, operation: number }),
    amount: options.amount ?? eur(4990n),
    ...(options.target === undefined ? {} : { target: operationNumber(options.target) }),
    details: { customerPresent: true, token: Token.make("tok_success"), methodType: "card" },
    protection: {
      sendWindowMillis: 30_000,
      settleTimeMillis: 60_000,
      replay: "result",
      replayWindowMillis: 86_400_000,
      leavesOpenAfterDecline: false
    }
  }
}

export const initiated = (overrides: Partial<PaymentDetails> = {}): PaymentEvent => ({
  _tag: "PaymentInitiated",
  details: details(overrides)
})
export const screened: PaymentEvent = { _tag: "PaymentScreened", checks: ["request_valid"] }
export const intended = (options: IntentOptions): PaymentEvent => ({ _tag: "OperationIntended", intent: intent(options) })
export const succeeded = (number = 1, amount: Money = eur(4990n)): PaymentEvent => ({
  _tag: "OperationSucceeded",
  operation: operationNumber(number),
  source: "response",
  gatewayReference: reference(`ch_${number}`),
  amount,
  named: true,
  endsTarget: false
})
export const declined = (number = 1, category: DeclineCategory = "hard"): PaymentEvent => ({
  _tag: "OperationDeclined",
  operation: operationNumber(number),
  source: "response",
  category,
  code: "do_not_honor",
  message: "The issuer declined."
})
export const uncertain = (number = 1): PaymentEvent => ({
  _tag: "OperationUncertain",
  operation: operationNumber(number),
  source: "response",
  reason: "timeout",
  message: "no answer within 30 s",
  sends: 1
})
export const failed: PaymentEvent = { _tag: "PaymentFailed", category: "hard", code: "do_not_honor", message: "The issuer declined." }
export const cancelRequested: PaymentEvent = { _tag: "CancelRequested" }

/** Initiated, screened, and the intent of its first operation. */
export const charging = (
  options: Omit<IntentOptions, "payment"> & { readonly payment: PaymentId; readonly details?: Partial<PaymentDetails> }
): ReadonlyArray<PaymentEvent> => [initiated(options.details), screened, intended(options)]

/** Events with new ids and the versions that follow the state's. */
export const following = (state: PaymentState, events: ReadonlyArray<PaymentEvent>): ReadonlyArray<NewEvent> =>
  events.map((event, index) => ({
    eventId: newEventId(),
    version: state.version + index + 1,
    occurredAt: 1_700_000_000_000 + index,
    event
  }))

/** A commit of events onto a state. */
export const commitOf = (
  payment: PaymentState,
  events: ReadonlyArray<PaymentEvent>,
  options: Pick<Commit, "claim" | "lease"> = {}
): Commit => ({ payment, events: following(payment, events), ...options })

/** The claim of a charge. */
export const claimOf = (overrides: Partial<Claim> = {}): Claim => ({
  tenant: merchant,
  key: newKey(),
  command: "charge",
  operation: operationNumber(1),
  fingerprint: randomBytes(32).toString("hex"),
  ...overrides
})

/** The first commit of a new payment, with its claim. */
export const firstCommit = (
  options: Partial<Omit<IntentOptions, "payment">> & {
    readonly tenant?: TenantId
    readonly key?: IdempotencyKey
    readonly details?: Partial<PaymentDetails>
  } = {}
): Commit & { readonly claim: Claim } => {
  const { details: overrides, key = newKey(), tenant = merchant, ...rest } = options
  const payment = newPaymentId({ tenant, key })
  const events = charging({ ...rest, payment, details: { tenant, ...overrides } })
  return { payment: initial(payment), events: following(initial(payment), events), claim: claimOf({ tenant, key }) }
}

/** mulberry32: 32 bits of state, enough to choose events by. */
const randomOf = (seed: number) => {
  let state = seed >>> 0
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Commits' worth of random events of one payment: every type of event, optional fields present and absent, texts beyond ASCII. */
export const randomHistory = (options: {
  readonly payment: PaymentId
  readonly seed: number
  readonly tenant?: TenantId
  readonly gateway?: GatewayName
}): ReadonlyArray<ReadonlyArray<PaymentEvent>> => {
  const { payment } = options
  const random = randomOf(options.seed)
  const pick = <A>(values: readonly [A, ...Array<A>]): A => values[random(values.length)] ?? values[0]
  const text = () => pick(["plain", 'quoted "text" \\ and \n newline', "Zürich, 東京, 🙂", ""])
  const source = () => pick(["response", "webhook", "poll", "recovery", "person", "reconciliation"] as const)
  const maybe = <K extends string, A>(key: K, value: A) => (random(2) === 0 ? {} : ({ [key]: value } as { readonly [_ in K]: A }))
  const money = () => eur(BigInt(pick([4990, 4990, 4990, 1, 2500])))
  let operations = 0
  const next = (): PaymentEvent => {
    operations += 1
    const target = operations > 1 ? { target: 1 + random(operations - 1) } : {}
    const [kind, purpose] = pick<readonly [OperationKind, Purpose]>([
      ["sale", "charge"],
      ["authorize", "charge"],
      ["confirm", "continue"],
      ["capture", "capture"],
      ["void", "cancel"],
      ["void", "close"],
      ["refund", "refund"],
      ["refund", "reverse"]
    ])
    return intended({
      payment,
      number: operations,
      kind,
      purpose,
      amount: money(),
      ...target,
      ...maybe("gateway", options.gateway ?? gateway)
    })
  }
  const outcome = (): PaymentEvent => {
    const operation = operationNumber(1 + random(operations))
    const gatewayReference = reference(pick(["ch_1", "ch_2", "re_3"]))
    const disputed = { disputeId: pick(["dp_1", "dp_2"]), amount: money() }
    const review = { operation, reason: pick(["amount_mismatch", "contradiction", "unresolvable", "late_without_time"] as const) }
    const makers: readonly [() => PaymentEvent, ...Array<() => PaymentEvent>] = [
      () => ({
        _tag: "OperationSucceeded",
        operation,
        source: source(),
        gatewayReference,
        amount: money(),
        named: random(2) === 0,
        endsTarget: random(2) === 0,
        ...maybe("chargedAt", 1_700_000_000_123)
      }),
      () => ({
        _tag: "OperationDeclined",
        operation,
        source: source(),
        category: pick(["soft", "hard", "fraud", "authentication_required", "gateway_error"] as const),
        code: text(),
        message: text(),
        ...maybe("gatewayReference", gatewayReference),
        ...maybe("retryAfterMillis", 5000)
      }),
      () => ({ _tag: "OperationNotSent", operation, reason: pick(["breaker_open", "connection_refused"] as const), message: text() }),
      () => ({ _tag: "OperationAbsent", operation, source: source() }),
      () => ({ ...uncertain(operation), ...maybe("gatewayReference", gatewayReference) }),
      () => ({ _tag: "OperationPending", operation, source: source(), gatewayReference, sends: random(3) }),
      () => ({
        _tag: "ActionRequired",
        operation,
        source: source(),
        gatewayReference,
        nextAction: pick([{ type: "redirect", url: "https://bank.example/3ds?a=1&b=2" } as const, { type: "approve_on_device" } as const]),
        sends: 1,
        observedAt: 1_700_000_000_000
      }),
      () => ({ _tag: "ResendPermitted", operation, sendWindowMillis: 30_000, reason: text() }),
      () => cancelRequested,
      () => ({ _tag: "PaymentFailed", category: pick([null, "soft", "fraud"] as const), code: text(), message: text() }),
      () => ({ _tag: "PaymentCancelled" }),
      () => ({ _tag: "PaymentExpired" }),
      () => ({ _tag: "LateSuccess", operation }),
      () => ({ _tag: "CaptureFailed", operation, source: source(), message: text() }),
      () => ({ _tag: "RefundFailed", operation, source: source(), message: text() }),
      () => ({ _tag: "DisputeOpened", ...disputed }),
      () => ({ _tag: "DisputeWon", ...disputed }),
      () => ({ _tag: "DisputeLost", ...disputed }),
      () => ({ _tag: "ReviewOpened", ...review, evidence: text() }),
      () => ({ _tag: "ReviewClosed", ...review, by: source(), note: text() })
    ]
    return pick(makers)()
  }
  const customer = maybe("customer", { id: "c-1", name: "Zoë O'Neil", country: "IE" })
  const first: PaymentEvent = initiated({
    tenant: options.tenant ?? merchant,
    captureMethod: pick(["automatic", "manual"] as const),
    metadata: { order: `A-${options.seed}`, note: text() },
    ...customer,
    ...maybe("returnUrl", "https://shop.example/return")
  })
  const batches: Array<ReadonlyArray<PaymentEvent>> = [[first, screened, next()]]
  for (let commit = 1 + random(8); commit > 0; commit--) {
    batches.push(Array.from({ length: 1 + random(4) }, () => (operations < 8 && random(3) === 0 ? next() : outcome())))
  }
  return batches
}
