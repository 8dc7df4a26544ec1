/**
 * Where the command line may make its files, and what two first starts at the same time make.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdir, readFile, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeDirectory } from "../../../src/layers/postgres/embedded/MakeDirectory.ts"
import { aegispay, assertOneLine, directory } from "./aegispay.ts"

const pay = ["pay", "--amount", "1", "--currency", "EUR", "--token", "tok_success", "--json"]

describe("a directory in which nothing can be made", () => {
  it.runIf(process.platform === "linux")("is refused in one line, by every command that needs one", async () => {
    for (const args of [
      [...pay, "--data-dir", "/proc/x"],
      ["migrate", "--data-dir", "/proc/x/y"],
      ["sandbox", "--port", "0", "--directory", "/proc/x/y"]
    ]) {
      const ended = await aegispay(args)
      assert.strictEqual(ended.code, 2, args.join(" "))
      assertOneLine(ended, /\/proc\/x/)
    }
  })

  it.runIf(process.platform === "linux")("is told apart from one that is only missing", async () => {
    const folder = await directory()
    for (let round = 0; round < 200; round++) {
      // Each finds at any step that another has made the directory above meanwhile.
      const deep = join(folder, String(round), "b", "c")
      await Promise.all([makeDirectory(deep, 0o711), makeDirectory(deep, 0o711), makeDirectory(join(deep, "d"), 0o711)])
      assert.strictEqual((await stat(join(folder, String(round)))).mode & 0o777, 0o711)
      await makeDirectory(deep, 0o700)
    }
    const refused = async (path: string) => {
      try {
        await makeDirectory(path, 0o700)
        return "made"
      } catch (error) {
        return (error as NodeJS.ErrnoException).code
      }
    }
    assert.strictEqual(await refused("/proc/x/y/z"), "ENOENT")
    assert.strictEqual(await refused("/dev/null/x"), "ENOTDIR")
  })
})

describe("two first development starts at once", () => {
  it("choose different ports for their sandboxes, and both can pay", { timeout: 120_000 }, async () => {
    const directories = [await directory(), await directory()]
    const ended = await Promise.all(directories.map((folder) => aegispay([...pay, "--data-dir", join(folder, "data")])))
    for (const { code, stderr } of ended) assert.strictEqual(code, 0, stderr)
    const ports = await Promise.all(directories.map((folder) => readFile(join(folder, "data", "sandbox.port"), "utf8")))
    assert.notStrictEqual(ports[0], ports[1])
    const claims = await readdir(tmpdir())
    for (const { pid } of ended)
      assert.isEmpty(claims.filter((name) => name.startsWith("aegispay-sandbox-port-") && name.endsWith(`.${pid}`)))
  })
})
