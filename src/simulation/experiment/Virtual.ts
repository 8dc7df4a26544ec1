/**
 * An experiment on virtual time: an hour of it takes seconds, and the same experiment gives the same findings, byte for byte.
 *
 *     const findings = Virtual.run(experiment)
 *
 * The engine is the real one; so are routing, breakers, retries and recovery. The callers do not wait for each other (an open loop), so a
 * slow engine gets no less to do. When the load is over the engine recovers until nothing is under way; then what has to hold is checked.
 */
import "effect/schema/SchemaJITCompiler/enable"
import * as Answers from "../../domain/chaos/experiment/Answers.ts"
import { complete, type Experiment } from "../../domain/chaos/experiment/Experiment.ts"
import type { InvariantResult } from "../../domain/chaos/experiment/ExperimentResult.ts"
import * as Findings from "../../domain/chaos/experiment/Findings.ts"
import * as Recorder from "../../domain/chaos/experiment/Recorder.ts"
import * as Summary from "../../domain/chaos/experiment/Summary.ts"
import type { IdempotencyKey } from "../../domain/payment/Ids.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import { claimId } from "../../layers/memory/MemoryStore.ts"
import type { Bug } from "../bugs/Bug.ts"
import * as Check from "./Check.ts"
import { definitionHashOf } from "./DefinitionHash.ts"
import * as EnginePort from "./EnginePort.ts"
import type { Books } from "./Ledger.ts"
import * as Ledger from "./Ledger.ts"
import * as Phases from "./Phases.ts"
import * as World from "./World.ts"

/** The world when nothing changes any more, for those who know something that has to hold. */
export interface QuietWorld {
  readonly payments: ReadonlyArray<PaymentView>
  readonly books: Books
}

/** Something that has to hold. `check`: what does not hold, in a sentence; `undefined` where it does. */
export interface Invariant {
  readonly name: string
  readonly check: (world: QuietWorld) => string | undefined
}

/** `bug`: breaks the engine, to show that the experiment finds it. */
export interface Options {
  readonly invariants?: ReadonlyArray<Invariant>
  readonly bug?: Bug
}

/** Runs an experiment. */
export const run = (experiment: Experiment, options: Options = {}): Findings.Findings => {
  const life = steps(experiment, options)
  let step = life.next()
  while (step.done !== true) step = life.next()
  return step.value
}

/** The same bit by bit, some ten milliseconds each, for whoever has something else to do in between. */
export function* steps(data: Experiment, options: Options = {}): World.Life<Findings.Findings> {
  const experiment = complete(data)
  const world = yield* World.make(experiment, options.bug)
  const { kernel, recorder } = world
  const aborted = yield* Phases.underLoad(world)
  const loadEndedAt = Math.min(kernel.now(), experiment.phases.loadMillis)
  yield* Phases.settle(world)
  Recorder.givenUp(recorder, kernel.now())
  const invariants = yield* verify(world, options.invariants ?? [])
  for (const [charge, key] of world.charges) charge.end = Answers.endOf(viewOf(world, key), charge.answer)
  return Findings.of(recorder, {
    experiment,
    definitionHash: definitionHashOf(experiment),
    summary: Summary.of(experiment),
    mode: "virtual",
    loadEndedAt,
    endedAt: kernel.now(),
    aborted,
    invariants,
    failovers: failoversOf(world),
    seesCalls: true
  })
}

/** The built-in invariants, and the host's own. */
function* verify(world: World.World, own: ReadonlyArray<Invariant>): World.Life<ReadonlyArray<InvariantResult>> {
  const { around, handler, tables } = world
  const books = yield* World.ended(world, around, Ledger.read(handler.accounts, Ledger.readFrom(handler)))
  const builtIn = yield* World.ended(world, around, Check.check({ ...world, books }))
  const payments = [...tables.memory.payments.values()].map(({ view }) => view)
  return [...builtIn, ...own.map(({ check, name }) => resultOf(name, check({ payments, books }), payments.length))]
}

const resultOf = (name: string, problem: string | undefined, payments: number): InvariantResult =>
  problem === undefined
    ? { name, status: "held", detail: `${payments} payments` }
    : { name, status: "broken", detail: problem.slice(0, 2_000) }

const viewOf = ({ tables: { memory } }: World.World, key: IdempotencyKey): PaymentView | undefined => {
  const claim = memory.claims.get(claimId({ tenant: EnginePort.tenant, key }))
  return claim === undefined ? undefined : memory.payments.get(claim.payment)?.view
}

/** Charges at a further gateway, of all payments. */
const failoversOf = ({ tables: { memory } }: World.World): number =>
  [...memory.payments.values()].reduce((total, { view }) => {
    const charges = view.operations.filter(({ purpose }) => purpose === "charge").length
    return total + Math.max(0, charges - 1)
  }, 0)
