/**
 * Fingerprints: against another implementation, and keys that are too short.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Fingerprint from "../../../src/layers/node/RequestFingerprint.ts"
import { RequestFingerprint } from "../../../src/services/RequestFingerprint.ts"

const of = (key: string, text: string) =>
  Effect.flatMap(RequestFingerprint, (fingerprint) => fingerprint.of(text)).pipe(Effect.provide(Fingerprint.layer(Redacted.make(key))))

describe("RequestFingerprint", () => {
  it.effect("is HMAC-SHA256 in hexadecimal (vector from Python's hmac module)", () =>
    Effect.gen(function* () {
      const digest = yield* of("k".repeat(131), "Test Using Larger Than Block-Size Key - Hash Key First")
      assert.strictEqual(digest, "70e4b005732fa7ff79392aa24fb240159b925dbc9f1398420c0f45e6763dcf14")
    })
  )

  it.effect("differs by key and by text", () =>
    Effect.gen(function* () {
      const digests = yield* Effect.all([of("a".repeat(32), "x"), of("b".repeat(32), "x"), of("a".repeat(32), "y"), of("a".repeat(32), "")])
      assert.strictEqual(new Set(digests).size, 4)
    })
  )

  it.effect("a key under 32 bytes is a defect that does not show it", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(of("short-secret", "x"))
      assert.isTrue(Exit.isFailure(exit))
      assert.notInclude(String(Exit.isFailure(exit) && exit.cause), "short-secret")
    })
  )
})
