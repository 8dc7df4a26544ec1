/**
 * The import rules of the folders of `src` are enforced: forbidden imports are refused, allowed ones pass.
 *
 * The test copies the project's own settings (every tsconfig.json, the lint rules) into an empty project, puts one small file per rule
 * into it, runs the compiler and the linter once each, and looks up who complained about which file. The allowed imports keep it from
 * passing because nothing works at all.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const modules = join(root, "node_modules")

type Tool = "tsc" | "oxlint"

interface Probe {
  /** What the file tries, as the test's name. */
  readonly tries: string
  readonly file: string
  readonly code: string
  /** The file that it imports. Each probe has its own: the compiler complains once about a file that does not belong. */
  readonly target?: string
  readonly refusedBy: ReadonlyArray<Tool>
}

/** A file in `folder` that imports a file of `target`, as the editor would write the path. */
const imports = (folder: string, target: string, refusedBy: ReadonlyArray<Tool>, statement = "import { base }"): Probe => {
  const kind = statement === "import { base }" ? "" : "a type of "
  const name = `${folder}_${kind}${target}`.replaceAll(/\W/g, "_")
  const path = relative(`src/${folder}`, `src/${target}/Of_${name}.ts`)
  return {
    tries: `src/${folder} imports ${kind}src/${target}`,
    file: `src/${folder}/Imports_${name}.ts`,
    code: `${statement} from "${path.startsWith(".") ? path : `./${path}`}"\nexport type Value = typeof base\n`,
    target: `src/${target}/Of_${name}.ts`,
    refusedBy
  }
}

/** A file in `folder` with `code` in it. */
const contains = (folder: string, name: string, code: string, refusedBy: ReadonlyArray<Tool>): Probe => ({
  tries: `src/${folder} ${name}`,
  file: `src/${folder}/Contains_${name.replaceAll(/\W/g, "_")}.ts`,
  code: `${code}\n`,
  refusedBy
})

const usesEffect = (folder: string, module: string, refusedBy: ReadonlyArray<Tool>): Probe =>
  contains(folder, `imports ${module}`, `import * as Module from "${module}"\nexport const value: unknown = Module`, refusedBy)

const both = ["tsc", "oxlint"] as const

const forbidden: ReadonlyArray<Probe> = [
  imports("domain", "services", both),
  imports("domain", "services", both, "import type { base }"),
  imports("services", "orchestration", both),
  imports("services", "layers/memory", both),
  imports("orchestration", "layers/postgres", both),
  imports("orchestration", "gateways", both),
  imports("layers/memory", "layers/postgres", both),
  imports("layers/postgres", "layers/memory", both),
  imports("layers/postgres", "orchestration", both),
  imports("layers/redis", "layers/postgres", both),
  imports("layers", "layers/postgres", ["tsc"]),
  imports("gateways", "gateways/sandbox", ["tsc"]),
  imports("gateways/sandbox", "sandbox", ["tsc"]),
  imports("gateways/sandbox", "layers/memory", both),
  imports("sandbox", "orchestration", both),
  imports("sandbox", "gateways/sandbox", both),
  imports("domain", "edges", both),
  imports("services", "edges/http", both),
  imports("orchestration", "edges/http", both),
  imports("layers/memory", "edges/cli", both),
  imports("gateways/sandbox", "edges", both),
  imports("sandbox", "edges/cli", both),
  imports("edges/http", "edges/cli", ["tsc"]),
  imports("edges/cli", "public", both),
  ...["effect", "effect/Effect", "effect/Layer", "effect/Clock", "effect/Random", "effect/Context", "effect/sql/SqlClient"].map((module) =>
    usesEffect("domain", module, ["oxlint"])
  ),
  usesEffect("domain", "node:fs", both),
  usesEffect("services", "node:fs", ["oxlint"]),
  usesEffect("orchestration", "effect/sql/SqlClient", ["oxlint"]),
  usesEffect("orchestration", "@effect/sql-pg/PgClient", ["oxlint"]),
  usesEffect("edges/cli", "effect", ["oxlint"]),
  contains("domain", "calls setTimeout", "setTimeout(() => undefined, 1)\nexport {}", ["tsc"]),
  contains("domain", "calls fetch", `export const value: unknown = fetch("http://127.0.0.1")`, ["tsc"]),
  contains("domain", "reads process", "export const value = process.pid", ["tsc"]),
  contains("domain", "makes a Date", "export const value = new Date(0)", ["oxlint"]),
  contains("domain", "calls Math.random", "export const value = Math.random()", ["oxlint"]),
  contains("orchestration", "calls setTimeout", "setTimeout(() => undefined, 1)\nexport {}", ["oxlint"]),
  contains("orchestration", "makes a Date", "export const value = new Date(0)", ["oxlint"]),
  contains("layers/postgres", "calls Date.now", "export const value = Date.now()", ["oxlint"]),
  contains("sandbox", "calls Math.random", "export const value = Math.random()", ["oxlint"]),
  contains("services", "is one half of a circle", 'export { b } from "./Contains_is_the_other_half.ts"\nexport const a = 1', ["oxlint"]),
  contains("services", "is the other half", 'export { a } from "./Contains_is_one_half_of_a_circle.ts"\nexport const b = 1', ["oxlint"])
]

const allowed: ReadonlyArray<Probe> = [
  imports("services", "domain", []),
  imports("orchestration", "domain", []),
  imports("orchestration", "services", []),
  imports("layers/memory", "services", []),
  imports("layers/postgres", "domain", []),
  imports("layers/redis", "services", []),
  imports("layers/redis", "layers", []),
  imports("gateways/sandbox", "gateways", []),
  imports("gateways/sandbox", "services", []),
  imports("sandbox", "domain", []),
  imports("edges", "orchestration", []),
  imports("edges/http", "layers/postgres", []),
  imports("edges/cli", "edges/http", []),
  imports("edges/cli", "gateways/sandbox", []),
  imports("public", "edges/http", []),
  ...["effect/Schema", "effect/Result", "effect/Option", "effect/Duration"].map((module) => usesEffect("domain", module, [])),
  usesEffect("services", "effect/Effect", []),
  usesEffect("layers/postgres", "effect/sql/SqlClient", []),
  usesEffect("layers/postgres", "node:fs", []),
  usesEffect("edges/http", "@effect/platform-node/NodeServices", [])
]

/** A project with the settings of this one and no sources but the probes. */
const makeProject = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "aegispay-boundaries-"))
  const projects = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter(
    (file) => basename(file) === "tsconfig.json"
  )
  const settings = ["package.json", "tsconfig.base.json", "oxlint.config.ts", ...projects.map((file) => join("src", file))]
  for (const file of settings) cpSync(join(root, file), join(folder, file))
  symlinkSync(modules, join(folder, "node_modules"))
  for (const probe of [...forbidden, ...allowed]) {
    write(folder, probe.file, probe.code)
    if (probe.target !== undefined) write(folder, probe.target, "export const base = 1\n")
  }
  return folder
}

const write = (folder: string, file: string, text: string) => {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}

const run = (folder: string, program: string, ...args: ReadonlyArray<string>): string => {
  const done = spawnSync(process.execPath, [join(modules, program), ...args], { cwd: folder, encoding: "utf8", timeout: 60_000 })
  if (done.error !== undefined) throw done.error
  return done.stdout + done.stderr
}

/** What a tool says of a boundary: not in the project (6307), no such name or module in this project; a restricted or circular import. */
const boundary: Record<Tool, RegExp> = {
  tsc: /error TS(6307|2304|2307|2580|2584|2591):/,
  oxlint: /no-restricted-(imports|globals|properties)|no-cycle/
}

/** The tool's lines by file; both print `path(line` or `path:line` at the start of a line. */
const byFile = (output: string): ReadonlyMap<string, ReadonlyArray<string>> =>
  Map.groupBy(output.split("\n"), (line) => /^src\/[\w/]+\.ts(?=[(:])/.exec(line)?.[0] ?? "")

describe("boundaries", () => {
  const complaints: Record<Tool, ReadonlyMap<string, ReadonlyArray<string>>> = { tsc: new Map(), oxlint: new Map() }

  beforeAll(() => {
    const folder = makeProject()
    try {
      complaints.tsc = byFile(run(folder, "typescript/bin/tsc", "-b", "--pretty", "false", "src", "src/edges/cli"))
      complaints.oxlint = byFile(run(folder, "oxlint/bin/oxlint", "-f", "unix", "src"))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 120_000)

  for (const probe of forbidden) {
    it(`${probe.tries}: is refused by ${probe.refusedBy.join(" and ")}`, () => {
      for (const tool of probe.refusedBy) {
        const lines = complaints[tool].get(probe.file) ?? []
        assert.isTrue(
          lines.some((line) => boundary[tool].test(line)),
          `${tool} says: ${lines.join("\n") || "nothing"}`
        )
      }
    })
  }

  for (const probe of allowed) {
    it(`${probe.tries}: passes`, () => {
      for (const tool of both) assert.deepStrictEqual(complaints[tool].get(probe.file) ?? [], [])
    })
  }
})
