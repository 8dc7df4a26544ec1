/**
 * How a command ends when it does not end well: one line for people and an exit code for programs.
 *
 * Exit codes: 0 done; 1 it ran, but what was asked did not succeed (a payment declined or in doubt, something left for review); 2 it
 * could not run (flags, configuration, database, port).
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A command's end: the exit code, and what went wrong, where, and what to do. */
export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  exitCode: Schema.Literals([1, 2]),
  text: Schema.String
}) {
  override get message(): string {
    return oneLine(this.text)
  }
}

/** Conventional exit code of a program ended by SIGINT. */
const interruptedCode = 130
const interruption: { exitCode: number } = { exitCode: interruptedCode }

/** From here on being stopped is the normal end of the command: exit code 0. For servers that are up. */
export const endsByInterruption: Effect.Effect<void> = Effect.sync(() => {
  interruption.exitCode = 0
})

/** The exit code of a command that was interrupted. */
export const codeOfInterruption = (): number => interruption.exitCode

/** It could not run: exit code 2. */
export const cannotRun = (text: string): Failure => new Failure({ exitCode: 2, text })

/** It ran and did not succeed: exit code 1. */
export const notDone = (text: string): Failure => new Failure({ exitCode: 1, text })

/** Errors of others become `Failure`s: their message, which says what to do where the module that made it knows. */
export const orCannotRun = <A, E extends { readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>,
  context?: string
): Effect.Effect<A, Failure, R> =>
  Effect.mapError(effect, (error) =>
    error instanceof Failure ? error : cannotRun(context === undefined ? error.message : `${context}: ${error.message}`)
  )

/** Longest line on stderr. */
const maxLength = 2_000

/** One line, whatever the text was. */
export const oneLine = (text: string): string => {
  const line = text
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll(/[\u0000-\u001f\u007f]/g, " ")
  return line.length > maxLength ? `${line.slice(0, maxLength)}...` : line
}

/** What a whole run ended with, as exit code and line. `undefined`: it was interrupted. */
export const ofCause = (cause: Cause.Cause<unknown>): Failure | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = Cause.squash(cause)
  if (error instanceof Failure) return error
  const message = error instanceof Error && error.message !== "" ? error.message : String(error)
  return cannotRun(`internal error: ${message} (for the stack: --log-level debug)`)
}
