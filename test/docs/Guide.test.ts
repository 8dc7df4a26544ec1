/**
 * The guide: every page has its parts, its programs run and are printed as they are, its defaults are the presets, its links lead somewhere,
 * and the index leads to a page for every feature.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Presets from "../../src/domain/Presets.ts"
import * as Config from "../../src/edges/config/Config.ts"
import { blocksOf, programOf, read, rowsOf, shown } from "../support/documents.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = join(root, "docs/guide")
const index = read("docs/guide/README.md")

const pages = readdirSync(folder)
  .filter((file) => file.endsWith(".md") && file !== "README.md")
  .map((file) => file.slice(0, -3))

const headings = ["What it is for", "How it works", "Configuration", "Gotchas", "Example"]

const shownAsJson = (value: unknown): string => (typeof value === "object" ? `\`${JSON.stringify(value)}\`` : shown(value))

type Example = Effect.Effect<unknown, unknown> | (() => Promise<unknown>)

/** Named one by one, so that the compiler looks at each. */
const programs: { readonly [page: string]: () => Promise<{ readonly example: Example }> } = {
  "built-in-hooks": () => import("../../docs/examples/guide/built-in-hooks.ts"),
  chaos: () => import("../../docs/examples/guide/chaos.ts"),
  "circuit-breakers": () => import("../../docs/examples/guide/circuit-breakers.ts"),
  degradation: () => import("../../docs/examples/guide/degradation.ts"),
  embedding: () => import("../../docs/examples/guide/embedding.ts"),
  events: () => import("../../docs/examples/guide/events.ts"),
  expiry: () => import("../../docs/examples/guide/expiry.ts"),
  hooks: () => import("../../docs/examples/guide/hooks.ts"),
  idempotency: () => import("../../docs/examples/guide/idempotency.ts"),
  locks: () => import("../../docs/examples/guide/locks.ts"),
  notifications: () => import("../../docs/examples/guide/notifications.ts"),
  operations: () => import("../../docs/examples/guide/operations.ts"),
  "optimistic-updates": () => import("../../docs/examples/guide/optimistic-updates.ts"),
  payments: () => import("../../docs/examples/guide/payments.ts"),
  "rate-limits": () => import("../../docs/examples/guide/rate-limits.ts"),
  rates: () => import("../../docs/examples/guide/rates.ts"),
  reconciliation: () => import("../../docs/examples/guide/reconciliation.ts"),
  recovery: () => import("../../docs/examples/guide/recovery.ts"),
  retries: () => import("../../docs/examples/guide/retries.ts"),
  reviews: () => import("../../docs/examples/guide/reviews.ts"),
  routing: () => import("../../docs/examples/guide/routing.ts"),
  stripe: () => import("../../docs/examples/guide/stripe.ts"),
  testing: () => import("../../docs/examples/guide/testing.ts"),
  webhooks: () => import("../../docs/examples/guide/webhooks.ts")
}

const run = async (program: (typeof programs)[string]): Promise<Effect.Effect<unknown, unknown>> => {
  const { example } = await program()
  return typeof example === "function" ? Effect.promise(example) : example
}

describe("the guide", () => {
  for (const name of pages) {
    describe(name, () => {
      const page = read(`docs/guide/${name}.md`)

      it("has the five parts, in their order, each with something in it", () => {
        assert.match(page, /^# \S/)
        const parts = page.split(/^## /m).slice(1)
        assert.deepStrictEqual(
          parts.map((part) => part.split("\n")[0]),
          headings
        )
        for (const part of parts) assert.isAbove(part.split("\n").slice(1).join("").trim().length, 40, part)
      })

      it("has no code that is not run", () => {
        const known = ["ts", "json", "sh"].flatMap((language) => blocksOf(page, language)).length
        assert.strictEqual([...page.matchAll(/^```/gm)].length, known * 2)
        assert.isAtLeast(blocksOf(page, "ts").length + blocksOf(page, "sh").length, 1)
        for (const block of blocksOf(page, "ts")) assert.strictEqual(block, programOf(`guide/${name}`))
      })

      it("its defaults are the presets, with their units", () => {
        const rows = rowsOf(page)
        assert.isNotEmpty(rows)
        for (const [setting, value, unit, named = ""] of rows) {
          const [, section = "", key = ""] = /^`(\w+)\.(\w+)`$/.exec(named) ?? []
          const sections: Readonly<Record<string, Readonly<Record<string, Presets.Preset<unknown>>>>> = Presets
          const preset = sections[section]?.[key] ?? assert.fail(`${named} is no preset`)
          assert.deepStrictEqual([value, unit], [shownAsJson(preset.value), preset.unit], setting)
        }
      })

      it("its configuration is taken", () => {
        for (const block of blocksOf(page, "json")) {
          const input = { database: { dataDir: "." }, ...(JSON.parse(block) as object) }
          const environment = { STRIPE_SECRET_KEY: "sk_test_1", STRIPE_WEBHOOK_SECRET: "whsec_1" }
          const config = Config.decode({ input, environment })
          if (Result.isFailure(config)) assert.fail(config.failure.message)
        }
      })

      it("its links lead somewhere", () => {
        for (const [, target = ""] of page.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
          if (!target.startsWith("https://")) assert.isTrue(existsSync(join(folder, target)), target)
        }
      })

      const program = programs[name]
      if (program !== undefined) {
        it.effect("its program answers what it prints", () =>
          Effect.gen(function* () {
            const answer = yield* yield* Effect.promise(() => run(program))
            assert.include(page, `\nIt answers \`${JSON.stringify(answer)}\`.\n`)
            assert.lengthOf(blocksOf(page, "ts"), 1)
          })
        )
      }
    })
  }

  it("every program is on a page", () => {
    const files = readdirSync(join(root, "docs/examples/guide")).map((file) => file.slice(0, -3))
    assert.sameMembers(files, [...Object.keys(programs), "shop"])
    for (const name of Object.keys(programs)) assert.include(pages, name)
    assert.include(index, `\`\`\`ts\n${programOf("guide/shop")}\`\`\``)
  })

  it("its index leads to every page, and from every feature to one", () => {
    for (const name of pages) assert.include(index, `](${name}.md)`)
    for (const [, target = ""] of index.matchAll(/\]\(([^)#]+)\)/g)) assert.isTrue(existsSync(join(folder, target)), target)
    const ids = rowsOf(index).map(([id]) => id)
    const expected = Object.entries({ A: 28, S: 7, C: 9, X: 11 }).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, number) => `${letter}${number + 1}`)
    )
    assert.deepStrictEqual(ids, expected)
  })
})
