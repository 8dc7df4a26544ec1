/**
 * Any gateway with faults: what a plan says goes wrong with its requests, look-ups and lists; everything else passes.
 *
 * ```ts
 * const gateway = ChaosGateway.make(adapter, chaos)
 * const Faulty = ChaosGateway.layer.pipe(Layer.provide(GatewayRegistry))   // over `Gateways`; without `Chaos` it is the same object
 * ```
 *
 * **Gotchas**: a request may be delayed before it is sent, so the gateway's `connectLimitMillis` grows by the longest such delay: no byte
 * is written after its permission ended (rule 12). Faults are injected below breakers, bulkheads and retries, which see them as a gateway's own.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { maxRequestDelayMillis } from "../../domain/chaos/Injection.ts"
import * as Presets from "../../domain/Presets.ts"
import { Chaos } from "../../services/chaos/Chaos.ts"
import { type Gateway, GatewayListFailed, Gateways, type LookupRequest } from "../../services/Gateway.ts"
import * as GatewayList from "../GatewayList.ts"
import * as Faults from "./Faults.ts"

/** The gateway with the faults of this switch. What else the adapter has stays. */
export const make = <G extends Gateway>(gateway: G, chaos: Chaos["Service"]): G => {
  // Read and called on the adapter itself, which may be an object of a class: a copy has neither what is inherited nor its `this`.
  const { account, adapterVersion, apiVersion, capabilities, hold, list, name, webhooks } = gateway
  const { crash } = chaos
  const decide = (operation: Parameters<Chaos["Service"]["decide"]>[0]["operation"]) =>
    chaos.decide({ target: "gateway", gateway: name, operation })
  const send: Gateway["send"] = (request) =>
    Effect.flatMap(decide(request.intent.kind), (injected) =>
      injected === undefined
        ? gateway.send(request)
        : Faults.send(injected.injection, { carryOut: Effect.suspend(() => gateway.send(request)), crash })
    )
  const lookup: Gateway["lookup"] = (request) =>
    Effect.flatMap(decide("lookup"), (injected) =>
      injected === undefined
        ? gateway.lookup(request)
        : Faults.lookup(injected.injection, { carryOut: Effect.suspend(() => gateway.lookup(request)), crash })
    )
  const connectLimitMillis = (gateway.connectLimitMillis ?? Presets.gatewayCall.connectLimitMillis.value) + maxRequestDelayMillis
  return {
    ...gateway,
    name,
    account,
    adapterVersion,
    apiVersion,
    capabilities,
    connectLimitMillis,
    send,
    lookup,
    ...(webhooks === undefined ? {} : { webhooks }),
    ...(hold === undefined || Object.hasOwn(gateway, "hold") ? {} : { hold: (request: LookupRequest) => hold.call(gateway, request) }),
    ...(list === undefined ? {} : { list: listing(name, (range) => list.call(gateway, range), decide("list")) })
  }
}

type Listing = NonNullable<Gateway["list"]>

/** A list fails or is slow before its first page. */
const listing =
  (gateway: Gateway["name"], list: Listing, decide: ReturnType<Chaos["Service"]["decide"]>): Listing =>
  (range) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const injection = (yield* decide)?.injection
        if (injection === undefined) return list(range)
        if (injection.type === "latency") return Stream.onStart(list(range), Effect.sleep(Duration.millis(Faults.delayOf(injection))))
        if (injection.type === "pool_exhausted")
          yield* Effect.sleep(Duration.millis(injection.waitMillis ?? Presets.chaos.poolWaitMillis.value))
        return Stream.fail(new GatewayListFailed({ gateway, detail: "injected: the gateway cannot be reached" }))
      })
    )

/** The gateways of the context with the faults of `Chaos`. Without it, the same object: nothing is added to any call. */
export const layer: Layer.Layer<Gateways, never, Gateways> = Layer.effect(
  Gateways,
  Effect.gen(function* () {
    const gateways = yield* Gateways
    const chaos = Context.getOption(yield* Effect.context(), Chaos)
    return Option.isNone(chaos) ? gateways : GatewayList.make(gateways.all.map((gateway) => make(gateway, chaos.value)))
  })
)
