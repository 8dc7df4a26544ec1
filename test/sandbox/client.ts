/**
 * A bare HTTP client for the sandbox's tests: one call is one request, nothing is retried or followed.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"

/** The connection ended without an answer. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly cause: unknown }> {}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // Test code reads freely into answers that it asserts on.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export interface Call {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly key?: string
  readonly apiKey?: string
  readonly headers?: Record<string, string>
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Sends a request to a base URL; interrupting it closes the connection. */
export const sendTo = (url: string, call: Call): Effect.Effect<Answer, NoAnswer> =>
  Effect.tryPromise({
    try: async (signal) => {
      const account = call.path.split("/")[1] ?? "a"
      const response = await fetch(url + call.path, {
        method: call.method,
        signal,
        redirect: "manual",
        headers: {
          authorization: `Bearer ${call.apiKey ?? `sk_sandbox_${account}`}`,
          ...(call.key === undefined ? {} : { "idempotency-key": call.key }),
          ...call.headers
        },
        ...(call.body === undefined ? {} : { body: typeof call.body === "string" ? call.body : JSON.stringify(call.body) })
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, body: parse(text) }
    },
    catch: (cause) => new NoAnswer({ cause })
  })

export const send = (call: Call) => Effect.flatMap(Sandbox.Sandbox, ({ url }) => sendTo(url, call))

export const get = (path: string) => send({ method: "GET", path })

let counter = 0

/** A key or reference that no other test uses. */
export const fresh = (prefix: string): string => `${prefix}-${++counter}`

export interface ChargeInput {
  readonly account?: string
  readonly token?: string
  readonly key?: string
  readonly reference?: string
  readonly capture?: "automatic" | "manual"
  readonly amount?: number
  readonly currency?: string
  readonly extra?: Record<string, unknown>
}

export const chargeCall = (input: ChargeInput = {}): Call => {
  const reference = input.reference ?? fresh("ref")
  return {
    method: "POST",
    path: `/${input.account ?? "a"}/v1/charges`,
    key: input.key ?? `key-${reference}`,
    body: {
      amount: input.amount ?? 4990,
      currency: input.currency ?? "EUR",
      token: input.token ?? "tok_success",
      capture: input.capture ?? "automatic",
      reference,
      payment: `pay-${reference}`,
      ...input.extra
    }
  }
}

export const charge = (input: ChargeInput = {}) => send(chargeCall(input))

/** Confirm, capture, void or refund of a charge. */
export const act = (
  chargeId: string,
  action: "confirm" | "capture" | "void" | "refunds",
  options: { readonly account?: string; readonly body?: Record<string, unknown>; readonly key?: string; readonly reference?: string } = {}
) => {
  const reference = options.reference ?? fresh("ref")
  return send({
    method: "POST",
    path: `/${options.account ?? "a"}/v1/charges/${chargeId}/${action}`,
    key: options.key ?? `key-${reference}`,
    body: { reference, ...options.body }
  })
}

/** The whole ledger of an account. */
export const ledger = (account = "a") =>
  Effect.map(get(`/${account}/ledger`), (answer) => answer.body.data as ReadonlyArray<{ kind: string; amount: number; reference: string }>)

/** Kinds in the ledger under a reference. */
export const kindsOf = (reference: string, account = "a") =>
  Effect.map(ledger(account), (entries) => entries.filter((entry) => entry.reference === reference).map((entry) => entry.kind))

/** Polls until `check` holds, for half a minute at least. */
export const until = <A, E, R>(effect: Effect.Effect<A, E, R>, check: (value: A) => boolean) =>
  Effect.gen(function* () {
    for (let attempt = 0; attempt < 1_500; attempt++) {
      const value = yield* effect
      if (check(value)) return value
      yield* Effect.sleep(20)
    }
    return yield* Effect.die(new Error("the condition did not come true within half a minute"))
  })

/** A sandbox on a free port with short delays. */
export const sandbox = (options: Sandbox.ListenOptions = {}) =>
  Sandbox.layerNode({
    port: 0,
    accounts: Sandbox.quietAccounts,
    control: true,
    seed: "test",
    settleDelayMillis: 100,
    slowMillis: 1_000,
    lateMillis: 100,
    holdMillis: 10_000,
    ...options
  })
