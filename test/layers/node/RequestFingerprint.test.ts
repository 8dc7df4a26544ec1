/**
 * Fingerprints: against another implementation, and keys that are too short.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHmac } from "node:crypto"
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

  it.effect("stays what it was for keys and texts of every length about a block, and for texts of many bytes after short ones", () =>
    Effect.forEach([32, 33, 63, 64, 65, 200], (keyBytes) => {
      const key = "\u00fc".repeat(keyBytes / 2) + "k".repeat(keyBytes % 2)
      const lengths = [...Array.from({ length: 200 }, (_, length) => length), 5_439, 5_440, 5_441, 20_000, 1, 100_000, 0]
      const texts = ["x", "\u20ac", "\ud83d\udcb3", "\ud83d"].flatMap((character) => lengths.map((length) => character.repeat(length)))
      return Effect.gen(function* () {
        const fingerprint = yield* RequestFingerprint
        for (const text of texts) {
          assert.strictEqual(yield* fingerprint.of(text), createHmac("sha256", key).update(text, "utf8").digest("hex"))
        }
      }).pipe(Effect.provide(Fingerprint.layer(Redacted.make(key))))
    })
  )

  it.effect.prop(
    "is what node's createHmac makes of any text",
    { key: Schema.String, text: Schema.String },
    ({ key, text }) =>
      Effect.gen(function* () {
        const long = `${key}${"k".repeat(32)}`
        assert.strictEqual(yield* of(long, text), createHmac("sha256", long).update(text, "utf8").digest("hex"))
      }),
    { arbitrary: { seed: 1, runs: 300 } }
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
