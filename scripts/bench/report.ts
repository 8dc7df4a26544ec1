/**
 * `npm run bench:report -- [result.json]... [--docs <directory>]`: writes the results into docs/performance.md, with pictures.
 *
 *     npm run bench -- peers latency pgbench --json results.json && npm run bench:report -- results.json
 *
 * The results of each workload replace its earlier ones; all are kept in docs/plots/performance.json. Without a file everything is written
 * anew from there.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Markdown from "./report/Markdown.ts"
import * as Plots from "./report/Plots.ts"
import { type Measured, merge, type Results } from "./report/Results.ts"

const usage = `Usage: npm run bench:report -- [result.json]... [--docs <directory>]

  result.json          what npm run bench -- --json wrote; of workloads that several have the last counts
  --docs <directory>   where performance.md and plots/ are (default docs)
`

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      args: process.argv.slice(2),
      allowPositionals: true,
      options: {
        docs: { type: "string", default: fileURLToPath(new URL("../../docs", import.meta.url)) },
        help: { type: "boolean", default: false }
      }
    })
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  }
}

const read = <A>(file: string): A => {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as A
  } catch (error) {
    return fail(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const { positionals, values } = parse()
if (values.help) {
  process.stdout.write(usage)
  process.exit(0)
}
const document = join(values.docs, "performance.md")
const plots = join(values.docs, "plots")
const kept = join(plots, "performance.json")

const measured = merge(
  existsSync(kept) ? read<ReadonlyArray<Measured>>(kept) : [],
  positionals.map((file) => read<Results>(file))
)
if (measured.length === 0) fail(`There are no results.\n\n${usage}`)
const drawn = await Plots.draw(measured)
const pictures = Object.entries(drawn).map(([workload, { svg, title }]) => ({ file: `performance-${workload}.svg`, svg, title }))
const text = Markdown.insert(
  existsSync(document) ? readFileSync(document, "utf8") : fail(`${document} is not there.`),
  Markdown.results(measured, Object.fromEntries(pictures.map(({ file, title }) => [title, `plots/${file}`])))
)
if (text === undefined) fail(`${document} has not the lines ${Markdown.markers.begin} and ${Markdown.markers.end}.`)
mkdirSync(plots, { recursive: true })
for (const { file, svg } of pictures) writeFileSync(join(plots, file), `${svg}\n`)
writeFileSync(kept, `${JSON.stringify(measured, undefined, 2)}\n`)
writeFileSync(document, text ?? "")
process.stdout.write(`${document}: ${measured.map(({ report }) => report.workload).join(", ")}\n`)
