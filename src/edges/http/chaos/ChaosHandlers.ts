/**
 * `/ops/chaos`: the switch of injected faults of this process, for a key with the scope `chaos`.
 *
 *     GET     what is going on
 *     PUT     starts a plan; a running one ends
 *     DELETE  ends it
 *     GET     /ops/chaos/repetition: a plan that does the same again
 *     PUT     /ops/chaos/hold: a plan that is held goes on
 *
 * A plan that is started with `?holdMillis=` ends by itself when its holder was not heard of for that long. `DELETE ?startedAt=` ends a plan
 * only where it is the one that began then.
 *
 * The routes are there only where the process has the switch (`serve --allow-chaos`); everywhere else the address does not exist. It is
 * the switch of one process: behind a load balancer each server has its own.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ChaosPlan } from "../../../domain/chaos/ChaosPlan.ts"
import type { GatewayName } from "../../../domain/payment/Ids.ts"
import { Chaos, type ChaosStatus } from "../../../services/chaos/Chaos.ts"
import { Gateways } from "../../../services/Gateway.ts"
import type { HttpConfig } from "../../config/Config.ts"
import * as ApiKeyAuth from "../ApiKeyAuth.ts"
import { Problem, toResponse } from "../Problems.ts"
import * as RequestBody from "../RequestBody.ts"
import { Hold, HoldMillis, holdTemplate, repetitionTemplate, StartedAt, startedAtMessage, template } from "./ChaosApi.ts"

/** A plan with a script of 10,000 entries fits. */
const maxPlanBytes = 4_194_304

/** `gateways`: those that a plan may name. */
const answerOf =
  (gateways: ReadonlyArray<GatewayName>) =>
  ({ startedAt, ...status }: ChaosStatus) =>
    HttpServerResponse.jsonUnsafe({ ...status, startedAt: startedAt === undefined ? undefined : isoOf(startedAt), gateways })

const isoOf = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const millisOf = (iso: string): number => DateTime.toEpochMillis(DateTime.makeUnsafe(iso))

/** The query: at most this one parameter, once. */
const parameter = <A>({
  expects,
  name,
  read
}: {
  readonly name: string
  readonly expects: string
  readonly read: (text: string) => Option.Option<A>
}) =>
  Effect.gen(function* () {
    const { url } = yield* HttpServerRequest.HttpServerRequest
    const given = [...new URL(url, "http://here").searchParams]
    const [first, second] = given
    if (first === undefined) return undefined
    const refused = (path: string, message: string) =>
      new Problem({ code: "invalid_request", detail: `The query is not as described: ${path}: ${message}.` })
    if (first[0] !== name || second !== undefined) return yield* refused(name, "is the only parameter, and is given once")
    const value = read(first[1])
    return Option.isSome(value) ? value.value : yield* refused(name, expects)
  })

const holdParameter = parameter({
  name: "holdMillis",
  expects: "expected an integer from 1000 to 3600000",
  read: (text) => (/^[0-9]{4,7}$/.test(text) ? Schema.decodeUnknownOption(HoldMillis)(Number(text)) : Option.none())
})
const startedAtParameter = parameter({ name: "startedAt", expects: startedAtMessage, read: Schema.decodeUnknownOption(StartedAt) })

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
    path: typeof template | typeof repetitionTemplate | typeof holdTemplate,
    answer: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
  ) => HttpRouter.add(method, path, Effect.catchTag(Effect.andThen(allowed, answer), "Problem", toResponse))
  const start = Effect.gen(function* () {
    const holdMillis = yield* holdParameter
    const plan = yield* planOf
    const problem = problemOf(plan, gateways)
    if (problem !== undefined) return yield* problem
    return answered(yield* chaos.start(plan, holdMillis === undefined ? {} : { holdMillis }))
  })
  const extend = Effect.gen(function* () {
    const { holdMillis, startedAt } = yield* RequestBody.decode(Hold)
    return answered(yield* chaos.extend({ holdMillis, startedAt: millisOf(startedAt) }))
  })
  const stop = Effect.gen(function* () {
    const startedAt = yield* startedAtParameter
    const status = yield* chaos.status
    const isMeant = startedAt === undefined || millisOf(startedAt) === status.startedAt
    return answered(isMeant ? yield* chaos.stop : status)
  })
  const repetition = Effect.flatMap(chaos.repetition, (plan) =>
    plan === undefined ? Effect.fail(nothingToRepeat) : Effect.succeed(HttpServerResponse.jsonUnsafe(plan))
  )
  return Layer.mergeAll(
    route("GET", template, Effect.map(chaos.status, answered)),
    route("PUT", template, start),
    route("DELETE", template, stop),
    route("PUT", holdTemplate, extend),
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
