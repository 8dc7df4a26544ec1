/**
 * The log, handed to the host: a line is data, for whatever logger the host has.
 */
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"

/** One line. Never holds a secret, a token or a body. */
export interface LogLine {
  readonly level: string
  readonly message: string
  readonly at: Date
  /** Payment, gateway, correlation id: whatever is known. */
  readonly annotations: Readonly<Record<string, unknown>>
  /** What went wrong, with its stack. */
  readonly cause?: string
}

/** All lines go to this function, none to the console. What it throws is dropped: a log must not stop a payment. */
export const layer = (log: ((line: LogLine) => void) | undefined): Layer.Layer<never> =>
  log === undefined
    ? Layer.empty
    : Logger.layer([
        Logger.make(({ cause, date, fiber, logLevel, message }) => {
          const line = {
            level: logLevel,
            message: (Array.isArray(message) ? message : [message]).map(String).join(" "),
            at: date,
            annotations: { ...fiber.getRef(References.CurrentLogAnnotations) },
            ...(cause.reasons.length === 0 ? {} : { cause: Cause.pretty(cause) })
          }
          try {
            log(line)
          } catch {
            return
          }
        })
      ])
