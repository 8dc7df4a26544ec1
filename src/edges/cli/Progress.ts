/**
 * Progress of long work: one line on a terminal's stderr that is written over; nothing where stderr is no terminal.
 */
import * as Effect from "effect/Effect"

/** A line that `show` writes over; `end` removes it. */
export interface Progress {
  readonly show: (text: string) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
}

const clear = "\r\u001b[2K"

/** A progress line of this process. */
export const make = (): Progress => {
  const write = (text: string) => Effect.sync(() => void process.stderr.write(text))
  return process.stderr.isTTY
    ? { show: (text) => write(`${clear}${text}`), end: write(clear) }
    : { show: () => Effect.void, end: Effect.void }
}
