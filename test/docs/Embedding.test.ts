/**
 * docs/embedding.md: it prints its programs as they are (test/examples runs them), and its tables name what there is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Embed from "../../src/public/embed.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/embedding.md")

describe("docs/embedding.md", () => {
  for (const name of ["express-shop", "express-shop-main", "fastify-service", "recover-job", "effect-service", "clock-test"]) {
    it(`prints ${name} as it is`, () => {
      assert.include(Documents.blocksOf(document, "ts"), Documents.programOf(name))
    })
  }

  it("README.md prints first-promise as it is", () => {
    assert.include(Documents.blocksOf(Documents.read("README.md"), "ts"), Documents.programOf("first-promise"))
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
