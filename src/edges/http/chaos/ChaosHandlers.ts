/**
 * `/ops/chaos`: the switch of injected faults of this process, for a key with the scope `chaos`.
 *
 *     GET     what is going on
 *     PUT     starts a plan; a running one ends
 *     DELETE  ends it
 *     GET     /ops/chaos/repetition: a plan that does the same again
 *
 * The routes are there only where the process has the switch (`serve --allow-chaos`); everywhere else the address does not exist. It is
 * the switch of one process: behind a load balancer each server has its own.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { ChaosPlan } from "../../../domain/chaos/ChaosPlan.ts"
import type { GatewayName } from "../../../domain/payment/Ids.ts"
import { Chaos, type ChaosStatus } from "../../../services/chaos/Chaos.ts"
import { Gateways } from "../../../services/Gateway.ts"
import type { HttpConfig } from "../../config/Config.ts"
import * as ApiKeyAuth from "../ApiKeyAuth.ts"
import { Problem, toResponse } from "../Problems.ts"
import * as RequestBody from "../RequestBody.ts"

/** The addresses. */
export const template = "/ops/chaos"
export const repetitionTemplate = "/ops/chaos/repetition"

/** A plan with a script of 10,000 entries fits. */
const maxPlanBytes = 4_194_304

/** `gateways`: those that a plan may name. */
const answerOf =
  (gateways: ReadonlyArray<GatewayName>) =>
  ({ startedAt, ...status }: ChaosStatus) =>
    HttpServerResponse.jsonUnsafe({ ...status, startedAt: startedAt === undefined ? undefined : isoOf(startedAt), gateways })

const isoOf = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const planOf = RequestBody.decode(ChaosPlan).pipe(Effect.provideService(RequestBody.MaxBodyBytes, maxPlanBytes))

/** A slip of the pen would inject nothing and look like a system that withstands everything. */
const problemOf = (plan: ChaosPlan, known: ReadonlyArray<GatewayName>): Problem | undefined => {
  const named = [
    ...plan.rules.flatMap(({ gateways }) => gateways ?? []),
    ...(plan.cascades ?? []).flatMap(({ from, to }) => [from, ...to]),
    ...(plan.script ?? []).flatMap(({ gateway }) => gateway ?? [])
  ]
  const unknown = named.find((name) => !known.includes(name))
  if (unknown === undefined) return undefined
  const detail = `The plan names gateway "${unknown}", which is not configured; configured: ${known.join(", ")}.`
  return new Problem({ code: "invalid_request", detail })
}

const nothingToRepeat = new Problem({
  code: "not_found",
  detail: "There is nothing to repeat: no plan was started, or more faults were injected than are kept (10,000)."
})

/** The routes of a switch. */
const routesOf = (
  chaos: Chaos["Service"],
  { apiKeys, gateways }: Pick<HttpConfig, "apiKeys"> & { readonly gateways: ReadonlyArray<GatewayName> }
) => {
  const allowed = ApiKeyAuth.required(apiKeys, "chaos")
  const answered = answerOf(gateways)
  const route = <R>(
    method: "GET" | "PUT" | "DELETE",
    path: typeof template | typeof repetitionTemplate,
    answer: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
  ) => HttpRouter.add(method, path, Effect.catchTag(Effect.andThen(allowed, answer), "Problem", toResponse))
  const start = Effect.flatMap(planOf, (plan) => {
    const problem = problemOf(plan, gateways)
    return problem === undefined ? Effect.map(chaos.start(plan), answered) : Effect.fail(problem)
  })
  const repetition = Effect.flatMap(chaos.repetition, (plan) =>
    plan === undefined ? Effect.fail(nothingToRepeat) : Effect.succeed(HttpServerResponse.jsonUnsafe(plan))
  )
  return Layer.mergeAll(
    route("GET", template, Effect.map(chaos.status, answered)),
    route("PUT", template, start),
    route("DELETE", template, Effect.map(chaos.stop, answered)),
    route("GET", repetitionTemplate, repetition)
  )
}

/** The routes, where the process has the switch. */
export const layer = ({ apiKeys }: Pick<HttpConfig, "apiKeys">) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const chaos = yield* Effect.serviceOption(Chaos)
      const { all } = yield* Gateways
      return Option.isNone(chaos) ? Layer.empty : routesOf(chaos.value, { apiKeys, gateways: all.map(({ name }) => name) })
    })
  )
