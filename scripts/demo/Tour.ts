/**
 * Runs sections one after the other, and says what came of them.
 *
 * Everything a section starts ends with it; what sections share is started by the first that asks and ends with the demo. A section that
 * fails, dies or takes too long has a failed check: the others are shown all the same.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { chmod, mkdtemp, readdir, realpath, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Check } from "./outage/Checks.ts"
import type { Section } from "./Section.ts"
import * as Ground from "./Ground.ts"

/** The longest a section may take, on a machine that is busy with other things as well. */
const sectionLimitMillis = 120_000

export interface DemoOptions {
  readonly sections: ReadonlyArray<Section>
  /** Names of sections that take away what they show the effect of. */
  readonly sabotaged: ReadonlySet<string>
  readonly say: (line: string) => void
}

/** What came of a section. */
export interface SectionResult {
  readonly name: string
  readonly title: string
  readonly seconds: number
  readonly passed: boolean
  readonly checks: ReadonlyArray<Check>
}

export interface DemoResult {
  readonly passed: boolean
  readonly seconds: number
  readonly sections: ReadonlyArray<SectionResult>
}

/** Runs them. */
export const run = (options: DemoOptions): Effect.Effect<DemoResult> =>
  Effect.gen(function* () {
    const { say, sections } = options
    const startedAt = yield* Clock.currentTimeMillis
    const scope = yield* Scope.Scope
    const ground = yield* Effect.cached(
      Effect.flatMap(temporaryDirectory, (directory) =>
        Effect.andThen(
          Effect.sync(() => say("(starting Postgres and three payment providers, each a process)")),
          Ground.start(directory)
        )
      ).pipe(Scope.provide(scope))
    )
    const results: Array<SectionResult> = []
    for (const [index, section] of sections.entries()) {
      say("")
      say(`== ${index + 1} of ${sections.length}: ${section.title} [${section.name}]`)
      for (const line of section.shows) say(`   ${line}`)
      say("")
      results.push(yield* runSection(section, options, ground))
    }
    const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1_000
    return { passed: results.every(({ passed }) => passed), seconds, sections: results }
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))

const runSection = Effect.fnUntraced(function* (
  section: Section,
  { sabotaged, say }: DemoOptions,
  ground: Effect.Effect<Ground.Ground, unknown>
) {
  const { name, sabotage, title } = section
  const startedAt = yield* Clock.currentTimeMillis
  const isSabotaged = sabotaged.has(name)
  if (isSabotaged) say(`   SABOTAGED: ${sabotage}`)
  const exit = yield* section
    .run({ say: (line) => say(`   ${line}`), ground, sabotaged: isSabotaged })
    .pipe(Effect.scoped, Effect.timeout(sectionLimitMillis), Effect.exit)
  if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
  const checks = Exit.isSuccess(exit) ? exit.value : [brokenOff(exit.cause)]
  const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1_000
  say("")
  for (const { detail, holds, name: check } of checks) say(`   ${holds ? "ok    " : "FAILED"}  ${check}: ${detail}`)
  return { name, title, seconds, passed: checks.length > 0 && checks.every(({ holds }) => holds), checks } satisfies SectionResult
})

const brokenOff = (cause: Cause.Cause<unknown>): Check => {
  const error = Cause.squash(cause)
  const detail = error instanceof Error ? error.message || error.name : String(error)
  return { name: "the section ran to its end", holds: false, detail }
}

/** The last lines. */
export const summary = ({ passed, seconds, sections }: DemoResult): ReadonlyArray<string> => {
  const failed = sections.filter((section) => !section.passed).map(({ name }) => name)
  const checks = sections.reduce((sum, section) => sum + section.checks.length, 0)
  return [
    "",
    ...sections.map(
      (section) =>
        `${section.passed ? "ok    " : "FAILED"}  ${section.name.padEnd(12)} ${section.seconds.toFixed(1).padStart(5)} s  ${section.title}`
    ),
    "",
    passed
      ? `passed: ${sections.length} sections, ${checks} checks, ${seconds.toFixed(1)} s`
      : `FAILED: ${failed.join(", ")} (${failed.length} of ${sections.length} sections), ${seconds.toFixed(1)} s`
  ]
}

const prefix = "aegispay-demo-"

/** Root's Postgres runs as another account, which must be able to enter. What runs left that were killed is removed: the name has the id of their process. */
const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(async () => {
    for (const name of await readdir(tmpdir())) {
      const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
      if (pid !== undefined && !isAlive(Number(pid))) await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {})
    }
    const directory = await realpath(await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`)))
    await chmod(directory, 0o711)
    return directory
  }),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }))
)

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
