/**
 * `aegispay sandbox`: the sandbox PSP as a process of its own.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import { ChaosPlan } from "../../../domain/chaos/ChaosPlan.ts"
import * as Sandbox from "../../../sandbox/Sandbox.ts"
import { describe, problemsOf } from "../../config/Issues.ts"
import { cannotRun, endsByInterruption } from "../Failure.ts"
import { bindProblem } from "../ListenProblem.ts"
import { print } from "../Output.ts"

export interface Input {
  readonly port: number
  readonly host: string
  readonly directory: Option.Option<string>
  readonly accounts: Option.Option<string>
  readonly authorizationValidity: Option.Option<Duration.Duration>
  readonly control: boolean
  readonly seed: Option.Option<string>
  readonly chaos: Option.Option<string>
}

/** Names known from the defaults keep their price, latency and reliability; others are free of charge, fast and reliable. */
const accountsOf = (names: string): ReadonlyArray<Sandbox.AccountOptions> =>
  names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map((name) => Sandbox.defaultAccounts.find((account) => account.name === name) ?? { name })

/** The accounts that are named, or the usual ones; `undefined`: nothing is said of any. */
const accountsFor = ({ accounts, authorizationValidity }: Pick<Input, "accounts" | "authorizationValidity">) => {
  const named = Option.getOrUndefined(Option.map(accounts, accountsOf))
  if (Option.isNone(authorizationValidity)) return named
  const authorizationValidityMillis = Duration.toMillis(authorizationValidity.value)
  return (named ?? Sandbox.defaultAccounts).map((account) => ({ ...account, authorizationValidityMillis }))
}

/** The largest file of a plan: one with a script of 10,000 entries fits. */
const maxPlanBytes = 4_194_304

const decodePlan = Schema.decodeUnknownEffect(ChaosPlan, { errors: "all", onExcessProperty: "error" })

/** The plan of faults in a file. */
const planIn = Effect.fnUntraced(function* (path: string) {
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (error) => cannotRun(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"}); name a file with --chaos`)
  })
  if (text.length > maxPlanBytes) return yield* cannotRun(`${path}: a plan may have at most ${maxPlanBytes} bytes`)
  const input = yield* Effect.try({ try: (): unknown => JSON.parse(text), catch: () => cannotRun(`${path} is not valid JSON`) })
  return yield* Effect.mapError(decodePlan(input), ({ issue }) =>
    cannotRun(`${path}: ${problemsOf(issue, input).slice(0, 3).map(describe).join("; ")}`)
  )
})

/** Serves until it is interrupted. */
export const run = Effect.fnUntraced(function* (input: Input) {
  const plan = Option.isNone(input.chaos) ? undefined : yield* planIn(input.chaos.value)
  const accounts = accountsFor(input)
  const context = yield* Effect.context<Effect.Services<ReturnType<typeof announce>>>()
  return yield* Sandbox.serve({
    port: input.port,
    host: input.host,
    control: input.control,
    ...(Option.isSome(input.directory) ? { directory: input.directory.value } : {}),
    ...(accounts === undefined ? {} : { accounts }),
    ...(Option.isSome(input.seed) ? { seed: input.seed.value } : {}),
    ...(plan === undefined ? {} : { chaos: plan }),
    onListening: (sandbox) => Effect.provideContext(announce(sandbox, Option.getOrUndefined(input.directory), plan), context)
  }).pipe(
    Effect.mapError((error) => {
      if (error._tag !== "ServeError") return cannotRun(error.message)
      return cannotRun(bindProblem(error.cause, { port: input.port, host: input.host, choose: "--port" }))
    })
  )
})

const announce = Effect.fnUntraced(function* (
  sandbox: Sandbox.Sandbox["Service"],
  directory: string | undefined,
  plan: ChaosPlan | undefined
) {
  yield* endsByInterruption
  yield* print({
    json: {
      url: sandbox.url,
      accounts: sandbox.accounts,
      ...(directory === undefined ? {} : { directory }),
      ...(plan === undefined ? {} : { chaos: { seed: plan.seed } })
    },
    text: [
      `sandbox listening on ${sandbox.url}, accounts ${sandbox.accounts.join(", ")}`,
      directory === undefined ? "state: in memory only (--directory keeps it)" : `state: ${directory}`,
      ...(plan === undefined ? [] : [`faults: injected from now on by a plan with seed ${plan.seed}`]),
      `ledger: curl -H 'Authorization: Bearer sk_sandbox_${sandbox.accounts[0] ?? ""}' ${sandbox.url}/${sandbox.accounts[0] ?? ""}/ledger`
    ]
  })
})
