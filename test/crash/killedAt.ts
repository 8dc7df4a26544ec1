/**
 * The command line in a process that ends itself with SIGKILL at the crash point that AEGISPAY_CRASH_AT names.
 *
 * Only this program knows that variable; it is taken out of the environment before the command line reads it.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { aegispay } from "../../src/edges/cli/Commands.ts"
import * as CrashPoint from "../../src/services/CrashPoint.ts"

const at = process.env["AEGISPAY_CRASH_AT"]
delete process.env["AEGISPAY_CRASH_AT"]
if (!CrashPoint.points.some((point) => point === at)) throw new Error(`AEGISPAY_CRASH_AT=${at} is no crash point`)

const die = (point: CrashPoint.Point) => Effect.sync(() => (point === at ? void process.kill(process.pid, "SIGKILL") : undefined))

await Effect.runPromise(
  Command.run(aegispay, { version: "0.0.0" }).pipe(
    Effect.provideService(CrashPoint.CrashPoint, die),
    Effect.provide(NodeServices.layer),
    Effect.scoped
  )
)
