/**
 * The log of one test: its lines with their annotations.
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"

export interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Lines that are kept instead of printed, and how an effect is given the logger that keeps them. */
export const collecting = () => {
  const lines: Array<Line> = []
  const logger = Logger.map(Logger.formatStructured, ({ annotations, level, message }) => {
    const [text] = Array.isArray(message) ? message : [message]
    lines.push({ level, message: String(text), annotations })
  })
  return { lines, kept: Effect.provide(Logger.layer([logger])) }
}
