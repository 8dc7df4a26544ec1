/**
 * What the demo is made of: sections that show one thing each, live, and end with checks.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Ground } from "./Ground.ts"
import type { Check } from "./outage/Checks.ts"

/**
 * What a section works with.
 *
 * - `say`: a line, at once.
 * - `ground`: database, providers and engine, started when the first section asks for them.
 * - `sabotaged`: the section takes away what it shows the effect of, so that its checks have to fail.
 */
export interface Stage {
  readonly say: (line: string) => void
  readonly ground: Effect.Effect<Ground, unknown>
  readonly sabotaged: boolean
}

/** A section. `shows`: what is about to be seen, in a sentence or two. `sabotage`: what is taken away where it is sabotaged. */
export interface Section {
  readonly name: string
  readonly title: string
  readonly shows: ReadonlyArray<string>
  readonly sabotage: string
  readonly run: (stage: Stage) => Effect.Effect<ReadonlyArray<Check>, unknown, Scope.Scope>
}
