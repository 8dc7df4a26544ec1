/**
 * `npm run demo`: what AegisPay does, live, in less than a minute; each section ends with checks.
 *
 *     npm run demo -- --only crash,rates
 *
 * Exit code 0 where everything that has to hold does, 1 where something does not, 2 where it could not run.
 *
 * `--sabotage NAME` takes away what a section shows the effect of, the idempotency key of "idempotency", the breaker of "outage": its checks
 * have to fail then. `all` is every section.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { sections } from "./Sections.ts"
import * as Tour from "./Tour.ts"

const usage = `Usage: npm run demo -- [options]

  --only <name,...>   these sections alone; --list names them
  --list              the sections
  --json              the result as JSON on stdout; what is shown goes to stderr
  --sabotage <name,...>   takes away what the section shows the effect of, so that its checks fail; all: of every section
`

const refuse = (message: string): never => {
  process.stderr.write(`${message}\n\n${usage}`)
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      options: {
        only: { type: "string" },
        list: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        sabotage: { type: "string", default: "" },
        help: { type: "boolean", default: false }
      }
    }).values
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

const names = sections.map(({ name }) => name)

const namesIn = (text: string, all: boolean): ReadonlyArray<string> => {
  if (all && text === "all") return names
  const given = text.split(",").filter((name) => name !== "")
  const unknown = given.find((name) => !names.includes(name))
  return unknown === undefined ? given : refuse(`there is no section ${unknown}; there are ${names.join(", ")}`)
}

const given = parse()
if (given.help) {
  process.stdout.write(usage)
  process.exit(0)
}
if (given.list) {
  const listed = sections.map(({ name, title }) => ({ name, title }))
  process.stdout.write(
    given.json ? `${JSON.stringify(listed, null, 2)}\n` : `${listed.map(({ name, title }) => `${name.padEnd(12)} ${title}`).join("\n")}\n`
  )
  process.exit(0)
}
const only = given.only === undefined ? names : namesIn(given.only, false)
if (only.length === 0) refuse("--only: the name of a section is needed")

const say = (line: string): void => void (given.json ? process.stderr : process.stdout).write(`${line}\n`)

const program = Effect.gen(function* () {
  const chosen = sections.filter(({ name }) => only.includes(name))
  const result = yield* Tour.run({ sections: chosen, sabotaged: new Set(namesIn(given.sabotage, true)), say })
  for (const line of Tour.summary(result)) say(line)
  if (given.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
  process.exitCode = result.passed ? 0 : 1
})

// A terminal that is closed: what was started ends as with any other stop.
process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
NodeRuntime.runMain(program)
