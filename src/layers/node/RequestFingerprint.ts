/**
 * HMAC-SHA256 over node's SHA-256.
 *
 * Gotcha: fingerprints are stored for ever; with another key every repeated request would look like another one (422).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { hash } from "node:crypto"
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
      const digest = hmacSha256(bytes)
      return RequestFingerprint.of({ of: (canonical) => Effect.sync(() => digest(canonical)) })
    })
  )

const blockBytes = 64
const digestBytes = 32
/** Longer texts get a buffer of their own. */
const usualBytes = 16_384
/** Of a UTF-16 code unit in UTF-8. */
const mostBytes = 3

/**
 * HMAC (RFC 2104): the hash of the outer pad and of the hash of the inner pad and the text, in hexadecimal. Two hashes take less time than
 * `createHmac`, which makes an object for each text.
 */
const hmacSha256 = (key: Buffer): ((text: string) => string) => {
  const block = Buffer.alloc(blockBytes)
  if (key.length > blockBytes) block.write(hash("sha256", key), "hex")
  else key.copy(block)
  const padded = (byte: number, bytes: number): Buffer => {
    const buffer = Buffer.alloc(bytes)
    for (const [index, value] of block.entries()) buffer[index] = value ^ byte
    return buffer
  }
  const outer = padded(0x5c, blockBytes + digestBytes)
  const usual = padded(0x36, usualBytes)
  return (text) => {
    const needed = blockBytes + text.length * mostBytes
    const inner = needed <= usualBytes ? usual : padded(0x36, needed)
    const end = blockBytes + inner.write(text, blockBytes, "utf8")
    outer.write(hash("sha256", inner.subarray(0, end), "binary"), blockBytes, "binary")
    return hash("sha256", outer)
  }
}
