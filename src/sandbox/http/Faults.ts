/**
 * Faults of a plan as a PSP has them, and the control endpoint that starts one: `PUT`, `GET` and `DELETE /control/chaos`.
 *
 * The gateways of a plan are the names of accounts. A fault strikes in front of the PSP or on the way back: the key and its stored result are
 * what they would be without it. A server refuses no connection and ends no process at its caller's, so `network`, `pool_exhausted` and `crash`
 * are connections that are reset; `timeout` holds one for `hangMillis`, at most the sandbox' `holdMillis`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ChaosPlan } from "../../domain/chaos/ChaosPlan.ts"
import type { Injection, Operation } from "../../domain/chaos/Injection.ts"
import * as Injector from "../../domain/chaos/Injector.ts"
import { GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import type { Account, Engine, FaultRun } from "../Engine.ts"
import type { JournalError } from "../Journal.ts"
import { planProblem } from "../Options.ts"
import * as Operate from "../Operate.ts"
import * as Reply from "./Reply.ts"
import { parseObject } from "./Requests.ts"

type Handled = Effect.Effect<Reply.Reply, JournalError>

/** A plan that begins now. */
const begin = (plan: ChaosPlan): Effect.Effect<FaultRun> =>
  Effect.map(Clock.monotonicTimeNanos, (startedNanos) => ({ injector: Injector.make(plan), startedNanos }))

/** Carries a request of the API out, with the fault that it meets, if any. */
export const within = (engine: Engine, account: Account, request: ApiRequest, carryOut: Handled): Handled => {
  const { run } = engine.faults
  const operation = run === undefined ? undefined : operationOf(request)
  if (run === undefined || operation === undefined || !isGatewayName(account.options.name)) return carryOut
  const gateway = account.options.name
  return Effect.flatMap(elapsedMillis(run), (atMillis) => {
    const injected = Injector.decide(run.injector, { target: "gateway", gateway, operation, atMillis })
    return injected === undefined ? carryOut : meet(engine, injected.injection, carryOut)
  })
}

/** `segments`: of the path below `/{account}/v1`. */
interface ApiRequest {
  readonly method: string
  readonly segments: ReadonlyArray<string>
  readonly body: string
}

const isGatewayName = Schema.is(GatewayName)

const elapsedMillis = ({ startedNanos }: FaultRun) =>
  Effect.map(Clock.monotonicTimeNanos, (now) => Number((now - startedNanos) / 1_000_000n))

/** What a request is called in a plan; `undefined` where it is nothing that a gateway asks for. */
const operationOf = ({ body, method, segments: [resource, id, action] }: ApiRequest): Operation | undefined => {
  if (method === "GET") return resource === "operations" || id !== undefined ? "lookup" : "list"
  if (resource === "voids") return "void"
  if (resource !== "charges") return undefined
  if (id === undefined) return parseObject(body)?.["capture"] === "manual" ? "authorize" : "sale"
  return action === "refunds" ? "refund" : action === "confirm" || action === "capture" || action === "void" ? action : undefined
}

const meet = (engine: Engine, injection: Injection, carryOut: Handled): Handled => {
  const executedIf = (executed: boolean, answer: Effect.Effect<Reply.Reply>): Handled =>
    executed ? Effect.andThen(carryOut, answer) : answer
  const reset = Effect.succeed(Reply.reset)
  switch (injection.type) {
    case "network":
      return reset
    case "pool_exhausted":
      return Effect.andThen(Effect.sleep(injection.waitMillis ?? Presets.chaos.poolWaitMillis.value), reset)
    case "reset":
    case "crash":
      return executedIf(injection.executed, reset)
    case "response_lost":
      return executedIf(true, reset)
    case "corrupt_response":
      return executedIf(true, Effect.succeed(Reply.text(200, Operate.garbage, { contentType: "text/html" })))
    case "timeout": {
      const hangMillis = Math.min(injection.hangMillis ?? Presets.chaos.hangMillis.value, engine.options.holdMillis)
      return executedIf(injection.executed, Effect.andThen(Effect.sleep(hangMillis), reset))
    }
    case "server_error":
      return executedIf(injection.executed, Effect.succeed(serverError(injection)))
    case "rate_limited":
      return Effect.succeed(retryAfter(Reply.rateLimited, injection.retryAfterMillis ?? Presets.chaos.retryAfterMillis.value))
    case "latency": {
      const slow = Effect.sleep(injection.minMillis ?? 0)
      return injection.on === "request" ? Effect.andThen(slow, carryOut) : Effect.flatMap(carryOut, (reply) => Effect.as(slow, reply))
    }
    default:
      return carryOut
  }
}

const serverError = ({ retryAfterMillis, status }: Extract<Injection, { readonly type: "server_error" }>): Reply.Reply =>
  status === 500
    ? Reply.json(Reply.serverError)
    : retryAfterMillis === undefined
      ? Reply.unavailable
      : retryAfter(Reply.unavailable, retryAfterMillis)

/** The header counts whole seconds. */
const retryAfter = (reply: Reply.Response, millis: number): Reply.Reply => ({
  ...reply,
  headers: { ...reply.headers, "retry-after": String(Math.ceil(millis / 1000)) }
})

const decodePlan = Schema.decodeUnknownResult(ChaosPlan, { onExcessProperty: "error" })

/** The control endpoint; 404 where it is not enabled. */
export const control = (engine: Engine, { body, method }: Pick<Reply.WireRequest, "method" | "body">): Effect.Effect<Reply.Reply> => {
  if (!engine.options.control) return Effect.succeed(Reply.noRoute)
  switch (method) {
    case "GET":
      return describe(engine)
    case "DELETE":
      engine.faults.run = undefined
      return describe(engine)
    case "PUT": {
      const input = parseObject(body)
      if (input === undefined) return refused("invalid_json", "The body is not a JSON object.")
      const plan = decodePlan(input)
      if (Result.isFailure(plan)) return refused("invalid_plan", plan.failure.message.slice(0, 1_000))
      const problem = planProblem(plan.success, [...engine.accounts.keys()])
      if (problem !== undefined) return refused("invalid_plan", problem)
      return Effect.flatMap(begin(plan.success), (run) => {
        engine.faults.run = run
        return describe(engine)
      })
    }
    default:
      return Effect.succeed(Reply.noRoute)
  }
}

const refused = (code: string, message: string) => Effect.succeed<Reply.Reply>(Reply.error(400, "invalid_request_error", code, message))

const describe = ({ faults: { run } }: Engine): Effect.Effect<Reply.Reply> =>
  run === undefined
    ? Effect.succeed(Reply.json({ status: 200, body: { object: "chaos", running: false } }))
    : Effect.map(elapsedMillis(run), (elapsed) =>
        Reply.json({
          status: 200,
          body: {
            object: "chaos",
            running: true,
            elapsed_ms: elapsed,
            injections: run.injector.injections,
            plan: run.injector.plan,
            repetition: Injector.repetitionOf(run.injector) ?? null
          }
        })
      )
