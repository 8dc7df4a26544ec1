/**
 * `aegispay simulate` with its flags. What it does is loaded when it is run.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flags from "../../Flags.ts"

const atMost = (name: string, what: string) =>
  Flags.integer(name, 0, 1_000_000).pipe(
    Flag.withDescription(`With --trace: at most this many ${what} (default: the seed's)`),
    Flag.optional
  )

export const simulate = Command.make(
  "simulate",
  {
    seeds: Flags.integer("seeds", 1, 100_000_000).pipe(Flag.withDescription("How many seeds (default 1000)"), Flag.withDefault(1_000)),
    from: Flags.integer("from", 0, 2_000_000_000).pipe(Flag.withDescription("The first seed (default 1)"), Flag.withDefault(1)),
    workers: Flags.integer("workers", 1, 64).pipe(Flag.withDescription("Threads (default 1)"), Flag.withDefault(1)),
    exhaustive: Flags.integer("exhaustive", 0, 2_000_000_000).pipe(
      Flag.withDescription("Crash at every operation of this seed's scenario, in place of a range of seeds"),
      Flag.optional
    ),
    store: Flag.Literals("store", ["memory", "pglite"]).pipe(
      Flag.withDescription("Tables in memory, or the SQL of the Postgres layers in an in-process Postgres (slow; @electric-sql/pglite)"),
      Flag.withDefault("memory" as const)
    ),
    trace: Flag.Boolean("trace").pipe(Flag.withDescription("Show the schedule of the seed --from"), Flag.withDefault(false)),
    payments: Flag.String("payments").pipe(
      Flag.withMetavar("0,2"),
      Flag.withDescription("With --trace: only these payments of the seed"),
      Flag.filterMap(
        (text) => (/^[0-9]{1,3}(,[0-9]{1,3}){0,99}$/.test(text) ? Option.some(text.split(",").map(Number)) : Option.none()),
        (text) => `"${text}" is not a list of numbers such as 0,2`
      ),
      Flag.optional
    ),
    faults: atMost("faults", "faults of network and database"),
    crashes: atMost("crashes", "crashes"),
    pauses: atMost("pauses", "pauses"),
    outages: atMost("outages", "outages of gateways"),
    preempt: Flag.Finite("preempt").pipe(
      Flag.withDescription("With --trace: how likely a fiber gives way at an operation, 0 to 1"),
      Flag.filter(
        (value) => value >= 0 && value <= 1,
        (value) => `${value} is not from 0 to 1`
      ),
      Flag.optional
    ),
    crashAt: Flags.integer("crash-at", 1, 1_000_000_000).pipe(
      Flag.withDescription("With --trace: crash an instance at this operation, and at no other time"),
      Flag.optional
    ),
    alone: Flag.Boolean("alone").pipe(Flag.withDescription("With --trace: write no commits together"), Flag.withDefault(false)),
    recoveryOnly: Flag.Boolean("recovery-only").pipe(
      Flag.withDescription("With --trace: no expiry, reconciliation and rebuild, and no person who resolves"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("../simulate.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription("Simulate the whole engine under faults and crashes in virtual time"),
  Command.withExamples([
    { command: "aegispay simulate --seeds 10000 --workers 2", description: "Ten thousand seeds on two cores" },
    { command: "aegispay simulate --exhaustive 7", description: "A crash at every operation of one scenario" }
  ])
)
