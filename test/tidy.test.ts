/**
 * House rules that no compiler or linter can say: which file needs which other file, and how the sources are kept.
 *
 * Every rule is a list of offences, each with its file, that must be empty; a message therefore names what to change.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join, sep } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The stores: services whose implementations must agree, so each has one contract suite that runs against all of them. */
const stores = [
  "EventStore",
  "PaymentRepository",
  "Outbox",
  "Lock",
  "GatewayMetrics",
  "WebhookInbox",
  "Projection",
  "VersionedStores",
  "CardAttempts",
  "BreakerStore",
  "RateLimitStore",
  "RateCache"
]

const maxLines = 400
const maxFilesInFolder = 12

/** Paths from the root with `/`, sorted; everything below a folder that is there, but for installed packages. */
const filesBelow = (folder: string): Array<string> => {
  if (!existsSync(join(root, folder))) return []
  const entries = readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return files
    .filter(isOurs)
    .map((file) => file.slice(root.length).replaceAll(sep, "/"))
    .sort()
}

const isOurs = (file: string): boolean => !file.includes(`${sep}node_modules${sep}`)

const texts = new Map<string, string>()
const read = (file: string): string => {
  const text = texts.get(file) ?? readFileSync(join(root, file), "utf8")
  texts.set(file, text)
  return text
}

/** The code of a file: comments are free to name what code may not. Strings stay; a `//` inside one (a URL) is not a comment. */
const codeOf = (file: string): string => read(file).replaceAll(/\/\*[\s\S]*?\*\/|(?<![:"'`\w])\/\/.*$/gm, "")

const isTypeScript = (file: string) => file.endsWith(".ts")
const sources = filesBelow("src").filter(isTypeScript)
const tests = filesBelow("test").filter(isTypeScript)
const scripts = filesBelow("scripts").filter((file) => /\.(ts|mjs)$/.test(file))
const isTest = (file: string) => file.endsWith(".test.ts")

/** `file: line` for every line of the files' code that matches. */
const linesOf = (files: ReadonlyArray<string>, pattern: RegExp, textOf: (file: string) => string = codeOf): Array<string> =>
  files.flatMap((file) =>
    textOf(file)
      .split("\n")
      .filter((line) => pattern.test(line))
      .map((line) => `${file}: ${line.trim()}`)
  )

const below = (...folders: ReadonlyArray<string>) => sources.filter((file) => folders.some((folder) => file.startsWith(`src/${folder}/`)))

const none = (offences: ReadonlyArray<string>) => assert.deepStrictEqual(offences, [])

describe("contracts", () => {
  for (const store of stores) {
    it(`${store} has one contract suite, and every layer that provides it runs it`, () => {
      const declared = below("services").filter((file) => new RegExp(`class ${store} extends Context\\.Service`).test(codeOf(file)))
      assert.lengthOf(declared, 1, `src/services declares ${store} once`)
      const suite = `test/contracts/${store}.ts`
      assert.isTrue(existsSync(join(root, suite)), `${suite} is there`)
      assert.match(read(suite), /export const suite\b|export function suite\b/, `${suite} exports suite(name, layer)`)
      const layers = layersProviding(store)
      assert.isNotEmpty(layers, `some layer provides ${store}`)
      none(layers.filter((layer) => !tests.some((file) => isTest(file) && runs(file, store, layer))).map((layer) => `src/layers/${layer}`))
    })
  }
})

/** The folders of `src/layers` with a file that makes the service: `Lock.of(...)` or `Layer.effect(Lock, ...)`. */
const layersProviding = (store: string): Array<string> => {
  const makes = new RegExp(`\\b${store}\\.of\\(|\\bLayer\\.\\w+\\(\\s*(?:\\w+\\.)?${store}\\b`)
  const files = below("layers").filter((file) => makes.test(codeOf(file)))
  return [...new Set(files.map((file) => file.split("/")[2] ?? ""))]
}

const runs = (test: string, store: string, layer: string): boolean =>
  read(test).includes(`contracts/${store}.ts"`) && read(test).includes(`src/layers/${layer}/`)

describe("guarantees", () => {
  const file = "docs/GUARANTEES.md"
  const rows = () => read(file).split("\n").filter(isRow)

  it("are written down", () => {
    assert.isTrue(existsSync(join(root, file)), `${file} is there`)
    assert.isNotEmpty(rows())
  })

  it("name tests that exist, every row of them", () => {
    none(rows().flatMap(problemsOfRow))
  })
})

/** A row of a table: neither the line under its head nor the head itself, which says `test` in its last column. */
const isRow = (line: string): boolean => {
  const cells = cellsOf(line)
  return cells.length > 1 && !/^[\s|:-]+$/.test(line) && !/^tests?$/i.test(cells.at(-1) ?? "")
}

const cellsOf = (line: string): Array<string> => {
  if (!line.startsWith("|")) return []
  const cells = line.split(/(?<!\\)\|/).slice(1, -1)
  return cells.map((cell) => cell.trim())
}

/** The last column holds `test/file.test.ts > name of the test`, between backticks, once or more; or a case of the gateway contract. */
const problemsOfRow = (row: string): Array<string> => {
  const names = [...(cellsOf(row).at(-1) ?? "").matchAll(/`([^`]+)`/g)].map((match) => (match[1] ?? "").replaceAll("\\|", "|"))
  if (names.length === 0) return [`names no test: ${row}`]
  return names.flatMap((name) => {
    const [path = "", ...title] = name.split(" > ")
    const isTested = path.startsWith("test/") || path.startsWith("src/gateways/contract/")
    if (!isTested || !existsSync(join(root, path))) return [`no such file: ${name}`]
    return title.length === 0 || title.some((part) => !read(path).includes(part)) ? [`no such test in the file: ${name}`] : []
  })
}

describe("layout", () => {
  it(`no file of src is longer than ${maxLines} lines`, () => {
    none(sources.filter((file) => read(file).split("\n").length - 1 > maxLines))
  })

  it(`no folder of src holds more than ${maxFilesInFolder} files itself`, () => {
    const folders = Map.groupBy(sources, (file) => dirname(file))
    none([...folders].filter(([, files]) => files.length > maxFilesInFolder).map(([folder, files]) => `${folder}: ${files.length} files`))
  })

  it("no file or folder has a name that says nothing", () => {
    const vague = /(^|\/)(utils?|common|helpers?|misc|managers?|shared|enhanced)(\/|\.\w+$)/i
    none([...sources, ...tests, ...scripts].filter((file) => vague.test(file)))
  })

  it("src/index.ts is the only barrel", () => {
    none(sources.filter((file) => basename(file) === "index.ts" && file !== "src/index.ts"))
  })

  it("modules of the folders are nouns in PascalCase, folders are lower-case", () => {
    const named = (file: string) => /^src(\/[a-z][a-z0-9-]*)+\/([A-Z]\w*|(?<=migrations\/(?:[a-z]+\/)?)\d{4}_\w+)\.ts$/.test(file)
    none(sources.filter((file) => !/^src\/(\w+\.ts$|public\/|edges\/cli\/)/.test(file) && !named(file)))
  })

  it("every source belongs to a project, and every project to the solution", () => {
    none(sources.filter((file) => !isCompiled(file)))
    const projects = filesBelow("src").filter((file) => basename(file) === "tsconfig.json")
    none(projects.filter((file) => !read("tsconfig.json").includes(`"path": "./${dirname(file)}"`)))
  })

  it("what package.json exports has a source", () => {
    const targets = read("package.json").match(/dist\/[\w./-]+(?=\.js")/g) ?? []
    assert.isNotEmpty(targets)
    none(targets.filter((target) => !existsSync(join(root, `${target.replace(/^dist/, "src")}.ts`))))
  })
})

/** The nearest tsconfig.json above a file includes it: `**` all below, `*.ts` only what is beside it. */
const isCompiled = (file: string): boolean => {
  let folder = dirname(file)
  while (folder !== "." && !existsSync(join(root, folder, "tsconfig.json"))) folder = dirname(folder)
  if (folder === ".") return false
  const project = read(`${folder}/tsconfig.json`)
  const rest = file.slice(folder.length + 1)
  return project.includes('"**/*.ts"') || !rest.includes("/") || project.includes(`"${dirname(rest)}/*.ts"`)
}

describe("code", () => {
  it("effects run only in the edges, in the simulator, in scripts and in tests", () => {
    const outside = sources.filter((file) => !file.startsWith("src/edges/") && !file.startsWith("src/simulation/"))
    none(linesOf(outside, /\bEffect\.run(Promise|Sync|Fork|Callback)|\bManagedRuntime\.make|\.runMain\(/))
  })

  it("the domain neither throws nor waits", () => {
    none(linesOf(below("domain"), /\bthrow\b|\bawait\b|\basync\b|\btry\s*\{|\bnew Promise\b/))
  })

  it("services and programs have neither try nor async", () => {
    none(linesOf(below("services", "orchestration"), /(?<!\.)\bawait\b|\basync\b|\btry\s*\{|\bnew Promise\b/))
  })

  it("every crash point has a test that names it", () => {
    const points = sources.flatMap((file) =>
      [...codeOf(file).matchAll(/CrashPoint\.(?:reach|before)\(\s*"([^"]+)"/g)].map((match) => match[1] ?? "")
    )
    const named = (point: string) =>
      tests.some((file) => isTest(file) && file.startsWith("test/crash/") && read(file).includes(`"${point}"`))
    none(points.filter((point) => !named(point)))
    const listed = [...(/export const points = \[([^\]]*)\]/.exec(codeOf("src/services/CrashPoint.ts"))?.[1] ?? "").matchAll(/"([^"]+)"/g)]
    assert.isNotEmpty(listed)
    none(listed.map((match) => match[1] ?? "").filter((point) => !points.includes(point)))
  })

  it("unit tests do not sleep", () => {
    const unit = tests.filter((file) => isTest(file) && !file.endsWith(".integration.test.ts"))
    none(
      linesOf(unit.filter(isNotThis), /\bset(Timeout|Interval)\(|timers\/promises|\bit\.live\b/).filter(
        (line) => !line.includes("contains(")
      )
    )
  })

  it("no test is left out or singled out, but for what a gateway does not have", () => {
    const lines = linesOf(tests.filter(isNotThis), /\b(it|test|describe|layer)\b[.\w]*\.(only|skip|todo)\(/)
    none(lines.filter((line) => !line.startsWith("test/contracts/Gateway.ts: ") || !line.includes("(${skipped})")))
  })

  it("tests use assert, not expect", () => {
    none(tests.filter((file) => /import\s*\{[^}]*\bexpect\b[^}]*\}\s*from\s*"(@effect\/)?vitest"/.test(codeOf(file))))
  })
})

const isNotThis = (file: string) => file !== "test/tidy.test.ts"

describe("words", () => {
  const documents = ["README.md", "CONTRIBUTING.md", "package.json", ".ci/run", ".ci/long", ".ci/lib.sh", ...filesBelow("docs")]
  const all = [...sources, ...tests.filter(isNotThis), ...scripts, ...documents.filter((file) => existsSync(join(root, file)))]

  it("nothing is left to be done in a comment", () => {
    none(linesOf(all, /\b(TODO|FIXME|HACK)\b|not implemented/, read))
  })

  it("the project speaks of itself alone", () => {
    none(
      linesOf(
        all,
        /\bissue\s*#?\d+|\bsub-?agents?\b|\b(this|previous|next|earlier) (session|brief)\b|\/tmp\/h\b|\/work\/|\bshared\/[A-Z]+\.md/i,
        read
      )
    )
  })

  it("no emoji, but as data of a test", () => {
    none(
      linesOf(
        all.filter((file) => !file.startsWith("test/")),
        /\p{Emoji_Presentation}/u,
        read
      )
    )
  })
})
