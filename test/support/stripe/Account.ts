/** The objects and the ledger of a fake Stripe account, and what each request does to them. No network and no keys here. */
import * as Behaviour from "./Behaviour.ts"

/** Something that was done with money, under the idempotency key of the request that did it. */
export interface Movement {
  readonly kind: "charge" | "authorize" | "capture" | "void" | "refund"
  readonly reference: string
  readonly amount: number
}

export interface Charge {
  readonly object: "charge"
  readonly id: string
  readonly amount: number
  amount_refunded: number
  readonly currency: string
  readonly created: number
  status: "succeeded" | "failed"
  captured: boolean
  readonly paid: boolean
  readonly payment_intent: string
  readonly metadata: Record<string, string>
}

export interface PaymentIntent {
  readonly object: "payment_intent"
  readonly id: string
  status: string
  readonly amount: number
  amount_capturable: number
  amount_received: number
  readonly capture_method: string
  readonly confirmation_method: "automatic"
  readonly currency: string
  readonly created: number
  readonly customer: string | null
  readonly livemode: false
  readonly payment_method_types: ReadonlyArray<string>
  readonly client_secret: string
  payment_method: string | null
  metadata: Record<string, string>
  latest_charge: Charge | null
  last_payment_error: Record<string, unknown> | null
  next_action: Record<string, unknown> | null
  canceled_at: number | null
  cancellation_reason: string | null
}

export interface Refund {
  readonly object: "refund"
  readonly id: string
  status: string
  readonly amount: number
  readonly currency: string
  readonly created: number
  readonly charge: string
  readonly payment_intent: string
  failure_reason?: string
  readonly metadata: Record<string, string>
}

/** A form, decoded: `a[b]` keeps its name. */
export type Form = ReadonlyMap<string, string>

/** An answer: status and body. */
export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: { readonly [name: string]: string }
}

interface Event {
  readonly type: string
  readonly object: unknown
}

const currencies = new Set("eur usd gbp jpy isk mga kwd chf".split(" "))

const ok = (body: unknown): Reply => ({ status: 200, body })

/** An error body. */
export const fail = (status: number, error: { readonly [field: string]: unknown }): Reply => ({
  status,
  body: { error: { type: "invalid_request_error", message: "refused", ...error } }
})

const metadataOf = (form: Form): Record<string, string> =>
  Object.fromEntries([...form].flatMap(([name, value]) => (/^metadata\[(.+)\]$/.test(name) ? [[name.slice(9, -1), value]] : [])))

export interface Options {
  /** Unix milliseconds; default the clock. */
  readonly now?: () => number
  readonly settleMillis: number
  /** How the account tells of what happened. */
  readonly tell: (event: Event) => void
}

/** An account. */
export const make = (options: Options) => {
  const now = options.now ?? Date.now
  const seconds = () => Math.floor(now() / 1000)
  const intents = new Map<string, PaymentIntent>()
  const refunds = new Map<string, Refund>()
  const movements: Array<Movement> = []
  /** The method of each PaymentIntent: it decides what goes wrong later. */
  const methods = new Map<string, string>()
  let counter = 0
  const id = (prefix: string) => `${prefix}_fake${String(++counter).padStart(8, "0")}`
  const later = (millis: number, action: () => void) => void setTimeout(action, millis).unref()
  const snapshot = <A>(value: A): A => structuredClone(value)
  const tell = (type: string, object: unknown) => options.tell({ type, object: snapshot(object) })

  const charged = (intent: PaymentIntent, reference: string) => {
    const isManual = intent.capture_method === "manual"
    const charge: Charge = {
      object: "charge",
      id: id("ch"),
      amount: intent.amount,
      amount_refunded: 0,
      currency: intent.currency,
      created: seconds(),
      status: "succeeded",
      captured: !isManual,
      paid: true,
      payment_intent: intent.id,
      metadata: { ...intent.metadata }
    }
    intent.latest_charge = charge
    intent.next_action = null
    intent.last_payment_error = null
    intent.status = isManual ? "requires_capture" : "succeeded"
    if (isManual) intent.amount_capturable = intent.amount
    else intent.amount_received = intent.amount
    movements.push({ kind: isManual ? "authorize" : "charge", reference, amount: intent.amount })
    tell("charge.succeeded", charge)
    tell(isManual ? "payment_intent.amount_capturable_updated" : "payment_intent.succeeded", { ...intent, latest_charge: charge.id })
  }

  const declined = (intent: PaymentIntent, decline: Behaviour.Decline): Reply => {
    const { payment_method: method } = intent
    intent.status = "requires_payment_method"
    intent.payment_method = null
    intent.next_action = null
    intent.last_payment_error = { type: "card_error", ...decline, payment_method: { id: method, object: "payment_method" } }
    tell("payment_intent.payment_failed", intent)
    return { status: 402, body: { error: { ...intent.last_payment_error, payment_intent: snapshot(intent) } } }
  }

  const create = (form: Form, reference: string): Reply => {
    const [amount, currency, method] = [Number(form.get("amount")), form.get("currency") ?? "", form.get("payment_method") ?? ""]
    if (!Number.isSafeInteger(amount) || amount <= 0) return fail(400, { code: "parameter_invalid_integer", param: "amount" })
    if (!currencies.has(currency)) return fail(400, { param: "currency", message: `Invalid currency: ${currency}` })
    if (form.get("confirm") === "true" && form.get("automatic_payment_methods[allow_redirects]") !== "never" && !form.has("return_url")) {
      return fail(400, { param: "return_url", message: "You must provide a return_url." })
    }
    if (method.startsWith("pm_saved") && !form.has("customer")) {
      return fail(400, { param: "customer", message: "The PaymentMethod belongs to a customer. Please include it." })
    }
    const verdict = Behaviour.verdictOf(method)
    if (typeof verdict === "object" && "status" in verdict) return verdict
    const intent: PaymentIntent = {
      object: "payment_intent",
      id: id("pi"),
      status: "requires_confirmation",
      amount,
      amount_capturable: 0,
      amount_received: 0,
      capture_method: form.get("capture_method") ?? "automatic_async",
      confirmation_method: "automatic",
      currency,
      created: seconds(),
      customer: form.get("customer") ?? null,
      livemode: false,
      payment_method_types: ["card"],
      client_secret: "pi_secret",
      payment_method: method,
      metadata: metadataOf(form),
      latest_charge: null,
      last_payment_error: null,
      next_action: null,
      canceled_at: null,
      cancellation_reason: null
    }
    intents.set(intent.id, intent)
    methods.set(intent.id, method)
    tell("payment_intent.created", intent)
    if (form.get("confirm") !== "true") return ok(snapshot(intent))
    return confirmed(intent, form, reference)
  }

  const confirmed = (intent: PaymentIntent, form: Form, reference: string): Reply => {
    const verdict = Behaviour.verdictOf(intent.payment_method ?? "")
    if (typeof verdict === "object") return "status" in verdict ? verdict : declined(intent, verdict)
    if (verdict === "needs_action") {
      if (form.get("off_session") === "true" || form.get("error_on_requires_action") === "true") {
        return declined(intent, {
          code: "authentication_required",
          decline_code: "authentication_required",
          message: "This transaction requires authentication."
        })
      }
      intent.status = "requires_action"
      intent.next_action = {
        type: "redirect_to_url",
        redirect_to_url: { url: `https://hooks.stripe.example/3ds/${intent.id}`, return_url: form.get("return_url") ?? null }
      }
      tell("payment_intent.requires_action", intent)
      return ok(snapshot(intent))
    }
    if (verdict === "succeeds") {
      charged(intent, reference)
      return ok(snapshot(intent))
    }
    intent.status = "processing"
    tell("payment_intent.processing", intent)
    later(options.settleMillis, () => {
      if (verdict === "pending_success") charged(intent, reference)
      else declined(intent, { code: "payment_method_provider_decline", message: "The bank declined." })
    })
    return ok(snapshot(intent))
  }

  const unexpected = (intent: PaymentIntent): Reply =>
    fail(400, {
      code: "payment_intent_unexpected_state",
      message: `This PaymentIntent has a status of ${intent.status}.`,
      payment_intent: snapshot(intent)
    })

  const confirm = (intent: PaymentIntent, form: Form, reference: string): Reply => {
    if (intent.status === "requires_confirmation") return confirmed(intent, form, reference)
    return intent.status === "requires_action" ? ok(snapshot(intent)) : unexpected(intent)
  }

  const capture = (intent: PaymentIntent, form: Form, reference: string): Reply => {
    if (intent.status !== "requires_capture") return unexpected(intent)
    const amount = Number(form.get("amount_to_capture") ?? intent.amount_capturable)
    if (amount > intent.amount_capturable) return fail(400, { code: "amount_too_large", param: "amount_to_capture" })
    if (Behaviour.faultOf(methods.get(intent.id) ?? "", "capture") === "declined") {
      return fail(400, { code: "charge_expired_for_capture", message: "The authorization has expired." })
    }
    intent.metadata = { ...intent.metadata, ...metadataOf(form) }
    intent.amount_capturable = 0
    const captured = () => {
      intent.status = "succeeded"
      intent.amount_received = amount
      if (intent.latest_charge !== null) intent.latest_charge.captured = true
      movements.push({ kind: "capture", reference, amount })
      tell("charge.captured", intent.latest_charge)
      tell("payment_intent.succeeded", { ...intent, latest_charge: intent.latest_charge?.id ?? null })
    }
    if (Behaviour.faultOf(methods.get(intent.id) ?? "", "capture") === "pending") {
      intent.status = "processing"
      tell("payment_intent.processing", intent)
      later(options.settleMillis, captured)
    } else captured()
    return ok(snapshot(intent))
  }

  const cancel = (intent: PaymentIntent, form: Form, reference: string): Reply => {
    if (["canceled", "succeeded", "processing"].includes(intent.status)) return unexpected(intent)
    const hadCharge = intent.status === "requires_capture"
    intent.status = "canceled"
    intent.next_action = null
    intent.amount_capturable = 0
    intent.canceled_at = seconds()
    intent.cancellation_reason = form.get("cancellation_reason") ?? null
    if (intent.latest_charge !== null) intent.latest_charge.amount_refunded = intent.amount
    movements.push({ kind: "void", reference, amount: hadCharge ? intent.amount : 0 })
    tell("payment_intent.canceled", { ...intent, latest_charge: intent.latest_charge?.id ?? null })
    return ok(snapshot(intent))
  }

  const refund = (form: Form, reference: string): Reply => {
    const intent = intents.get(form.get("payment_intent") ?? "")
    const charge = intent?.latest_charge
    if (intent === undefined || charge === null || charge === undefined)
      return fail(404, { code: "resource_missing", param: "payment_intent" })
    const amount = Number(form.get("amount") ?? intent.amount_received)
    if (charge.amount_refunded >= intent.amount_received) return fail(400, { code: "charge_already_refunded" })
    if (amount > intent.amount_received - charge.amount_refunded) return fail(400, { code: "amount_too_large", param: "amount" })
    const fault = Behaviour.faultOf(methods.get(intent.id) ?? "", "refund")
    const isPending = fault === "pending" || fault === "action" || fault === "pending_failure"
    const made: Refund = {
      object: "refund",
      id: id("re"),
      status: fault === "action" ? "requires_action" : isPending ? "pending" : fault === "declined" ? "failed" : "succeeded",
      amount,
      currency: intent.currency,
      created: seconds(),
      charge: charge.id,
      payment_intent: intent.id,
      metadata: metadataOf(form)
    }
    refunds.set(made.id, made)
    // https://docs.stripe.com/refunds#failed-refunds: a refund may be created as failed.
    if (fault === "declined") {
      made.failure_reason = "declined"
      tell("refund.failed", made)
      return ok(snapshot(made))
    }
    charge.amount_refunded += amount
    movements.push({ kind: "refund", reference, amount })
    tell("refund.created", made)
    if (fault === "fails_later") {
      later(options.settleMillis, () => {
        made.status = "failed"
        made.failure_reason = "expired_or_canceled_card"
        tell("refund.failed", made)
      })
    }
    if (isPending) {
      later(options.settleMillis, () => {
        made.status = fault === "pending_failure" ? "failed" : "succeeded"
        if (fault === "pending_failure") made.failure_reason = "insufficient_funds"
        tell(fault === "pending_failure" ? "refund.failed" : "refund.updated", made)
      })
    }
    return ok(snapshot(made))
  }

  return {
    movements,
    intents,
    refunds,
    /** The payment method by which a request's fault is chosen. */
    methodOf: (path: string, form: Form): string => {
      const target = /^\/v1\/payment_intents\/(pi_\w+)/.exec(path)?.[1] ?? form.get("payment_intent")
      return (target === undefined ? form.get("payment_method") : methods.get(target)) ?? ""
    },
    /** Carries out a POST. */
    execute: (path: string, form: Form, reference: string): Reply => {
      if (path === "/v1/payment_intents") return create(form, reference)
      if (path === "/v1/refunds") return refund(form, reference)
      const [, target = "", action] = /^\/v1\/payment_intents\/(pi_\w+)\/(confirm|capture|cancel)$/.exec(path) ?? []
      const intent = intents.get(target)
      if (intent === undefined)
        return fail(404, { code: "resource_missing", param: "intent", message: `No such payment_intent: '${target}'` })
      return { confirm, capture, cancel }[action as "confirm" | "capture" | "cancel"](intent, form, reference)
    },
    /** The customer at the page of the next action. */
    customer: (target: string, does: "complete" | "fail") => {
      const intent = intents.get(target)
      if (intent === undefined || intent.status !== "requires_action") return
      const fails = does === "fail" || intent.payment_method === "pm_actionFails"
      if (fails) declined(intent, { code: "payment_intent_authentication_failure", message: "The customer failed authentication." })
      else charged(intent, intent.metadata["aegispay_reference"] ?? "")
    },
    /** The authorization is too old: Stripe cancels it, and may tell of it. */
    expire: (target: string, tells: boolean) => {
      const intent = intents.get(target)
      if (intent === undefined || intent.status !== "requires_capture") return
      intent.status = "canceled"
      intent.amount_capturable = 0
      intent.canceled_at = seconds()
      intent.cancellation_reason = "automatic"
      if (intent.latest_charge !== null) intent.latest_charge.amount_refunded = intent.amount
      movements.push({ kind: "void", reference: "", amount: intent.amount })
      if (tells) tell("payment_intent.canceled", { ...intent, latest_charge: intent.latest_charge?.id ?? null })
    },
    /** A refund that had succeeded fails, as the bank of the customer sends it back. */
    failRefund: (target: string) => {
      const made = refunds.get(target)
      if (made === undefined) return
      made.status = "failed"
      made.failure_reason = "expired_or_canceled_card"
      tell("refund.failed", made)
    },
    /** The customer's bank takes the money back. */
    dispute: (target: string, status: string, type = "charge.dispute.created") => {
      const intent = intents.get(target)
      tell(type, {
        object: "dispute",
        id: `dp_of_${target.slice(3)}`,
        amount: intent?.amount ?? 0,
        currency: intent?.currency ?? "eur",
        charge: intent?.latest_charge?.id ?? null,
        payment_intent: target,
        status,
        reason: "fraudulent",
        metadata: {}
      })
    }
  }
}
export type Account = ReturnType<typeof make>
