/**
 * The programs of the documentation: they run, and what the documentation prints is what was run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { engine, firstPayment } from "../../docs/examples/first-payment.ts"
import { failover } from "../../docs/examples/host-test.ts"
import { temporaryDirectory } from "../support/embedded-processes.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (path: string) => readFileSync(join(root, path), "utf8")

/** An example as users of the package write it: by the package's name, not by the paths of this repository. */
const asUsed = (path: string) =>
  read(path)
    .replaceAll(/"\.\.\/\.\.\/src\/index\.ts"/g, '"aegispay"')
    .replaceAll(/"\.\.\/\.\.\/src\/public\/sandbox\.ts"/g, '"aegispay/gateways/sandbox"')
    .replaceAll(/"\.\.\/\.\.\/src\/public\/(\w+)\.ts"/g, '"aegispay/$1"')

describe("examples", () => {
  it.live("first-payment charges once, however often it runs", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory(), "db")
      const [first, again] = yield* Effect.all([firstPayment, firstPayment]).pipe(Effect.provide(engine(path)))
      assert.include(first, { status: "succeeded", amountCaptured: 4990 })
      assert.strictEqual(again.id, first.id)
      assert.strictEqual(again.version, first.version)
    }).pipe(Effect.scoped)
  )

  it.live("host-test fails over", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failover, { status: "succeeded", sent: [1, 1] })
    })
  )

  for (const name of ["first-payment", "host-test"]) {
    it(`README.md prints ${name} as it is`, () => {
      assert.include(read("README.md"), `\`\`\`ts\n${asUsed(`docs/examples/${name}.ts`)}\`\`\``)
    })
  }
})
