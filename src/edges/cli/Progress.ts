/**
 * Progress of long work: one line on a terminal's stderr that is written over; nothing where stderr is no terminal, or with `--json`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Json } from "./GlobalFlags.ts"

/** A line that `show` writes over, ten times a second at the most; `end` removes it. */
export interface Progress {
  readonly show: (text: string) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
}

/** What a line is written to: `process.stderr`. */
export interface Terminal {
  readonly isTTY?: boolean
  /** Characters of a line; 80 where the terminal does not tell. */
  readonly columns?: number
  readonly write: (text: string) => unknown
}

const clear = "\r\u001b[2K"
const defaultColumns = 80
const betweenMillis = 100
const barMarks = 20

/** A progress line of this process. */
export const make = Effect.map(Json, (json) => on(process.stderr, { isQuiet: json }))

/**
 * A progress line on a terminal. It is cut to the terminal's width: a line that wraps could not be written over. What comes too soon
 * after a line that was shown is left out.
 */
export const on = (terminal: Terminal, options: { readonly isQuiet: boolean }): Progress => {
  if (terminal.isTTY !== true || options.isQuiet) return { show: () => Effect.void, end: Effect.void }
  let shownAt = Number.NEGATIVE_INFINITY
  const write = (text: string) => Effect.sync(() => void terminal.write(`${clear}${text}`))
  return {
    show: (text) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now - shownAt < betweenMillis) return Effect.void
        shownAt = now
        return write(text.slice(0, (terminal.columns ?? defaultColumns) - 1))
      }),
    end: write("")
  }
}

/** How much is done, as a bar and a percentage: `[##########..........]  50 %`. More than all of it is all of it. */
export const bar = (progress: { readonly done: number; readonly total: number }): string => {
  const share = progress.total > 0 ? Math.min(1, progress.done / progress.total) : 1
  const marks = Math.floor(share * barMarks)
  return `[${"#".repeat(marks)}${".".repeat(barMarks - marks)}] ${String(Math.floor(share * 100)).padStart(3)} %`
}
