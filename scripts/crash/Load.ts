/**
 * Hosts and customers: they charge with tokens of every kind, repeat what was not answered under the same key at another server, ask
 * twice at once, leave early, capture, refund, cancel, and complete payments on the PSP's page.
 */
import { type Chance, stream } from "./Chance.ts"
import { pause } from "./FaultProxy.ts"
import { count, type Log, type PaymentBody } from "./Log.ts"
import * as Pace from "./Pace.ts"
import { apiKey, type World } from "./World.ts"

export interface LoadOptions {
  readonly world: World
  readonly log: Log
  readonly seed: number
  readonly workers: number
  readonly isOver: () => boolean
}

/** How often each is drawn. What never resolves by itself, or needs webhooks to be learned, is left out. */
const tokens: ReadonlyArray<readonly [token: string, weight: number]> = [
  ["tok_success", 30],
  ["tok_timeout_after", 4],
  ["tok_reset_after", 5],
  ["tok_5xx_after", 4],
  ["tok_garbage", 2],
  ["tok_redirect", 2],
  ["tok_timeout_before_once", 3],
  ["tok_reset_before_once", 4],
  ["tok_5xx_before_once", 4],
  ["tok_late", 4],
  ["tok_slow", 3],
  ["tok_declined_soft", 4],
  ["tok_declined_hard", 2],
  ["tok_fraud", 1],
  ["tok_card_declined_open", 4],
  ["tok_gateway_error", 3],
  ["tok_rate_limited", 1],
  ["tok_3ds", 6],
  ["tok_3ds_fails", 2],
  ["tok_pending_success", 4],
  ["tok_pending_failure", 2],
  ["tok_refund_pending", 3],
  ["tok_capture_fails", 1],
  ["tok_void_fails", 1],
  ["tok_capture_timeout_after", 2],
  ["tok_capture_reset_after", 2],
  ["tok_refund_reset_after", 3],
  ["tok_refund_5xx_after", 2],
  ["tok_void_reset_after", 2],
  ["tok_confirm_reset_after", 2]
]
const totalWeight = tokens.reduce((sum, [, weight]) => sum + weight, 0)

const drawToken = (chance: Chance): string => {
  let left = chance.next() * totalWeight
  for (const [token, weight] of tokens) {
    left -= weight
    if (left < 0) return token
  }
  return "tok_success"
}

/** Codes after which the same key is tried again. */
const isRepeated = (status: number, code: string): boolean =>
  status >= 500 || code === "request_in_progress" || code === "too_many_conflicts"

/** The longest that a caller waits, in milliseconds. */
const maxPatience = 8_000
const maxTries = 10

/** Runs until it is over and every caller has heard the end of what it was asking. */
export const run = async (options: LoadOptions): Promise<void> => {
  const pace = Pace.make(options.workers)
  const worker = async (number: number) => {
    for (let nth = 1; !options.isOver(); nth++) {
      const key = `crash-${options.seed}-${number}-${nth}`
      await pace.payment(() => live(new Caller(options, key, pace), stream(options.seed, key)), options.isOver)
    }
  }
  await Promise.all(Array.from({ length: options.workers }, (_, number) => worker(number)))
}

interface Request {
  readonly command: string
  readonly method: "GET" | "POST"
  readonly path: string
  readonly key?: string
  readonly body?: unknown
}

/** One payment's caller. */
class Caller {
  readonly options: LoadOptions
  readonly key: string
  readonly pace: Pace.Pace
  constructor(options: LoadOptions, key: string, pace: Pace.Pace) {
    this.options = options
    this.key = key
    this.pace = pace
  }

  /** Asks until there is an answer for good, at a server by chance each time; `undefined`: refused, or it is over. */
  async insist(request: Request, chance: Chance): Promise<PaymentBody | undefined> {
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const patience = chance.happens(0.15) ? chance.between(20, 600) : maxPatience
      const answer = await this.pace.request(() => this.ask(this.server(chance), request, patience), this.options.isOver)
      if (answer !== undefined) return answer === "refused" ? undefined : answer
      if (this.options.isOver()) return undefined
      await pause(chance.between(50, 300 * (attempt + 1)))
    }
    return undefined
  }

  /** As behind a load balancer that has mostly noticed who is down. */
  server(chance: Chance): string {
    const { instances } = this.options.world
    const up = instances.filter((instance) => instance.state() === "up")
    const from = up.length === 0 || chance.happens(0.1) ? instances : up
    return from[chance.between(0, from.length - 1)]?.url ?? ""
  }

  async ask(url: string, request: Request, patience: number): Promise<PaymentBody | "refused" | undefined> {
    const { log } = this.options
    const askedAt = performance.now()
    try {
      const response = await fetch(`${url}${request.path}`, {
        method: request.method,
        headers: {
          authorization: `Bearer ${apiKey}`,
          "content-type": "application/json",
          ...(request.key === undefined ? {} : { "idempotency-key": request.key })
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal: AbortSignal.timeout(patience)
      })
      const body = (await response.json()) as PaymentBody & { readonly code?: string }
      if (request.command === "charge") this.pace.answered(performance.now() - askedAt)
      if (response.ok) {
        count(log, String(response.status))
        log.answers.push({ key: this.key, command: request.command, httpStatus: response.status, body })
        return body
      }
      count(log, `${response.status} ${body.code ?? ""}`)
      return isRepeated(response.status, body.code ?? "") ? undefined : "refused"
    } catch {
      if (request.command === "charge") this.pace.lost(performance.now() - askedAt)
      count(log, "lost")
      return undefined
    }
  }

  /** A money command, sometimes asked for twice at once under its one key. */
  async command(request: Request, chance: Chance): Promise<PaymentBody | undefined> {
    const twice = chance.happens(0.2)
    const streams = twice ? ["first", "second"] : ["first"]
    const all = await Promise.all(streams.map((name) => this.insist(request, stream(this.options.seed, `${request.key} ${name}`))))
    return all.find((answer) => answer !== undefined)
  }

  modify(id: string, command: "capture" | "cancel" | "confirm" | "refunds", nth: number, body: object, chance: Chance) {
    const path = `/v1/payments/${id}/${command}`
    return this.command({ command, method: "POST", path, key: `${this.key}-${command}-${nth}`, body }, chance)
  }

  /** Waits a little until the payment has come to something. */
  async settled(first: PaymentBody, chance: Chance): Promise<PaymentBody> {
    let body = first
    for (let attempt = 0; attempt < 8 && (body.status === "processing" || body.status === "in_doubt"); attempt++) {
      if (this.options.isOver()) return body
      await pause(chance.between(200, 900))
      body = (await this.insist({ command: "get", method: "GET", path: `/v1/payments/${body.id}` }, chance)) ?? body
    }
    return body
  }
}

const methodOf = (chance: Chance) => {
  if (chance.happens(0.7)) return { type: "card", token: drawToken(chance) }
  // Different fates at different accounts: failover, and an unknown outcome at one of them.
  return {
    type: "card",
    references: { "sandbox-a": drawToken(chance), "sandbox-b": drawToken(chance), "sandbox-c": drawToken(chance) }
  }
}

/** One payment from its charge to whatever is done with it. */
const live = async (caller: Caller, chance: Chance): Promise<void> => {
  const { log } = caller.options
  const amount = chance.between(100, 99_999)
  const manual = chance.happens(0.3)
  log.charges++
  const body = {
    amount,
    currency: chance.pick(["EUR", "USD", "JPY"]),
    paymentMethod: methodOf(chance),
    captureMethod: manual ? "manual" : "automatic",
    metadata: { order: caller.key }
  }
  const charged = await caller.command({ command: "charge", method: "POST", path: "/v1/payments", key: caller.key, body }, chance)
  if (charged === undefined) return
  const { id } = charged
  if (chance.happens(0.05)) await caller.modify(id, "cancel", 0, {}, chance)
  let payment = await caller.settled(charged, chance)
  if (payment.status === "requires_action") {
    const how = chance.pick(["page", "page", "page fails", "confirm", "confirm", "leave"] as const)
    if (how === "leave") return
    if (how === "confirm") await caller.modify(id, "confirm", 1, {}, chance)
    else await visit(caller, payment, how === "page" ? "complete" : "fail")
    payment = await caller.settled({ ...payment, status: "processing" }, chance)
  }
  if (payment.status === "authorized") {
    if (chance.happens(0.25)) return void (await caller.modify(id, "cancel", 1, {}, chance))
    const part = chance.happens(0.4) ? { amount: Math.ceil(amount / 2) } : {}
    payment = (await caller.modify(id, "capture", 1, part, chance)) ?? payment
    payment = await caller.settled(payment, chance)
  }
  if ((payment.status === "succeeded" || payment.status === "partially_captured") && chance.happens(0.4)) {
    const parts = chance.happens(0.5) ? [{}] : [{ amount: Math.ceil(amount / 3) }, { amount: Math.ceil(amount / 2) }]
    await Promise.all(parts.map((part, nth) => caller.modify(id, "refunds", nth + 1, part, chance)))
  }
}

/** The customer acts on the PSP's page: no proxy is between a customer and the PSP. */
const visit = async (caller: Caller, payment: PaymentBody, action: "complete" | "fail"): Promise<void> => {
  const path = payment.nextAction?.url === undefined ? undefined : new URL(payment.nextAction.url).pathname
  if (path === undefined) return
  await fetch(`${caller.options.world.sandboxUrl}${path}/${action}`, { method: "POST", redirect: "manual" }).then(
    (response) => response.arrayBuffer(),
    () => count(caller.options.log, "customer page lost")
  )
}
