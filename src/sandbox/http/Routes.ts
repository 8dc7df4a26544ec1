/**
 * The paths of the sandbox: from a request without a transport to a reply. docs/sandbox.md describes the protocol.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, timingSafeEqual } from "node:crypto"
import * as Admin from "./Admin.ts"
import * as CustomerPage from "./CustomerPage.ts"
import * as Faults from "./Faults.ts"
import type { Account, Engine } from "../Engine.ts"
import type { JournalError } from "../Journal.ts"
import * as Operate from "../Operate.ts"
import type { Answer } from "../psp/Answer.ts"
import * as Idempotency from "../psp/Idempotency.ts"
import * as Ledger from "../psp/Ledger.ts"
import { decide } from "../psp/Transitions.ts"
import * as Reply from "./Reply.ts"
import * as Requests from "./Requests.ts"

type Handled = Effect.Effect<Reply.Reply, JournalError>

const sha256 = (value: string): Buffer => createHash("sha256").update(value).digest()

/** Compares the bearer token in constant time. */
const isAuthorized = (account: Account, header: string | undefined): boolean => {
  const given = /^Bearer (.+)$/i.exec(header ?? "")?.[1] ?? ""
  return timingSafeEqual(sha256(given), sha256(Redacted.value(account.options.apiKey)))
}

/** Where a caller reached us, for the URL of the customer's page. */
const baseUrl = (host: string | undefined): string =>
  host !== undefined && /^[\w.:[\]-]{1,255}$/.test(host) ? `http://${host}` : "http://127.0.0.1"

const targetOf = (segments: ReadonlyArray<string>, request: Reply.WireRequest): Requests.Target | undefined => {
  const [resource, id, action, ...more] = segments
  if (more.length > 0) return undefined
  if (resource === "voids" && id === undefined) return { kind: "voidByReference" }
  if (resource !== "charges") return undefined
  if (id === undefined) return { kind: "charge", baseUrl: baseUrl(request.headers["host"]) }
  switch (action) {
    case "confirm":
    case "capture":
    case "void":
      return { kind: action, chargeId: id }
    case "refunds":
      return { kind: "refund", chargeId: id }
    default:
      return undefined
  }
}

const post = (engine: Engine, account: Account, segments: ReadonlyArray<string>, request: Reply.WireRequest): Handled => {
  const redirected = segments[0] === "redirected"
  const target = targetOf(redirected ? segments.slice(1) : segments, request)
  if (target === undefined) return Effect.succeed(Reply.noRoute)
  const key = request.headers["idempotency-key"]
  const wrongKey = Idempotency.keyProblem(key)
  if (wrongKey !== undefined || key === undefined) return Effect.succeed(Reply.json((wrongKey ?? Idempotency.mismatch).answer))
  const decoded = Requests.decode(target, request.body)
  if (Result.isFailure(decoded)) return Effect.succeed(Reply.json(decoded.failure.answer))
  if (engine.random.nextDoubleUnsafe() < account.control.errorRate) return Effect.succeed(Reply.unavailable)
  const { canonical, command } = decoded.success
  if (redirected) return Operate.operateUnkeyed(engine, account, command)
  return Operate.operate(engine, account, {
    command,
    key,
    fingerprint: Operate.fingerprint(request.path, canonical),
    ...Operate.takeFault(account, command, key)
  })
}

const list = (account: Account, query: URLSearchParams, pageOf: typeof Ledger.chargesPage): Answer => {
  const time = { min: 0, max: Number.MAX_SAFE_INTEGER }
  const from = Ledger.integerParam(query, "from", { ...time, fallback: 0 })
  const to = Ledger.integerParam(query, "to", { ...time, fallback: Number.MAX_SAFE_INTEGER })
  const cursor = Ledger.integerParam(query, "cursor", { ...time, fallback: 0 })
  const limit = Ledger.integerParam(query, "limit", { min: 1, max: 100, fallback: 100 })
  if (typeof from !== "number") return from
  if (typeof to !== "number") return to
  if (typeof cursor !== "number") return cursor
  if (typeof limit !== "number") return limit
  return pageOf(account.state, { from, to, cursor, limit })
}

const ledger = (account: Account, query: URLSearchParams): Answer => {
  const after = Ledger.integerParam(query, "after", { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 0 })
  const limit = Ledger.integerParam(query, "limit", { min: 1, max: 10_000, fallback: 1_000 })
  if (typeof after !== "number") return after
  if (typeof limit !== "number") return limit
  return Ledger.ledgerPage(account.state, { after, limit })
}

const read = (account: Account, segments: ReadonlyArray<string>, query: URLSearchParams, now: number): Reply.Reply => {
  const [resource, id, ...more] = segments
  if (more.length > 0) return Reply.noRoute
  if (resource === "charges" && id === undefined) return Reply.json(list(account, query, Ledger.chargesPage))
  if (resource === "refunds" && id === undefined) return Reply.json(list(account, query, Ledger.refundsPage))
  if (resource === "charges" && id !== undefined) return Reply.json(Ledger.getCharge(account.state, id))
  if (resource === "refunds" && id !== undefined) return Reply.json(Ledger.getRefund(account.state, id))
  if (resource !== "operations" || id !== undefined) return Reply.noRoute
  const reference = query.get("reference")
  if (reference === null || reference === "") {
    return Reply.error(400, "invalid_request_error", "missing_parameter", "reference is required.")
  }
  return Reply.json(Ledger.lookup(account.state, { reference, lag: account.control.lookupLagMillis, now }))
}

const get = (engine: Engine, account: Account, segments: ReadonlyArray<string>, request: Reply.WireRequest): Handled =>
  Effect.andThen(
    Operate.latency(engine, account),
    Effect.map(Clock.currentTimeMillis, (now) => read(account, segments, request.query, now))
  )

/** The API: an outage strikes first, then a fault of a plan, then the API key is asked for. */
const api = (engine: Engine, account: Account, segments: ReadonlyArray<string>, request: Reply.WireRequest): Handled => {
  switch (account.control.outage) {
    case "refuse":
      return Effect.succeed(Reply.reset)
    case "5xx":
      return Effect.succeed(Reply.unavailable)
    case "timeout":
      return Operate.hold(engine)
    case "none":
    case "slow":
      break
  }
  return Faults.within(engine, account, { ...request, segments }, authorized(engine, account, segments, request))
}

const authorized = (engine: Engine, account: Account, segments: ReadonlyArray<string>, request: Reply.WireRequest): Handled => {
  if (!isAuthorized(account, request.headers["authorization"])) return Effect.succeed(Reply.unauthorized)
  if (request.method === "POST") return post(engine, account, segments, request)
  return request.method === "GET" ? get(engine, account, segments, request) : Effect.succeed(Reply.noRoute)
}

const customer = (engine: Engine, account: Account, segments: ReadonlyArray<string>, request: Reply.WireRequest): Handled => {
  const [id = "", action, ...more] = segments
  const charge = account.state.charges.get(id)
  if (charge === undefined || more.length > 0 || (request.method !== "GET" && request.method !== "POST")) {
    return Effect.succeed(Reply.noRoute)
  }
  if (action === undefined) {
    return Effect.succeed(Reply.text(200, CustomerPage.html(account.options.name, charge), { contentType: "text/html" }))
  }
  if (action !== "complete" && action !== "fail") return Effect.succeed(Reply.noRoute)
  const act = engine.perform(account, (now) => {
    const decision = decide(account.state, { _tag: "CustomerAction", chargeId: id, action }, now)
    return { change: decision.change, value: decision.answer }
  })
  return Effect.map(Effect.uninterruptible(act), (answer) => {
    const location = CustomerPage.returnTo(charge, request.headers["accept"])
    return location === undefined ? Reply.json(answer) : Reply.text(303, "", { contentType: "text/plain", headers: { location } })
  })
}

const inAccount = (engine: Engine, account: Account, segments: ReadonlyArray<string>, request: Reply.WireRequest): Handled => {
  const [area, ...rest] = segments
  switch (area) {
    case undefined:
      return Effect.succeed(request.method === "GET" ? Reply.json(Admin.describe(engine, account)) : Reply.noRoute)
    case "v1":
      return api(engine, account, rest, request)
    case "customer":
      return customer(engine, account, rest, request)
    case "ledger":
      if (request.method !== "GET" || rest.length > 0) return Effect.succeed(Reply.noRoute)
      if (!isAuthorized(account, request.headers["authorization"])) return Effect.succeed(Reply.unauthorized)
      return Effect.succeed(Reply.json(ledger(account, request.query)))
    case "control":
      return Effect.succeed(request.method === "PUT" && rest.length === 0 ? Admin.control(engine, account, request.body) : Reply.noRoute)
    default:
      return Effect.succeed(Reply.noRoute)
  }
}

const route = (engine: Engine, request: Reply.WireRequest): Handled => {
  const segments = request.path.split("/").filter((segment) => segment !== "")
  const [first, ...rest] = segments
  const account = engine.accounts.get(first ?? "")
  if (account !== undefined) return inAccount(engine, account, rest, request)
  if (request.method === "GET" && first === undefined) return Effect.succeed(Reply.json(Admin.overview(engine)))
  if (request.method === "GET" && first === "health") return Effect.succeed(Reply.json(Admin.health(engine)))
  if (request.method === "POST" && first === "control" && rest[0] === "reset") {
    return Effect.succeed(Admin.resetControl(engine))
  }
  if (first === "control" && rest[0] === "chaos" && rest.length === 1) return Faults.control(engine, request)
  return Effect.succeed(Reply.noRoute)
}

/** Handles a request. Nothing is answered that is not durable; a journal that cannot be written answers 500 to everything. */
export const handle = (engine: Engine, request: Reply.WireRequest): Effect.Effect<Reply.Reply> =>
  route(engine, request).pipe(
    Effect.tap(() => engine.flushed),
    Effect.orElseSucceed(() => Reply.broken)
  )
