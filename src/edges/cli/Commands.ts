/**
 * The commands with their flags. What a command does is loaded when it is run, so that `--help` costs no more than this file. For the
 * same reason values whose schema is heavy (tokens, metadata, statuses) are texts here and are decoded there.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { replay } from "./commands/routing/command.ts"
import { chaos } from "./commands/chaos/command.ts"
import { simulate } from "./commands/simulation/command.ts"
import * as Flags from "./Flags.ts"
import * as GlobalFlags from "./GlobalFlags.ts"

/** Loads a command's module when it is run. */
const lazily =
  <Module, Input, A, E, R>(load: () => Promise<Module>, run: (module: Module) => (input: Input) => Effect.Effect<A, E, R>) =>
  (input: Input): Effect.Effect<A, E, R> =>
    Effect.flatMap(Effect.promise(load), (module) => run(module)(input))

const serve = Command.make(
  "serve",
  {
    port: Flags.integer("port", 0, 65_535).pipe(
      Flag.withDescription("Port of the HTTP interface (default: 8080; 0 takes a free one)"),
      Flag.optional
    ),
    host: Flag.String("host").pipe(
      Flag.withMetavar("ADDRESS"),
      Flag.withDescription("Address to bind (default: 127.0.0.1)"),
      Flag.optional
    ),
    allowMissingGateways: Flag.Boolean("allow-missing-gateways").pipe(
      Flag.withDescription("Start although accounts with open operations are not configured"),
      Flag.withDefault(false)
    ),
    allowChaos: Flag.Boolean("allow-chaos").pipe(
      Flag.withDescription("Let keys with the scope chaos inject faults (/ops/chaos); for tests, with sandbox gateways only"),
      Flag.withDefault(false)
    ),
    allowChaosAtAllGateways: Flag.Boolean("allow-chaos-at-all-gateways").pipe(
      Flag.withDescription("With --allow-chaos: although a gateway is real, and so would be payments in doubt"),
      Flag.withDefault(false)
    )
  },
  lazily(
    () => import("./commands/serve.ts"),
    (module) => module.run
  )
).pipe(
  Command.withDescription("Serve the HTTP interface, recover, take webhooks and send notifications, until stopped"),
  Command.withExamples([
    { command: "aegispay serve", description: "Development: embedded database and sandbox in ./.aegispay" },
    { command: "aegispay serve --config aegispay.json", description: "As configured" }
  ])
)

const pay = Command.make(
  "pay",
  {
    amount: Flags.amount("Amount in minor units: 4990 is 49.90 EUR"),
    currency: Flag.String("currency").pipe(Flag.withMetavar("CODE"), Flag.withDescription("Currency, such as EUR")),
    token: Flag.String("token").pipe(
      Flag.withMetavar("TOKEN"),
      Flag.withDescription("Payment method: one token for every gateway"),
      Flag.optional
    ),
    references: Flag.KeyValuePair("gateway-reference").pipe(
      Flag.withMetavar("GATEWAY=TOKEN"),
      Flag.withDescription("Payment method: a gateway's own token; once per gateway"),
      Flag.optional
    ),
    type: Flag.String("type").pipe(
      Flag.withMetavar("TYPE"),
      Flag.withDescription("Kind of payment method: card, wallet, bank_debit, bank_transfer, mobile_money, crypto, other (default: card)"),
      Flag.withDefault("card")
    ),
    manual: Flag.Boolean("manual").pipe(Flag.withDescription("Authorize only; capture later"), Flag.withDefault(false)),
    offSession: Flag.Boolean("off-session").pipe(Flag.withDescription("The customer is not present"), Flag.withDefault(false)),
    returnUrl: Flag.String("return-url").pipe(
      Flag.withMetavar("URL"),
      Flag.withDescription("Where the customer comes back to after an action"),
      Flag.optional
    ),
    metadata: Flag.KeyValuePair("metadata").pipe(
      Flag.withMetavar("NAME=VALUE"),
      Flag.withDescription("Data of your own; may be repeated"),
      Flag.optional
    ),
    key: Flags.key,
    merchant: Flags.merchant
  },
  lazily(
    () => import("./commands/pay.ts"),
    (module) => module.run
  )
).pipe(
  Command.withDescription("Charge a payment"),
  Command.withExamples([{ command: "aegispay pay --amount 4990 --currency EUR --token tok_success", description: "Charge 49.90 EUR" }])
)

const payments = () => import("./commands/payment.ts")
const one = { id: Flags.paymentId, merchant: Flags.owner }
const modification = { ...one, key: Flags.key }

const payment = Command.make("payment").pipe(
  Command.withDescription("Show payments and act on them"),
  Command.withSubcommands([
    Command.make(
      "get",
      one,
      lazily(payments, (module) => module.get)
    ).pipe(Command.withDescription("Show a payment")),
    Command.make(
      "events",
      one,
      lazily(payments, (module) => module.events)
    ).pipe(Command.withDescription("Show what happened to a payment, with the routing decisions")),
    Command.make(
      "list",
      {
        merchant: Flags.merchant,
        status: Flag.String("status").pipe(
          Flag.withMetavar("STATUS"),
          Flag.withDescription("Only payments with this status"),
          Flag.optional
        ),
        limit: Flags.integer("limit", 1, 200).pipe(Flag.withDescription("At most this many (1 to 200)"), Flag.withDefault(50)),
        cursor: Flag.String("cursor").pipe(Flag.withMetavar("CURSOR"), Flag.withDescription("Go on where a page ended"), Flag.optional)
      },
      lazily(payments, (module) => module.list)
    ).pipe(Command.withDescription("List payments, newest first")),
    Command.make(
      "capture",
      {
        ...modification,
        amount: Flags.amount("Minor units to capture (default: all that is left)").pipe(Flag.optional),
        final: Flag.Boolean("final").pipe(Flag.withDescription("Release what is not captured"), Flag.withDefault(false))
      },
      lazily(payments, (module) => module.capture)
    ).pipe(Command.withDescription("Capture an authorized payment")),
    Command.make(
      "refund",
      { ...modification, amount: Flags.amount("Minor units to refund (default: all that is left)").pipe(Flag.optional) },
      lazily(payments, (module) => module.refund)
    ).pipe(Command.withDescription("Refund a captured payment")),
    Command.make(
      "cancel",
      modification,
      lazily(payments, (module) => module.cancel)
    ).pipe(Command.withDescription("Cancel a payment")),
    Command.make(
      "confirm",
      modification,
      lazily(payments, (module) => module.confirm)
    ).pipe(Command.withDescription("Continue a payment after the customer's action")),
    Command.make(
      "resolve",
      {
        ...one,
        as: Flag.Literals("as", ["succeeded", "failed"]).pipe(Flag.withDescription("What became of it")),
        reason: Flag.String("reason").pipe(
          Flag.withMetavar("TEXT"),
          Flag.withDescription("How you know; recorded with it"),
          Flag.filter(
            (text) => text.trim() !== "" && text.length <= 1_000,
            () => "1 to 1,000 characters"
          )
        ),
        operation: Flags.integer("operation", 1, 1_000).pipe(
          Flag.withDescription("Which operation; needed where several wait for a person"),
          Flag.optional
        ),
        reference: Flags.reference.pipe(Flag.withDescription("The gateway's id of what succeeded, where it is not known"), Flag.optional),
        withoutAnswer: Flag.Boolean("without-answer").pipe(
          Flag.withDescription('Take "failed" although the gateway cannot be asked or does not answer; never against its answer'),
          Flag.withDefault(false)
        )
      },
      lazily(
        () => import("./commands/resolve.ts"),
        (module) => module.run
      )
    ).pipe(
      Command.withDescription("Say what became of a payment that needs review or is in doubt"),
      Command.withExamples([
        {
          command: 'aegispay payment resolve pay_... --as failed --reason "not on the acquirer\'s statement"',
          description: "It was not charged: the gateway is asked, and the payment fails"
        }
      ])
    )
  ])
)

const recover = Command.make(
  "recover",
  {
    dryRun: Flag.Boolean("dry-run").pipe(Flag.withDescription("Only ask the gateways; record and send nothing"), Flag.withDefault(false)),
    olderThan: Flags.duration("older-than").pipe(
      Flag.withDescription("Only operations opened at least this long ago (default: recovery.olderThanMillis, 45s)"),
      Flag.optional
    ),
    concurrency: Flags.integer("concurrency", 1, 64).pipe(
      Flag.withDescription("Payments at a time (default: recovery.concurrency, 16)"),
      Flag.optional
    ),
    limit: Flags.integer("limit", 1, 1_000_000).pipe(Flag.withDescription("At most this many operations (default: all)"), Flag.optional),
    gateway: Flags.gateway.pipe(Flag.withDescription("Only operations of this gateway"), Flag.optional)
  },
  lazily(
    () => import("./commands/recover.ts"),
    (module) => module.run
  )
).pipe(
  Command.withDescription(
    "Find open operations, ask the gateways what happened, record it; expire what has waited for its customer too long"
  )
)

const rebuild = Command.make(
  "rebuild",
  {
    dryRun: Flag.Boolean("dry-run").pipe(Flag.withDescription("Only compare"), Flag.withDefault(false)),
    concurrency: Flags.integer("concurrency", 1, 64).pipe(
      Flag.withDescription("Payments at a time (default: recovery.concurrency, 16)"),
      Flag.optional
    )
  },
  lazily(
    () => import("./commands/rebuild.ts"),
    (module) => module.run
  )
).pipe(Command.withDescription("Write payments as they are shown anew from their events, while payments go on"))

const reconcile = Command.make(
  "reconcile",
  {
    gateway: Flags.gateway.pipe(Flag.withDescription("Whose list")),
    from: Flags.time("from").pipe(Flag.withDescription("Made by the gateway at or after this time")),
    to: Flags.time("to").pipe(Flag.withDescription("and before this one (default: now)"), Flag.optional),
    dryRun: Flag.Boolean("dry-run").pipe(Flag.withDescription("Only compare; record nothing"), Flag.withDefault(false)),
    concurrency: Flags.integer("concurrency", 1, 64).pipe(
      Flag.withDescription("Records at a time (default: recovery.concurrency, 16)"),
      Flag.optional
    )
  },
  lazily(
    () => import("./commands/reconcile.ts"),
    (module) => module.run
  )
).pipe(
  Command.withDescription("Compare a gateway's list of charges and refunds with ours, and record what it says for certain"),
  Command.withExamples([
    { command: "aegispay reconcile --gateway sandbox-a --from 2026-03-01 --to 2026-03-02", description: "One day of one account" }
  ])
)

const deadLetters = () => import("./commands/deadLetters.ts")
const page = { limit: Flags.pageLimit(1_000) }

const outbox = Command.make("outbox").pipe(
  Command.withDescription("Notifications that were given up"),
  Command.withSubcommands([
    Command.make(
      "dead-letters",
      page,
      lazily(deadLetters, (module) => module.outbox)
    ).pipe(Command.withDescription("List payments whose notifications were given up, newest first")),
    Command.make(
      "replay",
      { id: Flags.paymentId },
      lazily(deadLetters, (module) => module.replayOutbox)
    ).pipe(Command.withDescription("Deliver the notifications of a payment again"))
  ])
)

const webhooks = Command.make("webhooks").pipe(
  Command.withDescription("Webhooks of gateways that were given up"),
  Command.withSubcommands([
    Command.make(
      "dead-letters",
      page,
      lazily(deadLetters, (module) => module.webhooks)
    ).pipe(Command.withDescription("List webhooks that were given up, newest first")),
    Command.make(
      "replay",
      { gateway: Flags.gateway.pipe(Flag.withDescription("Whose webhook")), eventId: Flags.eventId },
      lazily(deadLetters, (module) => module.replayWebhook)
    ).pipe(Command.withDescription("Process a webhook again"))
  ])
)

const sandbox = Command.make(
  "sandbox",
  {
    port: Flags.integer("port", 0, 65_535).pipe(Flag.withDescription("Port (0 takes a free one)"), Flag.withDefault(9090)),
    host: Flag.String("host").pipe(Flag.withMetavar("ADDRESS"), Flag.withDescription("Address to bind"), Flag.withDefault("127.0.0.1")),
    directory: Flag.String("directory").pipe(
      Flag.withMetavar("DIR"),
      Flag.withDescription("Keep the state here (default: in memory only)"),
      Flag.optional
    ),
    accounts: Flag.String("accounts").pipe(
      Flag.withMetavar("a,b,c"),
      Flag.withDescription("Names of the accounts (default: a,b,c)"),
      Flag.optional
    ),
    authorizationValidity: Flags.durationBetween("authorization-validity", "1ms", "23d").pipe(
      Flag.withDescription("How long authorizations are valid, 1ms to 23d; what is not captured then is released (default: for ever)"),
      Flag.optional
    ),
    control: Flag.Boolean("control").pipe(
      Flag.withDescription("Allow PUT /{account}/control and /control/chaos, which make accounts fail"),
      Flag.withDefault(false)
    ),
    seed: Flag.String("seed").pipe(
      Flag.withMetavar("SEED"),
      Flag.withDescription("Make latency, errors and ids reproducible"),
      Flag.optional
    ),
    chaos: Flag.String("chaos").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("Inject the faults of this plan from the start; its gateways are the accounts (docs/chaos.md)"),
      Flag.optional
    )
  },
  lazily(
    () => import("./commands/sandbox.ts"),
    (module) => module.run
  )
).pipe(Command.withDescription("Serve the sandbox PSP, which charges nobody"))

const routing = Command.make("routing").pipe(
  Command.withDescription("Routing decisions"),
  Command.withSubcommands([
    Command.make(
      "explain",
      one,
      lazily(
        () => import("./commands/routing.ts"),
        (module) => module.explain
      )
    ).pipe(
      Command.withDescription("Show why each charge of a payment went where it went: scores, signals, rules, and who was left out"),
      Command.withExamples([{ command: "aegispay routing explain pay_...", description: "Every charge, failovers included" }])
    ),
    replay
  ])
)

const migrate = Command.make(
  "migrate",
  {},
  lazily(
    () => import("./commands/migrate.ts"),
    (module) => module.run
  )
).pipe(Command.withDescription("Bring the database schema up to date"))

/** The whole command line. */
export const aegispay = Command.make("aegispay").pipe(
  Command.withDescription("Payment orchestration: charges a customer at most once, through several gateways"),
  Command.withSubcommands([serve, pay, payment, routing, recover, rebuild, reconcile, outbox, webhooks, sandbox, simulate, chaos, migrate]),
  Command.withGlobalFlags(GlobalFlags.all)
)
