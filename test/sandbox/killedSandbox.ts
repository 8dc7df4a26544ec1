/** A sandbox as a process of its own, for the test that kills it. Prints its URL; arguments: directory. */
import * as Effect from "effect/Effect"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"

const directory = process.argv[2]
if (directory === undefined) throw new Error("a directory is needed")

void Effect.runPromise(
  Sandbox.serve({
    directory,
    port: 0,
    accounts: Sandbox.quietAccounts,
    settleDelayMillis: 1_500,
    onListening: ({ url }) => Effect.sync(() => process.stdout.write(`${url}\n`))
  })
)
