/**
 * A fake Stripe on loopback: PaymentIntents, refunds, lists, search, idempotency and signed webhooks, as far as the official SDK and our adapter
 * use them.
 *
 * What was answered is stored under its idempotency key, errors and 500s included, once a request is executed; not so what is refused before
 * (401, 409, 429, validation). The same key with other parameters is an error, at the same time a conflict.
 */
import * as Effect from "effect/Effect"
import { createHmac } from "node:crypto"
import { appendFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import * as Account from "./Account.ts"
import * as Behaviour from "./Behaviour.ts"

export const secretKey = "sk_test_fake"
export const webhookSecret = "whsec_fake_of_the_endpoint"
export const accountId = "acct_fake"

/** A webhook as it would be posted. */
export interface Delivery {
  readonly body: Uint8Array<ArrayBuffer>
  readonly headers: { readonly [name: string]: string }
  readonly type: string
}

/** A request as it came. */
export interface Recorded {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: { readonly [name: string]: string | undefined }
  readonly body: string
}

export interface Options {
  /** How far the search is behind. Default 0. */
  readonly searchLagMillis?: number
  /** How long a slow request takes, and how late a late one is executed. Default 600 and 900. */
  readonly slowMillis?: number
  readonly lateMillis?: number
  /** When what is pending settles. Default 300. */
  readonly settleMillis?: number
  /** How long a request waits before anything becomes of it. Default 0. */
  readonly delays?: (request: Recorded) => number
  /** Answers instead of the account, where it answers anything. */
  readonly intercept?: (request: Recorded) => Account.Reply | undefined
}

interface Stored {
  readonly fingerprint: string
  reply: Account.Reply | undefined
}

const idempotencyError = (status: number, code: string | undefined, message: string): Account.Reply => ({
  status,
  body: { error: { type: "idempotency_error", ...(code === undefined ? {} : { code }), message } }
})

const keep = (request: Recorded) => {
  const file = process.env["AEGISPAY_RECORD_STRIPE"]
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(request)}\n`)
}

/** A signature header over a body, as Stripe makes it. */
export const sign = (body: string, secret: string, atSeconds: number): string =>
  `t=${atSeconds},v1=${createHmac("sha256", secret).update(`${atSeconds}.${body}`).digest("hex")}`

const read = (request: IncomingMessage): Promise<string> =>
  new Promise((resolve, reject) => {
    let body = ""
    request.setEncoding("utf8")
    request.on("data", (chunk: string) => (body += chunk))
    request.on("end", () => resolve(body))
    request.on("error", reject)
  })

/** What a fault does to a request: whether it is executed, and how it is answered. */
const answerInto = (fault: Behaviour.Fault, response: ServerResponse) => {
  const [kind = ""] = fault.split("_")
  switch (kind) {
    case "timeout":
    case "late":
      return
    case "reset":
      response.socket?.resetAndDestroy()
      return
    case "garbage":
      response.writeHead(200, { "content-type": "application/json" }).end('{"object":')
      return
    case "html":
      response.writeHead(200, { "content-type": "text/html" }).end("<html>a proxy's page</html>")
      return
    case "huge":
      response.writeHead(200, { "content-type": "application/json" }).end(`{"padding":"${"x".repeat(400_000)}"}`)
      return
    case "redirect":
      response.writeHead(307, { location: "http://127.0.0.1:9/elsewhere" }).end()
  }
}

/** What the account does, not what happens on the way. */
const isOfTheAccount: ReadonlySet<Behaviour.Fault> = new Set(["declined", "pending", "pending_failure", "action", "fails_later"])

const isExecuted = (fault: Behaviour.Fault): boolean => !fault.includes("_before") && fault !== "late" && fault !== "redirect"

const start = (options: Options) => {
  const deliveries: Array<Delivery> = []
  const recorded: Array<Recorded> = []
  const stored = new Map<string, Stored>()
  const happened = new Set<string>()
  const visibleAt = new Map<string, number>()
  let events = 0
  const account = Account.make({
    settleMillis: options.settleMillis ?? 300,
    tell: ({ object, type }) => {
      const created = Math.floor(Date.now() / 1000)
      const text = JSON.stringify({
        id: `evt_fake${++events}`,
        object: "event",
        api_version: "2026-10-28.endive",
        created,
        livemode: false,
        type,
        data: { object }
      })
      deliveries.push({ type, body: new TextEncoder().encode(text), headers: { "stripe-signature": sign(text, webhookSecret, created) } })
    }
  })

  /** Executes under the key, or answers what is stored under it. */
  const keyed = (key: string, request: Recorded, form: Account.Form): Account.Reply => {
    const fingerprint = `${request.path} ${request.body}`
    const before = stored.get(key)
    if (before !== undefined && before.fingerprint !== fingerprint) {
      return idempotencyError(400, undefined, "Keys for idempotent requests can only be used with the same parameters.")
    }
    if (before?.reply !== undefined) return { ...before.reply, headers: { ...before.reply.headers, "idempotent-replayed": "true" } }
    const reply = account.execute(request.path, form, key)
    const refusedBefore = reply.status === 409 || reply.status === 429
    if (!refusedBefore) stored.set(key, { fingerprint, reply })
    return reply
  }

  const page = (objects: ReadonlyArray<{ readonly id: string; readonly created: number }>, query: URLSearchParams) => {
    const bound = (name: string, otherwise: number) => Number(query.get(`created[${name}]`) ?? otherwise)
    const from = bound("gte", 0)
    const to = Math.min(bound("lt", Number.MAX_SAFE_INTEGER), bound("lte", Number.MAX_SAFE_INTEGER) + 1)
    const limit = Number(query.get("limit") ?? 10)
    const all = objects.filter(({ created }) => created >= from && created < to).toReversed()
    const first = query.has("starting_after") ? all.findIndex(({ id }) => id === query.get("starting_after")) + 1 : 0
    return { object: "list", data: all.slice(first, first + limit), has_more: first + limit < all.length }
  }

  const rendered = (intent: Account.PaymentIntent, expanded: boolean) => ({
    ...intent,
    latest_charge: expanded ? intent.latest_charge : (intent.latest_charge?.id ?? null)
  })

  const get = (path: string, query: URLSearchParams): Account.Reply => {
    const expands = [...query].flatMap(([name, value]) => (name.startsWith("expand[") ? [value] : []))
    const [, kind, id] = /^\/v1\/(payment_intents|refunds)(?:\/(\w+))?$/.exec(path) ?? []
    const all = [...account.intents.values()]
    if (path === "/v1/account") return { status: 200, body: { object: "account", id: accountId } }
    if (path === "/v1/payment_intents/search") {
      const reference = /^metadata\["aegispay_reference"\]:"([\w-]+)"$/.exec(query.get("query") ?? "")?.[1]
      const found = all.filter((one) => one.metadata["aegispay_reference"] === reference && Date.now() >= (visibleAt.get(one.id) ?? 0))
      return { status: 200, body: { object: "search_result", data: found.map((one) => rendered(one, false)), has_more: false } }
    }
    if (kind === undefined) return Account.fail(404, { message: `Unrecognized request URL (GET: ${path}).` })
    if (id === undefined && kind === "payment_intents") {
      return {
        status: 200,
        body: page(
          all.map((one) => rendered(one, expands.includes("data.latest_charge"))),
          query
        )
      }
    }
    if (id === undefined) {
      const of = query.get("payment_intent")
      return {
        status: 200,
        body: page(
          [...account.refunds.values()].filter((one) => of === null || one.payment_intent === of),
          query
        )
      }
    }
    const intent = account.intents.get(id)
    const found = kind === "refunds" ? account.refunds.get(id) : intent && rendered(intent, expands.includes("latest_charge"))
    return found === undefined
      ? Account.fail(404, { code: "resource_missing", param: "id", message: `No such object: '${id}'` })
      : { status: 200, body: found }
  }

  const answer = (response: ServerResponse, reply: Account.Reply) => {
    if (response.destroyed) return
    response.writeHead(reply.status, { "content-type": "application/json", "request-id": "req_fake", ...reply.headers })
    response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body))
  }

  const post = (request: Recorded, response: ServerResponse) => {
    const form: Account.Form = new Map(new URLSearchParams(request.body))
    const key = request.headers["idempotency-key"] ?? `without a key ${recorded.length}`
    const operation = /\/(confirm|capture|cancel)$/.exec(request.path)?.[1] ?? (request.path === "/v1/refunds" ? "refund" : "charge")
    const known = new Set(account.intents.keys())
    const execute = () => {
      const reply = keyed(key, request, form)
      for (const id of account.intents.keys()) {
        if (!known.has(id) && !visibleAt.has(id)) visibleAt.set(id, Date.now() + (options.searchLagMillis ?? 0))
      }
      return reply
    }
    const fault = Behaviour.faultOf(account.methodOf(request.path, form), operation === "cancel" ? "void" : operation)
    const isOver = fault !== undefined && happened.has(key) && /(_once|late|garbage|(timeout|reset)_after)$/.test(fault)
    if (fault === undefined || isOfTheAccount.has(fault) || isOver) return answer(response, execute())
    happened.add(key)
    if (fault === "slow") return slowly(key, request, response, execute)
    if (fault === "late") return void setTimeout(execute, options.lateMillis ?? 900).unref()
    if (isExecuted(fault)) execute()
    if (!fault.startsWith("5xx")) return answerInto(fault, response)
    const reply: Account.Reply = { status: 500, body: { error: { type: "api_error", message: "An unknown error occurred." } } }
    stored.set(key, { fingerprint: `${request.path} ${request.body}`, reply })
    return answer(response, reply)
  }

  const slowly = (key: string, request: Recorded, response: ServerResponse, execute: () => Account.Reply) => {
    const before = stored.get(key)
    if (before !== undefined) {
      return answer(
        response,
        before.reply ?? idempotencyError(409, "idempotency_key_in_use", "There is currently another in-progress request using this key.")
      )
    }
    stored.set(key, { fingerprint: `${request.path} ${request.body}`, reply: undefined })
    setTimeout(() => answer(response, execute()), options.slowMillis ?? 600)
  }

  const reply = (request: Recorded, response: ServerResponse, query: URLSearchParams) => {
    const intercepted = options.intercept?.(request)
    if (intercepted !== undefined) return answer(response, intercepted)
    const { authorization } = request.headers
    if (authorization !== `Bearer ${secretKey}`) {
      return answer(response, Account.fail(401, { message: `Invalid API Key provided: ${authorization?.slice(7)}` }))
    }
    return request.method === "POST" ? post(request, response) : answer(response, get(request.path, query))
  }

  const server = createServer((incoming, response) => {
    void read(incoming).then((body) => {
      const url = new URL(incoming.url ?? "/", "http://127.0.0.1")
      const headers = incoming.headers as { readonly [name: string]: string | undefined }
      const request: Recorded = { method: incoming.method ?? "", path: url.pathname, query: url.search, headers, body }
      recorded.push(request)
      keep(request)
      const delayMillis = options.delays?.(request) ?? 0
      if (delayMillis === 0) return reply(request, response, url.searchParams)
      setTimeout(() => reply(request, response, url.searchParams), delayMillis).unref()
    })
  })
  return { account, deliveries, recorded, server }
}

export interface FakeStripe {
  readonly url: string
  readonly account: Account.Account
  /** Everything that was told by webhook, in order. */
  readonly deliveries: ReadonlyArray<Delivery>
  readonly recorded: ReadonlyArray<Recorded>
}

/** A fake Stripe for as long as the scope lives. */
export const started = (options: Options = {}) =>
  Effect.acquireRelease(
    Effect.callback<FakeStripe & { readonly stop: () => void }>((resume) => {
      const { account, deliveries, recorded, server } = start(options)
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const stop = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, account, deliveries, recorded, stop }))
      })
    }),
    ({ stop }) => Effect.sync(stop)
  )
