/**
 * The keyed digest of a canonical request, by which a repeated idempotency key is told from a reused one (rule 11).
 *
 * Keyed, so that whoever reads the database cannot guess requests; stable for ever, so the key must not change.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** - `of`: HMAC-SHA256 of a text, 64 hexadecimal digits. */
export class RequestFingerprint extends Context.Service<
  RequestFingerprint,
  {
    readonly of: (canonical: string) => Effect.Effect<string>
  }
>()("aegispay/services/RequestFingerprint") {}
