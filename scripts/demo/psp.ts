/**
 * A payment provider as a process of its own: the sandbox PSP with one account. Its argument is the settings as JSON; once it answers
 * requests it prints its address. With a directory it finds its ledger again after it was killed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"

const settings = JSON.parse(process.argv[2] ?? "{}") as Sandbox.ListenOptions

NodeRuntime.runMain(Sandbox.serve({ ...settings, onListening: ({ url }) => Effect.sync(() => void process.stdout.write(`${url}\n`)) }))
