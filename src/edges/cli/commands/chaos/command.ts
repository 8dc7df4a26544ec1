/**
 * `aegispay chaos` with its flags. What it does is loaded when it is run.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flags from "../../Flags.ts"

const file = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar("FILE"), Flag.withDescription(description), Flag.optional)

const run = Command.make(
  "run",
  {
    experiment: Argument.String("experiment").pipe(Argument.withDescription("A named experiment, or a file with a definition (JSON)")),
    seed: Flags.integer("seed", 0, 0xffff_ffff).pipe(
      Flag.withDescription("Of load and faults, in place of the definition's"),
      Flag.optional
    ),
    duration: Flags.durationBetween("duration", "1s", "1d").pipe(
      Flag.withDescription("How long the faults last (1s to 1d), in place of the definition's"),
      Flag.optional
    ),
    html: file("html", "Write a report for browsers here: one file that needs nothing else"),
    out: file("out", "Write the result as JSON here"),
    target: Flag.String("target").pipe(
      Flag.withMetavar("URL"),
      Flag.withDescription("In real time against this server (aegispay serve --allow-chaos), in place of virtual time"),
      Flag.optional
    ),
    apiKey: Flag.String("api-key").pipe(
      Flag.withMetavar("env:NAME"),
      Flag.withDescription(
        "With --target: where the API key is (default env:AEGISPAY_API_KEY); scopes payments:read, payments:write, chaos and, for breakers, metrics"
      ),
      Flag.optional
    ),
    ledger: Flag.String("ledger").pipe(
      Flag.withMetavar("URL"),
      Flag.withDescription("With --target: the sandbox whose ledgers tell whether anybody was charged twice"),
      Flag.optional
    ),
    settle: Flags.duration("settle").pipe(
      Flag.withDescription("With --target: how long the end of payments in doubt is waited for (default 5m)"),
      Flag.optional
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./run.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription(
    "Run an experiment: load, faults, and whether what has to hold held. On virtual time, or against a running server"
  ),
  Command.withExamples([
    { command: "aegispay chaos run gateway-outage", description: "The best gateway is gone for five minutes, in seconds" },
    { command: "aegispay chaos run mine.json --seed 7 --html report.html", description: "One of your own, with a report" }
  ])
)

const list = Command.make(
  "list",
  {
    show: Argument.String("name").pipe(
      Argument.withDescription("Print the definition of this one, to start a file from"),
      Argument.optional
    )
  },
  ({ show }) =>
    Effect.flatMap(
      Effect.promise(() => import("./list.ts")),
      (module) => module.list({ show: Option.getOrUndefined(show) })
    )
).pipe(Command.withDescription("The named experiments"))

const schema = Command.make(
  "schema",
  {
    of: Argument.Literals("of", ["experiment", "result"]).pipe(Argument.withDescription("Of which: experiment or result"))
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./list.ts")),
      (module) => module.schema(input)
    )
).pipe(Command.withDescription("The JSON Schema of definitions, or of results"))

export const chaos = Command.make("chaos").pipe(
  Command.withDescription("Chaos experiments: what the engine does when things go wrong"),
  Command.withSubcommands([run, list, schema])
)
