/**
 * No host transactions: memory has none to join, so nobody is ever inside one.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HostTransaction } from "../../services/HostTransaction.ts"

/** `isOpen` is false, `outside` changes nothing, `afterCommit` runs at once. */
export const layer: Layer.Layer<HostTransaction> = Layer.succeed(
  HostTransaction,
  HostTransaction.of({
    isOpen: Effect.succeed(false),
    outside: (effect) => effect,
    afterCommit: (effect) => effect
  })
)
