/**
 * Runs the command line: arguments in, one exit code out.
 *
 * Results go to stdout; logs and errors go to stderr, an error as one line without a stack. SIGINT and SIGTERM interrupt the
 * command, which then finishes what it has in hand; a second signal ends the process at once (recovery finds what was cut off).
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { aegispay } from "./Commands.ts"
import { cannotRun, codeOfInterruption, ofCause, oneLine } from "./Failure.ts"
import { version } from "./Version.ts"

/** As after SIGINT: what was cut off is found by recovery. */
const secondSignalCode = 130

/** Help that was asked for goes to stdout; a mistake gets one line, not the whole help. */
const presenter = CliOutput.layerPresenter({
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event))
})

const services = Layer.mergeAll(
  NodeServices.layer,
  presenter,
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] }),
  Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]),
  // Nobody collects spans here, so none are made, and gateways are sent no trace headers that lead nowhere.
  Layer.succeed(References.TracerEnabled, false)
)

/** What is wrong with the arguments, in one line. */
const usage = (error: CliError.ShowHelp) => {
  const help = `see ${[...error.commandPath, "--help"].join(" ")}`
  const problems = error.errors.map((problem) => oneLine(shortened(problem.message)).replace(/\.$/, ""))
  return cannotRun(problems.length === 0 ? `a command is needed; ${help}` : `${problems.join("; ")}; ${help}`)
}

/** A long value in quotes is cut, so that what was expected is still there to read. */
const shortened = (message: string): string => message.replaceAll(/"([^"]{60})[^"]+"/g, '"$1..."')

const program = Command.run(aegispay, { version }).pipe(
  Effect.catchTag("ShowHelp", (error) => Effect.fail(usage(error))),
  Effect.tapCause((cause) => Effect.logDebug(cause)),
  Effect.provide(services)
)

/** Runs the process' arguments and sets its exit code. */
export const main = (): void => {
  const fiber = Effect.runFork(program)
  let stopping = false
  const stop = () => {
    if (stopping) process.exit(secondSignalCode)
    stopping = true
    process.stderr.write("aegispay: stopping when what is in hand is done; a second signal stops at once\n")
    fiber.interruptUnsafe()
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop)
  // Nothing may hold the process once the command has ended and closed what it had open.
  fiber.addObserver((exit) => process.exit(finish(exit)))
}

const finish = (exit: Exit.Exit<void, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  const failure = ofCause(exit.cause)
  if (failure === undefined) return codeOfInterruption()
  process.stderr.write(`aegispay: ${failure.message}\n`)
  return failure.exitCode
}
