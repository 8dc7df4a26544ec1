/**
 * The commands that the guide prints: run as they stand there, and they end as it says.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { aegispay } from "../edges/cli/aegispay.ts"
import { blocksOf, read } from "../support/documents.ts"

const commands = readdirSync(new URL("../../docs/guide/", import.meta.url)).flatMap((file) =>
  blocksOf(read(`docs/guide/${file}`), "sh").flatMap((block) =>
    block
      .trim()
      .split("\n")
      .map((line) => ({ file, line }))
  )
)

describe("commands of the guide", () => {
  it("there are some", () => {
    assert.isAtLeast(commands.length, 2)
  })

  for (const { file, line } of commands) {
    it(`${file}: ${line}`, async () => {
      const [program, ...args] = line.split(" ")
      assert.strictEqual(program, "aegispay")
      const { code, stderr } = await aegispay(args)
      assert.strictEqual(code, 0, stderr)
    })
  }
})
