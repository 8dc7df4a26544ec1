/**
 * Faults that are injected on purpose: a plan as data, the switch that runs it, and gateways, event store, locks and clock that ask the switch.
 *
 * ```ts
 * const plan: Chaos.ChaosPlan = {
 *   seed: 7,
 *   rules: [{ target: "gateway", when: { type: "random", rate: 0.1 }, inject: { type: "response_lost" } }]
 * }
 * const Faulty = Layer.provideMerge(Chaos.ChaosEventStore.layer, Memory.layer).pipe(Layer.provideMerge(Chaos.ChaosControl.layer({ plan })))
 * ```
 */
export { type Cascade, ChaosPlan, type ChaosRule, type Scripted, type When } from "../domain/chaos/ChaosPlan.ts"
export { Injection, type InjectionType, type Target } from "../domain/chaos/Injection.ts"
export * as Injector from "../domain/chaos/Injector.ts"
export * as ChaosGateway from "../gateways/chaos/ChaosGateway.ts"
export * as ChaosClock from "../orchestration/chaos/ChaosClock.ts"
export * as ChaosControl from "../orchestration/chaos/ChaosControl.ts"
export * as ChaosEventStore from "../orchestration/chaos/ChaosEventStore.ts"
export * as ChaosLock from "../orchestration/chaos/ChaosLock.ts"
export { Chaos, type ChaosStatus, type InjectionCount } from "../services/chaos/Chaos.ts"
