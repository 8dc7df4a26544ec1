/**
 * What commands print. Results go to stdout, as text or with `--json` as JSON; everything else goes to stderr.
 */
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { Json } from "./GlobalFlags.ts"

/** Prints a result: `json` with `--json`, one line of JSON; the lines of `text` otherwise. */
export const print = Effect.fnUntraced(function* (result: { readonly json: unknown; readonly text: ReadonlyArray<string> }) {
  const json = yield* Json
  yield* Console.log(json ? toJson(result.json) : result.text.join("\n"))
})

/** One line of JSON; bigints as numbers where they are safe integers, as text otherwise. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_, field: unknown) =>
    typeof field === "bigint" ? (Number.isSafeInteger(Number(field)) ? Number(field) : String(field)) : field
  )

/** Aligns the columns of a table by blanks. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths: Array<number> = []
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd()
  )
}

/** Minor units with the currency. */
export const amount = (minor: number, currency: string): string => `${minor} ${currency}`

/** Epoch milliseconds as ISO 8601. */
export const time = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))
