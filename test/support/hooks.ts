/**
 * The engine in memory with hooks that a test writes.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { PaymentEvent } from "../../src/domain/payment/Event.ts"
import type { PaymentId } from "../../src/domain/payment/Ids.ts"
import * as HookRegistry from "../../src/orchestration/hooks/HookRegistry.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import type { Hook } from "../../src/services/hooks/Hooks.ts"
import * as HookSettings from "../../src/services/hooks/HookSettings.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import { engineOver, memory, type TestGateway } from "./TestEngine.ts"

/** A registry with these hooks. */
export const registryOf = (hooks: ReadonlyArray<Hook>, settings: Partial<HookSettings.HookSettings> = {}) =>
  hooks.reduce(
    (layer, hook) => Layer.provideMerge(Layer.orDie(HookRegistry.register(hook)), layer),
    Layer.provide(HookRegistry.layer, Layer.succeed(HookSettings.HookSettings, Object.assign({}, HookSettings.defaults, settings)))
  )

/** The engine in memory with these hooks. */
export const engineWith = (
  gateways: ReadonlyArray<TestGateway>,
  hooks: ReadonlyArray<Hook>,
  options: { readonly hooks?: Partial<HookSettings.HookSettings>; readonly engine?: Partial<EngineSettings> } = {}
) => engineOver(gateways, options.engine).pipe(Layer.provideMerge(registryOf(hooks, options.hooks)), Layer.provideMerge(memory))

/** The events of a payment. */
export const eventsOf = (id: PaymentId): Effect.Effect<ReadonlyArray<PaymentEvent>, never, EventStore> =>
  EventStore.use((store) => Effect.orDie(Effect.map(store.read(id), (events) => events.map(({ event }) => event))))

/** The events of one type. */
export const only = <Tag extends PaymentEvent["_tag"]>(events: ReadonlyArray<PaymentEvent>, tag: Tag) =>
  events.filter((event): event is Extract<PaymentEvent, { _tag: Tag }> => event._tag === tag)
