/**
 * Pages of the documentation, for tests that what they print is what there is.
 */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** A file by its path from the root. */
export const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")

/** The blocks of code of a page in one language. */
export const blocksOf = (page: string, language: string): ReadonlyArray<string> =>
  [...page.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].flatMap(([, name, text]) => (name === language ? [text ?? ""] : []))

/** A program of docs/examples as users of the package write it: by the package's name, not by the paths of this repository. */
export const programOf = (name: string): string =>
  read(`docs/examples/${name}.ts`)
    .replaceAll(/"(?:\.\.\/)+src\/index\.ts"/g, '"aegispay"')
    .replaceAll(/"(?:\.\.\/)+src\/public\/sandbox\.ts"/g, '"aegispay/gateways/sandbox"')
    .replaceAll(/"(?:\.\.\/)+src\/public\/(\w+)\.ts"/g, '"aegispay/$1"')

/** A value as tables print it. */
export const shown = (value: unknown): string => (typeof value === "number" ? value.toLocaleString("en") : `\`${String(value)}\``)

/** The rows of a page's tables, by their cells; without heads and what is below them. */
export const rowsOf = (page: string): ReadonlyArray<ReadonlyArray<string>> =>
  [...page.matchAll(/^\|.*\|\n\|[-:| ]+\|\n((?:\|.*\|\n?)*)/gm)].flatMap(([, body = ""]) =>
    body
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) =>
        line
          .split(/(?<!\\)\|/)
          .slice(1, -1)
          .map((cell) => cell.trim())
      )
  )

/** The rows that begin with this cell. */
export const rowsNamed = (page: string, name: string): ReadonlyArray<ReadonlyArray<string>> =>
  rowsOf(page)
    .filter(([first]) => first === name)
    .map(([, ...cells]) => cells)
