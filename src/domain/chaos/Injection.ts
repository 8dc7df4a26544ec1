/**
 * A fault, as data: what goes wrong, where it can go wrong, and whether the call took effect before it did.
 *
 * No fault asserts what is not so. A fault says that nothing was sent only where nothing is sent; whatever is lost after that is unknown.
 * `executed` tells whether the call was carried out all the same: the caller cannot know, and what it is told is the same.
 *
 * **Gotchas**: a rate limit is never `executed`. An adapter takes 429 for a refusal of this request, and that has to be true.
 */
import * as Schema from "effect/Schema"
import * as Presets from "../Presets.ts"
import { range } from "../routing/policy/Bounds.ts"

/** What faults are injected into. */
export const targets = ["gateway", "eventStore", "lock", "clock"] as const
export type Target = (typeof targets)[number]

/** The longest delay, and the longest time without an answer: five minutes. */
export const maxDelayMillis = 300_000
/** The longest delay of a request on its way to a gateway: no longer than a permission to send allows for (`connectLimitMillis`). */
export const maxRequestDelayMillis = 5_000
/** The furthest that a clock is moved: a day. */
export const maxSkewMillis = 86_400_000

const Delay = range.integer(0, maxDelayMillis)
const Executed = Schema.Boolean.annotate({
  message: "expected true where the call takes effect before its answer is lost, otherwise false"
})
const fault = <const Type extends string, Fields extends Schema.Struct.Fields>(type: Type, fields: Fields) =>
  Schema.Struct({ type: Schema.Literal(type), ...fields })

/** No connection: nothing was sent. At a store: it cannot be reached. */
const Network = fault("network", {})
/** The connection is reset after the first byte. */
const Reset = fault("reset", { executed: Executed })
/** No answer; the caller gives up. `hangMillis` (default 60,000): when the connection is given up for it. */
const Timeout = fault("timeout", { executed: Executed, hangMillis: Schema.optionalKey(Delay) })
/** The answer is an error of the server. `retryAfterMillis`: of a 503, when it asks to be asked again. */
const ServerError = fault("server_error", {
  status: Schema.Literals([500, 503]),
  executed: Executed,
  retryAfterMillis: Schema.optionalKey(Delay)
})
/** 429: the request is refused. `retryAfterMillis`: default 1,000. */
const RateLimited = fault("rate_limited", { retryAfterMillis: Schema.optionalKey(Delay) })
/**
 * Slow, otherwise as ever; the delay is drawn from `minMillis` to `maxMillis` (default 100 to 5,000). `on` (default `answer`): a request
 * that is delayed takes effect late, by at most 5,000 ms; at a store both are the same.
 */
const Latency = fault("latency", {
  minMillis: Schema.optionalKey(Delay),
  maxMillis: Schema.optionalKey(Delay),
  on: Schema.optionalKey(Schema.Literals(["request", "answer"]))
})
/** It takes effect and answers what cannot be read. */
const CorruptResponse = fault("corrupt_response", {})
/** It takes effect, and its answer is lost. At the event store: the acknowledgement of a commit. */
const ResponseLost = fault("response_lost", {})
/** No connection is free; `waitMillis` (default 2,000): how long one is waited for. Nothing was sent. */
const PoolExhausted = fault("pool_exhausted", { waitMillis: Schema.optionalKey(Delay) })
/** The process ends, before or after the call takes effect. */
const Crash = fault("crash", { executed: Executed })
/** The lock is held by somebody else. */
const LockBusy = fault("lock_busy", {})
/** The lease is gone when it is to be extended; it is given up in truth. */
const LeaseLost = fault("lease_lost", {})
/** The wall clock jumps and stays there; backwards where negative. */
const ClockJump = fault("clock_jump", { byMillis: range.integer(-maxSkewMillis, maxSkewMillis) })
/** The wall clock is off for as long as the rule is in force. */
const ClockSkew = fault("clock_skew", { byMillis: range.integer(-maxSkewMillis, maxSkewMillis) })

/** A fault. */
export const Injection = Schema.Union([
  Network,
  Reset,
  Timeout,
  ServerError,
  RateLimited,
  Latency,
  CorruptResponse,
  ResponseLost,
  PoolExhausted,
  Crash,
  LockBusy,
  LeaseLost,
  ClockJump,
  ClockSkew
])
export type Injection = typeof Injection.Type
export type InjectionType = Injection["type"]
export const injectionTypes = Injection.members.map(({ fields }) => fields.type.literal)

/** What a target is asked to do: the words that a rule may name. A clock is only read. */
export const operationsOf = {
  gateway: ["authorize", "sale", "confirm", "capture", "void", "refund", "lookup", "list"],
  eventStore: ["commit", "read", "now"],
  lock: ["acquire", "extend", "release"],
  clock: ["read"]
} as const
export type Operation = (typeof operationsOf)[Target][number]
export const operations: ReadonlyArray<Operation> = [...new Set(Object.values(operationsOf).flat())]

/** Can this go wrong there? A fault is not injected where it would mean nothing: it costs no draw and counts as nothing. */
export const applies = (injection: Injection, target: Target, operation: Operation): boolean => {
  switch (target) {
    case "gateway":
      return atGateway.has(injection.type) && (operation !== "list" || atList.has(injection.type))
    case "eventStore":
      return atStore.has(injection.type) || (operation === "commit" && injection.type === "response_lost")
    case "lock":
      return (
        atStore.has(injection.type) ||
        (operation === "acquire" && injection.type === "lock_busy") ||
        (operation === "extend" && injection.type === "lease_lost")
      )
    case "clock":
      return injection.type === "clock_jump" || injection.type === "clock_skew"
  }
}

/** From how much to how much a latency is drawn. One that gives but one end beyond the defaults means that end. */
export const delayRange = (
  latency: Extract<Injection, { readonly type: "latency" }>
): { readonly leastMillis: number; readonly mostMillis: number } => {
  const { latencyMaxMillis, latencyMinMillis } = Presets.chaos
  return {
    leastMillis: latency.minMillis ?? Math.min(latencyMinMillis.value, latency.maxMillis ?? latencyMinMillis.value),
    mostMillis: latency.maxMillis ?? Math.max(latencyMaxMillis.value, latency.minMillis ?? latencyMaxMillis.value)
  }
}

const types = (...names: ReadonlyArray<InjectionType>): ReadonlySet<InjectionType> => new Set(names)
const atGateway = types(
  "network",
  "reset",
  "timeout",
  "server_error",
  "rate_limited",
  "latency",
  "corrupt_response",
  "response_lost",
  "pool_exhausted",
  "crash"
)
/** A list is read page by page: it fails or is slow. */
const atList = types("network", "latency", "pool_exhausted")
const atStore = types("network", "latency", "pool_exhausted", "crash")
