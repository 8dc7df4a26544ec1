/**
 * The idempotency keys of an account: what a key means at a moment, and what is stored under it. Pure.
 *
 * A key is replayed for the window after its result was stored; after that it executes anew, as at a real PSP. An unexpired key is
 * never evicted, since that would break the promise of the window: when the account holds `maxKeys` of them, new keys are refused.
 */
import type { Decision } from "./Answer.ts"
import { refuse } from "./Answer.ts"
import type { AccountState, StoredResult } from "./PspState.ts"

export type KeyState =
  | { readonly _tag: "Fresh" }
  | { readonly _tag: "Replay"; readonly result: StoredResult }
  | { readonly _tag: "Mismatch" }
  | { readonly _tag: "Full" }

/** What a request with this key and fingerprint is at `now`. */
export const lookup = (
  state: AccountState,
  request: { readonly key: string; readonly fingerprint: string; readonly now: number }
): KeyState => {
  const stored = state.results.get(request.key)
  if (stored !== undefined && stored.at + state.rules.idempotencyWindowMillis >= request.now) {
    return stored.fingerprint === request.fingerprint ? { _tag: "Replay", result: stored } : { _tag: "Mismatch" }
  }
  return state.results.size >= state.rules.maxKeys && !hasExpired(state, request.now) ? { _tag: "Full" } : { _tag: "Fresh" }
}

const hasExpired = (state: AccountState, now: number): boolean => {
  for (const oldest of state.results.values()) return oldest.at + state.rules.idempotencyWindowMillis < now
  return false
}

/** Whether an answer is kept under its key: 4xx that precede the execution never are, failures where the account caches them. */
export const isStored = (status: number, account: { readonly cachesFailures: boolean }): boolean =>
  status < 400 || ((status === 402 || status === 500) && account.cachesFailures)

export const mismatch = refuse(409, {
  type: "idempotency_error",
  code: "parameter_mismatch",
  message: "The key was used with another request."
})

export const inUse: Decision = refuse(409, {
  type: "idempotency_error",
  code: "key_in_use",
  message: "A request with this key is being processed."
})

export const full: Decision = refuse(503, {
  type: "api_error",
  code: "capacity",
  message: "Too many idempotency keys are held."
})

/** What is wrong with the header, or `undefined`. A key has 1 to 255 printable ASCII characters. */
export const keyProblem = (key: string | undefined): Decision | undefined => {
  if (key === undefined || key === "") {
    return refuse(400, { type: "idempotency_error", code: "key_required", message: "Idempotency-Key is required." })
  }
  if (key.length > 255) {
    return refuse(400, {
      type: "idempotency_error",
      code: "key_too_long",
      message: "Idempotency-Key has at most 255 characters."
    })
  }
  return /^[\x20-\x7e]+$/.test(key)
    ? undefined
    : refuse(400, { type: "idempotency_error", code: "key_invalid", message: "Idempotency-Key is not printable ASCII." })
}
