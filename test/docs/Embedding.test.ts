/**
 * docs/embedding.md: it prints its programs as they are (test/examples runs them), and its tables name what there is.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Embed from "../../src/public/embed.ts"

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")
const document = read("docs/embedding.md")

const asUsed = (name: string) =>
  read(`docs/examples/${name}.ts`)
    .replaceAll('"../../src/index.ts"', '"aegispay"')
    .replaceAll('"../../src/public/sandbox.ts"', '"aegispay/gateways/sandbox"')
    .replaceAll(/"\.\.\/\.\.\/src\/public\/(\w+)\.ts"/g, '"aegispay/$1"')

describe("docs/embedding.md", () => {
  for (const name of ["express-shop", "express-shop-main", "fastify-service", "recover-job", "effect-service", "clock-test"]) {
    it(`prints ${name} as it is`, () => {
      assert.include(document, `\`\`\`ts\n${asUsed(name)}\`\`\``)
    })
  }

  it("README.md prints first-promise as it is", () => {
    assert.include(read("README.md"), `\`\`\`ts\n${asUsed("first-promise")}\`\`\``)
  })

  it("names every class of an error and every method", () => {
    const classes = Object.keys(Embed).filter((name) => name !== "AegisPay")
    assert.isNotEmpty(classes)
    const methods = Object.getOwnPropertyNames(Embed.AegisPay.prototype).filter((name) => name !== "constructor")
    assert.isNotEmpty(methods)
    const missing = [...classes.map((name) => `\`${name}\``), ...methods.map((name) => `${name}(`)].filter(
      (text) => !document.includes(text)
    )
    assert.deepStrictEqual(missing, [])
  })
})
