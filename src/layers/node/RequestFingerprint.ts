/**
 * HMAC-SHA256 by node's crypto module.
 *
 * Gotcha: fingerprints are stored for ever; with another key every repeated request would look like another one (422).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createHmac, createSecretKey } from "node:crypto"
import { RequestFingerprint } from "../../services/RequestFingerprint.ts"

/** The shortest key: as long as the digest (RFC 2104 section 3 discourages shorter ones). */
const shortestKeyBytes = 32

/** Fingerprints under a key of at least 32 bytes (UTF-8); a shorter one is a defect. */
export const layer = (key: Redacted.Redacted): Layer.Layer<RequestFingerprint> =>
  Layer.effect(
    RequestFingerprint,
    Effect.gen(function* () {
      const bytes = Buffer.from(Redacted.value(key), "utf8")
      if (bytes.length < shortestKeyBytes) {
        return yield* Effect.die(new Error(`the fingerprint key has ${bytes.length} bytes; it needs at least ${shortestKeyBytes}`))
      }
      const secret = createSecretKey(bytes)
      return RequestFingerprint.of({
        of: (canonical) => Effect.sync(() => createHmac("sha256", secret).update(canonical, "utf8").digest("hex"))
      })
    })
  )
