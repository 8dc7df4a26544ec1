import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as FingerprintKey from "../../../src/edges/config/FingerprintKey.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "aegispay-key-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

it.effect("the fingerprint key is made once, whoever asks, and is readable by its owner only", () =>
  Effect.gen(function* () {
    const dataDir = join(yield* directory, "new")
    const keys = yield* Effect.all(
      Array.from({ length: 8 }, () => FingerprintKey.load(dataDir)),
      { concurrency: "unbounded" }
    )
    assert.lengthOf(new Set(keys.map(Redacted.value)), 1)
    assert.match(Redacted.value(yield* FingerprintKey.load(dataDir)), /^[0-9a-f]{64}$/)
    assert.strictEqual(statSync(FingerprintKey.fileOf(dataDir)).mode & 0o777, 0o600)
    assert.deepStrictEqual(readdirSync(dataDir), ["fingerprint.key"])
  })
)

it.effect("a file that holds no key is refused, not replaced", () =>
  Effect.gen(function* () {
    const dataDir = yield* directory
    writeFileSync(FingerprintKey.fileOf(dataDir), "not a key")
    const error = yield* Effect.flip(FingerprintKey.load(dataDir))
    assert.match(error.message, /fingerprint\.key: does not hold a key/)
    assert.notInclude(error.message, "not a key")
  })
)
