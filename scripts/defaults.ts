/**
 * Writes docs/DEFAULTS.md from src/domain/Presets.ts: every default with its unit and its source. A test tells when it is out of date.
 */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Presets from "../src/domain/Presets.ts"

type Presettable = Presets.Preset<unknown>

const isPreset = (value: unknown): value is Presettable =>
  typeof value === "object" && value !== null && "value" in value && "unit" in value && "source" in value

/** Presets of a section, those of its parts with their path. */
const rowsOf = (section: object, path = ""): ReadonlyArray<readonly [name: string, preset: Presettable]> =>
  Object.entries(section).flatMap(([name, value]: [string, unknown]) => {
    if (isPreset(value)) return [[`${path}${name}`, value] as const]
    return typeof value === "object" && value !== null ? rowsOf(value, `${path}${name}.`) : []
  })

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

const shown = (value: unknown): string =>
  value === undefined ? "none" : JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? String(part) : part))

/** The page. */
export const render = (): string => {
  const byName = Object.entries(Presets).toSorted(([one], [other]) => (one < other ? -1 : 1))
  const sections = byName.flatMap(([name, section]: [string, unknown]) => {
    const rows = typeof section === "object" && section !== null ? rowsOf(section) : []
    if (rows.length === 0) return []
    const lines = rows.map(
      ([key, { source, unit, value }]) => `| \`${key}\` | \`${cell(shown(value))}\` | ${cell(unit)} | ${cell(source)} |`
    )
    return [`## ${name}\n\n| default | value | unit | source |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`]
  })
  return `# Defaults

Every default of the project, with its unit and where the number comes from. Written from [Presets.ts](../src/domain/Presets.ts) by
\`npm run defaults\`; do not edit. How each is set in a configuration: [cli.md](cli.md), [resilience.md](resilience.md), [routing.md](routing.md),
[rate-limits.md](rate-limits.md).

${sections.join("\n")}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL("../docs/DEFAULTS.md", import.meta.url), render())
}
