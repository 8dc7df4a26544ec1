/**
 * The package `aegispay/testing`: what a host's tests need. Two ways to have a gateway:
 *
 * - `ScriptedGateway`: in-process, answers what the test says; with `TestEngine.layer` and a `TestClock` nothing is left to chance.
 * - `Sandbox`: a PSP over real HTTP with a ledger of its own, in-process or on a port; `MagicTokens` make it answer as wanted.
 *
 * `FailingGateway.make` makes a share of the calls of any gateway fail the way calls do: timeouts, lost answers, refused connections, crashes.
 *
 * `Chaos` injects faults by a plan that repeats itself exactly: at random, at times, in bursts and cascades, into gateways, event store, locks
 * and clock. `ChaosExperiment` runs the whole engine under load and such faults on virtual time, and judges it.
 *
 * `GatewayContract` is what every adapter has to keep, as cases for any test framework: for authors of adapters.
 */
export * as GatewayContract from "../gateways/contract/GatewayContract.ts"
export * as FailingGateway from "../gateways/FailingGateway.ts"
export * as ScriptedGateway from "../gateways/ScriptedGateway.ts"
export * as MagicTokens from "../sandbox/MagicTokens.ts"
export * as Sandbox from "../sandbox/Sandbox.ts"
export * as Chaos from "./Chaos.ts"
export * as ChaosExperiment from "./ChaosExperiment.ts"
export * as TestEngine from "./TestEngine.ts"
