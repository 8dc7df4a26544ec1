/**
 * A chaos experiment, as data: a load, what goes wrong meanwhile, and what has to hold all the same.
 *
 * It runs in phases: the steady state before (load alone), the faults (load and faults), a time to recover, the steady state after (load
 * alone), and settling (no load, until nothing is under way). The times of the chaos plan count from the start of the faults.
 *
 * @example
 * { "name": "outage", "durationMillis": 600000, "load": { "ratePerSecond": 2 }, "criteria": { "minSuccessRate": 0.95 },
 *   "chaos": { "seed": 7, "rules": [{ "target": "gateway", "gateways": ["gateway-a"], "when": { "type": "random", "rate": 1 },
 *     "inject": { "type": "network" } }] } }
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { GatewayName } from "../../payment/Ids.ts"
import * as Presets from "../../Presets.ts"
import { BreakerSettings } from "../../resilience/BreakerSettings.ts"
import { PolicyData } from "../../routing/policy/Policy.ts"
import { ChaosPlan } from "../ChaosPlan.ts"
import { Criteria, SteadyCriteria } from "./Criteria.ts"
import { between, Gateway, integer, millis, Name, Seed, sentences, share } from "./Fields.ts"
import * as Load from "./load/Load.ts"

/** The most payments of an experiment. */
export const maxCharges = 200_000

/**
 * A gateway of an experiment in virtual time: an account of the sandbox.
 *
 * - `latencyMillis`: mean of its answers; each takes between half and one and a half of it.
 * - `errorRate`: so many requests are answered 503 without any fault of the plan.
 * - `feeBasisPoints`: its price in hundredths of a percent, for routing by cost.
 */
const ExperimentGateway = Schema.Struct({
  name: Gateway,
  latencyMillis: Schema.optionalKey(integer(0, 60_000)),
  errorRate: Schema.optionalKey(share),
  feeBasisPoints: Schema.optionalKey(between(0, 10_000))
})

/**
 * The load without faults, before and after; the same criteria hold for both.
 *
 * `recoverMillis`: between the end of the faults and the look at the state after.
 */
const SteadyState = Schema.Struct({
  beforeMillis: Schema.optionalKey(millis()),
  recoverMillis: Schema.optionalKey(millis()),
  afterMillis: Schema.optionalKey(millis()),
  criteria: SteadyCriteria
})

/** Ends the experiment early: the success rate of the charges answered within the last `overMillis` was below a limit, once there were enough. */
const Abort = Schema.Struct({
  whenSuccessRateBelow: share,
  overMillis: Schema.optionalKey(millis(1_000)),
  minimumCharges: Schema.optionalKey(integer(1, maxCharges))
})

/**
 * Settings of the engine that differ from its presets, in virtual time; a running server has its own.
 *
 * - `maxCharges`: operations that charge, per payment: 1 means no failover.
 * - `retries`: repetitions of a request that was certainly not sent.
 * - `recovery`: how old an open operation is before it is looked after, and how often that is done.
 */
const Settings = Schema.Struct({
  breakers: Schema.optionalKey(BreakerSettings.mapFields(Struct.map(Schema.optionalKey))),
  routing: Schema.optionalKey(PolicyData),
  maxCharges: Schema.optionalKey(integer(1, 10)),
  retries: Schema.optionalKey(integer(0, 10)),
  attemptTimeoutMillis: Schema.optionalKey(integer(100, 120_000)),
  recovery: Schema.optionalKey(
    Schema.Struct({
      olderThanMillis: Schema.optionalKey(integer(100, 3_600_000)),
      intervalMillis: Schema.optionalKey(integer(100, 3_600_000))
    })
  )
})

const Shape = Schema.Struct({
  name: Name,
  description: Schema.optionalKey(sentences(1_000)),
  /** Of load and faults; default: that of the chaos plan. Where it is given, the plan has it too. */
  seed: Schema.optionalKey(Seed),
  /** How long the faults last. */
  durationMillis: millis(1_000),
  gateways: Schema.optionalKey(
    Schema.Array(ExperimentGateway).check(
      Schema.isMinLength(1, { message: "needs 1 to 32 entries" }),
      Schema.isMaxLength(32, { message: "needs 1 to 32 entries" })
    )
  ),
  load: Schema.optionalKey(Load.Load),
  chaos: ChaosPlan,
  steadyState: Schema.optionalKey(SteadyState),
  criteria: Schema.optionalKey(Criteria),
  abort: Schema.optionalKey(Abort),
  settings: Schema.optionalKey(Settings)
})

/** The gateways that faults of a plan are meant for. */
export const gatewaysNamedBy = ({ cascades = [], rules, script = [] }: ChaosPlan): ReadonlyArray<GatewayName> => [
  ...rules.flatMap(({ gateways = [] }) => gateways),
  ...cascades.flatMap(({ from, to }) => [from, ...to]),
  ...script.flatMap(({ gateway }) => gateway ?? [])
]

/** The names that occur twice. */
const repeated = (names: ReadonlyArray<string>): ReadonlyArray<string> => names.filter((name, index) => names.indexOf(name) !== index)

/** An experiment. What is left out takes its preset. */
export const Experiment = Shape.check(
  Schema.makeFilter(({ gateways = [] }) => {
    const [name] = repeated(gateways.map((gateway) => gateway.name))
    return name === undefined ? undefined : { path: ["gateways"], issue: `"${name}" occurs twice` }
  }),
  Schema.makeFilter((experiment) => {
    const { load, phases } = complete(experiment)
    const charges = (load.ratePerSecond * phases.loadMillis) / 1_000
    return charges <= maxCharges
      ? undefined
      : { path: ["load", "ratePerSecond"], issue: `makes ${Math.round(charges)} payments in all; at most ${maxCharges} are allowed` }
  }),
  Schema.makeFilter((experiment) => {
    const known: ReadonlyArray<string> = complete(experiment).gateways.map(({ name }) => name)
    const unknown = gatewaysNamedBy(experiment.chaos).find((name) => !known.includes(name))
    return unknown === undefined
      ? undefined
      : { path: ["chaos"], issue: `names the gateway "${unknown}", which is not among the gateways: ${known.join(", ")}` }
  })
).annotate({ identifier: "Experiment", title: "Chaos experiment" })
export type Experiment = typeof Experiment.Type

/** When the parts of an experiment begin, in milliseconds from its start. `loadMillis`: when the load ends. */
export interface Phases {
  readonly faultsAt: number
  readonly recoverAt: number
  readonly steadyAfterAt: number
  readonly loadMillis: number
}

/** An experiment with nothing left out. */
export interface CompleteExperiment {
  readonly name: string
  readonly description: string
  readonly seed: number
  readonly durationMillis: number
  readonly phases: Phases
  readonly gateways: ReadonlyArray<{
    readonly name: GatewayName
    readonly latencyMillis: number
    readonly errorRate: number
    readonly feeBasisPoints: number | undefined
  }>
  readonly load: Load.CompleteLoad
  readonly chaos: ChaosPlan
  readonly steadyCriteria: SteadyCriteria | undefined
  readonly criteria: Criteria
  readonly abort: { readonly whenSuccessRateBelow: number; readonly overMillis: number; readonly minimumCharges: number } | undefined
  readonly settings: NonNullable<Experiment["settings"]>
}

const presets = Presets.experiment
const usualGateways: NonNullable<Experiment["gateways"]> = presets.gateways.value.map((name) => ({ name: GatewayName.make(name) }))

/** Fills in the presets. */
export const complete = (experiment: typeof Shape.Type): CompleteExperiment => {
  const { abort, chaos, durationMillis, steadyState } = experiment
  const seed = experiment.seed ?? chaos.seed
  return {
    name: experiment.name,
    description: experiment.description ?? "",
    seed,
    durationMillis,
    phases: phasesOf(durationMillis, steadyState),
    gateways: (experiment.gateways ?? usualGateways).map((gateway) => ({
      name: gateway.name,
      latencyMillis: gateway.latencyMillis ?? presets.latencyMillis.value,
      errorRate: gateway.errorRate ?? 0,
      feeBasisPoints: gateway.feeBasisPoints
    })),
    load: Load.complete(experiment.load),
    chaos: { ...chaos, seed },
    steadyCriteria: steadyState?.criteria,
    criteria: experiment.criteria ?? {},
    abort:
      abort === undefined
        ? undefined
        : {
            whenSuccessRateBelow: abort.whenSuccessRateBelow,
            overMillis: abort.overMillis ?? presets.abortOverMillis.value,
            minimumCharges: abort.minimumCharges ?? presets.abortMinimumCharges.value
          },
    settings: experiment.settings ?? {}
  }
}

/** Without a steady state to look at, the load ends with the faults. */
const phasesOf = (durationMillis: number, steadyState: Experiment["steadyState"]): Phases => {
  const faultsAt = steadyState === undefined ? 0 : (steadyState.beforeMillis ?? presets.steadyMillis.value)
  const recoverAt = faultsAt + durationMillis
  const steadyAfterAt = recoverAt + (steadyState === undefined ? 0 : (steadyState.recoverMillis ?? presets.recoverMillis.value))
  const loadMillis = steadyAfterAt + (steadyState === undefined ? 0 : (steadyState.afterMillis ?? presets.steadyMillis.value))
  return { faultsAt, recoverAt, steadyAfterAt, loadMillis }
}
