/**
 * `npm run demo:outage`: an outage of one gateway, in less than 20 seconds.
 *
 *     npm run demo:outage -- --outage silent --store postgres --rate 200 --json result.json
 *
 * Prints what happens while it happens, then the figures before, during and after. Exit code 0 where everything that has to hold does, 1
 * where something does not, 2 where it could not run.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { stores } from "./Engine.ts"
import * as Outage from "./Outage.ts"
import { outages } from "./Provider.ts"
import * as Text from "./outage/Text.ts"

const usage = `Usage: npm run demo:outage -- [options]

  --outage <${outages.join(" | ")}>   how the gateway is down (default ${Outage.defaults.outage})
  --store <${stores.join(" | ")}>              where the payments are kept (default ${Outage.defaults.store})
  --rate <n>                             payments a second, 20 to 500 (default ${Outage.defaults.perSecond})
  --seconds <before,during,after>        default ${[Outage.defaults.beforeMillis, Outage.defaults.outageMillis, Outage.defaults.afterMillis].map((millis) => millis / 1_000).join(",")}; each 1 to 60
  --json <file>                          also writes the result as JSON
`

const refuse = (message: string): never => {
  process.stderr.write(`${message}\n\n${usage}`)
  process.exit(2)
}

const oneOf = <A extends string>(name: string, text: string, values: ReadonlyArray<A>): A =>
  values.find((value) => value === text) ?? refuse(`--${name}: ${text} is none of ${values.join(", ")}`)

const numberOf = (name: string, text: string, minimum: number, maximum: number): number => {
  const value = Number(text)
  return value >= minimum && value <= maximum ? value : refuse(`--${name}: ${text} is not a number from ${minimum} to ${maximum}`)
}

const parse = () => {
  try {
    return parseArgs({
      options: {
        outage: { type: "string", default: Outage.defaults.outage },
        store: { type: "string", default: Outage.defaults.store },
        rate: { type: "string", default: String(Outage.defaults.perSecond) },
        seconds: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", default: false }
      }
    }).values
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const optionsOf = (given: ReturnType<typeof parse>): Outage.OutageOptions => {
  const { afterMillis, beforeMillis, outageMillis } = Outage.defaults
  const spans = given.seconds?.split(",").map((text) => numberOf("seconds", text, 1, 60) * 1_000)
  if (spans !== undefined && spans.length !== 3) refuse("--seconds: three numbers are needed, such as 4,5,3")
  const [before = beforeMillis, during = outageMillis, after = afterMillis] = spans ?? []
  return {
    outage: oneOf("outage", given.outage, outages),
    store: oneOf("store", given.store, stores),
    perSecond: numberOf("rate", given.rate, 20, 500),
    beforeMillis: before,
    outageMillis: during,
    afterMillis: after,
    say
  }
}

/** Of so many seconds' payments: then what failed may be the machine's doing. */
const tooManyLeftOut = 0.5

const given = parse()
if (given.help) {
  process.stdout.write(usage)
  process.exit(0)
}
const options = optionsOf(given)

const program = Effect.gen(function* () {
  const result = yield* Outage.run(options)
  for (const line of Text.report(result, Outage.accounts)) say(line)
  const failed = result.checks.filter(({ holds }) => !holds).length
  say("")
  say(failed === 0 ? `passed: ${result.checks.length} checks` : `FAILED: ${failed} of ${result.checks.length} checks`)
  if (failed > 0 && result.leftOut > tooManyLeftOut * options.perSecond) {
    say(
      `This machine could not keep up with ${options.perSecond} payments a second, so calls timed out that no outage had hit: try --rate 20.`
    )
  }
  if (given.json !== undefined)
    writeFileSync(
      given.json,
      `${JSON.stringify(result, (_, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value), 2)}\n`
    )
  process.exitCode = failed === 0 ? 0 : 1
}).pipe(
  Effect.scoped,
  Effect.catchCause((cause) =>
    Effect.sync(() => {
      const error = Cause.squash(cause)
      process.stderr.write(`the demo could not run: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 2
    })
  )
)

// A terminal that is closed: what was started ends as with any other stop.
process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
NodeRuntime.runMain(program)
