/**
 * `aegispay routing replay` with its flags. What it does is loaded when it is run.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../../Flags.ts"

export const replay = Command.make(
  "replay",
  {
    policy: Flag.String("policy").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("The other policy: JSON, as the section routing of the configuration")
    ),
    from: Flags.time("from").pipe(Flag.withDescription("Decisions made at or after this time")),
    to: Flags.time("to").pipe(Flag.withDescription("and before this one (default: now)"), Flag.optional),
    drawnOnly: Flag.Boolean("drawn-only").pipe(
      Flag.withDescription("Only decisions that could have gone otherwise"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./replay.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription("Estimate what another policy would have achieved over recorded decisions, from what was explored"),
  Command.withExamples([
    { command: "aegispay routing replay --policy other.json --from 2026-03-01", description: "Success, latency and fees, with intervals" }
  ])
)
