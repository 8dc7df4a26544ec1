/**
 * Lint rules: general ones, and for each folder of `src` which modules it may import.
 *
 * The order of the folders is stated twice on purpose: as `references` in their tsconfig.json (a forbidden import does not compile) and
 * here (with a message that says why). `test/boundaries.test.ts` shows both refusing.
 *
 * Gotcha: where several overrides set one rule for a file the last one wins whole, so every folder's import rule is built in one piece.
 */
import { existsSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "oxlint"

/** Modules of `effect` that are data and functions only: no runtime, clock, randomness or platform. */
const pureEffect = [
  "Array BigDecimal BigInt Boolean Brand Chunk Combiner Data DateTime Duration Equal Equivalence Filter Function Hash HashMap HashSet HKT",
  "Iterable Match Newtype NonEmptyIterable Number Option Order Ordering Pipeable Predicate Record Redacted Reducer RegExp Result Schema",
  "SchemaGetter SchemaIssue SchemaTransformation String Struct Symbol Tuple Types UndefinedOr Unify"
].flatMap((line) => line.split(" "))

type Folder = "domain" | "services" | "orchestration" | "layers" | "gateways" | "sandbox" | "simulation" | "edges"

/** What each folder may import besides itself, in the order data flows. */
const mayImport: Record<Folder, ReadonlyArray<Folder>> = {
  domain: [],
  services: ["domain"],
  orchestration: ["domain", "services"],
  layers: ["domain", "services"],
  gateways: ["domain", "services"],
  sandbox: ["domain", "services"],
  simulation: ["domain", "services", "orchestration", "layers", "gateways", "sandbox"],
  edges: ["domain", "services", "orchestration", "layers", "gateways", "sandbox", "simulation"]
}
const folders = Object.keys(mayImport) as Array<Folder>

interface Pattern {
  readonly regex?: string
  readonly group?: Array<string>
  readonly message: string
}

const barrels: Array<Pattern> = [
  {
    regex: "^(effect|@effect/platform-node|@effect/sql-pg)$",
    message: "Import the module itself (`effect/Effect`): barrels slow the start."
  },
  { regex: "^[.].*/(index[.]ts$|public/)", message: "`index.ts` and `public` are for users of the package." }
]
const impure: Array<Pattern> = [
  { group: ["effect/*", ...pureEffect.map((name) => `!effect/${name}`)], message: "The domain is pure: only effect's data modules." },
  { regex: "^effect/[^/]+/", message: "The domain is pure: only effect's data modules." }
]
const platform: Array<Pattern> = [
  { regex: "^node:|^@effect/(platform|sql)-", message: "The platform belongs to layers, gateways, sandbox and edges." },
  { regex: "^effect/(sql|http|http-api|cli|process|socket)/", message: "Protocols belong to layers, gateways, sandbox and edges." }
]

/** Refuses the folders that come after `folder` in the flow. Only a path that climbs out (`../`) can reach them. */
const laterFolders = (folder: Folder): Array<Pattern> => {
  const refused = folders.filter((other) => other !== folder && !mayImport[folder].includes(other))
  return refused.length === 0 ? [] : [{ regex: `^([.][.]/)+(${refused.join("|")})/`, message: `src/${folder} may not import it.` }]
}

/** The folders directly inside `src/<folder>`, for instance the adapters. */
const roomsOf = (folder: Folder): Array<string> => {
  const path = fileURLToPath(new URL(`src/${folder}`, import.meta.url))
  if (!existsSync(path)) return []
  const entries = readdirSync(path, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
}

const importRule = (patterns: ReadonlyArray<Pattern>) => ({ "no-restricted-imports": ["error", { patterns: [...patterns] }] as never })

const globalRule = (names: ReadonlyArray<string>, message: string) => ({
  "no-restricted-globals": ["error", ...names.map((name) => ({ name, message }))] as never
})

const timers = ["setTimeout", "setInterval", "setImmediate"]

/** Implementations of one kind that must not know each other: every layer, every adapter. */
const siblings = (folder: "layers" | "gateways") => {
  const rooms = roomsOf(folder)
  return rooms.map((room) => {
    const others = rooms.filter((other) => other !== room)
    const sibling =
      others.length === 0 ? [] : [{ regex: `^([.][.]/)+(${folder}/)?(${others.join("|")})/`, message: `${folder} do not know each other.` }]
    return { files: [`src/${folder}/${room}/**`], rules: importRule([...barrels, ...laterFolders(folder), ...sibling]) }
  })
}

export default defineConfig({
  plugins: ["typescript", "unicorn", "oxc", "import"],
  categories: { correctness: "error", suspicious: "error" },
  options: { typeAware: true },
  ignorePatterns: ["dist/", "node_modules/"],
  rules: {
    "import/no-cycle": "error",
    "import/no-self-import": "error",
    "no-console": "error",
    eqeqeq: "error",
    "no-var": "error",
    "prefer-const": "error",
    complexity: ["error", { max: 20, variant: "modified" }],
    "max-lines": ["error", { max: 400 }],
    "max-lines-per-function": ["error", { max: 100, skipBlankLines: true, skipComments: true }],
    "no-restricted-properties": [
      "error",
      { object: "Date", property: "now", message: "Time comes from Clock." },
      { object: "Math", property: "random", message: "Randomness comes from Random." }
    ],
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/no-floating-promises": "error",
    "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    // The compiler knows better: an exhaustive switch returns on every path.
    "typescript/consistent-return": "off",
    "typescript/no-unsafe-type-assertion": "off",
    // `class X extends Context.Service<X, Shape>()("key") {}` has no members of its own.
    "typescript/no-extraneous-class": "off",
    // Text for a terminal or a log is cleaned of control characters by naming them.
    "no-control-regex": "off",
    "no-shadow": "off",
    "require-yield": "off",
    "no-await-in-loop": "off",
    "no-underscore-dangle": "off",
    // `...["--flag", value]` keeps a command's words on one line.
    "unicorn/no-useless-spread": "off",
    "typescript/no-unnecessary-type-parameters": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/no-array-reverse": "off",
    "import/no-unassigned-import": "off",
    // Express 5 and Fastify take rejections themselves.
    "oxc/no-async-endpoint-handlers": "off"
  },
  overrides: [
    {
      files: ["src/domain/**"],
      rules: {
        ...importRule([...barrels, ...impure, ...platform, ...laterFolders("domain")]),
        ...globalRule(["Date"], "The domain takes the time as an argument."),
        "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }]
      }
    },
    {
      files: ["src/services/**"],
      rules: {
        ...importRule([...barrels, ...platform, ...laterFolders("services")]),
        ...globalRule(["Date", "fetch", "process", "performance", ...timers], "Services are interfaces: no platform.")
      }
    },
    {
      files: ["src/orchestration/**"],
      rules: {
        ...importRule([...barrels, ...platform, ...laterFolders("orchestration")]),
        ...globalRule(["Date", "fetch", "process", "performance", ...timers], "Programs take time and platform from services.")
      }
    },
    ...(["layers", "gateways", "sandbox", "simulation"] as const).map((folder) => ({
      files: [`src/${folder}/**`],
      rules: {
        ...importRule([...barrels, ...laterFolders(folder)]),
        ...globalRule(["fetch", ...timers], "Use the Effect of it: HttpClient, Effect.sleep, Schedule.")
      }
    })),
    ...siblings("layers"),
    ...siblings("gateways"),
    { files: ["docs/examples/**"], rules: { "no-console": "off" } },
    { files: ["src/edges/**"], rules: { ...importRule(barrels), "no-console": "off" } },
    {
      files: ["test/**", "scripts/**", "*.config.ts"],
      rules: {
        "no-console": "off",
        "no-restricted-properties": "off",
        "max-lines": ["error", { max: 600 }],
        // given(events).when(command).then(events)
        "unicorn/no-thenable": "off",
        "max-lines-per-function": "off",
        "typescript/no-non-null-assertion": "off"
      }
    }
  ]
})
