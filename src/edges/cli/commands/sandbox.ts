/**
 * `aegispay sandbox`: the sandbox PSP as a process of its own.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Sandbox from "../../../sandbox/Sandbox.ts"
import { cannotRun, endsByInterruption } from "../Failure.ts"
import { bindProblem } from "../ListenProblem.ts"
import { print } from "../Output.ts"

export interface Input {
  readonly port: number
  readonly host: string
  readonly directory: Option.Option<string>
  readonly accounts: Option.Option<string>
  readonly control: boolean
  readonly seed: Option.Option<string>
}

/** Names known from the defaults keep their price, latency and reliability; others are free of charge, fast and reliable. */
const accountsOf = (names: string): ReadonlyArray<Sandbox.AccountOptions> =>
  names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map((name) => Sandbox.defaultAccounts.find((account) => account.name === name) ?? { name })

/** Serves until it is interrupted. */
export const run = Effect.fnUntraced(function* (input: Input) {
  const context = yield* Effect.context<Effect.Services<ReturnType<typeof announce>>>()
  return yield* Sandbox.serve({
    port: input.port,
    host: input.host,
    control: input.control,
    ...(Option.isSome(input.directory) ? { directory: input.directory.value } : {}),
    ...(Option.isSome(input.accounts) ? { accounts: accountsOf(input.accounts.value) } : {}),
    ...(Option.isSome(input.seed) ? { seed: input.seed.value } : {}),
    onListening: (sandbox) => Effect.provideContext(announce(sandbox, Option.getOrUndefined(input.directory)), context)
  }).pipe(
    Effect.mapError((error) => {
      if (error._tag !== "ServeError") return cannotRun(error.message)
      return cannotRun(bindProblem(error.cause, { port: input.port, host: input.host, choose: "--port" }))
    })
  )
})

const announce = Effect.fnUntraced(function* (sandbox: Sandbox.Sandbox["Service"], directory: string | undefined) {
  yield* endsByInterruption
  yield* print({
    json: { url: sandbox.url, accounts: sandbox.accounts, ...(directory === undefined ? {} : { directory }) },
    text: [
      `sandbox listening on ${sandbox.url}, accounts ${sandbox.accounts.join(", ")}`,
      directory === undefined ? "state: in memory only (--directory keeps it)" : `state: ${directory}`,
      `ledger: curl -H 'Authorization: Bearer sk_sandbox_${sandbox.accounts[0] ?? ""}' ${sandbox.url}/${sandbox.accounts[0] ?? ""}/ledger`
    ]
  })
})
